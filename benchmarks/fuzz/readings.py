"""What of a file the pixels hang on, read without any code of Curaloop: two files with the same reading must give the same pixels.

Of a DICOM file it is what pydicom reads in the elements that pixels, geometry, values and looks hang on. A mutation of those that leaves a valid file is
another image, and nobody can tell: uncompressed pixels, JPEG and NIfTI have no checksum. Of NIfTI it is all but a few texts of the header. PNG, gzip and
zip have checksums, so for them the reading never changes: whatever is kept must be the original.
"""

from __future__ import annotations

import logging
import warnings
from hashlib import sha256
from io import BytesIO

NIFTI_TEXTS = ((4, 39), (124, 132), (140, 228), (228, 252), (328, 344))
"""Bytes of a NIfTI-1 header that no pixel hangs on: unused fields of Analyze, cal_max and cal_min, slice_duration ..., descrip, aux_file, intent_name."""
GROUPS = (0x0018, 0x0028, 0x0054, 0x0062, 0x3006, 0x5200, 0x7FE0)
"""All elements of these groups: acquisition, image, nuclear medicine, segments, contours, functional groups, pixels."""
KEYWORDS = (
    "SOPClassUID", "SOPInstanceUID", "Modality", "ImageType", "Manufacturer", "SeriesTime", "SeriesDate", "AcquisitionTime", "AcquisitionDate", "PatientWeight",
    "BurnedInAnnotation", "ImagePositionPatient", "ImageOrientationPatient", "SeriesInstanceUID", "StudyInstanceUID", "PatientID", "InstanceNumber",
    "FrameOfReferenceUID", "ConversionType", "PresentationLUTShape", "SharedFunctionalGroupsSequence", "ReferencedSeriesSequence", "SpecificCharacterSet",
    "TemporalPositionIdentifier", "AcquisitionNumber", "ContentTime", "TriggerTime", "AcquisitionDateTime",
)  # fmt: skip


def reading_of(content: bytes, name: str) -> str:
    """Return a hash of what pixels hang on; `broken` when it cannot be read."""
    if name.endswith((".png", ".gz", ".zip")):
        return "has a checksum"
    if name.endswith((".nii", ".hdr")):
        blank = bytearray(content)
        for start, stop in NIFTI_TEXTS:
            blank[start:stop] = bytes(stop - start)
        content = bytes(blank)
    return _of_dicom(content) if name.endswith(".dcm") else sha256(content).hexdigest()


def _of_dicom(content: bytes) -> str:
    import pydicom

    logging.getLogger("pydicom").disabled = True
    parts: list[str] = []
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            dataset = pydicom.dcmread(BytesIO(content), force=True)
            parts.append(str(dataset.file_meta.get("TransferSyntaxUID")))
            for tag in sorted(dataset.keys()):
                if tag.group in GROUPS or tag.group % 2 or pydicom.datadict.keyword_for_tag(tag) in KEYWORDS:
                    element = dataset.get_item(tag)
                    parts.append(f"{tag} {element.value!r}")
    except (Exception, RecursionError):
        return "broken"
    return sha256("|".join(parts).encode()).hexdigest()
