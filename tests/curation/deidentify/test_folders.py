"""Folders, found file by file and cleaned side by side: the same bytes for any number of workers, every file accounted for."""

from __future__ import annotations

import logging
from pathlib import Path
from typing import Any

import nibabel as nib
import numpy as np
import pydicom
import pytest
from PIL import Image

from curation.deidentify.folders import FILES_A_JOB, deidentify_files
from curation.deidentify.options import DeidentifySettings
from flows.executors import open_executor
from tests.curation.deidentify.cleaning import KEY
from tests.curation.dicom_builders import ROOT, a_dataset, a_dicom, a_pattern, a_series, an_xray, save

NAMED = "Quastenflosser_Wilhelmine_19570311"


def contents(folder: Path) -> dict[str, bytes]:
    """Return every file below a folder."""
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def a_mixed_folder(folder: Path) -> Path:
    """Write a folder with images of all kinds, a conflict, a copy and broken files."""
    a_series(folder / NAMED, slices=FILES_A_JOB + 5)
    a_dicom(folder / "again", SOPInstanceUID=f"{ROOT}.1.0", PixelData=a_pattern(9).tobytes())
    nib.save(nib.Nifti1Image(np.arange(210, dtype=np.int16).reshape(5, 6, 7), np.eye(4)), folder / f"{NAMED}.nii.gz")
    Image.fromarray(np.arange(600, dtype=np.uint8).reshape(20, 30) // 3).save(folder / f"{NAMED}.png")
    (folder / "broken.dcm").write_bytes(b"x" * 300)
    (folder / "notes.txt").write_text("call Wilhelmine")
    return folder


def test_the_output_is_the_same_for_any_number_of_workers(tmp_path: Path) -> None:
    """Byte for byte and name for name, in this process and in two others; so are the counts."""
    folder = a_mixed_folder(tmp_path / "in")
    reports = [deidentify_files(folder, tmp_path / "here", KEY)]
    with open_executor("processes:2") as executor:
        reports.append(deidentify_files(folder, tmp_path / "there", KEY, executor=executor))
    assert contents(tmp_path / "here") == contents(tmp_path / "there")
    assert reports[0] == reports[1]
    assert (reports[0].found, reports[0].skipped, reports[0].reasons) == (FILES_A_JOB + 10, 1, {"BAD_MAGIC": 1, "UID_CONFLICT": 1})


def test_no_name_of_the_input_is_in_a_name_or_a_message(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    """Folders and files are called by pseudonyms, and what is refused by its hash."""
    caplog.set_level(logging.DEBUG)
    said: list[str] = []
    report = deidentify_files(a_mixed_folder(tmp_path / "in"), tmp_path / "out", KEY, lambda *told: said.append(str(told)))
    everything = " ".join([*contents(tmp_path / "out"), repr(report), caplog.text, *said])
    assert not [part for part in (*NAMED.split("_"), "broken", "notes", ROOT) if part in everything]
    assert said[-1] == str((report.found, report.found, "de-identify"))


def test_a_second_run_with_the_same_key_gives_the_same_files(tmp_path: Path) -> None:
    """And another key gives other names and other files."""
    folder = a_mixed_folder(tmp_path / "in")
    for name, key in (("one", KEY), ("two", KEY), ("three", b"x" * 32)):
        deidentify_files(folder, tmp_path / name, key)
    one, two, three = (contents(tmp_path / name) for name in ("one", "two", "three"))
    assert one == two
    assert not {name for name in one if name.endswith(".dcm")} & set(three)


def test_a_pair_of_header_and_voxels_becomes_one_file(tmp_path: Path) -> None:
    """The voxels of a `.hdr` lie in an `.img`; alone, the header is refused."""
    (tmp_path / "in" / "pair").mkdir(parents=True)
    (tmp_path / "in" / "alone").mkdir()
    voxels = np.arange(210, dtype=np.int16).reshape(5, 6, 7)
    for name in ("pair", "alone"):
        nib.save(nib.Nifti1Pair(voxels, np.eye(4)), tmp_path / "in" / name / "Wilhelmine.img")
    (tmp_path / "in" / "alone" / "Wilhelmine.img").unlink()
    report = deidentify_files(tmp_path / "in", tmp_path / "out", KEY)
    assert (report.found, report.cleaned, report.skipped, report.reasons) == (3, 1, 1, {"PAIR": 1})
    (path,) = (tmp_path / "out").rglob("*.nii.gz")
    np.testing.assert_array_equal(np.asarray(nib.load(path).dataobj), voxels)


def test_a_4d_nifti_keeps_its_volumes_type_scaling_and_place(tmp_path: Path) -> None:
    """And loses its texts and extensions."""
    (tmp_path / "in").mkdir()
    values = np.arange(5 * 6 * 7 * 3, dtype=np.uint16).reshape(5, 6, 7, 3)
    affine = np.array([[0, -2.0, 0, 5], [2.0, 0, 0, 6], [0, 0, 3.0, 7], [0, 0, 0, 1]])
    image = nib.Nifti1Image(values, affine)
    image.header.set_slope_inter(0.5, -10)
    image.header["descrip"], image.header["pixdim"][4] = b"Wilhelmine", 2.5
    image.header.set_xyzt_units("mm", "sec")
    image.header.extensions.append(nib.nifti1.Nifti1Extension("comment", b"Quastenflosser"))
    nib.save(image, tmp_path / "in" / "a.nii")
    report = deidentify_files(tmp_path / "in", tmp_path / "out", KEY)
    assert not report.reasons, report
    (path,) = (tmp_path / "out").rglob("*.nii.gz")
    clean = nib.load(path)
    np.testing.assert_array_equal(np.asarray(clean.dataobj), np.asarray(nib.load(tmp_path / "in" / "a.nii").dataobj))
    np.testing.assert_allclose(clean.affine, affine)
    assert (clean.header["descrip"].item(), len(clean.header.extensions), float(clean.header["pixdim"][4])) == (b"", 0, 2.5)
    assert clean.header.get_xyzt_units() == ("mm", "sec")


def test_each_page_of_a_tiff_becomes_a_picture(tmp_path: Path) -> None:
    """Equal pages become one."""
    (tmp_path / "in").mkdir()
    ramp = np.tile(np.linspace(0, 250, 64, dtype=np.uint8), (48, 1))
    pages = [Image.fromarray(ramp), Image.fromarray(ramp[::-1, ::-1].copy())]
    pages[0].save(tmp_path / "in" / "a.tif", save_all=True, append_images=pages[1:], description="Wilhelmine")
    report = deidentify_files(tmp_path / "in", tmp_path / "out", KEY)
    assert (report.found, report.cleaned) == (1, 1)
    written = [np.asarray(Image.open(path)) for path in (tmp_path / "out").rglob("*.png")]
    assert sorted(page.tobytes() for page in written) == sorted(np.asarray(page).tobytes() for page in pages)


@pytest.mark.parametrize(
    ("tags", "values", "expected"),
    [
        ({"BitsStored": 12, "HighBit": 11}, [0xF123, 0x0FFF, 0x1000], [0x123, 0xFFF, 0]),
        ({"BitsStored": 12, "HighBit": 15}, [0xABC7, 0xFFF1, 0x0008], [0xABC, 0xFFF, 0]),
        ({"BitsStored": 16, "HighBit": 15}, [0xABC7, 0xFFF1, 0x0008], [0xABC7, 0xFFF1, 0x0008]),
        ({"BitsStored": 12, "HighBit": 11, "PixelRepresentation": 1}, [0x7FFF, 0xF123, 0x0800], [-1, 0x123, -2048]),
    ],
)  # fmt: skip
def test_bits_that_no_value_uses_are_cleared(tmp_path: Path, tags: dict[str, Any], values: list[int], expected: list[int]) -> None:
    """Bits above the stored ones, below them when values lie high, and those above a sign."""
    pixels = a_pattern(0)
    pixels[0, : len(values)] = values
    an_xray(tmp_path / "in", PixelData=pixels.tobytes(), **tags)
    deidentify_files(tmp_path / "in", tmp_path / "out", KEY)
    (path,) = (tmp_path / "out").rglob("*.dcm")
    clean = pydicom.dcmread(path)
    assert clean.pixel_array[0, : len(expected)].tolist() == expected
    assert (clean.HighBit, clean.BitsStored) == (tags["BitsStored"] - 1, tags["BitsStored"])


def test_bytes_behind_the_pixels_are_cut_off(tmp_path: Path) -> None:
    """Less than a frame is padding; a whole frame too many is refused."""
    a_dicom(tmp_path / "in" / "padded", PixelData=a_pattern(0).tobytes() + b"Quastenflosser")
    a_dicom(tmp_path / "in" / "double", SOPInstanceUID=f"{ROOT}.5", PixelData=a_pattern(0).tobytes() * 3)
    report = deidentify_files(tmp_path / "in", tmp_path / "out", KEY)
    assert (report.cleaned, report.reasons) == (1, {"SHAPE": 1})
    (path,) = (tmp_path / "out").rglob("*.dcm")
    assert pydicom.dcmread(path).PixelData == a_pattern(0).tobytes()


@pytest.mark.parametrize("syntax", ["1.2.840.10008.1.2", "1.2.840.10008.1.2.2", "1.2.840.10008.1.2.1.99"])
def test_every_uncompressed_form_gives_the_same_image(tmp_path: Path, syntax: str) -> None:
    """Implicit, big endian and deflated come out as explicit little endian with the same values."""
    from pydicom.uid import UID

    dataset = a_dataset(WindowCenter=40, TableSpeed=12.5)
    dataset.file_meta.TransferSyntaxUID = UID(syntax)
    if syntax.endswith(".2.2"):
        dataset.PixelData = a_pattern(0).byteswap().tobytes()
    (tmp_path / "in").mkdir()
    with (tmp_path / "in" / "a").open("wb") as stream:
        dataset.file_meta.MediaStorageSOPClassUID, dataset.file_meta.MediaStorageSOPInstanceUID = dataset.SOPClassUID, dataset.SOPInstanceUID
        pydicom.dcmwrite(stream, dataset, enforce_file_format=True)
    assert deidentify_files(tmp_path / "in", tmp_path / "out", KEY).cleaned == 1
    (path,) = (tmp_path / "out").rglob("*.dcm")
    clean = pydicom.dcmread(path)
    assert clean.file_meta.TransferSyntaxUID == "1.2.840.10008.1.2.1"
    np.testing.assert_array_equal(clean.pixel_array, a_pattern(0))
    assert (clean.Rows, clean.WindowCenter, clean.TableSpeed, clean.ImagePositionPatient) == (16, 40, 12.5, [-10.0, -20.0, 30.0])


@pytest.mark.parametrize(
    ("sop_class", "code"),
    [
        ("1.2.840.10008.5.1.4.1.1.88.33", "REPORT"), ("1.2.840.10008.5.1.4.1.1.88.59", "KEY_OBJECTS"), ("1.2.840.10008.5.1.4.1.1.11.1", "PRESENTATION"),
        ("1.2.840.10008.5.1.4.1.1.104.1", "DOCUMENT"), ("1.2.840.10008.5.1.4.1.1.9.1.1", "WAVEFORM"), ("1.2.840.10008.5.1.4.1.1.481.5", "PLAN"),
        ("1.2.840.10008.5.1.4.1.1.481.2", "DOSE"), ("1.2.840.10008.5.1.4.1.1.66", "RAW_DATA"), ("1.2.840.10008.1.3.10", "DIRECTORY"),
    ],
)  # fmt: skip
def test_objects_that_are_documents_are_refused_by_name(tmp_path: Path, sop_class: str, code: str) -> None:
    """With a reason; nothing of them is written."""
    save(a_dataset(SOPClassUID=sop_class), tmp_path / "in" / "one.dcm")
    report = deidentify_files(tmp_path / "in", tmp_path / "out", KEY)
    assert [refusal.code for refusal in report.refused] == [code]
    assert not (tmp_path / "out").exists()


def test_a_head_with_thin_slices_needs_a_word_of_the_user(tmp_path: Path) -> None:
    """From such a volume a face can be drawn."""
    a_dicom(tmp_path / "in", BodyPartExamined="HEAD", SliceThickness="1", PixelSpacing=[12, 12])
    assert deidentify_files(tmp_path / "in", tmp_path / "one", KEY).reasons == {"FACE_RISK": 1}
    assert deidentify_files(tmp_path / "in", tmp_path / "two", KEY, settings=DeidentifySettings(accept_face_risk=True)).cleaned == 1
