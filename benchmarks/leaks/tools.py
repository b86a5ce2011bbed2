"""Ours and the peers, each as a user would run it on a folder."""

from __future__ import annotations

import os
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

PEERS = Path(__file__).resolve().parents[2] / ".venv-peers" / "bin"
HERE = Path(__file__).resolve().parent


@dataclass(frozen=True)
class Run:
    """What a tool said, and how long it took in CPU seconds; files are counted by the caller."""

    log: str
    cpu_s: float


def run_ours(source: Path, output: Path) -> Run:
    """`curaloop deidentify`, as installed beside this Python; its key is named by the environment."""
    command = [str(Path(sys.executable).parent / "curaloop"), "deidentify", str(source), str(output)]
    return _run(command)


def run_dicom_anonymizer(source: Path, output: Path) -> Run:
    """Kitware's dicom-anonymizer takes one folder at a time, so it is called for each."""
    runs = []
    for one in _folders(source):
        target = output / one.relative_to(source)
        target.mkdir(parents=True, exist_ok=True)
        runs.append(_run([str(PEERS / "dicom-anonymizer"), str(one), str(target)]))
    return Run("".join(run.log for run in runs), sum(run.cpu_s for run in runs))


def run_deid(source: Path, output: Path) -> Run:
    """Pydicom's deid with its default recipe."""
    return _run([str(PEERS / "python"), str(HERE / "run_deid.py"), str(source), str(output)])


def run_dicognito(source: Path, output: Path) -> Run:
    """dicognito; its installed command is broken in 0.19.0, its module is not."""
    return _run([str(PEERS / "python"), "-m", "dicognito", str(source), "--output-directory", str(output)])


def copy_files(source: Path, output: Path) -> Run:
    """`cp`: what the test finds when nothing is done."""
    return _run(["cp", "-r", f"{source}/.", str(output)])


TOOLS = {"cp": copy_files, "curaloop": run_ours, "dicom-anonymizer": run_dicom_anonymizer, "deid": run_deid, "dicognito": run_dicognito}


def _folders(source: Path) -> list[Path]:
    return sorted({path.parent for path in source.rglob("*.dcm")})


def _run(command: list[str]) -> Run:
    before = os.times()
    done = subprocess.run(command, capture_output=True, text=True, errors="replace", check=False)
    after = os.times()
    cpu_s = after.children_user + after.children_system - before.children_user - before.children_system
    return Run(f"{done.stdout}{done.stderr}exit {done.returncode}", cpu_s)
