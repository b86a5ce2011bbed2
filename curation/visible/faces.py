"""Face risk: from a head volume with thin slices anybody can draw the face, and match it with a photograph.

Schwarz et al. (2019, New England Journal of Medicine 381:1684) matched faces drawn from research MR with photographs of 70 of 84 persons; Mazura et al. (2012,
Journal of Digital Imaging 25:347) did it from CT. We do not remove faces: we say that there may be one. Also a volume whose face was removed before is flagged.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from curation.acquired import Acquired
from curation.dicom_fields import text_of
from curation.errors import ImageError
from curation.harmonize.orientation import reorient_to_ras

if TYPE_CHECKING:
    from pydicom.dataset import Dataset

FACE_ACCEPTED = "FACE_RISK_ACCEPTED"
"""Note of a head volume that the recipe lets through."""

THIN_MM = 3.0
LEAST_EXTENT_MM = 80.0
WORK_MM = 4.0
HEAD_PARTS = frozenset({"HEAD", "BRAIN", "SKULL", "FACE", "HEADNECK", "WHOLEBODY", "ORBIT", "EYE", "SINUS", "NOSE", "JAW", "MANDIBLE", "MAXILLA", "CHEEK",
                        "ZYGOMA", "TMJ", "EAR", "IAC", "SCALP", "CEREBELLUM", "PAROTID"})  # fmt: skip
MAYBE_HEAD_PARTS = frozenset({"", "NECK", "CSPINE", "CTSPINE", "SPINE", "CAROTID", "BODY", "LARYNX", "THYROID"})
HEAD_WORDS = re.compile(
    r"head|brain|skull|face|facial|cereb|crani|neuro|sinus|orbit|kopf|sch[aä]de?l|hirn|gesicht|t[eê]te|cabeza|cerebro|mprage", re.IGNORECASE
)
HEAD_WIDTH_MM, HEAD_LENGTH_MM, LEAST_HEAD_HEIGHT_MM = (105.0, 205.0), (130.0, 270.0), 140.0

Mask = npt.NDArray[np.bool_]


def check_face(image: Acquired, *, accept: bool) -> tuple[str, ...]:
    """Return the notes of a volume that may show a face: none, or, when that is accepted, FACE_RISK_ACCEPTED.

    Raises:
        ImageError: FACE_RISK.
    """
    if image.affine is None or image.modality not in ("CT", "MR") or not has_face_risk(image):
        return ()
    if not accept:
        raise ImageError("FACE_RISK", "a head volume with thin slices, from which a face can be drawn; `accept_face_risk` in [deidentify] lets it in")
    return (FACE_ACCEPTED,)


def has_face_risk(image: Acquired) -> bool:
    """Say whether a face could be drawn from a CT or MR volume.

    That needs voxels of at most 3 mm (our choice: thicker slices make steps of nose and lips) and 80 mm along each axis. The header's body part
    decides; when it names none, or one beside the head, the shape does.
    """
    assert image.affine is not None
    spacing_mm = image.spacing_mm or (np.inf,) * 3
    extent_mm = [size * step for size, step in zip(image.pixels.shape, spacing_mm, strict=True)]
    if max(spacing_mm) > THIN_MM or min(extent_mm) < LEAST_EXTENT_MM:
        return False
    part = str(image.fields.get("body_part") or "")
    if part in HEAD_PARTS:
        return True
    return part in MAYBE_HEAD_PARTS and looks_like_head(image)


def looks_like_head(image: Acquired) -> bool:
    """Say whether the outline is a head's: closed above, as wide and long as a head, air around it, and going on below the brain.

    A brain without its skull ends 130 mm below its top; chest and abdomen are wider and open above; so are knees.
    """
    body, spacing_mm = outline(image)
    filled = np.flatnonzero(body.any(axis=(1, 2)))
    if not len(filled):
        return False
    top = int(filled[-1])
    below = body[max(0, top - int(110 / spacing_mm[0])) : max(1, top - int(25 / spacing_mm[0]))]
    if not len(below) or not _is_closed_above(body, top, spacing_mm[0]):
        return False
    height_mm = (top - int(filled[0]) + 1) * spacing_mm[0]
    goes_on = height_mm >= LEAST_HEAD_HEIGHT_MM or int(filled[0]) <= 1
    length_mm, width_mm = (float(np.max(_spans(below, axis)) * spacing_mm[axis]) for axis in (1, 2))
    return goes_on and HEAD_WIDTH_MM[0] <= width_mm <= HEAD_WIDTH_MM[1] and HEAD_LENGTH_MM[0] <= length_mm <= HEAD_LENGTH_MM[1]


def _is_closed_above(body: Mask, top: int, step_mm: float) -> bool:
    """Say whether the outline shrinks to its top: its last 8 mm have less than 60 % of the largest area in the 110 mm below."""
    areas = body.sum(axis=(1, 2))
    largest = areas[max(0, top - int(110 / step_mm)) : top + 1].max()
    return bool(areas[max(0, top - int(8 / step_mm)) : top + 1].min() < 0.6 * largest)


def _spans(body: Mask, axis: int) -> npt.NDArray[np.int_]:
    """Return for each level how many voxels the outline takes from end to end along an axis (1: length, 2: width)."""
    seen = np.asarray(body.any(axis=3 - axis), np.bool_)
    first, last = seen.argmax(axis=1), seen.shape[1] - 1 - seen[:, ::-1].argmax(axis=1)
    spans: npt.NDArray[np.int_] = np.where(seen.any(axis=1), last - first + 1, 0)
    return spans


def outline(image: Acquired) -> tuple[Mask, tuple[float, ...]]:
    """Return the largest connected body on a grid of about 4 mm, `(feet to head, back to front, left to right)`, and the spacing in mm along these axes."""
    from scipy import ndimage

    assert image.affine is not None
    volume, affine = reorient_to_ras(image.pixels, image.affine)
    steps = np.linalg.norm(affine[:3, :3], axis=0)[::-1]
    strides = [max(1, int(WORK_MM / step)) for step in steps]
    coarse = np.asarray(volume[tuple(slice(None, None, stride) for stride in strides)], np.float32)
    body = ndimage.binary_opening(coarse > _air_limit(coarse, image.modality))
    labels, count = ndimage.label(body)
    if count:
        body = labels == 1 + int(np.argmax(np.bincount(labels.ravel())[1:]))
    return body, tuple(float(step * stride) for step, stride in zip(steps, strides, strict=True))


def _air_limit(coarse: npt.NDArray[np.float32], modality: str) -> float:
    """Return the value above which a voxel is no air: -300 HU, or a tenth of the bright tissue of an MR."""
    return -300.0 if modality == "CT" else 0.1 * float(np.percentile(coarse, 99))


def is_thin_head_slice(dataset: Dataset) -> bool:
    """Say from a header alone whether a file is a thin slice, or a stack of them, of a head: part or description name it, and it has 80 mm."""
    if text_of(dataset, "Modality") not in ("CT", "MR"):
        return False
    part = re.sub(r"[\s_,-]", "", text_of(dataset, "BodyPartExamined")).upper()
    words = " ".join(text_of(dataset, name) for name in ("StudyDescription", "SeriesDescription", "ProtocolName", "RequestedProcedureDescription"))
    if part not in HEAD_PARTS and not (part in MAYBE_HEAD_PARTS and HEAD_WORDS.search(words)):
        return False
    between = dataset.get("PixelSpacing")
    if between and min(int(dataset.get("Rows") or 0) * float(between[0]), int(dataset.get("Columns") or 0) * float(between[1])) < LEAST_EXTENT_MM:
        return False
    steps = [dataset.get(name) for name in ("SpacingBetweenSlices", "SliceThickness")]
    known = [abs(float(step)) for step in steps if step]
    return not known or min(known) <= THIN_MM
