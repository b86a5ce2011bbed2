"""git, through its own command: what DVC versions and projects need of it."""

from __future__ import annotations

import subprocess
from collections.abc import Sequence
from pathlib import Path

from curation.errors import UsageError
from curation.project import Project


def run_git(root: Path, *arguments: str) -> str:
    """Run git in `root` and return what it prints. Raise `UsageError` with git's own words when it fails."""
    done = subprocess.run(["git", "-C", str(root), *arguments], capture_output=True, text=True, check=False)
    if done.returncode:
        reason = done.stderr.strip().splitlines() or [f"exit code {done.returncode}"]
        raise UsageError(f"git {arguments[0]}: {reason[-1]}")
    return done.stdout.strip()


def ask_git(root: Path, *arguments: str) -> str:
    """Run git and return what it prints, or nothing when it says no."""
    done = subprocess.run(["git", "-C", str(root), *arguments], capture_output=True, text=True, check=False)
    return done.stdout.strip() if done.returncode == 0 else ""


def commit_files(project: Project, paths: Sequence[Path | str], message: str) -> str:
    """Commit `paths`, and only them, if they changed; return the hash of the commit that holds them now.

    The user's git identity signs the commit; without one, `Curaloop`.
    """
    names = [str(path) for path in paths]
    run_git(project.root, "add", "--", *names)
    changed = run_git(project.root, "status", "--porcelain", "--untracked-files=no", "--", *names)
    if changed:
        run_git(project.root, *identity(project.root), "commit", "-q", "-m", message, "--", *names)
    return run_git(project.root, "rev-parse", "HEAD")


def identity(root: Path) -> list[str]:
    """Return git options that name an author, for users who have told git none."""
    return [] if ask_git(root, "config", "user.email") else ["-c", "user.name=Curaloop", "-c", "user.email=curaloop@localhost"]
