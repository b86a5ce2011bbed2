"""The decision: settings of a generator with a reason for each, what they will cost, or why there is too little to learn from."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

from curation.progress import Progress, silent
from synthesis.planning import evidence
from synthesis.planning.counting import count_step
from synthesis.planning.fingerprint import DataFingerprint, Machine
from synthesis.planning.presets import PRESETS, apply_preset, choose_preset
from synthesis.planning.trials import Trial, time_sampling, time_training
from synthesis.recipe import GeneratorSettings, SynthesisSettings
from synthesis.volumes import is_volume_task

SMALL_BATCH = 8
GAIN = 0.75
"""More threads are taken only when a step takes less than this share of the time: they change a generator's bits, and cores may be wanted elsewhere."""
LAYOUT_GAIN = 0.95
BALANCES = tuple(tenths / 10 for tenths in range(10, -1, -1))
TRIAL_STEPS = 2
UNCOUNTED = ("volume", "lora")
"""Engines whose networks are not counted by shapes."""
BUSY = 0.8
"""Share of the wall time that a thread computes; below it somebody else has the core."""


@dataclass(frozen=True)
class Choice:
    """One setting and why it is what it is."""

    key: str
    value: str
    reason: str


@dataclass(frozen=True)
class Plan:
    """What would be trained.

    Attributes:
        stop: too little data, and what would be enough; empty when there is enough.
        preset: its name, or `recipe`.
        data: train images of the task.
        machine: where it was planned.
        generator: all settings.
        threads: of torch.
        choices: what was chosen, with reasons.
        warnings: what to expect.
        trials: steps that were timed for it.
        most_views: how often training looks at the image that it looks at most often.
        minutes_training: at the measured speed; None when nothing was timed.
        minutes_sampling: of `candidates` images.
        minutes_screening: of the candidates that a round would draw now; None when it was not timed.
        peak_gb: measured in the trial, of the whole process or of the GPU.
        counted_gb: of weights and float32 activations, by shapes; an upper bound without the libraries.
    """

    stop: str
    preset: str
    data: DataFingerprint
    machine: Machine
    generator: GeneratorSettings
    threads: int = 1
    choices: tuple[Choice, ...] = ()
    warnings: tuple[str, ...] = ()
    trials: tuple[Trial, ...] = ()
    most_views: int = 0
    minutes_training: float | None = None
    minutes_sampling: float | None = None
    minutes_screening: float | None = None
    peak_gb: float | None = None
    counted_gb: float | None = None


def find_shortage(data: DataFingerprint, wanted: tuple[str, ...], settings: SynthesisSettings) -> str:
    """Return why there is too little to learn from and what would be enough, or an empty sentence.

    Args:
        data: of the task.
        wanted: classes to draw.
        settings: least numbers.
    """
    lacks, least = [], settings.plan.least_class_patients
    if data.total < settings.least_train_images:
        images = "volumes" if is_volume_task(data.task) else "images"
        lacks.append(
            f"{data.total} labelled train {images} of {data.task}; {settings.least_train_images} would be enough to begin "
            f"(synthesis.least_train_images), so collect {settings.least_train_images - data.total} more"
        )
    lacks += [
        f"{data.patients.get(label, 0)} train patients of {label}; {least} would be enough to begin (synthesis.plan.least_class_patients). "
        f"Collect {least - data.patients.get(label, 0)} more"
        for label in wanted
        if data.patients.get(label, 0) < least
    ]
    why = f". {evidence.COLLECT}" if any(data.patients.get(label, 0) < least for label in wanted) else ""
    return f"too little data: {'. And '.join(lacks)}{why}" if lacks else ""


def make_plan(
    data: DataFingerprint, machine: Machine, wanted: tuple[str, ...], settings: SynthesisSettings, threads: int | None = None, progress: Progress = silent
) -> Plan:
    """Choose settings and time them here.

    Args:
        data: train images of the task.
        machine: this one.
        wanted: classes to draw.
        settings: the recipe; its `plan` says which preset and how long.
        threads: of torch, when the recipe fixes them; None measures.
        progress: told of the trials.
    """
    name, why = choose_preset(data, machine) if settings.plan.preset == "auto" else (settings.plan.preset, "the recipe says so")
    generator = settings.generator if name == "recipe" else apply_preset(PRESETS[name], settings.generator)
    plan = Plan(find_shortage(data, wanted, settings), name, data, machine, generator, threads or 1, (Choice("preset", name, why),))
    if plan.stop:
        return plan
    plan = _choose_speed(_fit_memory(plan, settings.generator), settings.generator, threads, progress)
    if name == "cpu-64" and settings.plan.preset == "auto" and _affordable_steps(plan, settings) < evidence.PLAUSIBLE_STEPS:
        slow = f"{settings.plan.minutes:g} minutes are {_affordable_steps(plan, settings):,} steps at 64 px; {evidence.STEPS}"
        small = apply_preset(PRESETS["cpu-32"], settings.generator)
        plan = Plan("", "cpu-32", data, machine, small, threads or 1, (Choice("preset", "cpu-32", slow),), trials=plan.trials)
        plan = _choose_speed(plan, settings.generator, threads, progress)
    if name != "recipe":
        plan = _choose_length(plan, settings)
    return _state_costs(plan, settings, progress)


def _fit_memory(plan: Plan, recipe: GeneratorSettings) -> Plan:
    """Compute a batch in parts when, by its shapes, it would not fit in half of the memory (of a GPU: in four fifths)."""
    room = 0.8 * plan.machine.gpu_memory_gb if plan.machine.gpus else 0.5 * plan.machine.memory_gb
    whole = plan.generator
    if plan.preset == "recipe" or "accumulation" in recipe.model_fields_set or whole.engine in UNCOUNTED:
        return plan
    parts = [number for number in range(1, whole.batch_size + 1) if whole.batch_size % number == 0]
    for number in parts:
        generator = whole.model_copy(update={"accumulation": number})
        counted = count_step(generator, plan.data.channels, len(plan.data.images)).peak_gb
        if counted <= room or number == parts[-1]:
            break
    if generator.accumulation == 1:
        return plan
    reason = f"{room:.1f} GiB of room; a part of {whole.batch_size // generator.accumulation} images takes {counted:.1f}"
    return replace(plan, generator=generator, choices=(*plan.choices, Choice("accumulation", str(generator.accumulation), reason)))


def _choose_speed(plan: Plan, recipe: GeneratorSettings, threads: int | None, progress: Progress) -> Plan:
    """Try precision, layout and threads, each with a few steps, and keep the fastest; what recipe or caller fixed is not tried."""
    free, classes = plan.preset != "recipe", tuple(plan.data.images)

    def attempt(what: str, generator: GeneratorSettings, number: int) -> Trial:
        progress(len(plan.trials), 0, f"timing a few steps: {what}")
        return time_training(generator, plan.data.channels, classes, number, TRIAL_STEPS)

    on_cpu = not plan.machine.gpus
    if free and on_cpu and "precision" not in recipe.model_fields_set:
        plan = _keep_faster(plan, "precision", ("bf16", "fp32"), 1.0, attempt)
    if free and on_cpu and "layout" not in recipe.model_fields_set and plan.generator.engine in ("pixel", "inpainting"):
        plan = _keep_faster(plan, "layout", ("channels_first", "channels_last"), LAYOUT_GAIN, attempt)
    one = attempt("one thread", plan.generator, threads or 1)
    plan = replace(plan, trials=(*plan.trials, one), threads=threads or 1)
    if threads is not None or not on_cpu or plan.machine.cores == 1:
        return plan
    every = attempt(f"{plan.machine.cores} threads", plan.generator, plan.machine.cores)
    faster = every.fastest_step < GAIN * one.fastest_step
    reason = f"a step takes {every.fastest_step:.2f} s with {every.threads} threads and {one.fastest_step:.2f} s with one"
    chosen = Choice("threads", str(every.threads if faster else 1), reason)
    return replace(plan, trials=(*plan.trials, every), threads=every.threads if faster else 1, choices=(*plan.choices, chosen))


def _keep_faster(plan: Plan, key: str, values: tuple[str, str], gain: float, attempt: Any) -> Plan:
    """Time both values of a setting at a small batch; the second is taken when it needs less than `gain` of the first one's CPU time."""
    small = plan.generator.model_copy(update={"batch_size": min(SMALL_BATCH, plan.generator.batch_size), "accumulation": 1})
    tried = [attempt(value, small.model_copy(update={key: value}), 1) for value in values]
    chosen = values[tried[1].cpu_seconds_step < gain * tried[0].cpu_seconds_step]
    times = " and ".join(f"{trial.cpu_seconds_step:.2f} s with {value}" for value, trial in zip(values, tried, strict=True))
    reason = f"a step of {small.batch_size} images takes {times} of one core"
    generator = plan.generator.model_copy(update={key: chosen})
    return replace(plan, generator=generator, trials=(*plan.trials, *tried), choices=(*plan.choices, Choice(key, chosen, reason)))


def _trial_of(plan: Plan) -> Trial:
    """Return the trial with the chosen settings."""
    chosen = plan.generator
    wanted = (plan.threads, chosen.precision, chosen.layout, chosen.batch_size)
    return next(trial for trial in reversed(plan.trials) if (trial.threads, trial.precision, trial.layout, trial.batch_size) == wanted)


def _affordable_steps(plan: Plan, settings: SynthesisSettings) -> int:
    seconds: float = 60 * settings.plan.minutes
    return int(seconds / _trial_of(plan).seconds_step)


def count_views(images: dict[str, int], balance: float, draws: int) -> int:
    """Return how often training looks at one image of the class whose images it looks at most often.

    Args:
        images: of each class; a class of n is drawn with a probability in proportion to n^(1 - balance).
        balance: of the recipe.
        draws: steps times batch size.

    Example:
        Classes of 90 and 10 images and 1,000 draws: 10 with balance 0, 50 with balance 1.
    """
    weights: dict[str, float] = {label: float(number) ** (1 - balance) for label, number in images.items()}
    return max(round(draws * weights[label] / sum(weights.values()) / number) for label, number in images.items())


def _choose_length(plan: Plan, settings: SynthesisSettings) -> Plan:
    """Bound the steps by time, then balance and steps by how often an image may be looked at."""
    recipe, generator, choices = settings.generator.model_fields_set, plan.generator, list(plan.choices)
    affordable, most = _affordable_steps(plan, settings), settings.plan.most_views
    if "steps" not in recipe:
        steps = max(1, min(generator.steps, affordable))
        why = f"{settings.plan.minutes:g} minutes allow {affordable:,}, the preset has {generator.steps:,}"
        if (bound := most * plan.data.total // generator.batch_size) < steps:
            steps, why = max(1, bound), f"more would look at one of {plan.data.total:,} images more than {most} times"
        generator = generator.model_copy(update={"steps": steps})
        choices.append(Choice("steps", f"{steps:,}", why))
    if "balance" not in recipe:
        draws = generator.steps * generator.batch_size
        views = {balance: count_views(plan.data.images, balance, draws) for balance in BALANCES}
        balance = next((balance for balance in BALANCES if views[balance] <= most), 0.0)
        generator = generator.model_copy(update={"balance": balance})
        choices.append(Choice("balance", f"{balance:g}", f"a rare image is looked at {views[balance]:,} times ({views[1.0]:,} with 1): {evidence.VIEWS}"))
    return replace(plan, generator=generator, choices=tuple(choices))


def _state_costs(plan: Plan, settings: SynthesisSettings, progress: Progress) -> Plan:
    """Add minutes, memory, views and what to expect."""
    progress(len(plan.trials), 0, "timing a few steps: sampling")
    generator, trial = plan.generator, _trial_of(plan)
    seconds_image = time_sampling(generator, settings.sampling, plan.data.channels, tuple(plan.data.images), plan.threads)
    steps = generator.steps if generator.base is None else generator.low_shot_steps
    counted = None if generator.engine in UNCOUNTED else count_step(generator, plan.data.channels, len(plan.data.images)).peak_gb
    packing = 0.0
    if trial.autoencoder_step is not None and generator.base is None:
        packing = trial.autoencoder_step * (generator.volume if generator.engine == "volume" else generator.latent).steps
    plan = replace(
        plan,
        most_views=count_views(plan.data.images, generator.balance, steps * generator.batch_size),
        minutes_training=round((steps * trial.seconds_step + packing) / 60, 1),
        minutes_sampling=round(settings.candidates * seconds_image / 60, 1),
        peak_gb=None if trial.peak_gb is None else round(trial.peak_gb, 2),
        counted_gb=None if counted is None else round(counted, 2),
    )
    return replace(plan, warnings=tuple(_warn(plan, settings, trial)))


def _warn(plan: Plan, settings: SynthesisSettings, trial: Trial) -> list[str]:
    """Return what to expect of this plan, one sentence each."""
    found, steps = [], plan.generator.steps
    if plan.generator.base is None and steps < evidence.PLAUSIBLE_STEPS:
        found.append(f"a demonstration: {steps:,} steps; {evidence.STEPS}")
    if warning := evidence.warn_of_autoencoder(plan.generator):
        found.append(warning)
    if plan.most_views > settings.plan.most_views:
        found.append(f"near-copies are likely: an image is looked at {plan.most_views:,} times; {evidence.VIEWS}")
    if (share := trial.cpu_seconds_step / (trial.seconds_step * trial.threads)) < BUSY and not plan.machine.gpus:
        found.append(f"other processes are using these cores: a step got {share:.0%} of the time of its {trial.threads}; on free cores it is faster")
    if (preset := PRESETS.get(plan.preset)) and not preset.is_measured:
        found.append("this preset was sized by counting and never trained by its makers: watch memory and samples")
    if preset and preset.gpus > 1:
        number = len(plan.machine.gpus) or preset.gpus
        found.append(f'start it on every GPU: accelerate launch --multi_gpu --num_processes {number} "$(which curaloop)" synthesize')
    return found
