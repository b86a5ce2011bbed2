"""The court's judgement and its proof as people read them in a terminal."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from rich.markup import escape

from flows.console import out, table

if TYPE_CHECKING:
    from validation.lift.foresight import Foresight
    from validation.lift.holding import LiftReport, TaskOutcome
    from validation.lift.judgement import Verdict
    from validation.lift.proof import Proof

COLOURS = {"accept": "green", "reject": "red", "inconclusive": "yellow"}


def show_lift(report: LiftReport) -> None:
    """Print every verdict with its reason, and every arm on real test patients."""
    if report.skipped:
        out().print(f"[bold]Lift court[/]  nothing judged: {escape(report.skipped)}", soft_wrap=True)
    for outcome in report.tasks:
        _show_task(outcome)


def _show_task(outcome: TaskOutcome) -> None:
    judgement = outcome.judgement
    if judgement is None:
        out().print(f"[bold]Lift court[/]  {outcome.task}: not judged: {escape(outcome.skipped)}", soft_wrap=True)
        return
    state = "judged before, nothing changed" if outcome.reused else f"{judgement['seconds']:,.1f} s"
    out().print(f"[bold]Lift court[/]  {outcome.task}, {judgement['seeds']} seeds  [dim]{state}[/]")
    for label in dict.fromkeys(arm["label"] for arm in judgement["arms"]):
        own = [arm for arm in judgement["arms"] if arm["label"] == label]
        out().print(table(f"AUPRC on real test patients: {escape(label or 'mean of the judged classes')}", [_arm(arm) for arm in own], *COLUMNS))
    for verdict in judgement["verdicts"]:
        colour = COLOURS[verdict["word"]]
        out().print(f"[bold {colour}]{verdict['word']}[/]  {escape(verdict['label'] or 'overall')}: {escape(verdict['reason'])}", soft_wrap=True)
    for note in judgement["notes"]:
        out().print(f"[dim]{escape(note)}[/]", soft_wrap=True)


COLUMNS = ("arm", "schedule", "dose", "AUPRC", "synthetic minus this arm")


def _arm(arm: dict[str, Any]) -> tuple[str, ...]:
    name = f"[bold]{arm['arm']}[/]" if arm["is_judged"] else arm["arm"].replace("_", " ")
    lift = "judged" if arm["is_judged"] else _interval(arm["lift"], "+")
    return name, "" if arm["schedule"] == "none" else arm["schedule"], f"{arm['dose']:g}" if arm["dose"] else "", _interval(arm["auprc"]), lift


def _interval(estimate: dict[str, Any], sign: str = "") -> str:
    if estimate["value"] is None:
        return "–"
    if estimate["low"] is None:
        return f"{estimate['value']:{sign}.3f}"
    return f"{estimate['value']:{sign}.3f} [dim]({estimate['low']:{sign}.3f} to {estimate['high']:{sign}.3f})[/]"


STANDS_FOR = {"real": "real images of other patients", "moved": "common images, moved onto the class"}


def show_foresight(foresight: Foresight) -> None:
    """Print what the court says about batches that need no generator, and what follows."""
    rows = [
        (
            escape(verdict.label or "all together"),
            STANDS_FOR[found.kind],
            found.images.get(verdict.label or "", ""),
            f"{_coloured(verdict.word)}",
            _lift(verdict),
        )
        for found in foresight.found
        for verdict in found.verdicts
        if verdict.label is None or verdict.label in foresight.test_patients
    ]
    title = f"What the court would say of {foresight.task}, if these were the synthetic images"
    out().print(table(title, rows, "class", "in the place of synthetic images", "images", "verdict", "lift over the hardest control"))
    for label in foresight.test_patients:
        out().print(escape(foresight.advise(label)), soft_wrap=True)


def _coloured(word: str) -> str:
    return f"[{COLOURS[word]}]{word}[/]"


def _lift(verdict: Verdict) -> str:
    over = f" [dim]over {verdict.best_control.replace('_', ' ')}[/]" if verdict.best_control else ""
    return _interval({"value": verdict.lift.value, "low": verdict.lift.low, "high": verdict.lift.high}, "+") + over


def show_lift_proof(proof: Proof) -> None:
    """Print how often the court was wrong, and about what."""
    rows = []
    for rate in proof.rates:
        words = ", ".join(f"{number} {word}" for word, number in rate.words.items())
        rows.append((rate.kind, rate.space, rate.runs, words, f"{rate.rate:.1%} [dim]({rate.low:.1%} to {rate.high:.1%})[/]"))
    out().print(table("The court on simulated batches with a known answer", rows, "the batch", "in", "runs", "verdicts", "wrong"))
    state = "[green bold]proven[/]: wrong in at most 5 % of the runs of each kind" if proof.is_proven else "[red bold]not proven[/]: wrong in more than 5 %"
    out().print(f"{state}  [dim]{proof.seconds:,.0f} s[/]")
