"""The proof of harmonization as people read it in a terminal."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from rich.markup import escape

from flows.console import out, table

if TYPE_CHECKING:
    from adaptation.site_proof import SiteProof
    from flows.harmonization import FitReport, HarmonizeReport

KEYS = {"nyul": "harmonize.mr: intensity = nyul, nyul", "stain_macenko": "harmonize.colour: stain = macenko, stain_reference"}
KEYS["stain_reinhard"] = KEYS["stain_macenko"].replace("macenko", "reinhard")


def show_proof(report: HarmonizeReport) -> None:
    """Print the table of each task, what it says, and what speaks against it."""
    out().print(f"[bold]Harmonization[/]  {report.version}, probes on {report.encoder}  [dim]{report.seconds:,.1f} s[/]")
    for proof in report.tasks:
        _show_task(proof)
    for note in report.notes:
        out().print(f"[dim]{escape(note)}[/]", soft_wrap=True)
    if any(proof.effects for proof in report.tasks):
        out().print(f"[dim]in workspace/harmonize/{report.version}.json; `curaloop report` shows it[/]", soft_wrap=True)


def _show_task(proof: SiteProof) -> None:
    counts = f"{proof.train_images} train images, {proof.test_images} test images of {proof.test_patients} patients"
    title = f"{proof.task}: {len(proof.sites)} values of {proof.column}, {len(proof.labels)} of {proof.label_column}; {counts}"
    rows: list[tuple[Any, ...]] = [
        (effect.target, escape(effect.variant), _interval(effect.auroc), _interval(effect.balanced_accuracy), _interval(effect.change or (None,) * 3, "+"))
        for effect in proof.effects
    ]
    out().print(table(title, rows, "told", "from", "AUROC", "balanced accuracy", "change of AUROC") if rows else f"[bold]{escape(title)}[/]")
    for warning in proof.warnings:
        out().print(f"[yellow]! {escape(warning)}[/]", soft_wrap=True)
    for verdict in proof.verdicts:
        out().print(f"- {escape(verdict)}", soft_wrap=True)


def _interval(value: tuple[float | None, ...], sign: str = "") -> str:
    if value[0] is None:
        return "–"
    low, high = value[1:]
    return f"{value[0]:{sign}.3f}" + (f" [dim]({low:{sign}.3f} to {high:{sign}.3f})[/]" if low is not None and high is not None else "")


def show_fit(report: FitReport) -> None:
    """Print what was fitted and how the recipe applies it."""
    rows = [(name, path, report.train_images[name], f'{KEYS[name]} = "{path}"') for name, path in report.fitted.items()]
    out().print(table("Fitted on train", rows, "transform", "file", "train images", "to apply it, in curaloop.toml"))
