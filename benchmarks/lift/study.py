"""What a run is asked: which images, which classes are cut to how many groups, and how much may be computed."""

from __future__ import annotations

import argparse
import dataclasses
import json
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, cast

from curation.errors import UsageError
from curation.manifest import write_bytes

ARMS = ("free", "edits")
RESUMABLE = ("images", "table", "bases", "work", "device", "threads", "lesions", "draws", "arms", "base_steps")
"""What may change between runs in one work folder, because it is part of the name of what it decides."""


def _option(default: Any, text: str) -> Any:
    """Return a dataclass field with its help text."""
    return field(default=default, metadata={"help": text})


@dataclass(frozen=True)
class Study:
    """The arguments of a run; the names are those of the command line."""

    images: Path = field(metadata={"help": "folder with the images, at any depth"})
    table: Path = field(metadata={"help": "CSV with one row an image"})
    work: Path = field(metadata={"help": "everything computed is kept here; the same command goes on"})
    rare: tuple[str, ...] = field(metadata={"help": "classes that are cut"})
    label: str = _option("label", "column with the class")
    patient: str = _option("patient_id", "column with the patient or lesion: it stays on one side of the split")
    image: str = _option("image_id", "column with the file's name, with or without its ending")
    where: tuple[str, ...] = _option((), "keep rows with column=value only")
    subgroups: tuple[str, ...] = _option((), "columns whose values are watched for harm, e.g. sex")
    least_groups: int = _option(20, "a class with fewer groups is left out, unless it is rare")
    lesions: tuple[int, ...] = _option((10, 20, 40), "groups of each rare class in train")
    val_groups: int = _option(12, "groups of each rare class in val; all others are test")
    draws: int = _option(5, "repeated cuts; intervals pool them by patient")
    most_images: int = _option(1500, "images of a common class that the court sees in each split; 0: all")
    size_px: int = _option(32, "side of the generator's images")
    full_px: int = _option(128, "side at which edited images are judged")
    bases: tuple[Path, ...] = _option((), "finished base generators or checkpoints (folder or .safetensors); none: one is trained")
    base_steps: int = _option(5200, "steps of the base when none is given")
    base_batch: int = _option(32, "images of each of these steps")
    channels: tuple[int, ...] = _option((48, 96, 144), "width of the network's levels when a base is trained here")
    low_shot_steps: int = _option(200, "steps of each low-shot fine-tune")
    low_shot_batch: int = _option(16, "images of each of these steps")
    low_shot_rate: float = _option(2e-4, "learning rate of these steps")
    flips: tuple[str, ...] = _option(("horizontal", "vertical"), "what keeps an image plausible: horizontal, vertical, none")
    arms: tuple[str, ...] = _option(ARMS, "free: samples from noise; edits: common-class train images changed into the rare class")
    most_samples: int = _option(120, "synthetic images of a rare class in one cut")
    common_samples: int = _option(24, "synthetic images of each common class, against the source shortcut; 0: none")
    sampling_steps: int = _option(20, "denoising steps")
    guidance: float = _option(2.0, "classifier-free guidance")
    strength: float = _option(0.5, "how far an edit goes back into noise")
    edit_mask: str = _option("lesion", "where an edit may change its parent: lesion, ellipse or whole")
    lowpass_px: float = _option(1.0, "smoothing of an edit's difference, at the generator's size")
    augmentations: int = _option(5, "classical augmentations of each rare image")
    screen_images: int = _option(150, "train images of each common class that near-copies are looked for in, beside all rare ones")
    planted: int = _option(12, "train images that near-copies are planted of, to count what the screens catch")
    reader_error: float = _option(0.1, "share of wrong verdicts of a simulated reader")
    seeds: int = _option(3, "students of each arm in the court")
    court_steps: int = _option(600, "optimizer steps of a student")
    resamples: int = _option(1000, "patient resamples of an interval")
    device: str = _option("auto", "auto, cpu or cuda")
    threads: int = _option(1, "of torch on a CPU")


def parse(arguments: list[str]) -> Study:
    """Return the study that the command line asks for."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.lift", description=__doc__)
    for one in dataclasses.fields(Study):
        required, many = one.default is dataclasses.MISSING, str(one.type).startswith("tuple")
        kind = next(kind for kind in (Path, int, float, str) if kind.__name__ in str(one.type).lower() or kind.__name__ in str(one.type))
        name = {"bases": "--base"}.get(one.name, "--" + one.name.replace("_", "-"))
        shown = "" if required or one.default == () else f" (default: {one.default})"
        default = None if required else one.default
        parser.add_argument(name, dest=one.name, type=kind, nargs="*" if many else None, required=required, default=default, help=one.metadata["help"] + shown)
    found = {name: tuple(value) if isinstance(value, list) else value for name, value in vars(parser.parse_args(arguments)).items()}
    return check(Study(**cast(Any, found)))


def check(study: Study) -> Study:
    """Return the study when it can be run.

    Raises:
        UsageError: it cannot, or the work folder belongs to another one.
    """
    if not study.rare or not study.lesions or not study.arms or set(study.arms) - set(ARMS):
        raise UsageError(f"name at least one rare class, one number of lesions and arms out of {', '.join(ARMS)}")
    if not study.images.is_dir() or not study.table.is_file():
        raise UsageError("--images must be a folder and --table a CSV file that exist")
    mark, asked = study.work / "study.json", json.loads(json.dumps(dataclasses.asdict(study), default=str))
    before = json.loads(mark.read_text()) if mark.exists() else asked
    if changed := sorted(name for name in set(asked) & set(before) - set(RESUMABLE) if asked[name] != before[name]):
        raise UsageError(f"this work folder holds a run with another {', '.join(changed)}: choose another --work, or ask for the same")
    study.work.mkdir(parents=True, exist_ok=True)
    write_bytes(json.dumps(asked, indent=1).encode(), mark)
    return study
