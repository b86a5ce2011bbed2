"""The stage: train a generator on train rows, draw candidates for the gaps, screen them, add them to the working manifest.

Nothing here is released: a candidate that passes its screens waits for the experts.
"""

from __future__ import annotations

import hashlib
import json
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import polars as pl

from curation.manifest import read_manifest, write_bytes, write_manifest
from curation.pixels import Pixels, encode_png
from curation.progress import Progress, silent
from curation.project import Project
from synthesis.candidates import Drawn, Provenance, next_seed, store_candidates
from synthesis.conditions import LABEL
from synthesis.drawing import choose_parents, describe_machine, give_parents, make_wishes
from synthesis.engines.engine import Engine, GeneratorReport, Wanted
from synthesis.engines.loading import open_engine
from synthesis.fidelity import ClassFidelity, measure_round
from synthesis.generator import generator_sha256, learned_settings, load_generator, read_base
from synthesis.grids import draw_grid
from synthesis.label_maps import read_masks
from synthesis.latents.rebuilding import Rebuilding, steps_of_autoencoder, warn_of_rebuilding
from synthesis.network import torch_threads
from synthesis.planning.keeping import say_shortage
from synthesis.processes import is_first_process
from synthesis.recipe import SynthesisSettings
from synthesis.remembering import remember
from synthesis.requests import Request, asks_for_synthesis, plan_requests, say_fewer_classes
from synthesis.rewarding import RewardReport, learn_reward
from synthesis.screening import HELD_OUT_IMAGES, Embed, ScreenPower, screen_candidates
from synthesis.strips import draw_strips
from synthesis.training_set import TrainingSet, hash_rows, load_images, most_common, to_levels, usable_rows, write_training_rows
from synthesis.verdict_trend import ExpertVerdict
from synthesis.volumes import as_picture

LEAST_CLASSES = 2


@dataclass(frozen=True)
class SynthesisReport:
    """What a round of synthesis did. Paths are relative to the project.

    Attributes:
        skipped: why nothing was done, one sentence; empty when candidates were drawn.
        task: learning task.
        generator_sha256: the generator that was asked.
        training_manifest_sha256: hash of the rows that it learned from.
        train_images: how many those are.
        classes: the same, by class.
        engine: that made them.
        requested: candidates wanted, by class.
        requested_conditions: the same, by all that the generator was told, as "4 x disc, sex F".
        sampled: images drawn (with `synthesis.reward.best_of`: and kept).
        passed: of these, those that passed every screen.
        rejected: failures by screen; an image may fail several.
        warnings: what the recipe asks for and cannot have, one sentence each.
        new_candidates: rows that now wait for the experts.
        screens: what the screens of this run are worth, on planted copies and on real val images.
        power: share of planted near-copies that were caught.
        reward: what the verdicts on earlier candidates did.
        fidelity: how near each class comes to real images; shown, never a gate.
        steps: training steps of the generator.
        first_step: step that this run began with; equal to `steps` when a finished generator was used again.
        final_loss: mean loss of the last 50 steps.
        rebuilding: what its autoencoder keeps of held-out images, for engines that have one.
        loss_curve: CSV.
        sample_grid: PNG with real images above candidates, and below each the train image that it is nearest to.
        strips: PNG of one image of each class on its way from noise.
        seconds_training: of this run.
        seconds_sampling: of this run.
        seconds: of the whole stage.
    """

    skipped: str = ""
    task: str = ""
    engine: str = "pixel"
    generator_sha256: str | None = None
    training_manifest_sha256: str | None = None
    train_images: int = 0
    classes: dict[str, int] = field(default_factory=dict)
    requested: dict[str, int] = field(default_factory=dict)
    requested_conditions: tuple[str, ...] = ()
    sampled: int = 0
    passed: int = 0
    rejected: dict[str, int] = field(default_factory=dict)
    warnings: tuple[str, ...] = ()
    new_candidates: int = 0
    screens: ScreenPower = field(default_factory=ScreenPower)
    power: float | None = None
    reward: RewardReport | None = None
    fidelity: dict[str, ClassFidelity] = field(default_factory=dict)
    steps: int = 0
    first_step: int = 0
    final_loss: float | None = None
    rebuilding: Rebuilding | None = None
    loss_curve: str | None = None
    sample_grid: str | None = None
    strips: dict[str, str] = field(default_factory=dict)
    seconds_training: float = 0.0
    seconds_sampling: float = 0.0
    seconds: float = 0.0


def synthesize(
    project: Project,
    settings: SynthesisSettings,
    gaps: pl.DataFrame,
    embed: Embed,
    progress: Progress | None = None,
    threads: int = 1,
    verdicts: Sequence[ExpertVerdict] = (),
) -> SynthesisReport:
    """Make candidates for the gaps of one task; the caller holds the project's write lock.

    Args:
        project: its working manifest gets the candidates.
        settings: task, generator, sampling, screens.
        gaps: table of `curation.gaps.find_gaps`.
        embed: images to `(N, F)` float32 features, for the screens.
        progress: told of training steps and batches.
        threads: of torch, which is imported only when there is something to draw; the number changes a generator's bits.
        verdicts: what experts said of earlier candidates; the reward model learns from them.
    """
    began, tell = time.monotonic(), progress or silent
    rows = read_manifest(project.manifest)
    usable = usable_rows(rows, settings.task, "train")
    learning = _with_base(settings, project)
    folder = project.models / f"generator-{_folder_hash(usable, learning)}"
    requests = plan_requests(gaps, rows, generator_sha256(folder), settings)
    if reason := _reason_to_skip(settings, usable, gaps, requests):
        return SynthesisReport(skipped=reason, task=settings.task, train_images=usable.height, seconds=time.monotonic() - began)
    with torch_threads(threads):
        train = load_training_set(project, usable, settings)
        held_out = load_training_set(project, usable_rows(rows, settings.task, "val"), settings, train)
        record = write_training_rows(train.rows, folder, learning.generator.base) if is_first_process() else ""
        engine, trained = _train(project, train, held_out, folder, learning, tell)
        if not is_first_process():
            return SynthesisReport(skipped="this process helped to train; the first one draws and stores the candidates", task=settings.task)
        here = _Round(project, settings, rows, train, held_out, engine, trained, folder, record, verdicts, _warn(trained, gaps, settings))
        return _make_candidates(here, requests, remember(embed), tell, began)


@dataclass(frozen=True)
class _Round:
    """A trained generator, the hash of the record of what it learned from, and where its candidates go."""

    project: Project
    settings: SynthesisSettings
    rows: pl.DataFrame
    train: TrainingSet
    held_out: TrainingSet
    engine: Engine
    trained: GeneratorReport
    folder: Path
    record: str
    verdicts: Sequence[ExpertVerdict]
    warnings: tuple[str, ...]


def _warn(trained: GeneratorReport, gaps: pl.DataFrame, settings: SynthesisSettings) -> tuple[str, ...]:
    """Return what the recipe asks for and cannot have, one sentence each."""
    engine = settings.generator.engine
    said = [say_fewer_classes(gaps, settings)]
    if engine in ("latent", "volume"):
        said.append(warn_of_rebuilding(trained.rebuilding, engine, steps_of_autoencoder(settings.generator)))
    return tuple(sentence for sentence in said if sentence)


def _make_candidates(here: _Round, requests: list[Request], embed: Embed, tell: Progress, began: float) -> SynthesisReport:
    """Draw, screen and store."""
    project, settings, rows, train, trained = here.project, here.settings, here.rows, here.train, here.trained
    origin = Provenance(trained.generator_sha256, here.record, settings, describe_machine(settings.generator))
    reward = learn_reward(project, rows, train, here.verdicts, embed, settings)
    sampling = time.monotonic()
    first_seed = next_seed(rows, trained.generator_sha256, settings)
    wanted = make_wishes(reward.more(requests), first_seed)
    if here.engine.needs_parents:
        wanted = give_parents(project, train.rows, wanted, choose_parents(wanted, train))
    drawn = reward.keep_best(_show(here.engine.sample(wanted, tell), wanted, train), embed)
    seconds_sampling = time.monotonic() - sampling
    tell(0, 1, "screening candidates")
    held_out = here.held_out
    screens, power = screen_candidates(train, held_out, drawn, embed, settings.screens)
    screens, rewarded = reward.screen(drawn, screens, embed)
    passed = [all(result["passed"] for result in results.values()) for results in screens]
    added = store_candidates(project, train, drawn, screens, origin, set(rows["image_id"]))
    grid = here.folder / f"samples-{first_seed}.png"
    write_bytes(encode_png(_picture(train, drawn, screens, passed)), grid)
    write_manifest(pl.concat([rows, added]), project.manifest)
    tell(1, 1, "screening candidates")
    report = SynthesisReport(
        task=settings.task,
        engine=settings.generator.engine,
        generator_sha256=origin.generator_sha256,
        training_manifest_sha256=origin.training_manifest_sha256,
        train_images=len(train.images),
        classes=train.counts,
        requested=_by_class(requests),
        requested_conditions=tuple(_in_words(request) for request in requests),
        sampled=len(drawn.images),
        passed=sum(passed),
        rejected={name: sum(not results[name]["passed"] for results in screens) for name in screens[0]},
        warnings=here.warnings,
        new_candidates=added.filter(pl.col("verdict").is_null()).height,
        screens=power,
        power=power.power,
        reward=rewarded,
        fidelity=measure_round(train, held_out, drawn, embed) if settings.fidelity else {},
        steps=trained.steps,
        first_step=trained.first_step,
        final_loss=round(trained.final_loss, 5),
        rebuilding=trained.rebuilding,
        loss_curve=_inside(project, Path(trained.loss_curve)),
        sample_grid=_inside(project, grid),
        strips=_write_strips(here, drawn, first_seed),
        seconds_training=round(trained.seconds, 2),
        seconds_sampling=round(seconds_sampling, 2),
        seconds=round(time.monotonic() - began, 2),
    )
    write_bytes((json.dumps(asdict(report), indent=1) + "\n").encode(), here.folder / f"round-{first_seed}.json")
    return report


def _by_class(requests: list[Request]) -> dict[str, int]:
    counts: dict[str, int] = {}
    for request in requests:
        counts[request.condition[LABEL]] = counts.get(request.condition[LABEL], 0) + request.number
    return counts


def _in_words(request: Request) -> str:
    """Return a request as "4 x disc, sex F"."""
    others = [f", {name} {value}" for name, value in request.condition.items() if name != LABEL]
    return f"{request.number} x {request.condition[LABEL]}{''.join(others)}"


def _with_base(settings: SynthesisSettings, project: Project) -> SynthesisSettings:
    """Return the settings with the folder of the base, which the recipe names from where it lies itself."""
    if settings.generator.base is None:
        return settings
    generator = settings.generator.model_copy(update={"base": project.root / settings.generator.base})
    return settings.model_copy(update={"generator": generator})


def _folder_hash(usable: pl.DataFrame, settings: SynthesisSettings) -> str:
    """Return what names a generator's folder: what it learns, how, and from which base."""
    base = settings.generator.base
    learned = learned_settings(settings.generator) | {"base": None if base is None else read_base(base).sha256}
    text = f"{settings.task}|{hash_rows(usable)}|{json.dumps(learned, sort_keys=True)}"
    return hashlib.sha256(text.encode()).hexdigest()[:16]


def _reason_to_skip(settings: SynthesisSettings, usable: pl.DataFrame, gaps: pl.DataFrame, requests: list[Request]) -> str:
    """Return one sentence why there is nothing to do, or an empty one."""
    task, asked = settings.task, asks_for_synthesis(settings)
    is_volume = settings.generator.engine == "volume"
    if task.endswith("-3d") != is_volume:
        return f"the engine {settings.generator.engine} makes {'volumes' if is_volume else '2-D images'} only; name another engine or collect more of {task}"
    if (shortage := say_shortage(usable, gaps, settings)) and usable.height < settings.least_train_images:
        return shortage
    if gaps.filter((pl.col("task") == task) & asked).is_empty():
        return f"no cell of {task} asks for synthesis; `curaloop gaps` shows which have enough images, and which too few patients to learn from"
    if usable["label"].n_unique() < LEAST_CLASSES:
        return f"all train images of {task} are of one class; the class screen needs two"
    if not requests:
        return (
            "enough candidates were drawn already: they wait for the experts (`curaloop review push`), or the screens rejected them; "
            "another generator (synthesis.generator: more steps, say) or more synthesis.candidates draws anew"
        )
    return shortage if set(_by_class(requests)) <= set(usable["label"]) else "the gap table names a class without a train image; run `curaloop curate` again"


def load_training_set(project: Project, rows: pl.DataFrame, settings: SynthesisSettings, like: TrainingSet | None = None) -> TrainingSet:
    """Return rows with their images; with `like`, of its classes and channels only, and as many as measuring the screens needs."""
    if like is None:
        return load_images(project, rows, settings.generator, int(most_common(rows, "channels")))
    rows = rows.filter(pl.col("label").is_in(like.classes))
    return load_images(project, rows.gather_every(max(1, -(-rows.height // HELD_OUT_IMAGES))), settings.generator, like.channels)


def _show(made: list[Pixels], wanted: list[Wanted], train: TrainingSet) -> Drawn:
    """Return what was drawn with what screens and people look at."""
    is_volume = train.rows["ndim"][0] == 3
    return Drawn([as_picture(each) if is_volume else to_levels(each, train.channels) for each in made], wanted, made)


def _train(
    project: Project, train: TrainingSet, held_out: TrainingSet, folder: Path, settings: SynthesisSettings, progress: Progress
) -> tuple[Engine, GeneratorReport]:
    """Train or go on."""
    engine, examples = open_engine(settings), train.examples(settings.generator.conditions)._replace(held_out=held_out.lessons)
    if engine.needs_parents:
        examples = examples._replace(masks=read_masks(project, train.rows, settings.generator.size_px))
    return engine, engine.fit(examples, folder, progress)


def _write_strips(here: _Round, drawn: Drawn, first_seed: int) -> dict[str, str]:
    """Put the way from noise of the first image of each class beside the generator, and return the paths; only the pixel engine can be watched."""
    if here.settings.generator.engine != "pixel":
        return {}
    trained, strips = load_generator(here.folder, here.settings.generator.device), {}
    first = dict(sorted(dict(reversed([*zip(drawn.labels, drawn.wanted, strict=True)])).items()))
    for number, (label, strip) in enumerate(zip(first, draw_strips(trained, [*first.values()], here.settings.sampling), strict=True)):
        path = here.folder / f"strip-{first_seed}-{number}.png"
        write_bytes(encode_png(strip), path)
        strips[label] = _inside(here.project, path)
    return strips


def _picture(train: TrainingSet, drawn: Drawn, screens: Sequence[dict[str, Any]], passed: Sequence[bool]) -> Pixels:
    """Return real images above candidates, class by class, these below their parents and above the train image that each is nearest to.

    Those that failed a screen are darkened.
    """
    made = [image if good else image // 2 for image, good in zip(drawn.images, passed, strict=True)]
    changed = [to_levels(wish.parent, train.channels) for wish in drawn.wanted if wish.parent is not None]
    parents = _of_classes(changed, drawn.labels) if changed else None
    known = dict(zip(train.rows["image_id"], train.images, strict=True))
    nearest = _of_classes([known[results["memorization"]["nearest"]] for results in screens], drawn.labels)
    return draw_grid(_of_classes(train.images, train.labels), _of_classes(made, drawn.labels), parents, nearest)


def _of_classes(images: Sequence[Pixels], labels: Sequence[str]) -> dict[str, list[Pixels]]:
    """Return the images of each class."""
    return {label: [image for image, found in zip(images, labels, strict=True) if found == label] for label in sorted(set(labels))}


def _inside(project: Project, path: Path) -> str:
    return path.relative_to(project.root).as_posix()
