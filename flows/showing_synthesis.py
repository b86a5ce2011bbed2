"""A round of synthesis and its plan as people read them in a terminal, with what to do next."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from rich.markup import escape

from flows.console import out, table

if TYPE_CHECKING:
    from synthesis.planning.plan import Plan
    from synthesis.screens.rates import Rate
    from synthesis.synthesize import SynthesisReport


def show_plan(plan: Plan) -> None:
    """Print what would be trained, why, and what it costs; or what is too little."""
    data, machine = plan.data, plan.machine
    rows = [(escape(label), number, data.patients[label]) for label, number in sorted(data.images.items(), key=lambda pair: pair[1])]
    out().print(table(f"Train images of {data.task}: {data.side_px} px, {'gray' if data.channels == 1 else 'colour'}", rows, "class", "images", "patients"))
    cards = f", {', '.join(machine.gpus)}" if machine.gpus else ", no GPU"
    out().print(f"[bold]Machine[/]    {machine.cores} cores, {machine.memory_gb:g} GiB{escape(cards)}")
    if plan.stop:
        out().print(f"[bold red]Nothing would be trained[/]  {escape(plan.stop)}", soft_wrap=True)
        return
    out().print(table("Plan", [(choice.key.replace("_", " "), choice.value, choice.reason) for choice in plan.choices], "", "", "because"))
    generator = plan.generator
    size = f"{generator.engine}, {generator.size_px} px, channels {', '.join(map(str, generator.channels))}"
    steps = generator.steps if generator.base is None else generator.low_shot_steps
    threads = f"{plan.threads} thread{'' if plan.threads == 1 else 's'} of torch"
    out().print(f"[bold]Generator[/]  {size}; {steps:,} steps of {generator.batch_size} images, {threads}")
    memory = f"{plan.peak_gb:.1f} GiB at its peak" if plan.peak_gb is not None else f"about {plan.counted_gb or 0:.1f} GiB by its shapes"
    screens = "then the screens" if plan.minutes_screening is None else f"{plan.minutes_screening:,.1f} min of screens"
    out().print(f"[bold]Costs[/]      {plan.minutes_training:,.1f} min of training, {plan.minutes_sampling:,.1f} min of sampling, {screens}, {memory}")
    for warning in plan.warnings:
        out().print(f"[yellow]! {escape(warning)}[/]", soft_wrap=True)
    out().print("[dim]next: curaloop synthesize[/]")


def show_synthesis(report: SynthesisReport) -> None:
    """Print what was drawn, what the screens stopped and how far they can be trusted, class by class; or why nothing was drawn."""
    if report.skipped:
        out().print(f"[bold]Synthesis[/]  nothing drawn: {escape(report.skipped)}", soft_wrap=True)
        return
    out().print(f"[bold]Synthesis[/]  {report.sampled:,} drawn, {report.passed:,} passed every screen, {report.new_candidates:,} new for the experts")
    began = f"trained from step {report.first_step:,} to {report.steps:,}" if report.first_step < report.steps else "was trained before"
    took = f"training {report.seconds_training:,.0f} s, drawing {report.seconds_sampling:,.0f} s, all {report.seconds:,.0f} s"
    out().print(f"           generator {(report.generator_sha256 or '')[:12]}… ({report.engine}) {began}  [dim]{took}[/]")
    out().print(table("By class", _by_class(report), *COLUMNS))
    stopped = ", ".join(f"{name.replace('_', ' ')} {number:,}" for name, number in report.rejected.items())
    out().print(f"[bold]Stopped by[/]  {stopped or 'nothing'}  [dim]an image may fail several screens[/]")
    for warning in report.warnings:
        out().print(f"[yellow]! {escape(warning)}[/]", soft_wrap=True)
    if report.reward is not None:
        out().print(f"[bold]Experts[/]     {escape(report.reward.use)}", soft_wrap=True)
    out().print(f"[bold]Pictures[/]    {report.sample_grid}: real images above drawn ones, dark ones were stopped", soft_wrap=True)
    then = "next: curaloop review push" if report.new_candidates else _advise(report)
    out().print(f"[dim]{escape(then)}[/]", soft_wrap=True)


COLUMNS = ("class", "train images", "wanted", "show their class", "real ones that do", "planted copies caught", "told from real ones, AUC")


def _by_class(report: SynthesisReport) -> list[tuple[Any, ...]]:
    """Return one row a class that was drawn: what of it shows the class, and what the screens are worth for it."""
    screens = report.screens
    caught = {power.label: power.all_kinds for power in screens.memorization}
    real = {power.label: power.passed for power in screens.agreement}
    told = {found.label: found.probe for found in screens.shortcut}
    rows: list[tuple[Any, ...]] = []
    for label, wanted in report.requested.items():
        probe, shown = told.get(label), screens.agreement_by_condition.get(f"label={label}")
        auc = "–" if probe is None else f"{probe.value:.2f} [dim]({probe.low:.2f}–{probe.high:.2f})[/]"
        counts = f"{report.classes.get(label, 0):,}", f"{wanted:,}", "–" if shown is None else f"{shown.found:,} of {shown.of:,}"
        rows.append((escape(label), *counts, _share(real.get(label)), _share(caught.get(label)), auc))
    return rows


def _share(found: Rate | None) -> str:
    return "–" if found is None else f"{found.share:.0%} [dim]({found.low:.0%}–{found.high:.0%})[/]"


REMEDIES = {
    "memorization": (
        "what the screens stop most is near-copies, or classes in which too few planted copies are caught: train for fewer steps, on more patients, "
        "or look at `planted copies caught`"
    ),
    "class_agreement": (
        "most do not show their class: train longer (synthesis.generator.steps; `curaloop synthesize --plan` says how long), or collect real images"
    ),
    "shortcut": "most are told from real images by their source: draw at the size of the stored images, or train longer",
    "reward": "the experts would reject most of them: train longer, or collect more real images",
}


def _advise(report: SynthesisReport) -> str:
    """Return what to do when no candidate is left for the experts."""
    worst = max(report.rejected, key=lambda name: report.rejected[name], default="")
    return f"nothing new for the experts: {REMEDIES.get(worst, 'all were drawn before')}"
