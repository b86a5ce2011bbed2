"""From a base that knows common classes only to images of the rare ones: a low-shot fine-tune for each cut, samples, and edits of common-class images."""

from __future__ import annotations

import hashlib
import json
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from benchmarks.lift.cuts import Cut, base_rows
from benchmarks.lift.pictures import Images, Pictures
from benchmarks.lift.study import Study, Tell
from curation.errors import UsageError
from curation.manifest import write_bytes
from curation.progress import Progress
from synthesis.checkpoint import CHECKPOINT_NAME, GENERATOR_NAME, read_about, read_tensors, write_tensors
from synthesis.engines.editing import edit_parents, open_denoiser
from synthesis.engines.engine import Condition, Examples, Wanted
from synthesis.engines.pixel import PixelDiffusion
from synthesis.generator import load_generator
from synthesis.network import choose_device, torch_threads
from synthesis.recipe import EditSettings, GeneratorSettings, SamplingSettings, ScreenSettings
from validation.recipe import LiftSettings

AVERAGE = "average/"
OPTIONS = {
    ("GeneratorSettings", "steps"): "low_shot_steps", ("GeneratorSettings", "learning_rate"): "low_shot_rate",
    ("GeneratorSettings", "batch_size"): "base_batch or --low-shot-batch", ("SamplingSettings", "steps"): "sampling_steps",
    ("SamplingSettings", "guidance_scale"): "guidance", ("EditSettings", "mask"): "edit_mask", ("ScreenSettings", "planted_images"): "planted",
    ("LiftSettings", "steps"): "court_steps", ("LiftSettings", "draws"): "resamples",
}  # fmt: skip
"""What the command line calls a setting, where it is another name."""


@dataclass(frozen=True)
class Base:
    """A generator of the common classes: its folder, optimizer steps, images a step and width of its levels."""

    name: str
    folder: Path
    steps: int
    batch_size: int
    channels: tuple[int, ...]


@dataclass(frozen=True)
class Made:
    """Synthetic images of one cut and arm: `(M, S, S[, 3])` uint8, the class of each, and the name of its parent, "" for none."""

    images: Images
    labels: tuple[str, ...]
    parents: tuple[str, ...]


def open_bases(study: Study, pictures: Pictures, tell: Tell) -> list[Base]:
    """Return the bases that the study names, brought into one form, or those that are trained here."""
    if not study.bases:
        return [_train_base(steps, study, pictures, tell) for steps in sorted(set(study.base_steps))]
    classes = sorted(set(pictures.labels.tolist()) - set(study.rare))
    return [_import_base(path, study, classes) for path in study.bases]


def _import_base(path: Path, study: Study, classes: list[str]) -> Base:
    """Return a base from a folder or a file; of a checkpoint the averaged weights are taken.

    Raises:
        UsageError: it is none, of other classes (a rare one would have leaked) or of another size.
    """
    names = (GENERATOR_NAME, CHECKPOINT_NAME)
    file = next((path / name for name in names if (path / name).is_file()), path) if path.is_dir() else path
    about = read_about(file) if file.is_file() else None
    if about is None:
        raise UsageError(f"--base: {path.name} holds no generator and no checkpoint")
    known, settings = about.get("classes") or about.get("vocabulary", {}).get("label", []), about["settings"]
    if sorted(known) != classes or settings["size_px"] != study.size_px:
        raise UsageError(f"--base: {path.name} draws {', '.join(known)} at {settings['size_px']} px; wanted are {', '.join(classes)} at {study.size_px} px")
    tensors = read_tensors(file)
    if any(name.startswith(AVERAGE) for name in tensors):
        tensors = {name.removeprefix(AVERAGE): tensor for name, tensor in tensors.items() if name.startswith(AVERAGE)}
    steps = len(about["losses"]) if "losses" in about else settings["steps"]
    kept = {name: value for name, value in about.items() if name not in ("losses", "parameters")} | {"parameters": sum(t.numel() for t in tensors.values())}
    digest = hashlib.sha256(json.dumps(about, sort_keys=True).encode()).hexdigest()[:8]
    name = f"base{steps:05d}-{digest}"
    base = Base(name, study.work / "bases" / name, steps, settings["batch_size"], tuple(settings["channels"]))
    if not (base.folder / GENERATOR_NAME).exists():
        write_tensors(tensors, kept, base.folder / GENERATOR_NAME)
    return base


def _train_base(steps: int, study: Study, pictures: Pictures, tell: Tell) -> Base:
    """Train a base in the work folder, or go on with it."""
    settings = _settings(study, study.channels, steps=steps, batch_size=study.base_batch, learning_rate=6e-4, balance=0.7, checkpoint_steps=50)
    rows, folder = base_rows(pictures, study), study.work / "bases" / f"trained-{steps}"
    with torch_threads(study.threads):
        PixelDiffusion(settings, _sampling(study)).fit(_examples(pictures, rows, study.size_px), folder, _teller(tell))
    return Base(f"trained{steps:05d}", folder, steps, settings.batch_size, study.channels)


def _settings(study: Study, channels: tuple[int, ...], **changes: Any) -> GeneratorSettings:
    """Return the engine's settings of this study."""
    flips = tuple(one for one in study.flips if one != "none")
    return GeneratorSettings(size_px=study.size_px, channels=channels, flips=flips, device=study.device, **changes)  # type: ignore[arg-type]


def check_settings(study: Study) -> None:
    """Raise `UsageError` for a number or word that the generator, the edits, the screens or the court do not take, before anything is computed."""
    from pydantic import ValidationError

    try:
        _settings(study, study.channels, steps=study.low_shot_steps, batch_size=study.low_shot_batch, learning_rate=study.low_shot_rate)
        if study.device == "cuda" and not _has_gpu():
            raise UsageError("--device cuda: torch finds no GPU; say auto or cpu")
        _settings(study, study.channels, batch_size=study.base_batch)
        _sampling(study)
        _editing(study)
        ScreenSettings(planted_images=study.planted)
        LiftSettings(seeds=study.seeds, steps=study.court_steps, draws=study.resamples)
    except ValidationError as error:
        first = error.errors()[0]
        option = OPTIONS.get((error.title, str(first["loc"][0])), str(first["loc"][0]))
        raise UsageError(f"--{option.replace('_', '-')} {first['input']}: {first['msg'].lower()}") from None


def _has_gpu() -> bool:
    import torch

    return torch.cuda.is_available()


def _editing(study: Study) -> EditSettings:
    return EditSettings(strength=study.strength, mask=study.edit_mask, lowpass_px=study.lowpass_px)  # type: ignore[arg-type]


def _sampling(study: Study) -> SamplingSettings:
    return SamplingSettings(steps=study.sampling_steps, guidance_scale=study.guidance)


def _teller(tell: Tell) -> Progress:
    """Return a progress that tells every fiftieth step."""

    def progress(done: int, total: int, what: str) -> None:
        if done % 50 == 0 or done == total:
            tell(f"{what}: {done} of {total}")

    return progress


def _examples(pictures: Pictures, rows: npt.NDArray[np.int64], size_px: int) -> Examples:
    """Return some pictures as examples."""
    conditions = tuple({"label": str(label)} for label in pictures.labels[rows])
    return Examples(pictures.at(rows, size_px), conditions, tuple(pictures.ids[rows].tolist()), tuple(pictures.groups[rows].tolist()))


def learned_rows(pictures: Pictures, cut: Cut, study: Study) -> npt.NDArray[np.int64]:
    """Return what the generator of a cut has learned from: train images of the rare classes, and all that its base learned from."""
    rare = np.flatnonzero(np.isin(pictures.labels, study.rare) & (cut.split == "train"))
    return np.union1d(rare, base_rows(pictures, study))


def fine_tune(base: Base, pictures: Pictures, cut: Cut, study: Study, tell: Tell) -> tuple[PixelDiffusion, dict[str, float]]:
    """Return the cut's generator, and the CPU seconds (on a GPU: wall seconds) and steps that it took (read back when it was finished before)."""
    folder = study.work / "generators" / f"{base.name}-{cut.name}"
    settings = _settings(
        study, base.channels, base=base.folder, low_shot_steps=study.low_shot_steps, steps=study.low_shot_steps, batch_size=study.low_shot_batch,
        learning_rate=study.low_shot_rate, balance=0.9, checkpoint_steps=50, seed=cut.draw,
    )  # fmt: skip
    clock = time.perf_counter if choose_device(settings).type == "cuda" else time.process_time
    engine, began = PixelDiffusion(settings, _sampling(study)), clock()
    with torch_threads(study.threads):
        report = engine.fit(_examples(pictures, learned_rows(pictures, cut, study), study.size_px), folder, _teller(tell))
    path, spent = folder / "cost.json", {"cpu_s": clock() - began, "steps": float(report.steps - report.first_step)}
    if path.exists():
        return engine, json.loads(path.read_text())
    write_bytes(json.dumps(spent).encode(), path)
    return engine, spent


def plan_wishes(arm: str, pictures: Pictures, cut: Cut, study: Study) -> list[str]:
    """Return the class of each image to make: of a rare class `candidates` for each train image up to `most_samples`, of a common one `common_samples`.

    The only common class of a study gets no edits: their parents would have to be of another common class.
    """
    wishes: list[str] = []
    classes = sorted(set(pictures.labels.tolist()))
    has_parents = arm != "edits" or len(classes) > len(study.rare) + 1
    for label in (one for one in classes if one in study.rare or has_parents):
        own = int(((pictures.labels == label) & (cut.split == "train")).sum())
        wishes += [label] * (min(study.most_samples, study.candidates * own) if label in study.rare else study.common_samples)
    return wishes


def make(arm: str, engine: PixelDiffusion, pictures: Pictures, cut: Cut, study: Study, base: Base, tell: Tell) -> Made:
    """Return the synthetic images of a cut, made once."""
    path = study.work / "made" / f"{base.name}-{cut.name}-{arm}.npz"
    if not path.exists():
        wishes = plan_wishes(arm, pictures, cut, study)
        with torch_threads(study.threads):
            made = _draw(engine, wishes, tell) if arm == "free" else _edit(engine, wishes, pictures, cut, study, tell)
        _write(made, path)
    with np.load(path) as stored:
        return Made(stored["images"], tuple(stored["labels"].tolist()), tuple(stored["parents"].tolist()))


def _draw(engine: PixelDiffusion, wishes: Sequence[str], tell: Tell) -> Made:
    """Return samples from noise."""
    images = engine.sample([Wanted({"label": label}, seed) for seed, label in enumerate(wishes)], _teller(tell))
    return Made(np.stack(images), tuple(wishes), ("",) * len(wishes))


def choose_parents(pictures: Pictures, cut: Cut, wishes: Sequence[str], study: Study) -> npt.NDArray[np.int64]:
    """Return a train image of a common class for every wish, never of the wanted class; each common class is drawn equally often."""
    random, parents = np.random.default_rng([3, cut.draw]), []
    common = sorted(set(pictures.labels[cut.split == "train"].tolist()) - set(study.rare))
    members = {label: np.flatnonzero((pictures.labels == label) & (cut.split == "train")) for label in common}
    for wish in wishes:
        label = random.choice([one for one in common if one != wish])
        parents.append(int(random.choice(members[label])))
    return np.array(parents, np.int64)


def _edit(engine: PixelDiffusion, wishes: Sequence[str], pictures: Pictures, cut: Cut, study: Study, tell: Tell) -> Made:
    """Return counterfactual edits of common-class train images, at the size of the images."""
    assert engine.folder is not None
    denoiser, parents = open_denoiser(load_generator(engine.folder, engine.settings.device)), choose_parents(pictures, cut, wishes, study)
    shown = pictures.at(parents, study.full_px)
    own: list[Condition] = [{"label": str(label)} for label in pictures.labels[parents]]
    wanted = [
        Wanted({"label": label}, seed, parent=image, parent_id=str(pictures.ids[row]))
        for seed, (label, image, row) in enumerate(zip(wishes, shown, parents, strict=True))
    ]
    edited = edit_parents(denoiser, wanted, own, _editing(study), _sampling(study), _teller(tell))
    return Made(np.stack(edited), tuple(wishes), tuple(pictures.ids[parents].tolist()))


def _write(made: Made, path: Path) -> None:
    """Write images, whole or not at all."""
    import io

    content = io.BytesIO()
    np.savez(content, images=made.images, labels=np.array(made.labels), parents=np.array(made.parents))
    write_bytes(content.getvalue(), path)
