"""What a run is asked: which images, which classes are cut to how many groups, and how much may be computed."""

from __future__ import annotations

import argparse
import dataclasses
import json
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, cast

from curation.errors import LockedError, UsageError
from curation.manifest import write_bytes

Tell = Callable[[str], None]

MADE = ("free", "edits")
REFERENCES = ("oracle", "moved", "chosen")
"""Need no generator: they say what the court could see, what could be gained, and what the simulated readers bring by themselves."""
ARMS = (*MADE, *REFERENCES)
LEAST_LESIONS = 2
"""Groups of a rare class in train."""
EACH_ITS_OWN = "none"
"""As --patient: every image is of another patient."""
RESUMABLE = ("images", "table", "bases", "work", "device", "threads", "lesions", "draws", "arms", "base_steps", "least_found")
"""What may change between runs in one work folder: it is part of the name of what it decides, or checked by content."""


def _option(default: Any, text: str) -> Any:
    """Return a dataclass field with its help text."""
    return field(default=default, metadata={"help": text})


@dataclass(frozen=True)
class Study:
    """The arguments of a run; the names are those of the command line."""

    images: Path = field(metadata={"help": "folder with the images, at any depth"})
    table: Path = field(metadata={"help": "CSV with one row an image; separated by comma, semicolon, tab or |"})
    work: Path = field(metadata={"help": "everything computed is kept here; the same command goes on"})
    rare: tuple[str, ...] = field(metadata={"help": "classes that are cut"})
    label: tuple[str, ...] = _option(
        ("label",), "column with the class; or several columns, one a class, of which each row has one marked (1, 1.0, true, yes, x)"
    )
    patient: str = _option("patient_id", "column with the patient or lesion: it stays on one side of the split; none: each image is of another patient")
    image: str = _option("image_id", "column with the file's name, with or without folder and ending")
    where: tuple[str, ...] = _option(
        (), "keep rows with column=value only, several values of one column are alternatives; "
        "an official split is not used as such: split=train keeps its train part, which is then cut by patient",
    )  # fmt: skip
    subgroups: tuple[str, ...] = _option((), "columns whose values are watched for harm, e.g. sex")
    least_groups: int = _option(20, "a class with fewer groups is left out, unless it is rare")
    least_found: float = _option(0.9, "share of the rows whose image must be in the folder")
    colour: str = _option("auto", "read images as colour: yes, no, or auto: when a tenth of them is")
    lesions: tuple[int, ...] = _option((10, 20, 40), "groups of each rare class in train")
    val_groups: int = _option(12, "groups of each rare class in val; all others are test")
    draws: int = _option(5, "repeated cuts; intervals pool them by patient")
    most_images: int = _option(1500, "images of a common class that the court sees in each split; 0: all")
    size_px: int = _option(32, "side of the generator's images")
    full_px: int = _option(128, "side at which edited images are judged")
    bases: tuple[Path, ...] = _option((), "finished base generators or checkpoints (folder or .safetensors); none: they are trained")
    base_steps: tuple[int, ...] = _option((5200,), "steps of the base when none is given; of several, one base each: a curve over compute")
    base_batch: int = _option(32, "images of each of these steps")
    channels: tuple[int, ...] = _option((48, 96, 144), "width of the network's levels when a base is trained here")
    low_shot_steps: int = _option(200, "steps of each low-shot fine-tune")
    low_shot_batch: int = _option(16, "images of each of these steps")
    low_shot_rate: float = _option(2e-4, "learning rate of these steps")
    flips: tuple[str, ...] = _option(("horizontal", "vertical"), "what keeps an image plausible: horizontal, vertical, none")
    arms: tuple[str, ...] = _option(
        ARMS, "free: samples from noise; edits: common-class train images changed into the rare class; "
        "oracle: real images of test patients handed in as if synthetic, to see what the court could see; "
        "moved: features of common-class train images, moved onto the rare class: what a perfect edit would bring; "
        "chosen: common-class train images as they are, where the simulated readers take them for the rare class: what their choice brings without synthesis",
    )  # fmt: skip
    candidates: int = _option(5, "synthetic images for each train image of a rare class")
    most_samples: int = _option(120, "synthetic images of a rare class in one cut")
    common_samples: int = _option(24, "synthetic images of each common class, against the source shortcut; 0: none")
    sampling_steps: int = _option(20, "denoising steps")
    guidance: float = _option(2.0, "classifier-free guidance")
    strength: float = _option(0.5, "how far an edit goes back into noise")
    edit_mask: str = _option("lesion", "where an edit may change its parent: lesion, ellipse or whole")
    lowpass_px: float = _option(1.0, "smoothing of an edit's difference, at the generator's size")
    augmentations: int = _option(5, "classical augmentations of each rare image; 0: that control is left out")
    screen_images: int = _option(150, "train images of each common class that near-copies are looked for in, beside all rare ones")
    planted: int = _option(12, "train images that near-copies are planted of, to count what the screens catch")
    reader_error: float = _option(0.1, "share of wrong verdicts of a simulated reader")
    seeds: int = _option(3, "students of each arm in the court")
    court_steps: int = _option(600, "optimizer steps of a student")
    resamples: int = _option(1000, "patient resamples of an interval")
    device: str = _option("auto", "of the generator: auto, cpu or cuda")
    threads: int = _option(1, "of torch on a CPU")


ABOUT = (
    "Do generated images of a rare class help on real test patients? Cuts rare classes to a few patients, trains a generator, draws, screens, lets "
    "simulated readers look, and brings the images before the lift court. Writes table.md, table.json, curve.csv, curve.png and left_out.csv into --work."
)
ENDS = "Exit codes: 0 when the table was written, whatever the verdict; 2 wrong use; 1 another error, such as a work folder in use; 130 stopped by Ctrl-C."
LEAST = {
    "least_groups": 1, "val_groups": 1, "draws": 1, "most_images": 0, "full_px": 16, "candidates": 1, "most_samples": 1, "common_samples": 0,
    "augmentations": 0, "screen_images": 1, "seeds": 1, "threads": 1,
}  # fmt: skip


def parse(arguments: list[str]) -> Study:
    """Return the study that the command line asks for."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.lift", description=ABOUT, epilog=ENDS)
    for one in dataclasses.fields(Study):
        required, many = one.default is dataclasses.MISSING and one.name != "rare", str(one.type).startswith("tuple")
        kind = next(kind for kind in (Path, int, float, str) if kind.__name__ in str(one.type).lower() or kind.__name__ in str(one.type))
        name = {"bases": "--base"}.get(one.name, "--" + one.name.replace("_", "-"))
        default = () if one.default is dataclasses.MISSING else one.default
        values = " ".join(map(str, default)) if isinstance(default, tuple) else default
        shown = "" if required or default == () else f" (default: {values})"
        given = None if required else default
        parser.add_argument(name, dest=one.name, type=kind, nargs="*" if many else None, required=required, default=given, help=one.metadata["help"] + shown)
    found = {
        name: tuple(value if name == "channels" else dict.fromkeys(value)) if isinstance(value, list) else value
        for name, value in vars(parser.parse_args(arguments)).items()
    }
    return check(Study(**cast(Any, found)))


def check(study: Study) -> Study:
    """Return the study when it can be run.

    Raises:
        UsageError: it cannot.
    """
    if not study.images.is_dir():
        raise UsageError(f"--images {study.images} is not a folder")
    if not study.table.is_file():
        raise UsageError(f"--table {study.table} is not a file")
    if study.work.exists() and not study.work.is_dir():
        raise UsageError(f"--work {study.work} is a file: name a folder")
    if study.work.resolve().is_relative_to(study.images.resolve()):
        raise UsageError("--work lies inside --images, so its pictures would be taken for data: choose a folder elsewhere")
    if not study.label or not study.lesions or not study.arms or set(study.arms) - set(ARMS):
        raise UsageError(f"name a column with --label, a number of --lesions, and --arms out of {', '.join(ARMS)}")
    if strange := [part for part in study.where if "=" not in part]:
        raise UsageError(f"--where {strange[0]}: write column=value")
    _check_numbers(study)
    return study


def _check_numbers(study: Study) -> None:
    """Raise `UsageError` for a number or word that no part of the run can work with."""
    for name, least in LEAST.items():
        if getattr(study, name) < least:
            raise UsageError(f"--{name.replace('_', '-')} {getattr(study, name)} is too small: at least {least}")
    if min(study.lesions) < LEAST_LESIONS or min((*study.base_steps, 1)) < 1 or not (study.base_steps or study.bases):
        raise UsageError(f"--lesions must be at least {LEAST_LESIONS} each, and --base-steps at least 1 each")
    if study.colour not in ("auto", "yes", "no") or not 0 <= study.reader_error < 1 or not 0 < study.least_found <= 1:
        raise UsageError("--colour is auto, yes or no, --reader-error from 0 to below 1, --least-found above 0, at most 1")
    if study.full_px < study.size_px:
        raise UsageError(f"--full-px {study.full_px} is smaller than --size-px {study.size_px}: images are stored at --full-px, so make it at least as large")
    part = max(8, 2 ** (len(study.channels) - 1))
    if study.size_px % part:
        near = [side for side in (study.size_px // part * part, (study.size_px // part + 1) * part) if side]
        raise UsageError(
            f"--size-px {study.size_px} must be a multiple of {part}, because each further level of --channels halves it: take {' or '.join(map(str, near))}; "
            "images are resized, theirs may be any"
        )


@contextmanager
def working(study: Study) -> Iterator[None]:
    """Hold the work folder of a study.

    Raises:
        UsageError: it belongs to another study.
        LockedError: another process works in it.
    """
    from filelock import FileLock, Timeout

    study.work.mkdir(parents=True, exist_ok=True)
    lock = FileLock(study.work / "lock", timeout=0)
    try:
        lock.acquire()
    except Timeout as error:
        raise LockedError(Path(study.work.name), "another run of this benchmark") from error
    try:
        _mark(study)
        yield
    finally:
        lock.release()


def keep_encoder(study: Study, sha256: str) -> None:
    """Write down which encoder the work folder's figures are of, or raise `UsageError` when it is another one."""
    mark = study.work / "encoder.txt"
    if mark.exists() and mark.read_text() != sha256:
        raise UsageError("this work folder was made with another version of the encoder, and figures would be mixed: choose another --work")
    write_bytes(sha256.encode(), mark)


def _mark(study: Study) -> None:
    """Write down whose work folder it is, or raise `UsageError` when it is another study's."""
    mark, asked = study.work / "study.json", json.loads(json.dumps(dataclasses.asdict(study), default=str))
    before = json.loads(mark.read_text()) if mark.exists() else asked
    if changed := sorted(name for name in set(asked) & set(before) - set(RESUMABLE) if asked[name] != before[name]):
        raise UsageError(f"this work folder holds a run with another {', '.join(changed)}: choose another --work, or ask for the same")
    write_bytes(json.dumps(asked, indent=1).encode(), mark)
