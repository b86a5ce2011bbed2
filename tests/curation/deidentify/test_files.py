"""De-identifying files: planted identifiers are searched in every byte that comes out, and images stay what they were."""

from __future__ import annotations

import gzip
import io
import logging
import struct
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import nibabel as nib
import numpy as np
import pydicom
import pytest
from PIL import Image, PngImagePlugin
from pydicom.datadict import DicomDictionary
from pydicom.dataset import Dataset
from pydicom.sequence import Sequence

from curation.deidentify.folders import DeidentifyReport, deidentify_files
from curation.deidentify.options import DeidentifySettings
from curation.dicom import read_header, read_series
from curation.errors import UsageError
from tests.curation.dicom_builders import ROOT, a_dataset, a_dicom, a_pattern, a_series, an_xray, save

KEY = b"k" * 32
SHARED = Path(__file__).parents[4] / "shared" / "data" / "dicom"
PYDICOM_FILES = Path(pydicom.__file__).parent / "data" / "test_files"
TEXT_VRS = frozenset({"LO", "SH", "ST", "LT", "UT", "PN", "UC", "UR", "CS", "AE", "UI"})
NEEDED = frozenset({
    "SpecificCharacterSet", "SOPClassUID", "SOPInstanceUID", "StudyInstanceUID", "SeriesInstanceUID", "Modality", "PhotometricInterpretation",
    "BurnedInAnnotation", "RecognizableVisualFeatures", "ImageType", "CoordinateSystemAxisCode",
})  # fmt: skip


class Tokens:
    """Numbered identifiers; `made` remembers where each was planted."""

    def __init__(self) -> None:
        self.made: dict[str, str] = {}

    def new(self, place: str, is_uid: bool = False) -> str:
        """Return a token that occurs nowhere else."""
        number = len(self.made)
        token = f"1.9.8765{number:05d}.4" if is_uid else f"ZQ{number:05d}JX"
        self.made[token] = place
        return token


def text_keywords() -> Iterator[tuple[str, str]]:
    """Yield every element of the standard that can hold text, with its VR."""
    for tag, (vr, _, _, retired, keyword) in DicomDictionary.items():
        if vr in TEXT_VRS and keyword and not retired and keyword not in NEEDED and tag >> 16 not in (0x0000, 0x0002, 0x0004, 0xFFFE):
            yield keyword, vr


def plant_everywhere(dataset: Dataset, tokens: Tokens) -> None:
    """Put a token into every text element, sequences at two depths, private blocks, overlays, binary elements and the meta header."""
    for keyword, vr in text_keywords():
        setattr(dataset, keyword, tokens.new(keyword, vr == "UI"))
    sequences = ("SourceImageSequence", "SharedFunctionalGroupsSequence", "RequestAttributesSequence", "IconImageSequence", "CTExposureSequence")
    for keyword in sequences:
        entry, deeper = Dataset(), Dataset()
        for place in (entry, deeper):
            place.PatientComments, place.PatientName = tokens.new(f"{keyword} comment"), tokens.new(f"{keyword} name")
            place.CodeMeaning, place.ReferencedSOPInstanceUID = tokens.new(f"{keyword} meaning"), tokens.new(f"{keyword} uid", is_uid=True)
            place.LUTExplanation, place.StationName = tokens.new(f"{keyword} explanation"), tokens.new(f"{keyword} station")
        entry.SourceImageSequence = Sequence([deeper])
        setattr(dataset, keyword, Sequence([entry]))
    dataset.VOILUTSequence = Sequence([_lut_with_tail(tokens)])
    for group in (0x0009, 0x0029, 0x7053):
        block = dataset.private_block(group, tokens.new("private creator"), create=True)
        block.add_new(0x01, "LO", tokens.new("private LO"))
        block.add_new(0x02, "OB", tokens.new("private OB").encode())
        block.add_new(0x03, "UN", tokens.new("private UN").encode())
    for tag, vr in ((0x60000022, "LO"), (0x60001500, "LO"), (0x60003000, "OW"), (0x50003000, "OW"), (0x00282000, "OB"), (0x00420011, "OB"), (0x00189999, "UN")):
        token = tokens.new(hex(tag))
        dataset.add_new(tag, vr, token if vr == "LO" else token.encode() + b"\0")
    meta = dataset.file_meta
    meta.SourceApplicationEntityTitle, meta.SendingApplicationEntityTitle = tokens.new("AE source"), tokens.new("AE sending")
    meta.ImplementationVersionName, meta.PrivateInformationCreatorUID = tokens.new("version"), tokens.new("creator", is_uid=True)
    meta.PrivateInformation = tokens.new("meta private").encode()


def _lut_with_tail(tokens: Tokens) -> Dataset:
    """Return a lookup table with a token behind its last entry."""
    lut = Dataset()
    lut.LUTDescriptor, lut.LUTExplanation = [4096, 0, 12], tokens.new("LUT explanation")
    lut.LUTData = np.arange(4096, dtype=np.uint16).tobytes() + tokens.new("behind a LUT").encode() + b"\0"
    return lut


def everything_in(folder: Path) -> bytes:
    """Return all bytes of all files of a folder, packed ones unpacked too, and all names."""
    seen = b""
    for path in sorted(folder.rglob("*")):
        seen += str(path.relative_to(folder)).encode()
        if path.is_file():
            content = path.read_bytes()
            seen += content + (gzip.decompress(content) if content[:2] == b"\x1f\x8b" else b"")
    return seen


def leaks(tokens: Tokens, seen: bytes) -> dict[str, str]:
    """Return the planted tokens that are found."""
    return {token: place for token, place in tokens.made.items() if token.encode() in seen or token.lower().encode() in seen}


def adds_up(report: DeidentifyReport) -> bool:
    """Return whether every file found is accounted for."""
    return report.found == report.cleaned + report.duplicates + report.skipped + len(report.refused)


def test_of_thousands_of_planted_identifiers_none_comes_out(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    """Every text element of the standard, nested, private, overlays, meta, preamble, bytes behind the data set, file and folder names."""
    caplog.set_level(logging.DEBUG)
    tokens = Tokens()
    dataset = a_dataset()
    plant_everywhere(dataset, tokens)
    dataset.preamble = tokens.new("preamble").encode().ljust(128, b"!")
    path = save(dataset, tmp_path / "in" / tokens.new("folder") / f"{tokens.new('file')}.dcm")
    path.write_bytes(path.read_bytes() + struct.pack("<HH2sHI", 0xFFFC, 0xFFFC, b"OB", 0, 10) + tokens.new("trailing").encode() + b"\0")
    assert len(tokens.made) > 1000
    assert len(leaks(tokens, path.read_bytes() + str(path).encode())) == len(tokens.made)
    report = deidentify_files(tmp_path / "in", tmp_path / "out", KEY)
    assert (report.found, report.cleaned) == (1, 1), report
    assert leaks(tokens, everything_in(tmp_path / "out")) == {}
    assert leaks(tokens, (repr(report) + caplog.text).encode()) == {}
    assert b"Quastenflosser" not in everything_in(tmp_path / "out")
    assert b"4711" not in everything_in(tmp_path / "out")


def test_none_of_them_is_in_the_fields_of_an_ingested_series(tmp_path: Path) -> None:
    """The raw patient id is handed over in its own place only."""
    tokens = Tokens()
    paths = a_series(tmp_path)
    for path in paths:
        dataset = pydicom.dcmread(path)
        fresh = Tokens()
        plant_everywhere(dataset, fresh)
        del dataset.VOILUTSequence
        del dataset.RescaleType
        save(dataset, path)
        tokens.made |= fresh.made
    result = read_series(paths, KEY)
    assert len(result.images) == 1, result.outcomes
    assert leaks(tokens, repr(result.images[0].fields).encode()) == {}
    assert leaks(tokens, repr(list(result.outcomes.values())).encode()) == {}


def test_a_cleaned_series_is_the_same_volume(tmp_path: Path) -> None:
    """Pixels, order, spacing and place survive; UIDs are new, and equal ones stay equal."""
    paths = a_series(tmp_path / "in")
    report = deidentify_files(tmp_path / "in", tmp_path / "out", KEY)
    assert report.cleaned == 5
    cleaned = sorted((tmp_path / "out").rglob("*.dcm"))
    (before,), (after,) = read_series(paths, KEY).images, read_series(cleaned, KEY).images
    np.testing.assert_array_equal(before.pixels, after.pixels)
    np.testing.assert_allclose(before.affine, after.affine)
    old, new = {read_header(path)[1:4] for path in paths}, {read_header(path)[1:4] for path in cleaned}
    assert not {uid for uids in old for uid in uids} & {uid for uids in new for uid in uids}
    assert len({uids[1] for uids in new}) == 1


def test_cleaned_files_say_that_and_how_they_were_cleaned(tmp_path: Path) -> None:
    """Method, codes, a zero preamble, our own implementation, ages capped, no birth date."""
    a_dicom(tmp_path / "in", PatientAge="097Y")
    deidentify_files(tmp_path / "in", tmp_path / "out", KEY)
    (path,) = (tmp_path / "out").rglob("*.dcm")
    clean = pydicom.dcmread(path)
    assert clean.preamble == b"\0" * 128
    assert (clean.PatientIdentityRemoved, clean.LongitudinalTemporalInformationModified) == ("YES", "MODIFIED")
    assert [code.CodeValue for code in clean.DeidentificationMethodCodeSequence] == ["113100", "113101", "113103", "113105", "113107", "113108"]
    assert (clean.PatientAge, clean.PatientBirthDate, clean.AccessionNumber) == ("090Y", "", "")
    assert clean.file_meta.MediaStorageSOPInstanceUID == clean.SOPInstanceUID
    assert str(clean.file_meta.ImplementationClassUID).startswith("2.25.")
    assert "pydicom" not in str(clean.file_meta.ImplementationVersionName).lower()


def test_references_and_intervals_hold(tmp_path: Path) -> None:
    """A reference still points to its image, and ten days between two studies are ten days."""
    reference = Dataset()
    reference.ReferencedSOPClassUID, reference.ReferencedSOPInstanceUID = a_dataset().SOPClassUID, f"{ROOT}.1"
    a_dicom(tmp_path / "in" / "first", StudyDate="20200101")
    a_dicom(tmp_path / "in" / "second", SOPInstanceUID=f"{ROOT}.8", StudyDate="20200111", SourceImageSequence=Sequence([reference]))
    deidentify_files(tmp_path / "in", tmp_path / "out", KEY)
    by_date = sorted((pydicom.dcmread(path) for path in (tmp_path / "out").rglob("*.dcm")), key=lambda clean: clean.StudyDate)
    assert by_date[1].SourceImageSequence[0].ReferencedSOPInstanceUID == by_date[0].SOPInstanceUID
    days = [np.datetime64(f"{clean.StudyDate[:4]}-{clean.StudyDate[4:6]}-{clean.StudyDate[6:]}") for clean in by_date]
    assert days[1] - days[0] == np.timedelta64(10, "D")
    assert days[1] < np.datetime64("2020-01-01")


def test_bits_above_those_stored_are_masked(tmp_path: Path) -> None:
    """An old overlay in the high bits can be a name."""
    an_xray(tmp_path / "in", PixelData=(a_pattern(0) | 0xF000).tobytes())
    deidentify_files(tmp_path / "in", tmp_path / "out", KEY)
    (path,) = (tmp_path / "out").rglob("*.dcm")
    assert pydicom.dcmread(path).PixelData == a_pattern(0).tobytes()


def test_comments_inside_a_compressed_stream_are_gone(tmp_path: Path) -> None:
    """A JPEG comment is not copied: pixels are decoded and written anew."""
    from pydicom.encaps import encapsulate
    from pydicom.uid import JPEGBaseline8Bit

    stream = io.BytesIO()
    Image.fromarray((a_pattern(0) >> 4).astype(np.uint8)).save(stream, "JPEG", comment=b"ZQ99999JX")
    eight = {"BitsAllocated": 8, "BitsStored": 8, "HighBit": 7, "PixelData": encapsulate([stream.getvalue()])}
    dataset = a_dataset(SOPClassUID="1.2.840.10008.5.1.4.1.1.1.1", Modality="DX", **eight)
    dataset["PixelData"].is_undefined_length = True
    dataset.file_meta.TransferSyntaxUID = JPEGBaseline8Bit
    assert b"ZQ99999JX" in save(dataset, tmp_path / "in" / "one.dcm").read_bytes()
    assert deidentify_files(tmp_path / "in", tmp_path / "out", KEY).cleaned == 1
    assert b"ZQ99999JX" not in everything_in(tmp_path / "out")
    (path,) = (tmp_path / "out").rglob("*.dcm")
    assert pydicom.dcmread(path).LossyImageCompression == "01"


def test_nifti_and_raster_files_keep_pixels_only(tmp_path: Path) -> None:
    """Header texts, extensions, gzip names, PNG chunks, EXIF, comments, TIFF tags, bytes behind the end."""
    tokens, source = Tokens(), tmp_path / "in" / "ZQ88888JX"
    source.mkdir(parents=True)
    volume = np.arange(5 * 6 * 7, dtype=np.int16).reshape(5, 6, 7)
    image = nib.Nifti1Image(volume, np.diag([1.0, 1.0, 2.0, 1.0]))
    for name in ("descrip", "aux_file", "db_name", "intent_name"):
        image.header[name] = tokens.new(name).encode()
    image.header.extensions.append(nib.nifti1.Nifti1Extension("comment", tokens.new("extension").encode()))
    with (source / "a.nii.gz").open("wb") as raw, gzip.GzipFile(tokens.new("gzip name"), "wb", fileobj=raw) as packed:
        packed.write(image.to_bytes() + tokens.new("behind voxels").encode())
    gray = np.random.default_rng(0).integers(0, 256, (20, 30), dtype=np.uint8)
    texts = PngImagePlugin.PngInfo()
    texts.add_text("Patient", tokens.new("tEXt"))
    texts.add_itxt("Name", tokens.new("iTXt"))
    Image.fromarray(gray).save(source / "b.png", pnginfo=texts)
    (source / "b.png").write_bytes((source / "b.png").read_bytes() + tokens.new("behind IEND").encode())
    exif = Image.Exif()
    exif[0x010E], exif[0x013B] = tokens.new("ImageDescription"), tokens.new("Artist")
    Image.fromarray(np.stack([gray, gray.T[:20, :20].repeat(2, 1)[:, :30], gray], 2)).save(source / "c.jpg", exif=exif, comment=tokens.new("COM").encode())
    Image.fromarray(gray).save(source / "d.tif", description=tokens.new("270"), artist=tokens.new("315"))
    (source / "notes.txt").write_text(tokens.new("notes"))
    assert len(leaks(tokens, everything_in(tmp_path / "in"))) == len(tokens.made)
    report = deidentify_files(tmp_path / "in", tmp_path / "out", KEY)
    assert (report.found, report.cleaned, report.duplicates, report.skipped) == (5, 3, 1, 1), report
    assert leaks(tokens, everything_in(tmp_path / "out") + repr(report).encode()) == {}
    assert b"ZQ88888JX" not in everything_in(tmp_path / "out")
    (path,) = (tmp_path / "out").rglob("*.nii.gz")
    np.testing.assert_array_equal(np.asarray(nib.load(path).dataobj), volume)
    assert path.read_bytes()[3:8] == b"\0" * 5, "gzip: no name, no time"


def test_what_cannot_be_cleaned_is_refused_and_counted(tmp_path: Path) -> None:
    """Burned-in text, no image, broken, two contents for one UID, a copy."""
    a_dicom(tmp_path / "in" / "good")
    a_dicom(tmp_path / "in" / "good copy")
    a_dicom(tmp_path / "in" / "same uid", PixelData=a_pattern(5).tobytes())
    a_dicom(tmp_path / "in" / "text", BurnedInAnnotation="YES")
    a_dicom(tmp_path / "in" / "screen", SOPClassUID="1.2.840.10008.5.1.4.1.1.7", SOPInstanceUID=f"{ROOT}.9")
    a_dicom(tmp_path / "in" / "report", SOPClassUID="1.2.840.10008.5.1.4.1.1.88.11")
    (tmp_path / "in" / "cut.dcm").write_bytes(a_dicom(tmp_path / "x").read_bytes()[:-50])
    (tmp_path / "in" / "notes.txt").write_text("call Wilhelmine")
    (tmp_path / "in" / "link.dcm").symlink_to(tmp_path / "x" / "one.dcm")
    report = deidentify_files(tmp_path / "in", tmp_path / "out", KEY)
    assert (report.found, report.cleaned, report.duplicates, report.skipped) == (9, 2, 1, 2)
    assert sorted(refusal.code for refusal in report.refused) == ["BURNED_IN_TEXT", "REPORT", "TRUNCATED", "UID_CONFLICT"]
    assert report.reasons == {"BURNED_IN_TEXT": 1, "REPORT": 1, "TRUNCATED": 1, "UID_CONFLICT": 1}
    assert adds_up(report)


def test_a_name_that_would_come_out_stops_the_file(tmp_path: Path) -> None:
    """A patient whose id is a long number that is also a measure in the header: nothing is written."""
    a_dicom(tmp_path / "in", PatientID="123456.5", DistanceSourceToDetector="123456.5")
    report = deidentify_files(tmp_path / "in", tmp_path / "out", KEY)
    assert [refusal.code for refusal in report.refused] == ["LEAK"]
    assert not list((tmp_path / "out").rglob("*.dcm"))


@pytest.mark.parametrize("place", ["in", "in/inside", "full"])
def test_the_output_must_be_a_new_place(tmp_path: Path, place: str) -> None:
    """Not the input, not inside it, not a folder with something in it."""
    a_dicom(tmp_path / "in")
    (tmp_path / "full").mkdir()
    (tmp_path / "full" / "mine.txt").write_text("mine")
    with pytest.raises(UsageError):
        deidentify_files(tmp_path / "in", tmp_path / place, KEY)
    with pytest.raises(UsageError):
        deidentify_files(tmp_path / "nothing", tmp_path / "out", KEY)


def test_every_file_that_pydicom_ships_is_cleaned_or_refused(tmp_path: Path) -> None:
    """No traceback, no lost file, and what comes out is read again with the same pixels."""
    report = deidentify_files(PYDICOM_FILES, tmp_path / "out", KEY)
    assert adds_up(report)
    assert report.cleaned == len(list((tmp_path / "out").rglob("*.dcm"))) >= 30
    for path in (tmp_path / "out").rglob("*.dcm"):
        assert read_header(path).patient.isalnum()


@pytest.mark.real_data
@pytest.mark.parametrize("folder", ["ct-philips-phantom-tilt", "mr-enhanced"])
def test_real_series_survive_cleaning(tmp_path: Path, folder: str) -> None:
    """The volumes of a cleaned series are those of the original."""
    if not (SHARED / folder).is_dir():
        pytest.skip(f"real data are not here: {SHARED / folder}")
    report = deidentify_files(SHARED / folder, tmp_path / "out", KEY, settings=DeidentifySettings(accept_face_risk=True))
    assert adds_up(report)
    assert set(report.reasons) <= {"DIRECTORY"}
    before, after = _volumes(SHARED / folder), _volumes(tmp_path / "out")
    assert len(before) == len(after) > 0
    assert before == after


def _volumes(folder: Path) -> list[tuple[Any, ...]]:
    from curation.pixels import hash_pixels

    series: dict[str, list[Path]] = {}
    for path in sorted(path for path in folder.rglob("*") if path.is_file() and path.name != "DIRFILE"):
        series.setdefault(read_header(path).series_uid, []).append(path)
    return sorted((hash_pixels(image.pixels), image.spacing_mm) for paths in series.values() for image in read_series(paths, KEY).images)


def test_a_file_that_only_calls_itself_an_image_is_refused_and_not_passed_over(tmp_path: Path) -> None:
    """Planted: a damaged scan is named like one; whoever hands the folder on must hear of it. A text file is no image for anybody."""
    (tmp_path / "in").mkdir()
    (tmp_path / "in" / "scan.dcm").write_bytes(b"x" * 300)
    (tmp_path / "in" / "notes.txt").write_bytes(b"x" * 300)
    report = deidentify_files(tmp_path / "in", tmp_path / "out", KEY)
    assert [refusal.code for refusal in report.refused] == ["BAD_MAGIC"]
    assert (report.found, report.skipped) == (2, 1)
    assert not (tmp_path / "out").exists()
