"""Reports come in only if the recipe asks, and never with who, when and where."""

import json
from pathlib import Path
from typing import Any

import pytest
from pydantic import ValidationError
from pydicom.dataset import Dataset

from curation.ingest import ingest
from curation.intake import read_intake
from curation.manifest import read_manifest
from curation.project import Project
from curation.recipe import HarmonizeSettings, SourceSettings
from tests.curation.dicom_builders import a_dataset, a_series, an_xray, save
from tests.curation.ingest_builders import KEY, Here
from tests.curation_builders import a_picture, a_raster

REAL = Path(__file__).parents[3] / "shared" / "data"
BASIC_TEXT = "1.2.840.10008.5.1.4.1.1.88.11"
IMAGE_ONLY = ("Rows", "Columns", "PixelData", "BitsAllocated", "BitsStored", "HighBit", "PixelRepresentation", "SamplesPerPixel", "PhotometricInterpretation")


def run(project: Project, **source: Any) -> list[dict[str, Any]]:
    """Ingest one source, check that the numbers add up, and return the rows."""
    report = ingest(project, (SourceSettings(**source),), HarmonizeSettings(), KEY, Here())
    assert report.found == report.kept + report.duplicates + report.quarantined + report.skipped
    return read_manifest(project.manifest).to_dicts()


def a_source(tmp_path: Path, text: str, **changes: Any) -> dict[str, Any]:
    """Return a source of one picture and a table with its report."""
    folder = tmp_path / "in"
    folder.mkdir(exist_ok=True)
    (folder / "a.png").write_bytes(a_raster(a_picture(1)))
    (tmp_path / "t.csv").write_text(f'image,who,note\na,KRANZ4711,"{text}"\n')
    table = {"table": tmp_path / "t.csv", "key": "image", "patient": "who", "text": "note"}
    return {"name": "clinic", "kind": "raster", "path": folder, "modality": "XC", **table, **changes}


def test_a_report_is_not_even_read_unless_the_recipe_keeps_it(tmp_path: Path) -> None:
    """The column may be named without it."""
    (row,) = run(Project(tmp_path / "p"), **a_source(tmp_path, "Large nevus."))
    assert row["text"] is None


def test_a_report_of_the_table_comes_in_without_who_and_when(tmp_path: Path) -> None:
    """The patient's number of the table is known; dates, names after titles, phones and addresses are patterns."""
    said = "Seen on 12 March 2021 by Dr. Helga Brandt, file KRANZ4711, call +49 511 1234567. Asymmetric nevus of 8 mm."
    project = Project(tmp_path / "p")
    (row,) = run(project, **a_source(tmp_path, said, keep_text=True))
    assert "Asymmetric nevus of 8 mm" in row["text"]
    written = [path.read_bytes() for path in project.workspace.rglob("*") if path.is_file()]
    for secret in ("KRANZ4711", "Brandt", "2021", "1234567"):
        assert secret not in row["text"]
        assert not any(secret.encode() in content for content in written)


def test_a_report_comes_changes_and_goes_with_the_recipe_and_the_table(tmp_path: Path) -> None:
    """Rows follow; files that did not change are not read in between."""
    project = Project(tmp_path / "p")
    assert run(project, **a_source(tmp_path, "Small nevus.", keep_text=True))[0]["text"] == "Small nevus."
    assert run(project, **a_source(tmp_path, "Large nevus.", keep_text=True))[0]["text"] == "Large nevus."
    assert run(project, **a_source(tmp_path, "Large nevus."))[0]["text"] is None


def an_sr(folder: Path, text: str, **tags: Any) -> Path:
    """Write a basic text report of the study of `a_dataset()`."""
    dataset = a_dataset(**{"SOPClassUID": BASIC_TEXT, "Modality": "SR", "SeriesInstanceUID": "1.2.3.99", "SOPInstanceUID": "1.2.3.99.1", **tags})
    for keyword in IMAGE_ONLY:
        if keyword in dataset:
            delattr(dataset, keyword)
    title, entry, person = Dataset(), Dataset(), Dataset()
    title.CodeValue, title.CodingSchemeDesignator, title.CodeMeaning = "121070", "DCM", "Findings"
    entry.RelationshipType, entry.ValueType, entry.TextValue, entry.ConceptNameCodeSequence = "CONTAINS", "TEXT", text, [title]
    person.RelationshipType, person.ValueType, person.PersonName = "HAS OBS CONTEXT", "PNAME", "Ostrowski^Bela"
    dataset.ValueType, dataset.ContentSequence = "CONTAINER", [person, entry]
    dataset.file_meta.MediaStorageSOPClassUID = BASIC_TEXT
    dataset.file_meta.MediaStorageSOPInstanceUID = dataset.SOPInstanceUID
    return save(dataset, folder / f"{dataset.SOPInstanceUID}.dcm")


def test_a_structured_report_goes_with_the_images_of_its_study(tmp_path: Path) -> None:
    """Both series of the study get it, the other study does not; names of header and observer are known."""
    folder = tmp_path / "in"
    names = {"PatientName": "Vandermeulen^Odette", "ReferringPhysicianName": "Quist^Amos", "InstitutionName": "Sankt Elmo"}
    for number in (1, 2):
        a_series(
            folder / f"s{number}",
            StudyInstanceUID="1.2.3.1",
            SeriesInstanceUID=f"1.2.3.1.{number}",
            PatientID="PX-8812",
            PixelSpacing=[number, number],
            **names,
        )
    a_series(folder / "t", StudyInstanceUID="1.2.3.2", SeriesInstanceUID="1.2.3.2.1", PatientID="PX-8813")
    said = "Mrs Vandermeulen was sent by Quist of Sankt Elmo. Read by Ostrowski. No nodule in PX-8812."
    an_sr(folder, said, StudyInstanceUID="1.2.3.1", PatientID="PX-8812")
    project = Project(tmp_path / "p")
    source = {"name": "hospital", "kind": "dicom", "path": folder, "keep_text": True}
    rows = run(project, **source)
    texts = [row["text"] for row in rows]
    assert sum(text is not None for text in texts) == 2
    for text in filter(None, texts):
        assert "No nodule" in text
        assert not any(name in text for name in ("Vandermeulen", "Quist", "Elmo", "Ostrowski", "8812"))
    told = {row["path"]: (row["outcome"], row["code"]) for row in read_intake(project.intake).iter_rows(named=True)}
    assert told["1.2.3.99.1.dcm"] == ("skipped", "REPORT")
    an_sr(folder, "Follow up: small effusion.", StudyInstanceUID="1.2.3.1", PatientID="PX-8812", SOPInstanceUID="1.2.3.99.2", ContentDate="20300101")
    later = run(project, **source)
    assert any("small effusion" in (row["text"] or "") for row in later)
    assert {row["image_id"] for row in later} == {row["image_id"] for row in rows}
    without = run(project, **(source | {"keep_text": False}))
    assert [row["text"] for row in without] == [None] * len(rows)


def test_a_report_that_goes_or_breaks_leaves_the_images(tmp_path: Path) -> None:
    """Its text goes with it; a damaged report goes to quarantine alone; an image that is in two series of the study is one."""
    folder = tmp_path / "in"
    for number in (1, 2):
        a_series(folder / f"s{number}", StudyInstanceUID="1.2.3.1", SeriesInstanceUID=f"1.2.3.1.{number}")
    report = an_sr(folder, "Small effusion.", StudyInstanceUID="1.2.3.1")
    project = Project(tmp_path / "p")
    source = {"name": "hospital", "kind": "dicom", "path": folder, "keep_text": True}
    (row,) = run(project, **source)
    assert "Small effusion" in row["text"]
    report.write_bytes(report.read_bytes()[:-20])
    (row,) = run(project, **source)
    assert row["text"] is None
    told = {each["path"]: each["outcome"] for each in read_intake(project.intake).iter_rows(named=True)}
    assert told["1.2.3.99.1.dcm"] == "quarantined"
    assert sorted(set(told.values())) == ["duplicate", "kept", "quarantined"]
    report.unlink()
    assert run(project, **source)[0]["text"] is None
    an_sr(folder, "No effusion.", StudyInstanceUID="1.2.3.1")
    assert "No effusion" in run(project, **source)[0]["text"]


def test_the_header_of_a_dicom_image_is_known_when_the_table_has_its_report(tmp_path: Path) -> None:
    """A name that only the header has is taken out of the table's text."""
    folder = tmp_path / "in"
    path = an_xray(folder, PatientName="Vandermeulen^Odette", PatientID="PX-8812")
    (tmp_path / "t.csv").write_text(f"image,note\n{path.stem},odette vandermeulen: clear lungs\n")
    table = {"table": tmp_path / "t.csv", "key": "image", "match": "stem", "text": "note", "keep_text": True}
    (row,) = run(Project(tmp_path / "p"), name="hospital", kind="dicom", path=folder, **table)
    assert "clear lungs" in row["text"]
    assert "vandermeulen" not in row["text"].lower()
    assert "odette" not in row["text"].lower()


@pytest.mark.parametrize(
    "changes",
    [
        {"kind": "raster", "modality": "XC", "keep_text": True},
        {"kind": "nifti", "keep_text": True},
        {"kind": "raster", "modality": "XC", "text": "note"},
        {"kind": "dicom", "keep_text": True, "table": "t.csv", "key": "uid", "label": "dx"},
    ],
)
def test_a_recipe_that_asks_for_text_it_cannot_have_is_refused(tmp_path: Path, changes: dict[str, Any]) -> None:
    """No column, no table, or a table by series while reports belong to studies."""
    with pytest.raises(ValidationError):
        SourceSettings(name="x", path=tmp_path, **changes)


@pytest.mark.real_data
def test_real_notes_come_in_without_dates(tmp_path: Path) -> None:
    """Free text of 638 images of many hands and encodings: kept or dropped with a note, no year is left, no image is lost."""
    folder = REAL / "covid-chestxray-512"
    if not folder.is_dir():
        pytest.skip("real data is not here")
    table = {"table": next(folder.glob("*.csv")), "key": "filename", "match": "name", "patient": "patientid", "text": "clinical_notes", "keep_text": True}
    kinds = {"columns": {"modality": "modality", "sex": "sex"}, "values": {"modality": {"X-ray": "CR"}}}
    rows = run(Project(tmp_path / "p"), name="covid", kind="raster", path=folder / "images", modality="CR", burned_in_text="header", **table, **kinds)
    texts = [row["text"] for row in rows if row["text"]]
    dropped = [row for row in rows if "TEXT_DROPPED" in (row["notes"] or [])]
    assert len(rows) > 500
    assert len(texts) > 400
    assert len(dropped) < 30
    assert not any(word in text for text in texts for word in ("2019-1", "January 2020", "2020/"))
    assert "http" not in json.dumps(texts)
