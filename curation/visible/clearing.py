"""What an image may not show before its row is made: text in its pixels is covered, and a head from which a face can be drawn is refused."""

from __future__ import annotations

from dataclasses import replace
from typing import Literal

from curation.acquired import Acquired
from curation.errors import ImageError
from curation.visible.burned_in import clear_frames
from curation.visible.faces import check_face
from curation.visible.header_word import refuse_by_finding, refuse_by_word

BurnedInText = Literal["mask", "refuse", "header"]
"""What becomes of text in the pixels: it is covered, its image is refused, or the header alone is asked."""

SCREEN_PICTURES = frozenset({"US", "IVUS", "SC", "OT"})
"""Modalities of PNG, JPEG and TIFF files that are read whole: the recipe says that they come from a screen."""

TEXT_MASKED = "TEXT_MASKED"
"""Note of an image whose burned-in text was covered; `masked_px` says how many pixels."""


def clear_image(image: Acquired, burned_in_text: BurnedInText = "mask", *, accept_face_risk: bool = False) -> Acquired:
    """Return an image without text and without the risk of a face, or one that says what was done to it.

    Args:
        image: as it was read; slices of a volume are looked at one by one.
        burned_in_text: what becomes of text.
        accept_face_risk: let head volumes with thin slices through.

    Raises:
        ImageError: BURNED_IN_TEXT or FACE_RISK.
    """
    notes = check_face(image, accept=accept_face_risk)
    refuse_by_word(image.text_risk, clean_pixels=burned_in_text == "mask")
    if burned_in_text == "header":
        if image.text_risk != "low":
            raise ImageError("BURNED_IN_TEXT", "screens and ultrasound often show the patient's name, and the header does not exclude it")
        return replace(image, notes=(*image.notes, *notes)) if notes else image
    is_volume = image.affine is not None
    is_suspect = image.text_risk != "low" or (image.modality in SCREEN_PICTURES and "series_uid" not in image.fields and not is_volume)
    cleared = clear_frames(image.pixels if is_volume else image.pixels[None], read_whole=is_suspect, together=not is_volume)
    refuse_by_finding(image.text_risk, cleared.masked_px, clean_pixels=burned_in_text == "mask")
    if not cleared.masked_px:
        return replace(image, notes=(*image.notes, *notes)) if notes else image
    pixels = cleared.frames if is_volume else cleared.frames[0]
    return replace(image, pixels=pixels, fields=image.fields | {"masked_px": cleared.masked_px}, notes=(*image.notes, *notes, TEXT_MASKED))
