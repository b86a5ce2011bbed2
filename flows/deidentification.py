"""`curaloop deidentify`: where its options come from, where it runs, and what it prints."""

from __future__ import annotations

import os
from pathlib import Path

from curation.deidentify.folders import DeidentifyReport, deidentify_files
from curation.deidentify.options import DeidentifySettings
from curation.errors import UsageError
from curation.project import RECIPE_NAME, Project, find_project, read_key
from flows.console import out, progress_bar, stdout_to_stderr, table
from flows.executors import open_executor
from flows.settings import read_settings

MAX_SHOWN = 100


def options_of(here: Path, given: dict[str, bool], workers: int | None) -> tuple[DeidentifySettings, str]:
    """Return the options of a call and its executor: what is given, else what the recipe of a project around `here` says, else the defaults."""
    base, executor = DeidentifySettings(), f"processes:{os.cpu_count() or 1}"
    if any((folder / RECIPE_NAME).is_file() for folder in (here.resolve(), *here.resolve().parents)):
        recipe = read_settings(find_project(here).recipe_path)
        base, executor = recipe.deidentify, recipe.run.executor
    if workers is not None:
        executor = f"processes:{workers}" if workers > 1 else "serial"
    return base.model_copy(update=given), executor


def run_deidentify(source: Path, target: Path, settings: DeidentifySettings, executor: str) -> DeidentifyReport:
    """Clean a file or folder into `target`; the key is that of the account, a project is not needed."""
    if not source.exists():
        raise UsageError(f"{source} does not exist; name a file or a folder of images")
    if target.exists() and (not target.is_dir() or any(target.iterdir())):
        raise UsageError(f"{target} is not empty; name a new folder, nothing is overwritten")
    key = read_key(Project(target))
    with stdout_to_stderr(), progress_bar() as progress, open_executor("serial" if source.is_file() else executor) as pool:
        return deidentify_files(source, target, key, progress, settings=settings, executor=pool)


def show_deidentify(report: DeidentifyReport, target: Path) -> None:
    """Print what became of the files, and why some were refused."""
    refused = sum(report.reasons.values())
    out().print(
        f"[bold]De-identified[/] {report.found:,} files = {report.cleaned:,} cleaned into {target}, {report.duplicates:,} duplicates, "
        f"{report.skipped:,} skipped (no images), {refused:,} refused"
    )
    if report.masked:
        out().print(f"Text was covered in {report.masked:,} of them, {report.masked_px:,} pixels in all")
    out().print("Burned-in text and faces are looked for by programs, and programs miss some: look at a sample before you pass the files on.")
    if report.reasons:
        out().print(table("Refused", list(report.reasons.items()), "code", "files"))
        out().print(table("", [tuple(row) for row in report.refused[:MAX_SHOWN]], "file: start of its SHA-256", "code", "reason"))
    if refused > MAX_SHOWN:
        out().print(f"{refused - MAX_SHOWN:,} more were refused")
