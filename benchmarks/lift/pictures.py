"""Reading any folder and table into arrays, once."""

from __future__ import annotations

import json
from collections.abc import Sequence
from copy import deepcopy
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from benchmarks.lift.files import index_files, match_files
from benchmarks.lift.rows import Left, TableRow, choose_classes, read_rows
from benchmarks.lift.study import EACH_ITS_OWN, Study, Tell
from curation.errors import ImageError, UsageError
from curation.manifest import write_bytes
from curation.pixels import Pixels

Names = npt.NDArray[np.str_]
Images = npt.NDArray[np.uint8]

SAMPLED = 100
"""Images that are looked at to tell whether a folder is gray or colour."""
COLOUR_SHARE = 0.1
"""From this share of colour images on all are read as colour."""
LEAST_SPREAD = 2.0
"""Mean difference of the channels, in gray levels, of an image that counts as colour: below it JPEG made it."""
LEAST_READABLE = 0.9


@dataclass(frozen=True)
class Pictures:
    """N real images, sorted by name; each group has one label.

    Attributes:
        ids: `(N,)` paths below the folder.
        labels: `(N,)`.
        groups: `(N,)` patient or lesion.
        subgroups: column to `(N,)` values, "" where unknown.
        stored: `(M, F, F)` or `(M, F, F, 3)` uint8, F of `study.full_px`.
        places: `(N,)` row of `stored` of each image.
        notes: sentences about what was left out, and how images were read.
    """

    ids: Names
    labels: Names
    groups: Names
    subgroups: dict[str, Names]
    stored: Images
    places: npt.NDArray[np.int64]
    notes: tuple[str, ...] = ()

    def at(self, positions: npt.NDArray[np.int64] | list[int], size_px: int) -> Images:
        """Return some images as squares of `size_px`."""
        import cv2

        places = self.places[np.asarray(positions, np.int64)]
        if size_px == self.stored.shape[1]:
            return np.asarray(self.stored[places])
        shrunk = [cv2.resize(np.asarray(self.stored[place]), (size_px, size_px), interpolation=cv2.INTER_AREA) for place in places]
        return np.stack(shrunk).astype(np.uint8) if shrunk else np.zeros((0, size_px, size_px, *self.stored.shape[3:]), np.uint8)


class Stored(NamedTuple):
    """What was read of the files, in the order of their names.

    Attributes:
        is_colour: whether images have three channels.
        shown: which files could be read.
        sides: shorter side of each in the file, 0 when it could not be read.
    """

    is_colour: bool
    shown: list[bool]
    sides: list[int]


def read_pictures(study: Study, tell: Tell = print) -> Pictures:
    """Return the images of the study; their pixels are kept in the work folder.

    Raises:
        UsageError: columns, classes or files are missing, or are not those of this work folder.
    """
    left = Left()
    matched = match_files(read_rows(study, left), index_files(study.images), study, left)
    choose_classes(list(matched.values()), study, deepcopy(left))  # fails now, and not after the reading
    tell(f"{len(matched)} images are in the table and in the folder; reading them")
    digests = {file: _digest(study.images / file) for file in matched}
    _refuse_changes(matched, digests, study)
    files = _drop_copies(matched, digests, left)
    stored = _store([study.images / file for file in files], study, tell)
    left.out("the file cannot be read as one image", [matched[file] for file, shown in zip(files, stored.shown, strict=True) if not shown])
    if sum(stored.shown) < LEAST_READABLE * len(files):
        raise UsageError(f"only {sum(stored.shown)} of {len(files)} files can be read as an image ({left.sentences()[-1]}): mend them, or take their rows out")
    readable = {file: place for place, file in enumerate(files) if stored.shown[place]}
    row_of = {id(matched[file]): file for file in readable}
    chosen = sorted(row_of[id(row)] for row in choose_classes([matched[file] for file in readable], study, left))
    _list_left(left, study.work)
    notes = (*left.sentences(), *left.read_as, *_describe(stored, [readable[file] for file in chosen], study))
    return _picture(chosen, matched, readable, study, notes)


def _picture(chosen: list[str], matched: dict[str, TableRow], places: dict[str, int], study: Study, notes: tuple[str, ...]) -> Pictures:
    """Return the chosen images as arrays."""
    rows = [matched[file] for file in chosen]
    return Pictures(
        np.array(chosen),
        np.array([row.label for row in rows]),
        np.array([row.group for row in rows]),
        {name: np.array([row.subgroups[name] for row in rows]) for name in study.subgroups},
        np.load(_pixels_path(study), mmap_mode="r"),
        np.array([places[file] for file in chosen], np.int64),
        notes,
    )


def _digest(path: Path) -> str:
    from blake3 import blake3

    return blake3(path.read_bytes()).hexdigest()


def _refuse_changes(matched: dict[str, TableRow], digests: dict[str, str], study: Study) -> None:
    """Raise `UsageError` when table or images are not those that the work folder was made from."""
    mark = study.work / "data.json"
    found = {"images": _hash(sorted(digests.items())), "table": _hash([(file, *row.said) for file, row in matched.items()])}
    if not mark.exists() and (study.work / "features").exists():
        raise UsageError("this work folder is of an earlier version of this benchmark, which did not record its data: choose another --work")
    before = json.loads(mark.read_text()) if mark.exists() else found
    if changed := [name for name in found if before[name] != found[name]]:
        raise UsageError(f"--{' and --'.join(changed)} changed since this work folder was made, and results would be mixed: choose another --work")
    write_bytes(json.dumps(found).encode(), mark)


def _hash(values: Sequence[Any]) -> str:
    from blake3 import blake3

    return blake3(json.dumps(values).encode()).hexdigest()


def _drop_copies(matched: dict[str, TableRow], digests: dict[str, str], left: Left) -> list[str]:
    """Return the files without byte copies of others: one of two patients would stand on both sides of a split."""
    same: dict[str, list[str]] = {}
    for file in matched:
        same.setdefault(digests[file], []).append(file)
    labels = {digest: {matched[file].label for file in files} for digest, files in same.items()}
    left.out("the file is a copy of another one", [matched[file] for digest, files in same.items() if len(labels[digest]) == 1 for file in files[1:]])
    left.out("the same image has several classes", [matched[file] for digest, files in same.items() if len(labels[digest]) > 1 for file in files])
    return sorted(files[0] for digest, files in same.items() if len(labels[digest]) == 1)


def _pixels_path(study: Study) -> Path:
    return study.work / f"images-{study.full_px}.npy"


def _store(files: list[Path], study: Study, tell: Tell) -> Stored:
    """Write the middle squares of all images as one array, and say what was read."""
    path = _pixels_path(study)
    about = path.with_suffix(".json")
    if about.exists():
        return Stored(**json.loads(about.read_text()))
    is_colour = _is_colour_folder(files, study)
    shape = (len(files), study.full_px, study.full_px, *((3,) if is_colour else ()))
    partial, sides = path.with_suffix(".partial.npy"), []
    array: Any = np.lib.format.open_memmap(partial, mode="w+", dtype=np.uint8, shape=shape)  # type: ignore[no-untyped-call]
    for place, file in enumerate(files):
        square, side = read_square(file, study.full_px, is_colour=is_colour)
        sides.append(side)
        if square is not None:
            array[place] = square
        if (place + 1) % 1000 == 0:
            tell(f"read {place + 1} of {len(files)} images")
    array.flush()
    partial.rename(path)
    found = Stored(is_colour, [side > 0 for side in sides], sides)
    write_bytes(json.dumps(found._asdict()).encode(), about)
    return found


def read_square(file: Path, size_px: int, *, is_colour: bool) -> tuple[Pixels | None, int]:
    """Return the middle square of an image, `(S, S)` or `(S, S, 3)` uint8, and the shorter side in the file; None and 0 when it cannot be read.

    Of a TIFF with several pages the first one. 16-bit gray is scaled by its own 0.5 and 99.5 percentile.
    """
    from synthesis.training_set import make_square

    pixels = read_pixels(file, is_colour=is_colour)
    if pixels is None:
        return None, 0
    return make_square(pixels, size_px, 3 if is_colour else 1), min(pixels.shape[:2])


def read_pixels(file: Path, *, is_colour: bool) -> Pixels | None:
    """Return `(H, W)` uint8 or uint16, or `(H, W, 3)` uint8; None when the file is no image. Of a deep gray one `(H, W)` in any case."""
    from curation.raster import read_raster

    content = file.read_bytes()
    for modality in ("XC", "OT") if is_colour else ("OT",):
        try:
            return next(iter(read_raster(content, modality, ""))).pixels
        except ImageError as error:
            if error.code != "DTYPE":
                return None
    return None


def _is_colour_folder(files: list[Path], study: Study) -> bool:
    """Tell whether a folder is read as colour: as `--colour` says, else when enough of some images, evenly spread, have channels that differ."""
    if study.colour != "auto":
        return study.colour == "yes"
    spread = np.unique(np.linspace(0, len(files) - 1, SAMPLED).astype(int))
    found = [pixels for place in spread if (pixels := read_pixels(files[place], is_colour=True)) is not None]
    return bool(found) and sum(_is_colour(pixels) for pixels in found) >= COLOUR_SHARE * len(found)


def _is_colour(pixels: Pixels) -> bool:
    return pixels.ndim == 3 and float(np.ptp(pixels.astype(np.int16), axis=2).mean()) > LEAST_SPREAD


def _describe(stored: Stored, places: Sequence[int], study: Study) -> list[str]:
    """Return sentences about how images were read."""
    small = sum(stored.sides[place] < study.full_px for place in places)
    tiny = sum(stored.sides[place] < study.size_px for place in places)
    notes = [f"all images were read as {'colour' if stored.is_colour else 'gray'} (--colour), the middle square of each"]
    if small:
        notes.append(
            f"{small} of {len(places)} images are smaller than --full-px {study.full_px} and were enlarged, {tiny} even than --size-px {study.size_px}"
        )
    if study.patient == EACH_ITS_OWN:
        notes.append("every image counted as a patient of its own (--patient none): where one patient has several, splits leak and intervals are too narrow")
    return notes


def _list_left(left: Left, folder: Path) -> None:
    """Write the rows that are left out, by their number in the table."""
    lines = sorted((line, reason) for reason, lines in left.lines.items() for line in lines)
    text = "row,reason\n" + "".join(f'{line},"{reason}"\n' for line, reason in lines)
    write_bytes(text.encode(), folder / "left_out.csv")
