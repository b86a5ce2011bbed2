"""Reports as people read them in a terminal. Every function takes a stage's report and prints; none decides anything."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from rich.markup import escape

from flows.console import out, table, to_plain

if TYPE_CHECKING:
    from collections.abc import Iterator

    import polars as pl

    from adaptation.finetune import FinetuneReport
    from curation.curate import CurateReport
    from curation.diffs import VersionDiff
    from curation.ingest import IngestReport
    from flows.stages import LoopReport
    from validation.checks import CheckResult
    from validation.release import ReleaseReport
    from validation.review.push import PushReport

MAX_ROWS = 60


def show_report(title: str, report: Any, then: str) -> None:
    """Print the numbers and short texts of any report, one a line, and what to do next."""
    rows = list(_flat(to_plain(report)))
    out().print(table(title, rows[:MAX_ROWS], "", ""))
    _next(then)


def show_push(report: PushReport) -> None:
    """Print what went to the readers, and by what they could tell candidates from real images."""
    show_report("Review push", report, "")
    for tell in report.tells:
        out().print(f"[yellow]! not blind: {escape(tell)}[/]", soft_wrap=True)
    _next("next: judge in Label Studio, then curaloop review pull")


def _flat(report: dict[str, Any], prefix: str = "") -> Iterator[tuple[str, str]]:
    """Yield (name, value) of every number and short text in a report; lists are counted, what is empty is left out."""
    for name, value in report.items():
        label = f"{prefix}{name.replace('_', ' ')}"
        if isinstance(value, dict) and {"found", "of"} <= set(value):
            yield label, f"{value['found']:,} of {value['of']:,}"
        elif isinstance(value, dict):
            yield from _flat(value, f"{label} · ")
        elif isinstance(value, list):
            yield from [(label, f"{len(value):,}")] if value else []
        elif isinstance(value, bool):
            yield label, "yes" if value else "no"
        elif isinstance(value, int):
            yield label, f"{value:,}"
        elif isinstance(value, float):
            yield label, f"{value:,.1f}" if name == "seconds" else f"{value:.3g}"
        elif value:
            yield label, escape(str(value)[:12] + "…" if name.endswith("sha256") else str(value))


def _next(sentence: str) -> None:
    if sentence:
        out().print(f"[dim]{escape(sentence)}[/]", soft_wrap=True)


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
    """Print duplicates, splits and gaps."""
    sides = ", ".join(f"{count:,} {side}" for side, count in sorted(report.splits.items(), key=lambda pair: -pair[1]))
    out().print(f"[bold]Curate[/]  {report.rows:,} rows: {sides or 'no split yet'}  [dim]{report.seconds:,.1f} s[/]")
    found = f"{report.duplicates:,} duplicates left out, {report.label_conflicts:,} label conflicts, {report.moved_groups:,} groups moved to train"
    out().print(f"        {found}; {report.gaps:,} cells lack images")
    if empty := [side for side in ("train", "val", "test") if report.rows and not report.splits.get(side)]:
        why = "whole patients go to one side, so more patients are needed, or other shares in [split]"
        out().print(f"[yellow]        no image is in {' or '.join(empty)}: {why}[/]", soft_wrap=True)
    if report.unknown_overrides:
        out().print(f"[yellow]        {report.unknown_overrides:,} overrides name images that are not here[/]")


SHORT = {"train_images": "train", "train_patients": "patients", "synthetic_images": "synthetic", "target": "wanted"}
ACTIONS = {"synthesize": "[cyan]synthesize[/]", "collect": "[yellow]collect[/]", "leave": "[dim]leave[/]"}


def show_gaps(gaps: pl.DataFrame) -> None:
    """Print the gap table with a bar for how full each cell is."""
    rows = []
    for row in gaps.to_dicts():
        full = min(1.0, 1 - row["missing"] / row["target"]) if row["target"] else 1.0
        row["action"] = ACTIONS.get(row["action"], row["action"])
        rows.append((*row.values(), f"{'█' * round(10 * full)}[dim]{'░' * (10 - round(10 * full))}[/]"))
    out().print(table("Gaps: train images by cell", rows, *(SHORT.get(name, name) for name in gaps.columns), ""))
    actions = set(gaps["action"]) if gaps.height else set()
    advice = {
        "synthesize": "next: curaloop synthesize --plan says for which of these classes candidates can be made, and what that takes",
        "collect": "`collect`: too few patients to learn from, or volumes: more images are needed",
    }
    full = (
        "no cell lacks images"
        if gaps.height
        else "no image has a label, so there is no cell: name the column `label` in the source, or let experts label (curaloop review push)"
    )
    _next("; ".join(sentence for action, sentence in advice.items() if action in actions) or full)


def show_diff(old: str, new: str, found: VersionDiff) -> None:
    """Print what changed, by label, source and origin."""
    changes = f"{found.added:,} added, {found.removed:,} removed, {found.relabelled:,} relabelled, {found.resplit:,} on another side"
    out().print(f"[bold]{old} → {new}[/]  {changes}, {found.repixelled:,} with other pixels; {found.unchanged:,} unchanged")
    kinds = ("added", "removed", "relabelled", "resplit", "repixelled")
    for title, counts in (("By label", found.by_label), ("By source", found.by_source), ("By origin", found.by_origin)):
        rows = [(name, *(change.get(kind, 0) for kind in kinds)) for name, change in counts.items() if any(change.get(kind) for kind in kinds)]
        if rows:
            out().print(table(title, rows, "", *kinds))


def show_checks(title: str, checks: tuple[CheckResult, ...]) -> None:
    """Print every check with its result, the failed ones with their sentences."""
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
        _show_withheld(report)
        return
    held = f"{passed} checks hold" if passed == len(report.checks) else f"{passed} of {len(report.checks)} checks hold"
    since = f" since {report.parent}" if report.parent else ""
    out().print(f"[bold]Release[/]  [green bold]{report.version}[/]  {held}  [dim]{report.seconds:,.1f} s[/]")
    out().print(f"         {report.images:,} images; {report.added:,} added, {report.removed:,} removed{since}")
    _show_withheld(report)
    _next(announced)


def _show_withheld(report: ReleaseReport) -> None:
    """Print which accepted synthetic images stayed out, and why."""
    for reason, number in report.withheld.items():
        out().print(f"[yellow]         {number:,} synthetic {'images stay' if number > 1 else 'image stays'} out: {escape(reason)}[/]", soft_wrap=True)


def show_finetune(report: FinetuneReport) -> None:
    """Print the metrics of each task with their intervals, and where the model lies."""
    state = "was trained before, nothing done" if report.reused else f"{report.seconds:,.1f} s"
    out().print(
        f"[bold]Fine-tuning[/]  [green bold]{report.version}[/]  {report.train_images:,} train images, {report.test_patients:,} test patients  [dim]{state}[/]"
    )
    rows = []
    for task, result in report.tasks.items():
        macro = {name: _interval(value) for name, value in result["macro"].items()}
        rows.append((task, len(result["classes"]), *macro.values(), _interval(result["balanced_accuracy"]), _interval(result["ece"])))
    if rows:
        names = [f"macro {name}" for name in next(iter(report.tasks.values()))["macro"]]
        out().print(table("On real test patients, 95 % interval", rows, "task", "classes", *names, "balanced accuracy", "ECE"))
    for task, result in report.tasks.items():
        if result.get("warning"):
            out().print(f"[yellow]{task}: {escape(result['warning'])}[/]", soft_wrap=True)
    if not rows:
        least = "finetune.least_train_images"
        out().print(f"[yellow]no model: no task has two classes with at least {least} real train images; `curaloop gaps` counts them[/]", soft_wrap=True)
        return
    out().print(f"model in {escape(report.folder)}", soft_wrap=True)
    _next("next: curaloop report compares with the version before; curaloop review push asks about what the model is unsure of")


def _interval(value: Any) -> str:
    """Return `0.39 (0.34–0.56)`."""
    if not isinstance(value, list | tuple) or len(value) != 3 or value[0] is None:
        return "–"
    return f"{value[0]:.2f} [dim]({value[1]:.2f}–{value[2]:.2f})[/]"


def show_loop(report: LoopReport) -> None:
    """Print one turn of the loop, stage by stage."""
    from flows.showing_lift import show_lift
    from flows.showing_synthesis import show_synthesis

    if report.pulled is not None:
        show_report("Review pull", report.pulled, "")
    show_ingest(report.ingest)
    show_curate(report.curate)
    if report.synthesis is not None:
        show_synthesis(report.synthesis)
    if report.review is not None:
        show_push(report.review)
    _next(report.review_note)
    if report.lift is not None:
        show_lift(report.lift)
    show_release(report.release, report.announced)
    if report.finetune is not None:
        show_finetune(report.finetune)
    _next(f"the whole loop took {report.seconds:,.1f} s")
