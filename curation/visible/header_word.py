"""Text in the pixels of a DICOM object: its header says how suspicious to be, the pixels decide.

Pictures made by a screen or a workstation (ultrasound, secondary captures, digitized films, endoscopy …) are read whole. All others are read where letters are
suspected. A header that claims text which cannot be found is believed: the object is refused.
"""

from __future__ import annotations

from collections.abc import Iterable
from functools import partial
from typing import TYPE_CHECKING, Literal

from curation.dicom_fields import text_of
from curation.errors import ImageError
from curation.pixels import Pixels
from curation.visible.burned_in import Cleared, clear_frames

if TYPE_CHECKING:
    from pydicom.dataset import Dataset

SECONDARY_CAPTURE = "1.2.840.10008.5.1.4.1.1.7"
SCREEN_MODALITIES = frozenset({"US", "IVUS", "SC", "OT", "ES", "XC", "GM", "DG", "VF", "SM", "OP", "OPT", "HC", "DOC", "BMD", "EPS"})

TextRisk = Literal["low", "high", "said"]
"""What a header says of text in the pixels: nothing, that the kind of picture often shows some, or that there is some."""


def text_risk_of(dataset: Dataset) -> TextRisk:
    """Return what class, modality, conversion and BurnedInAnnotation say."""
    said = text_of(dataset, "BurnedInAnnotation").upper()
    if said == "YES":
        return "said"
    sop_class = text_of(dataset, "SOPClassUID")
    is_capture = sop_class == SECONDARY_CAPTURE or sop_class.startswith(f"{SECONDARY_CAPTURE}.") or bool(text_of(dataset, "ConversionType"))
    return "high" if said != "NO" and (is_capture or text_of(dataset, "Modality") in SCREEN_MODALITIES) else "low"


def highest_risk(datasets: Iterable[Dataset]) -> TextRisk:
    """Return the highest risk among the files of a volume."""
    found = {text_risk_of(dataset) for dataset in datasets}
    return "said" if "said" in found else "high" if "high" in found else "low"


def clear_text(dataset: Dataset, frames: Pixels, *, clean_pixels: bool = True) -> Cleared:
    """Return the stored frames of an object with burned-in text covered; the same array when there is none.

    Args:
        dataset: its header.
        frames: `(F, H, W)` or `(F, H, W, 3)` stored values, RGB where they are coloured.
        clean_pixels: cover text; otherwise what shows text is refused.

    Raises:
        ImageError: BURNED_IN_TEXT: text stays readable, or is not to be covered, or the header says that there is some and none can be found.
    """
    risk = text_risk_of(dataset)
    refuse_by_word(risk, clean_pixels=clean_pixels)
    cleared = clear_frames(frames, read_whole=risk != "low", show=partial(_show, dataset))
    refuse_by_finding(risk, cleared.masked_px, clean_pixels=clean_pixels)
    return cleared


def refuse_by_word(risk: TextRisk, *, clean_pixels: bool) -> None:
    """Raise `ImageError` (BURNED_IN_TEXT) for text that is claimed and is not to be covered."""
    if risk == "said" and not clean_pixels:
        raise ImageError("BURNED_IN_TEXT", "the header says that text is burned into the pixels")


def refuse_by_finding(risk: TextRisk, masked_px: int, *, clean_pixels: bool) -> None:
    """Raise `ImageError` (BURNED_IN_TEXT) for text that was found and is not to be covered, and for text that was claimed and not found."""
    if masked_px and not clean_pixels:
        raise ImageError("BURNED_IN_TEXT", "text is burned into the pixels")
    if risk == "said" and not masked_px:
        raise ImageError("BURNED_IN_TEXT", "the header says that text is burned into the pixels, and none could be found to mask it")


def _show(dataset: Dataset, frame: Pixels) -> Pixels:
    """Return what a reader of text can look at: stored gray values as they are, palettes and deep colours as 8-bit RGB."""
    if frame.ndim == 2 and text_of(dataset, "PhotometricInterpretation") != "PALETTE COLOR":
        return frame
    from curation.dicom_pixels import coloured

    return coloured(dataset, frame)
