"""Pictures: what their samples mean is never guessed, films give the frames that are asked for, and what the reader decided is noted."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pydicom
import pytest
from pydicom.sequence import Sequence

from curation.dicom import read_series
from curation.dicom_reading import open_dataset
from curation.dicom_stills import chosen_frames
from curation.dicom_streams import stream_notes
from tests.curation.dicom_builders import SIZE, a_dicom, a_pattern, a_series, an_xray
from tests.curation.label_map_builders import an_item

KEY = b"k" * 32
PYDICOM_FILES = Path(pydicom.__file__).parent / "data" / "test_files"
RGB = np.random.default_rng(0).integers(0, 256, (SIZE, SIZE, 3), dtype=np.uint8)
COLOUR: dict[str, Any] = {
    "SOPClassUID": "1.2.840.10008.5.1.4.1.1.6.1", "Modality": "US", "SamplesPerPixel": 3, "PhotometricInterpretation": "RGB", "PlanarConfiguration": 0,
    "BitsAllocated": 8, "BitsStored": 8, "HighBit": 7, "PixelData": RGB.tobytes(), "BurnedInAnnotation": "NO", "RescaleIntercept": None, "RescaleSlope": None,
}  # fmt: skip


def the_image(path: Path, **options: Any) -> Any:
    """Return the only image of a file that is kept."""
    result = read_series([path], KEY, **options)
    assert result.outcomes[path].outcome == "kept", result.outcomes[path]
    (image,) = result.images
    return image


def code_of(paths: list[Path], **options: Any) -> set[str]:
    """Return the codes of all files."""
    return {outcome.code for outcome in read_series(paths, KEY, **options).outcomes.values()}


def test_planes_of_colours_are_the_same_as_pixels_of_colours(tmp_path: Path) -> None:
    """Planar configuration 1."""
    image = the_image(a_dicom(tmp_path, **COLOUR | {"PlanarConfiguration": 1, "PixelData": RGB.transpose(2, 0, 1).tobytes()}))
    np.testing.assert_array_equal(image.pixels, RGB)


def test_brightness_and_colour_differences_become_rgb(tmp_path: Path) -> None:
    """YBR_FULL: gray has no colour difference; red has a known one (PS3.3 C.7.6.3.1.2)."""
    ybr = np.full((SIZE, SIZE, 3), (100, 128, 128), np.uint8)
    ybr[0, 0] = (76, 85, 255)  # red
    image = the_image(a_dicom(tmp_path, **COLOUR | {"PhotometricInterpretation": "YBR_FULL", "PixelData": ybr.tobytes()}))
    assert np.abs(image.pixels[0, 0].astype(int) - (255, 0, 0)).max() <= 2
    assert (image.pixels[1:] == 100).all()


def test_a_palette_is_looked_up(tmp_path: Path) -> None:
    """Three tables of 16 bits; indices beyond the end take the last entry."""
    indices = np.random.default_rng(1).integers(0, 4, (SIZE, SIZE), dtype=np.uint8)
    tables = np.array([[0, 100, 200, 255], [1, 2, 3, 4], [9, 8, 7, 6]], np.uint16) * 257
    palette: dict[str, Any] = {}
    for name, table in zip(("Red", "Green", "Blue"), tables, strict=True):
        palette |= {f"{name}PaletteColorLookupTableDescriptor": [4, 0, 16], f"{name}PaletteColorLookupTableData": table.tobytes()}
    tags = {"SamplesPerPixel": 1, "PhotometricInterpretation": "PALETTE COLOR", "PixelData": indices.tobytes(), "PlanarConfiguration": None}
    image = the_image(a_dicom(tmp_path, **COLOUR | tags | palette))
    np.testing.assert_array_equal(image.pixels, (tables // 257).T[indices])


def test_a_lut_of_the_modality_comes_before_that_of_the_display(tmp_path: Path) -> None:
    """Stored 0 to 255 → 255 to 0 by the modality LUT → shown by the VOI LUT, which halves it."""
    stored = np.arange(256, dtype=np.uint8).reshape(SIZE, SIZE)
    modality = an_item(LUTDescriptor=[256, 0, 8], LUTData=np.arange(255, -1, -1, dtype=np.uint16).tobytes(), ModalityLUTType="US")
    voi = an_item(LUTDescriptor=[256, 0, 8], LUTData=(np.arange(256) // 2).astype(np.uint16).tobytes())
    eight = {"BitsAllocated": 8, "BitsStored": 8, "HighBit": 7, "PixelData": stored.tobytes()}
    image = the_image(an_xray(tmp_path, ModalityLUTSequence=Sequence([modality]), VOILUTSequence=Sequence([voi]), **eight))
    np.testing.assert_array_equal(image.pixels, (255 - stored) // 2)


@pytest.mark.parametrize(
    ("code", "tags"),
    [
        ("PHOTOMETRIC", {"PhotometricInterpretation": "HSV"}), ("PHOTOMETRIC", {"PhotometricInterpretation": "MONOCHROME2"}),
        ("PHOTOMETRIC", {"PhotometricInterpretation": None}), ("COLOUR", {"Modality": "CR"}),
        ("PHOTOMETRIC", {"SamplesPerPixel": 1, "PixelData": RGB[..., 0].tobytes()}),
    ],
)  # fmt: skip
def test_samples_without_a_meaning_are_refused(tmp_path: Path, code: str, tags: dict[str, Any]) -> None:
    """Retired colour spaces, and samples that do not fit their interpretation; an X-ray has no colour."""
    assert code_of([a_dicom(tmp_path, **COLOUR | tags)]) == {code}


def test_indices_of_a_palette_are_no_hounsfield_units(tmp_path: Path) -> None:
    """A CT slice in pseudo-colour is refused, not read as gray."""
    assert code_of(a_series(tmp_path, PhotometricInterpretation="PALETTE COLOR")) == {"COLOUR"}


@pytest.mark.parametrize(("count", "frames", "chosen"), [(1, "refuse", [0]), (4, "refuse", []), (4, "middle", [2]), (3, "all", [0, 1, 2])])
def test_frames_are_chosen(count: int, frames: Any, chosen: list[int]) -> None:
    """A still is always taken."""
    assert chosen_frames(count, frames) == chosen


def test_films_of_angiography_keep_their_frames_apart(tmp_path: Path) -> None:
    """Two films in one series: each frame knows its file."""
    tags = {"SOPClassUID": "1.2.840.10008.5.1.4.1.1.12.1", "Modality": "XA", "NumberOfFrames": 3}
    films = [
        an_xray(tmp_path / str(film), SOPInstanceUID=f"1.2.3.{film}", **tags, PixelData=b"".join(a_pattern(10 * film + n).tobytes() for n in range(3)))
        for film in (1, 2)
    ]
    result = read_series(films, KEY, frames="all")
    assert [result.outcomes[path].images for path in films] == [(0, 1, 2), (3, 4, 5)]
    assert len({image.pixels.tobytes() for image in result.images}) == 6


def test_an_unprocessed_mammogram_says_so(tmp_path: Path) -> None:
    """For Processing and For Presentation look different; a model may want to know."""
    tags = {"SOPClassUID": "1.2.840.10008.5.1.4.1.1.1.2.1", "Modality": "MG", "PresentationIntentType": "FOR PROCESSING"}
    assert the_image(an_xray(tmp_path, **tags)).notes == ("FOR_PROCESSING",)
    assert the_image(an_xray(tmp_path / "b")).notes == ()


def test_a_stream_that_contradicts_its_header_is_noted() -> None:
    """JPEG 2000 knows its bits and sign itself; pydicom's file of that name holds -2000 outside of the field of view only with the header's sign."""
    assert stream_notes(open_dataset(PYDICOM_FILES / "J2K_pixelrep_mismatch.dcm")) == ("STREAM_SIGN",)
    assert stream_notes(open_dataset(PYDICOM_FILES / "693_J2KI.dcm")) == ("STREAM_BITS",)
    assert stream_notes(open_dataset(PYDICOM_FILES / "MR_small_jp2klossless.dcm")) == ()
    assert stream_notes(open_dataset(PYDICOM_FILES / "CT_small.dcm")) == ()


def a_region(millimetres: float, **changes: Any) -> Any:
    """Return a two-dimensional ultrasound region whose pixels are that wide and twice as high."""
    elements = {"RegionSpatialFormat": 1, "PhysicalUnitsXDirection": 3, "PhysicalUnitsYDirection": 3} | changes
    return an_item(PhysicalDeltaX=millimetres / 10, PhysicalDeltaY=millimetres / 5, **elements)


@pytest.mark.parametrize(
    ("regions", "spacing_mm"),
    [
        ([a_region(0.2)], (0.4, 0.2)), ([a_region(0.2), a_region(0.2), a_region(7, RegionSpatialFormat=2)], (0.4, 0.2)), ([a_region(0.2), a_region(0.3)], None),
        ([a_region(0.2, PhysicalUnitsXDirection=4)], None), ([a_region(0)], None), ([], None),
    ],
)  # fmt: skip
def test_ultrasound_has_the_spacing_of_its_regions(tmp_path: Path, regions: list[Any], spacing_mm: tuple[float, float] | None) -> None:
    """When they agree; Doppler curves and two depths side by side say nothing of the picture."""
    image = the_image(a_dicom(tmp_path, **COLOUR | {"PixelSpacing": None, "SequenceOfUltrasoundRegions": Sequence(regions)}))
    assert image.spacing_mm == (pytest.approx(spacing_mm) if spacing_mm else None)
