"""Reading any folder and table into arrays, once."""

from __future__ import annotations

import csv
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

from benchmarks.lift.study import Study
from curation.errors import UsageError

Names = npt.NDArray[np.str_]
Images = npt.NDArray[np.uint8]


@dataclass(frozen=True)
class Pictures:
    """N real images, sorted by name; each group has one label.

    Attributes:
        ids: `(N,)` names.
        labels: `(N,)`.
        groups: `(N,)` patient or lesion.
        subgroups: column to `(N,)` values, "" where unknown.
        full: `(N, F, F)` or `(N, F, F, 3)` uint8, F of `study.full_px`.
    """

    ids: Names
    labels: Names
    groups: Names
    subgroups: dict[str, Names]
    full: Images

    def at(self, positions: npt.NDArray[np.int64] | list[int], size_px: int) -> Images:
        """Return some images as squares of `size_px`."""
        import cv2

        if size_px == self.full.shape[1]:
            return np.asarray(self.full[positions])
        shrunk = [cv2.resize(np.asarray(self.full[one]), (size_px, size_px), interpolation=cv2.INTER_AREA) for one in positions]
        return np.stack(shrunk).astype(np.uint8) if shrunk else np.zeros((0, size_px, size_px, *self.full.shape[3:]), np.uint8)


def read_pictures(study: Study) -> Pictures:
    """Return the images of the study; their pixels are kept in the work folder.

    Raises:
        UsageError: columns, classes or files are missing.
    """
    rows = _rows(study)
    files = _files(study.images)
    found = [(row, files[row[study.image]]) for row in rows if row[study.image] in files]
    if len(found) < 0.9 * len(rows) or not found:
        raise UsageError(f"--images has the files of only {len(found)} of {len(rows)} rows: check --image and the folder")
    path = study.work / f"images-{study.full_px}.npy"
    if not path.exists():
        _store([file for _, file in found], study.full_px, path)
    full = np.load(path, mmap_mode="r")
    if len(full) != len(found):
        raise UsageError("the images changed since this work folder was made: choose another --work")
    columns = {name: np.array([row[name] for row, _ in found]) for name in {study.image, study.label, study.patient, *study.subgroups}}
    subgroups = {name: columns[name] for name in study.subgroups}
    return Pictures(columns[study.image], columns[study.label], columns[study.patient], subgroups, full)


def _rows(study: Study) -> list[dict[str, str]]:
    """Return the rows with a class that takes part, sorted by image; a group with several classes keeps its rarest."""
    with study.table.open(newline="", encoding="utf-8", errors="replace") as file:
        rows = [row for row in csv.DictReader(file) if all(row.get(part.split("=")[0]) == part.split("=", 1)[1] for part in study.where)]
    if lacking := {study.label, study.patient, study.image, *study.subgroups} - set(rows[0] if rows else ()):
        raise UsageError(f"the table has no column {', '.join(sorted(lacking))}, or --where leaves no row")
    rows = [row for row in rows if row[study.label] and row[study.patient] and row[study.image]]
    groups: dict[str, set[str]] = {}
    for row in rows:
        groups.setdefault(row[study.label], set()).add(row[study.patient])
    if lacking := set(study.rare) - set(groups):
        raise UsageError(f"the table has no image of the rare class {', '.join(sorted(lacking))}")
    kept = {label for label, members in groups.items() if len(members) >= study.least_groups or label in study.rare}
    label_of: dict[str, str] = {}
    for label in sorted(kept, key=lambda one: (one in study.rare, -len(groups[one]), one)):
        label_of |= dict.fromkeys(groups[label], label)
    chosen = {row[study.image]: row for row in rows if row[study.label] == label_of.get(row[study.patient])}
    return [chosen[name] for name in sorted(chosen)]


def _files(folder: Path) -> dict[str, Path]:
    """Return every file below a folder by its name, with and without its ending."""
    files: dict[str, Path] = {}
    for path in sorted(folder.rglob("*")):
        if path.suffix.lower() in (".jpg", ".jpeg", ".png", ".bmp", ".tif", ".tiff"):
            files[path.name] = files[path.stem] = path
    return files


def _store(files: list[Path], size_px: int, path: Path) -> None:
    """Write the middle squares of all images as one array; gray when the first image is."""
    import cv2

    colour = _is_colour(files[0])
    flag = cv2.IMREAD_COLOR if colour else cv2.IMREAD_GRAYSCALE
    shape = (len(files), size_px, size_px, 3) if colour else (len(files), size_px, size_px)
    partial = path.with_suffix(".partial.npy")
    array = np.lib.format.open_memmap(partial, mode="w+", dtype=np.uint8, shape=shape)
    for place, file in enumerate(files):
        image = cv2.imread(str(file), flag)
        if image is None:
            raise UsageError(f"{file.name} cannot be read as an image: take its row out of the table")
        side = min(image.shape[:2])
        top, left = (image.shape[0] - side) // 2, (image.shape[1] - side) // 2
        square = image[top : top + side, left : left + side]
        small = cv2.resize(square, (size_px, size_px), interpolation=cv2.INTER_AREA if side >= size_px else cv2.INTER_LINEAR)
        array[place] = small[..., ::-1] if colour else small
    array.flush()
    partial.rename(path)


def _is_colour(file: Path) -> bool:
    """Tell whether an image has channels that differ."""
    import cv2

    image = cv2.imread(str(file), cv2.IMREAD_COLOR)
    if image is None:
        raise UsageError(f"{file.name} cannot be read as an image: take its row out of the table")
    return bool(np.ptp(image.astype(np.int16), axis=2).mean() > 2)
