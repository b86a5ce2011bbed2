"""What a compressed stream says of itself, against what the header says: the stream is what was encoded, so it is believed, and the difference is noted."""

from __future__ import annotations

from typing import TYPE_CHECKING

from curation.dicom_pixels import frames_of

if TYPE_CHECKING:
    from pydicom.dataset import Dataset

JPEG_2000 = tuple(f"1.2.840.10008.1.2.4.{number}" for number in (90, 91, 201, 202, 203))
BITS, SIGN = "STREAM_BITS", "STREAM_SIGN"


def stream_notes(dataset: Dataset) -> tuple[str, ...]:
    """Return STREAM_BITS when a JPEG 2000 stream holds another number of bits than BitsStored, STREAM_SIGN when it has a sign and the header says none.

    The values are those that pydicom decodes: as many bits as the stream has; when only one of the two has a sign, the bits of the stream are read with
    the sign of the header, because a writer that knows no signed streams encodes the bits as they are.
    """
    from pydicom.encaps import get_frame
    from pydicom.pixels.utils import get_j2k_parameters

    if str(dataset.file_meta.TransferSyntaxUID) not in JPEG_2000:
        return ()
    found = get_j2k_parameters(get_frame(dataset.PixelData, 0, number_of_frames=frames_of(dataset)))
    notes = [BITS] if found.get("precision", dataset.BitsStored) != dataset.BitsStored else []
    if found.get("is_signed", bool(dataset.PixelRepresentation)) != bool(dataset.PixelRepresentation):
        notes.append(SIGN)
    return tuple(notes)
