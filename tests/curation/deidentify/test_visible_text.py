"""`curaloop deidentify` and text in the pixels: DICOM and pictures are covered, counted, or refused by option."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pydicom
from PIL import Image

from curation.deidentify.folders import deidentify_files
from curation.deidentify.options import DeidentifySettings
from curation.visible.burned_in import find_text
from tests.curation.deidentify.cleaning import KEY
from tests.curation.dicom_builders import an_xray
from tests.curation.visible.text_builders import a_scene, written


def a_folder(folder: Path) -> Path:
    """Write an X-ray and a picture with a name in them, and one of each without."""
    for number, scene in enumerate((a_scene(1), written(a_scene(2), "DOE^JANE 1957"))):
        deep = scene.astype(np.uint16) * 16
        an_xray(
            folder / f"{number}", Rows=deep.shape[0], Columns=deep.shape[1], PixelData=deep.tobytes(), SOPInstanceUID=f"1.2.3.{number}",
            SeriesInstanceUID=f"1.2.4.{number}", BitsAllocated=16, BitsStored=12, HighBit=11, BurnedInAnnotation="NO",
        )  # fmt: skip
        Image.fromarray(scene).save(folder / f"{number}.png")
    return folder


def test_text_is_covered_in_every_kind_of_file_and_counted(tmp_path: Path) -> None:
    """The other two files keep every pixel."""
    out = tmp_path / "out"
    report = deidentify_files(a_folder(tmp_path / "in"), out, KEY)
    assert (report.cleaned, report.masked) == (4, 2)
    pictures = [np.asarray(Image.open(path)) for path in out.rglob("*.png")]
    pictures += [pydicom.dcmread(path).pixel_array // 16 for path in out.rglob("*.dcm")]
    assert len(pictures) == 4
    assert report.masked_px > 1000
    assert sum(np.array_equal(picture, a_scene(1)) for picture in pictures) == 2
    assert not any(find_text(picture.astype(np.uint8), read_whole=True) for picture in pictures)


def test_text_is_refused_when_it_may_not_be_covered(tmp_path: Path) -> None:
    """The option of the standard is off: what shows text stays here."""
    report = deidentify_files(a_folder(tmp_path / "in"), tmp_path / "out", KEY, settings=DeidentifySettings(clean_pixel_data=False))
    assert report.reasons == {"BURNED_IN_TEXT": 2}
    assert report.cleaned == 2
