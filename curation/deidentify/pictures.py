"""PNG, JPEG and TIFF files to new PNG files of their pixels: one for each page, without a word about where they come from.

Nothing is compressed with loss: a JPEG is decoded once. An image of more than 8 bits and one colour keeps its 16 bits.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterator
from pathlib import Path

import numpy as np

from curation.deidentify.harvest import Source, collect
from curation.deidentify.objects import NewFile
from curation.deidentify.options import DeidentifySettings
from curation.deidentify.second_look import refuse_bytes
from curation.errors import ImageError
from curation.pixels import Pixels, encode_png
from curation.pseudonyms import pseudonym
from curation.raster import read_raster
from curation.visible.burned_in import Cleared, clear_frames

COLOUR, GRAY = "XC", "OT"


def clean_raster(path: Path, key: bytes, settings: DeidentifySettings) -> Iterator[NewFile]:
    """Yield a PNG for each page of a picture.

    Raises:
        ImageError: LEAK, BURNED_IN_TEXT, or why the file cannot be read.
    """
    content = path.read_bytes()
    identifiers = collect(Source(word, "id") for part in path.parts[-3:] for word in re.split(r"\s+", part) if word)
    for pixels in _pages(content):
        cleared = _without_text(pixels, settings)
        written = encode_png(np.asarray(cleared.frames[0]))
        name = pseudonym(key, "name", hashlib.sha256(written).hexdigest())
        place = f"raster/{name}.png"
        refuse_bytes((), place, identifiers)
        yield NewFile(place, (written,), cleared.masked_px)


def _pages(content: bytes) -> Iterator[Pixels]:
    """Yield gray or RGB pixels of each page; the gray ones as such."""
    try:
        pages = [acquired.pixels for acquired in read_raster(content, COLOUR, "")]
    except ImageError as error:
        if error.code != "DTYPE":
            raise
        pages = [acquired.pixels for acquired in read_raster(content, GRAY, "")]
    for pixels in pages:
        is_gray = pixels.ndim == 3 and bool((np.ptp(pixels, axis=2) == 0).all())
        yield np.ascontiguousarray(pixels[..., 0]) if is_gray else pixels


def _without_text(pixels: Pixels, settings: DeidentifySettings) -> Cleared:
    """Return a picture with burned-in text covered.

    Raises:
        ImageError: BURNED_IN_TEXT, when text stays or is not to be covered.
    """
    cleared = clear_frames(pixels[None], read_whole=False)
    if cleared.masked_px and not settings.clean_pixel_data:
        raise ImageError("BURNED_IN_TEXT", "text is burned into the pixels")
    return cleared
