"""A PACS over DICOMweb, a real Orthanc: what matches comes once, also when the server dies in the middle."""

import logging
import shutil
import sqlite3
from contextlib import closing
from pathlib import Path
from typing import Any

import httpx
import pydicom
import pytest
from pydicom.uid import generate_uid

from curation.errors import ServiceError, SourceError
from curation.ingest import ingest
from curation.intake import read_intake
from curation.manifest import read_manifest
from curation.progress import silent
from curation.project import Project
from curation.recipe import HarmonizeSettings, SourceSettings
from curation.sources.asking import Patience
from curation.sources.dicomweb import Fetched, fetch
from flows.executors import SerialExecutor
from tests.curation.dicom_builders import SIZE, a_pattern, a_series
from tests.services import TestOrthanc

KEY = b"k" * 32
HASTY = Patience(attempts=2, wait_ms=1)
STUDIES = {"1": ("Thorax nativ", "20240105", "CT"), "2": ("Abdomen KM", "20240210", "CT"), "3": ("Knie rechts", "20240315", "MR")}

pytestmark = pytest.mark.service


@pytest.fixture(autouse=True)
def login(monkeypatch: pytest.MonkeyPatch) -> None:
    """Put the login where the recipe says."""
    monkeypatch.setenv("PACS_USER", "curaloop")
    monkeypatch.setenv("PACS_PASSWORD", "orthanc-test-secret")


def a_pacs(server: TestOrthanc, **changes: Any) -> SourceSettings:
    """Return the source of a recipe."""
    keys = {"name": "pacs", "kind": "dicomweb", "url": server.url, "user_env": "PACS_USER", "password_env": "PACS_PASSWORD"}
    return SourceSettings(**{**keys, **changes})


def an_image(study: int, slice_number: int) -> bytes:
    """Return pixels that no other study has."""
    return a_pattern(100 * study + slice_number).tobytes()


def fill(server: TestOrthanc, folder: Path, slices: int = 5, size: int = SIZE) -> None:
    """Store three studies of one series each; larger images repeat the pattern of a small one."""
    for number, (description, day, modality) in STUDIES.items():
        uid, kind = f"1.2.826.0.1.3680043.8.498.7.{number}", {"CT": pydicom.uid.CTImageStorage, "MR": pydicom.uid.MRImageStorage}[modality]
        changes: dict[int, dict[str, Any]] = {
            n: {"SOPInstanceUID": generate_uid(entropy_srcs=[number, str(n)]), "PixelData": an_image(int(number), n)} for n in range(slices)
        }
        tags = {"StudyInstanceUID": uid, "SeriesInstanceUID": f"{uid}.1", "StudyDescription": description, "StudyDate": day, "Modality": modality}
        for change in changes.values():
            change["PixelData"] *= (size // SIZE) ** 2
        patient = {"Rows": size, "Columns": size, "PatientID": f"P-{number}", "PatientName": f"Muster^{number}"}
        for path in a_series(folder / number, slices, changes, SOPClassUID=kind, SeriesDescription=f"axial {number}", **tags, **patient):
            server.upload(path)


def names(folder: Path) -> dict[str, tuple[int, int]]:
    """Return place and time of every file by name."""
    return {path.relative_to(folder).as_posix(): (path.stat().st_ino, path.stat().st_mtime_ns) for path in folder.rglob("*") if path.is_file()}


def test_a_server_that_dies_in_the_middle_costs_no_file_and_no_file_comes_twice(orthanc: TestOrthanc, tmp_path: Path) -> None:
    """3 studies of 8 MB images, killed after 7 of 15 files: an error without identifiers; the next run fetches what is missing, the one after it nothing."""
    fill(orthanc, tmp_path / "studies", size=2048)
    source, inbox = a_pacs(orthanc), tmp_path / "inbox"

    def kill_at_seven(done: int, total: int, what: str) -> None:
        if done == 7:
            orthanc.kill()

    with pytest.raises(ServiceError) as failure:
        fetch(source, inbox, KEY, kill_at_seven, HASTY)
    assert "What was fetched is kept" in str(failure.value)
    assert "1.2.826" not in str(failure.value)
    half = names(inbox)
    assert 7 <= len(half) < 10
    assert not [name for name in half if not name.endswith(".dcm")]
    (inbox / "x.dcm.curaloop-partial").write_bytes(b"what a killed run leaves")
    orthanc.start()
    assert fetch(source, inbox, KEY, silent, HASTY) == Fetched(15, 15 - len(half), ())
    whole = names(inbox)
    assert len(whole) == 15
    assert half.items() <= whole.items()
    assert fetch(source, inbox, KEY, silent, HASTY) == Fetched(15, 0, ())
    assert names(inbox) == whole


def test_files_come_as_they_were_sent(orthanc: TestOrthanc, tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    """Every element and the transfer syntax; no UID, name or id is in a file's name or a line of a log."""
    fill(orthanc, tmp_path / "studies")
    caplog.clear()
    with caplog.at_level(logging.DEBUG):
        fetch(a_pacs(orthanc), tmp_path / "inbox", KEY, silent, HASTY)
    assert "1.2.826" not in caplog.text
    sent = {str(d.SOPInstanceUID): d for d in map(pydicom.dcmread, (tmp_path / "studies").rglob("*.dcm"))}
    for path in (tmp_path / "inbox").rglob("*.dcm"):
        came = pydicom.dcmread(path)
        assert came == sent.pop(str(came.SOPInstanceUID))
        assert not any(str(value) in path.as_posix().partition("inbox")[2] for value in (came.SOPInstanceUID, came.SeriesInstanceUID, came.PatientID))
    assert not sent


@pytest.mark.parametrize(
    ("filters", "files"),
    [
        ({"from": "2024-02-01"}, 10), ({"to": "2024-02-10"}, 10), ({"from": "2024-02-01", "to": "2024-02-28"}, 5), ({"modality": "MR"}, 5),
        ({"description": "*THORAX*"}, 5), ({"description": "axial ?"}, 15), ({"modality": "CT", "description": "knie*"}, 0),
    ],
)  # fmt: skip
def test_the_recipe_says_which_studies(orthanc: TestOrthanc, tmp_path: Path, filters: dict[str, str], files: int) -> None:
    """By study date, modality, and description of study or series."""
    fill(orthanc, tmp_path / "studies")
    assert fetch(a_pacs(orthanc, **filters), tmp_path / "inbox", KEY, silent, HASTY).fetched == files


def test_a_pacs_is_a_source_of_the_dataset(orthanc: TestOrthanc, tmp_path: Path) -> None:
    """Each study is an image; a second run reads nothing; a study that arrives later is the only one that is fetched."""
    fill(orthanc, tmp_path / "studies")
    project, source = Project(tmp_path / "p"), a_pacs(orthanc, site="north")

    def run() -> Any:
        return ingest(project, (source,), HarmonizeSettings(), KEY, SerialExecutor())

    report = run()
    assert (report.found, report.kept, report.images, report.codes) == (15, 15, 3, {})
    assert set(read_manifest(project.manifest)["source"]) == {"pacs"}
    assert run().reused_files == 15
    changes = {n: {"PixelData": an_image(9, n), "SOPInstanceUID": f"1.2.3.9.1.{n}"} for n in range(5)}
    for path in a_series(tmp_path / "new", 5, changes, StudyInstanceUID="1.2.3.9", SeriesInstanceUID="1.2.3.9.1", PatientID="P-9"):
        orthanc.upload(path)
    again = run()
    assert (again.found, again.reused_files, again.new_images) == (20, 15, 1)


def last_file_of_a_series(server: TestOrthanc) -> Path:
    """Stop the server, and return where it stores an image of which neither study nor series takes its description."""
    base = f"http://127.0.0.1:{server.http_port}"
    series = httpx.get(f"{base}/series", auth=server.login).json()[0]
    instance = httpx.get(f"{base}/series/{series}", auth=server.login).json()["Instances"][-1]
    server.kill()
    query = "SELECT uuid FROM AttachedFiles JOIN Resources ON id = internalId WHERE publicId = ? AND fileType = 1"
    with closing(sqlite3.connect(server.folder / "index" / "index")) as index:
        (uuid,) = index.execute(query, (instance,)).fetchone()
    return next((server.folder / "images").rglob(uuid))


def test_what_the_server_lost_is_counted_and_asked_for_again(orthanc: TestOrthanc, tmp_path: Path) -> None:
    """Its series, which the server cannot list any more, is in quarantine as NOT_SENT; the others are used."""
    fill(orthanc, tmp_path / "studies")
    stored = last_file_of_a_series(orthanc)
    shutil.copy2(stored, tmp_path / "kept")
    stored.unlink()
    orthanc.start()
    project, source = Project(tmp_path / "p"), a_pacs(orthanc)
    report = ingest(project, (source,), HarmonizeSettings(), KEY, SerialExecutor())
    assert (report.found, report.kept, report.codes) == (11, 10, {"NOT_SENT": 1})
    shutil.copy2(tmp_path / "kept", stored)
    report = ingest(project, (source,), HarmonizeSettings(), KEY, SerialExecutor())
    assert (report.found, report.kept, report.codes) == (15, 15, {})
    assert read_intake(project.intake).height == 15


def test_wrong_logins_and_addresses_are_named(orthanc: TestOrthanc, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Without a retry, and without the password."""
    source = a_pacs(orthanc)
    monkeypatch.setenv("PACS_PASSWORD", "wrong-word")
    with pytest.raises(ServiceError, match="refuses the login") as failure:
        fetch(source, tmp_path / "inbox", KEY, silent)
    assert "wrong-word" not in str(failure.value)
    monkeypatch.delenv("PACS_PASSWORD")
    with pytest.raises(SourceError, match="PACS_PASSWORD is not set"):
        fetch(source, tmp_path / "inbox", KEY, silent)
    monkeypatch.setenv("PACS_PASSWORD", "orthanc-test-secret")
    with pytest.raises(ServiceError, match="DICOMweb"):
        fetch(a_pacs(orthanc, url=f"{orthanc.url}/nothing-here"), tmp_path / "inbox", KEY, silent)
