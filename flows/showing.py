"""Reports as people read them in a terminal. Every function takes a stage's report and prints; none decides anything."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from flows.console import out, table, to_plain

if TYPE_CHECKING:
    from curation.ingest import IngestReport
    from validation.release import ReleaseReport

    from adaptation.finetune import FinetuneReport
    from curation.curate import CurateReport
    from flows.stages import LoopReport
    from validation.checks import CheckResult

MAX_ROWS = 40


def show_report(title: str, report: Any, then: str) -> None:
    """Print the numbers and short texts of any report, one a line, and what to do next."""
    rows = list(_flat(to_plain(report)))
    out().print(table(title, rows[:MAX_ROWS], "", ""))
    _next(then)


def _flat(report: Any, prefix: str = "") -> Any:
    """Yield (name, value) of every number and short text in a report; lists are counted."""
    for name, value in report.items():
        label = f"{prefix}{name.replace('_', ' ')}"
        if isinstance(value, dict):
            yield from _flat(value, f"{label} · ")
        elif isinstance(value, list):
            yield label, len(value)
        elif isinstance(value, float):
            yield label, f"{value:,.1f}" if name == "seconds" else f"{value:.3g}"
        else:
            yield label, value


def _next(sentence: str) -> None:
    if sentence:
        out().print(f"[dim]{sentence}[/]")


def show_ingest(report: IngestReport) -> None:
    """Print what became of the files, and why some were not taken."""
    parts = f"{report.kept:,} kept, {report.duplicates:,} duplicate, {report.quarantined:,} quarantined, {report.skipped:,} skipped"
    out().print(f"[bold]Ingest[/]  {report.found:,} files = {parts}  [dim]{report.seconds:,.1f} s[/]")
    out().print(
        f"        {report.images:,} images, {report.new_images:,} new, {report.removed_images:,} removed; {report.reused_files:,} files not opened again"
    )
    if report.codes:
        rows = sorted(report.codes.items(), key=lambda pair: (-pair[1], pair[0]))
        out().print(table("Not taken, by reason", rows, "code", "files"))
        _next("each with a sentence in workspace/quarantine/quarantine.jsonl")


def show_curate(report: CurateReport) -> None:
    """Print duplicates and splits."""
    show_report("Curate", report, "next: curaloop gaps shows what is missing; curaloop release makes a version")


def show_checks(title: str, checks: tuple[CheckResult, ...]) -> None:
    """Print every check with its result, the failed ones with their sentences."""
    from rich.markup import escape

    rows = [("[green]holds[/]" if check.passed else "[bold red]fails[/]", check.name, check.checked) for check in checks]
    out().print(table(title, rows, "", "check", "looked at"))
    for check in checks:
        for failure in () if check.passed else check.failures:
            out().print(f"[red]✗[/] {check.name}: {escape(failure)}", soft_wrap=True)


def show_release(report: ReleaseReport, announced: str) -> None:
    """Print the new version, or that there is none."""
    passed = sum(check.passed for check in report.checks)
    if report.unchanged or report.version is None:
        out().print(f"[bold]Release[/]  nothing changed since {report.parent}: no new version  [dim]{report.seconds:,.1f} s[/]")
        return
    held = f"{passed} checks hold" if passed == len(report.checks) else f"{passed} of {len(report.checks)} checks hold"
    since = f" since {report.parent}" if report.parent else ""
    out().print(f"[bold]Release[/]  [green bold]{report.version}[/]  {held}  [dim]{report.seconds:,.1f} s[/]")
    out().print(f"         {report.images:,} images; {report.added:,} added, {report.removed:,} removed{since}")
    _next(announced)


def show_finetune(report: FinetuneReport) -> None:
    """Print where the model lies and its metrics."""
    show_report("Fine-tuning", report, "next: curaloop report writes the comparison; curaloop review push asks about what the model is unsure of")


def show_loop(report: LoopReport) -> None:
    """Print one turn of the loop, stage by stage."""
    show_ingest(report.ingest)
    show_curate(report.curate)
    if report.synthesis is not None:
        show_report("Synthesis", report.synthesis, "")
    if report.review is not None:
        show_report("Review push", report.review, "")
    _next(report.review_note)
    show_release(report.release, report.announced)
    if report.finetune is not None:
        show_finetune(report.finetune)
    _next(f"the whole loop took {report.seconds:,.1f} s")
