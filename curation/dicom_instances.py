"""Decoded files of one series: what makes two of them the same, and what becomes of each."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Literal, NamedTuple

from curation.dicom_fields import text_of
from curation.dicom_kinds import ROUTED
from curation.errors import ImageError
from curation.pixels import Pixels, hash_pixels

if TYPE_CHECKING:
    from pydicom.dataset import Dataset

OWNER_NAMES = ("PatientID", "StudyInstanceUID", "Modality")
SAME_PIXELS = "the same pixels at the same place are in an earlier file of the series"


class Outcome(NamedTuple):
    """What became of one file. `image_index` points into `SeriesResult.images`; of several, the first."""

    outcome: Literal["kept", "duplicate", "quarantined", "skipped"]
    code: str = ""
    reason: str = ""
    image_index: int | None = None
    more_indexes: tuple[int, ...] = ()

    @property
    def images(self) -> tuple[int, ...]:
        """Places in `SeriesResult.images` of all images that the file gave something to."""
        return self.more_indexes if self.image_index is None else (self.image_index, *self.more_indexes)


class Instance(NamedTuple):
    """One decoded file.

    Attributes:
        path: where it is.
        dataset: its header; the pixels are gone.
        frames: stored values, `(F, H, W)` or `(F, H, W, 3)`.
        instance_uid: raw.
        owner: raw values of `OWNER_NAMES`; a series has one owner.
        place: what makes two files the same image besides equal pixels: their place and meaning.
        notes: codes of what the reader decided.
    """

    path: Path
    dataset: Dataset
    frames: Pixels
    instance_uid: str
    owner: tuple[str, ...]
    place: tuple[str, ...]
    notes: tuple[str, ...] = ()


def refusal_of(error: ImageError) -> Outcome:
    """Return the outcome of a file that is not used."""
    return Outcome("skipped" if error.code in ROUTED else "quarantined", error.code, error.reason)


def drop_repeats(instances: list[Instance], outcomes: dict[Path, Outcome]) -> list[Instance]:
    """Keep the first of equal instances; refuse all that share a UID but not their pixels and place."""
    by_uid: dict[str, list[Instance]] = {}
    for instance in instances:
        by_uid.setdefault(instance.instance_uid, []).append(instance)
    single: list[Instance] = []
    for same in by_uid.values():
        if len({_content_of(instance) for instance in same} if len(same) > 1 else same) > 1:
            conflict = Outcome("quarantined", "UID_CONFLICT", "several files claim one instance UID with different pixels or places")
            outcomes.update((instance.path, conflict) for instance in same)
            continue
        single.append(same[0])
        outcomes.update((instance.path, Outcome("duplicate", "SAME_PIXELS", SAME_PIXELS)) for instance in same[1:])
    return _drop_copies(single, outcomes)


def _drop_copies(instances: list[Instance], outcomes: dict[Path, Outcome]) -> list[Instance]:
    """Keep the first of equal instances with different UIDs; pixels are hashed only where place and number are equal.

    Equal slices with different numbers (two time points of air, say) are no copies.
    """
    rivals: dict[tuple[str, ...], list[Instance]] = {}
    for instance in instances:
        rivals.setdefault((*instance.place, text_of(instance.dataset, "InstanceNumber")), []).append(instance)
    dropped: set[Path] = set()
    for same in rivals.values():
        seen: set[tuple[str, ...]] = set()
        for instance in same if len(same) > 1 else ():
            content = _content_of(instance)
            if content in seen:
                dropped.add(instance.path)
            seen.add(content)
    outcomes.update((path, Outcome("duplicate", "SAME_PIXELS", SAME_PIXELS)) for path in dropped)
    return [instance for instance in instances if instance.path not in dropped]


def _content_of(instance: Instance) -> tuple[str, ...]:
    return hash_pixels(instance.frames), *instance.place


def conflict_of(instances: list[Instance]) -> ImageError | None:
    """Return why files cannot be one series: they name different patients, studies or modalities."""
    for index, name in enumerate(OWNER_NAMES):
        if len({instance.owner[index] for instance in instances}) > 1:
            return ImageError("IDENTITY", f"files of one series differ in {name}")
    return None
