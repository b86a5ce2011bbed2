"""PET in SUV where the header allows it, with a reason where it does not; SPECT volumes in counts."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from pydicom.sequence import Sequence

from curation.acquired import Acquired
from curation.dicom import read_series
from curation.harmonize.recipes import harmonize
from curation.recipe import HarmonizeSettings, PtSettings
from tests.curation.dicom_builders import ROOT, SIZE, a_dataset, a_dicom, a_pattern, a_series, save
from tests.curation.label_map_builders import an_item

KEY = b"k" * 32
HALF_LIFE_S = 6586.2  # of fluorine-18


def a_tracer(**changes: Any) -> Sequence:
    """Return the radiopharmaceutical: 350 MBq of fluorine-18 an hour before the scan."""
    elements = {"RadionuclideTotalDose": 350e6, "RadionuclideHalfLife": HALF_LIFE_S, "RadiopharmaceuticalStartTime": "090000"} | changes
    return Sequence([an_item(**{name: value for name, value in elements.items() if value is not None})])


def a_pet(folder: Path, **tags: Any) -> Acquired:
    """Return the volume of a PET series of an invented patient of 70 kg, whose slices have slopes of their own."""
    defaults: dict[str, Any] = {
        "SOPClassUID": "1.2.840.10008.5.1.4.1.1.128", "Modality": "PT", "Units": "BQML", "DecayCorrection": "START",
        "CorrectedImage": ["NORM", "DTIM", "ATTN", "DECY"],
        "PatientWeight": 70, "SeriesDate": "20201224", "SeriesTime": "100000", "AcquisitionDate": "20201224", "AcquisitionTime": "100000.00",
        "RescaleIntercept": 0, "RadiopharmaceuticalInformationSequence": a_tracer(),
    }  # fmt: skip
    slopes = {index: {"RescaleSlope": 1 + index} for index in range(5)}
    result = read_series(a_series(folder, 5, slopes, **(defaults | tags)), KEY)
    assert {outcome.outcome for outcome in result.outcomes.values()} == {"kept"}
    return result.images[0]


def test_activity_becomes_suv_by_body_weight(tmp_path: Path) -> None:
    """Worked value: 350 MBq decay in an hour to 350 · 2^(-3600/6586.2) = 239.6 MBq, so 1 Bq/ml is 70,000 g / 239.6 MBq = 0.000292 SUV."""
    volume = a_pet(tmp_path)
    factor = 70_000 / (350e6 * 2 ** (-3600 / HALF_LIFE_S))
    assert factor == pytest.approx(0.000292, rel=1e-2)
    expected = np.stack([a_pattern(index) * (1.0 + index) * factor for index in range(5)])
    np.testing.assert_allclose(volume.pixels, expected, rtol=1e-5)
    assert (volume.value_unit, volume.notes) == ("SUV", ())


def test_pet_keeps_its_unit_through_harmonization(tmp_path: Path) -> None:
    """No z-score: SUV 2.5 stays 2.5; another grid by option."""
    volume = a_pet(tmp_path)
    made = harmonize(volume, HarmonizeSettings())
    assert (made.value_unit, made.pixels.dtype) == ("SUV", np.float32)
    assert made.pixels.max() == volume.pixels.max()
    assert harmonize(volume, HarmonizeSettings(pt=PtSettings(spacing_mm=(4, 4, 4)))).spacing_mm == (4, 4, 4)


@pytest.mark.parametrize(
    ("tags", "seconds"),
    [
        ({"RadiopharmaceuticalInformationSequence": a_tracer(RadiopharmaceuticalStartDateTime="20201224094500")}, 900),
        (
            {"RadiopharmaceuticalInformationSequence": a_tracer(RadiopharmaceuticalStartTime="233000"), "SeriesTime": "003000", "AcquisitionTime": "003000"},
            3600,
        ),
        ({"SeriesTime": "113000"}, 3600),  # written after the scan: the first slice's time counts
        ({"DecayCorrection": "ADMIN"}, 0),
    ],
)
def test_times_are_taken_as_the_profile_says(tmp_path: Path, tags: dict[str, Any], seconds: float) -> None:
    """Date and time of the injection, an injection before midnight, a series stamped late, and a decay that was corrected to the injection."""
    volume = a_pet(tmp_path, **tags)
    factor = 70_000 / (350e6 * 2 ** (-seconds / HALF_LIFE_S))
    np.testing.assert_allclose(volume.pixels[0], a_pattern(0) * factor, rtol=1e-5)


NO_SUV: dict[str, tuple[str, str, dict[str, Any]]] = {
    "no weight": ("SUV_WEIGHT", "Bq/ml", {"PatientWeight": None}),
    "no weight of a person": ("SUV_WEIGHT", "Bq/ml", {"PatientWeight": 0}),
    "no tracer": ("SUV_DOSE", "Bq/ml", {"RadiopharmaceuticalInformationSequence": None}),
    "a dose in MBq": ("SUV_DOSE", "Bq/ml", {"RadiopharmaceuticalInformationSequence": a_tracer(RadionuclideTotalDose=350)}),
    "no half-life": ("SUV_HALF_LIFE", "Bq/ml", {"RadiopharmaceuticalInformationSequence": a_tracer(RadionuclideHalfLife=None)}),
    "no time of injection": ("SUV_TIME", "Bq/ml", {"RadiopharmaceuticalInformationSequence": a_tracer(RadiopharmaceuticalStartTime=None)}),
    "an impossible time": ("SUV_TIME", "Bq/ml", {"AcquisitionTime": "9Z"}),
    "injected on another day": (
        "SUV_TIME", "Bq/ml", {"RadiopharmaceuticalInformationSequence": a_tracer(RadiopharmaceuticalStartDateTime="20201220090000")}),
    "no attenuation correction": ("SUV_CORRECTION", "Bq/ml", {"CorrectedImage": ["DECY"]}),
    "no decay correction": ("SUV_CORRECTION", "Bq/ml", {"DecayCorrection": "NONE"}),
    "counts": ("SUV_UNITS", "counts", {"Units": "CNTS"}),
    "an unknown unit": ("SUV_UNITS", "counts", {"Units": "PROPCNTS"}),
    "by lean body mass": ("SUV_BODY_MEASURE", "counts", {"Units": "GML", "SUVType": "LBM"}),
}  # fmt: skip


@pytest.mark.parametrize("name", NO_SUV)
def test_without_what_it_needs_there_is_no_suv(tmp_path: Path, name: str) -> None:
    """The values stay as they are, and the row says why."""
    code, unit, tags = NO_SUV[name]
    volume = a_pet(tmp_path, **tags)
    np.testing.assert_array_equal(volume.pixels[1], a_pattern(1) * np.float32(2))
    assert (volume.value_unit, volume.notes) == (unit, (code,))


def test_values_that_are_suv_already_stay(tmp_path: Path) -> None:
    """In g/ml by body weight."""
    volume = a_pet(tmp_path, Units="GML", SUVType="BW", PatientWeight=None)
    np.testing.assert_array_equal(volume.pixels[0], a_pattern(0))
    assert (volume.value_unit, volume.notes) == ("SUV", ())


def test_philips_counts_have_a_factor_of_their_own(tmp_path: Path) -> None:
    """In a private element."""
    paths = a_series(tmp_path, SOPClassUID="1.2.840.10008.5.1.4.1.1.128", Modality="PT", Units="CNTS", RescaleIntercept=0)
    import pydicom

    for path in paths:
        dataset = pydicom.dcmread(path)
        dataset.private_block(0x7053, "Philips PET Private Group", create=True).add_new(0x00, "DS", "0.0005")
        dataset.save_as(path)
    (volume,) = read_series(paths, KEY).images
    np.testing.assert_allclose(volume.pixels[0], a_pattern(0) * 0.0005, rtol=1e-6)
    assert volume.value_unit == "SUV"


def a_tomogram(folder: Path, **tags: Any) -> Path:
    """Write a SPECT of five slices in one file."""
    detector = an_item(ImagePositionPatient=[-10.0, -20.0, 30.0], ImageOrientationPatient=[1, 0, 0, 0, 1, 0])
    stored = np.stack([a_pattern(index) for index in range(5)])
    defaults: dict[str, Any] = {
        "SOPClassUID": "1.2.840.10008.5.1.4.1.1.20", "Modality": "NM", "ImageType": ["ORIGINAL", "PRIMARY", "RECON TOMO", "EMISSION"], "NumberOfFrames": 5,
        "SliceVector": [1, 2, 3, 4, 5], "SpacingBetweenSlices": 4.0, "DetectorInformationSequence": Sequence([detector]), "ImagePositionPatient": None,
        "ImageOrientationPatient": None, "RescaleIntercept": None, "RescaleSlope": None, "PixelData": stored.tobytes(),
    }  # fmt: skip
    return save(a_dataset(**(defaults | tags)), folder / "nm.dcm")


def test_a_spect_is_a_volume_in_counts(tmp_path: Path) -> None:
    """Its slices go on from the first one's place; a negative spacing goes the other way."""
    (volume,) = read_series([a_tomogram(tmp_path)], KEY).images
    np.testing.assert_array_equal(volume.pixels, [a_pattern(index) for index in range(5)])
    assert (volume.value_unit, volume.spacing_mm) == ("counts", (4.0, 0.5, 0.7))
    assert volume.affine is not None
    np.testing.assert_allclose(volume.affine @ [0, 0, 4, 1], [10, 20, 46, 1])
    (down,) = read_series([a_tomogram(tmp_path, SpacingBetweenSlices=-4.0)], KEY).images
    np.testing.assert_array_equal(down.pixels, volume.pixels[::-1])
    assert down.affine is not None
    np.testing.assert_allclose(down.affine[:3, 3], [10, 20, 14])


@pytest.mark.parametrize(
    ("code", "tags"),
    [
        ("SPACING", {"SpacingBetweenSlices": None}), ("POSITION", {"DetectorInformationSequence": None}), ("FOUR_D", {"SliceVector": [1, 2, 3, 1, 2]}),
        ("MULTIFRAME", {"ImageType": ["ORIGINAL", "PRIMARY", "DYNAMIC", "EMISSION"]}),
    ],
)  # fmt: skip
def test_nuclear_frames_that_are_no_volume_are_refused(tmp_path: Path, code: str, tags: dict[str, Any]) -> None:
    """Places are not guessed; a dynamic study is a film."""
    path = a_tomogram(tmp_path, **tags)
    assert read_series([path], KEY).outcomes[path].code == code


def test_a_planar_scan_is_a_picture(tmp_path: Path) -> None:
    """One frame, no volume."""
    path = a_dicom(tmp_path, Modality="NM", SOPClassUID="1.2.840.10008.5.1.4.1.1.20", ImageType=["ORIGINAL", "PRIMARY", "WHOLE BODY", "EMISSION"])
    (picture,) = read_series([path], KEY).images
    assert picture.pixels.shape == (SIZE, SIZE)
    assert ROOT not in str(picture.fields)


def test_a_series_may_hold_a_tomogram_and_a_picture(tmp_path: Path) -> None:
    """Each is taken as what it is, whichever comes first."""
    tags = {"Modality": "NM", "SOPClassUID": "1.2.840.10008.5.1.4.1.1.20", "ImageType": ["ORIGINAL", "PRIMARY", "WHOLE BODY", "EMISSION"]}
    scan, tomogram = a_dicom(tmp_path, SOPInstanceUID="1.2.3.4", **tags), a_tomogram(tmp_path)
    result = read_series([scan, tomogram], KEY)
    assert [image.pixels.shape for image in result.images] == [(5, SIZE, SIZE), (SIZE, SIZE)]
    assert (result.outcomes[tomogram].images, result.outcomes[scan].images) == ((0,), (1,))
