"""`curaloop init`: makes a dataset project in any folder."""

from __future__ import annotations

import os
import re
from dataclasses import dataclass
from pathlib import Path

from curation.errors import UsageError
from curation.project import RECIPE_NAME, Project, create_key, key_path

IGNORED = """\
# Curaloop: what is not versioned by git. data/ is versioned by DVC (data.dvc), workspace/ by nobody.
/data/
/workspace/
/.dvc/cache/
/.dvc/tmp/
/.dvc/config.local
/inbox/
"""
COMMITTED = (RECIPE_NAME, ".gitignore", ".dvcignore", ".dvc/config", ".dvc/.gitignore")


@dataclass(frozen=True)
class InitReport:
    """What `init` made.

    Attributes:
        key_is_new: the pseudonymization key was made now; otherwise the one that was there is used.
    """

    root: Path
    remote: str
    key: Path
    key_is_new: bool
    is_new_repository: bool


def init_project(folder: Path, remote: str = "", name: str = "") -> InitReport:
    """Make the project: git, DVC with its remote, commented recipe, ignore file, key, first commit.

    Args:
        folder: made when missing. It may be the root of a git repository and may hold other files.
        remote: DVC remote, a folder or a URL; default: `<folder>-remote` beside the project.
        name: name of the dataset; default: the folder's.

    Raises:
        UsageError: the folder is a project already, is a file, or the key would lie inside it.
    """
    from curation.git import commit_files
    from curation.versions import init_dvc

    folder = folder.absolute()
    _refuse(folder)
    folder.mkdir(parents=True, exist_ok=True)
    is_new = not (folder / ".git").exists()
    remote = remote or os.path.join("..", f"{folder.name}-remote")  # noqa: PTH118  # a relative path stays relative
    key_is_new = not key_path().exists()
    _write_files(folder, remote, name or folder.name)
    init_dvc(folder, remote)
    commit_files(Project(folder), [path for path in COMMITTED if (folder / path).exists()], "Begin a Curaloop dataset project")
    return InitReport(folder, remote, create_key(), key_is_new, is_new)


def _refuse(folder: Path) -> None:
    if folder.exists() and not folder.is_dir():
        raise UsageError(f"{folder} is a file; name a folder")
    if (folder / RECIPE_NAME).exists():
        raise UsageError(f"{folder} is a Curaloop project already; edit its {RECIPE_NAME}, or name another folder")
    if key_path().resolve().is_relative_to(folder.resolve()):
        raise UsageError(f"the key {key_path()} would lie inside the project; set CURALOOP_KEY_FILE to a place outside")


def _write_files(folder: Path, remote: str, name: str) -> None:
    """Write the recipe and the ignore file; lines that the ignore file has already are kept."""
    template = (Path(__file__).parent / "templates" / RECIPE_NAME).read_text()
    (folder / RECIPE_NAME).write_text(template.replace("@NAME@", _toml(name)).replace("@REMOTE@", _toml(remote)))
    ignore = folder / ".gitignore"
    before = ignore.read_text() if ignore.exists() else ""
    missing = [line for line in IGNORED.splitlines() if line not in before.splitlines()]
    if missing:
        ignore.write_text(before + ("\n" if before and not before.endswith("\n") else "") + "\n".join(missing) + "\n")


def _toml(text: str) -> str:
    """Return the text as the inside of a basic TOML string."""
    return re.sub(r'["\\]', lambda found: "\\" + found[0], re.sub(r"[\x00-\x1f\x7f]", " ", text))
