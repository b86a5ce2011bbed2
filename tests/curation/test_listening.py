"""The DICOM receiver against real senders (dcmtk, Orthanc, pynetdicom): who is heard, what is stored, and what is not."""

import hashlib
import os
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx
import pydicom
import pytest
from pynetdicom import AE
from pynetdicom.sop_class import CTImageStorage  # type: ignore[attr-defined]

from curation import listening
from curation.errors import UsageError
from curation.ingest import IngestReport, ingest
from curation.listening import Receiver, receiving
from curation.project import Project
from curation.recipe import HarmonizeSettings, ListenSettings, SourceSettings
from curation.sources.walk import PARTIAL
from flows.executors import SerialExecutor
from tests.curation.dicom_builders import a_dataset, a_series
from tests.services import TestOrthanc, need_program

KEY = b"k" * 32

pytestmark = pytest.mark.service


@contextmanager
def a_receiver(inbox: Path, **changes: Any) -> Iterator[tuple[Receiver, list[str]]]:
    """Listen on a free port; callers SCANNER and PACS may send."""
    lines: list[str] = []
    with receiving(ListenSettings(**{"port": 0, "allow": ("SCANNER", "PACS"), **changes}), inbox, lines.append) as receiver:
        yield receiver, lines


def send(receiver: Receiver, *paths: Path, title: str = "SCANNER", called: str = "CURALOOP") -> int:
    """Send files with dcmtk and return its exit code."""
    need_program("/usr/bin/storescu", "dcmtk")
    command = ["/usr/bin/storescu", "-aet", title, "-aec", called, "127.0.0.1", str(receiver.port), *map(str, paths)]
    return subprocess.run(command, capture_output=True, check=False, timeout=60).returncode


def stored(inbox: Path) -> list[Path]:
    """Return the files of an inbox."""
    return sorted(path for path in inbox.rglob("*") if path.is_file())


def ingest_inbox(project: Project, inbox: Path) -> IngestReport:
    """Read the inbox as a source."""
    return ingest(project, (SourceSettings(name="inbox", kind="dicom", path=inbox),), HarmonizeSettings(), KEY, SerialExecutor())


def test_what_a_scanner_sends_is_taken_by_the_next_ingest(tmp_path: Path) -> None:
    """All slices are one image; sending them again changes nothing, and nothing is read again."""
    paths = a_series(tmp_path / "scan")
    inbox, project = tmp_path / "inbox", Project(tmp_path / "p")
    with a_receiver(inbox) as (receiver, _):
        assert send(receiver, *paths) == 0
        before = stored(inbox)
        assert (receiver.received, receiver.repeated, len(before)) == (5, 0, 5)
        report = ingest_inbox(project, inbox)
        assert (report.kept, report.images, report.codes) == (5, 1, {"PARTIAL": 1})
        assert send(receiver, *paths, title="PACS") == 0
        assert (receiver.received, receiver.repeated, stored(inbox)) == (5, 5, before)
        assert ingest_inbox(project, inbox).reused_files == 5
    assert sorted(inbox.iterdir()) == sorted({path.parent for path in before})


def test_files_are_stored_whole_under_their_own_hash(tmp_path: Path) -> None:
    """No UID or id becomes part of a path, and the data set is the one that was sent."""
    (path,) = a_series(tmp_path / "scan", slices=1)
    with a_receiver(tmp_path / "inbox") as (receiver, _):
        send(receiver, path)
    (came,) = stored(tmp_path / "inbox")
    assert came.stem == hashlib.sha256(came.read_bytes()).hexdigest()
    assert pydicom.dcmread(came) == pydicom.dcmread(path)
    assert came.stat().st_mode & 0o077 == 0


@pytest.mark.parametrize(("title", "called"), [("STRANGER", "CURALOOP"), ("SCANNER", "SOMEBODY"), ("scanner", "CURALOOP")])
def test_strangers_are_refused(tmp_path: Path, title: str, called: str) -> None:
    """A caller that is not on the list, or that calls us by another name; the operator hears of it."""
    paths = a_series(tmp_path / "scan", slices=1)
    with a_receiver(tmp_path / "inbox") as (receiver, lines):
        assert send(receiver, *paths, title=title, called=called) != 0
    assert (receiver.received, receiver.refused) == (0, 1)  # counted behind the answer, so asked when all callers have gone
    assert f"'{title}'" in lines[-1]
    assert stored(tmp_path / "inbox") == []


def test_echo_answers(tmp_path: Path) -> None:
    """C-ECHO is how administrators test a connection."""
    need_program("/usr/bin/echoscu", "dcmtk")
    with a_receiver(tmp_path / "inbox") as (receiver, _):
        command = ["/usr/bin/echoscu", "-aet", "PACS", "-aec", "CURALOOP", "127.0.0.1", str(receiver.port)]
        assert subprocess.run(command, capture_output=True, check=False, timeout=60).returncode == 0


@pytest.mark.filterwarnings("ignore:.*:UserWarning")
@pytest.mark.parametrize("uid", ["../../../../tmp/curaloop-was-here", "/etc/curaloop-was-here", "1.2/../../3"])
def test_an_instance_uid_that_is_a_path_leads_nowhere(tmp_path: Path, uid: str) -> None:
    """As in CVE-2022-2120 of dcmtk and its kin: the file lies in the inbox like any other."""
    inbox = tmp_path / "deep" / "er" / "inbox"
    with a_receiver(inbox) as (receiver, _):
        caller = AE("SCANNER")
        caller.add_requested_context(CTImageStorage)
        association = caller.associate("127.0.0.1", receiver.port, ae_title="CURALOOP")
        dataset = a_dataset(SOPInstanceUID=uid)
        association.send_c_store(dataset)
        association.release()
    assert all(path.stem == hashlib.sha256(path.read_bytes()).hexdigest() for path in stored(inbox))
    assert not Path("/tmp/curaloop-was-here").exists()  # noqa: S108
    assert [path for path in tmp_path.rglob("*") if path.is_file()] == stored(inbox)


def test_a_sender_of_too_large_an_object_is_cut_off(tmp_path: Path) -> None:
    """Nothing of it stays; the next sender is served."""
    (large,) = a_series(tmp_path / "large", slices=1, Rows=1024, Columns=1024, PixelData=bytes(2 << 20))
    (small,) = a_series(tmp_path / "small", slices=1)
    with a_receiver(tmp_path / "inbox", max_file_gb=0.001) as (receiver, lines):
        assert send(receiver, large) != 0
        assert "cut off" in lines[-1]
        assert send(receiver, small) == 0
        assert (receiver.received, receiver.refused) == (1, 1)
    assert len(stored(tmp_path / "inbox")) == 1


def test_what_a_killed_receiver_left_is_removed(tmp_path: Path) -> None:
    """But not the desk of one that still works."""
    gone, works = (tmp_path / "inbox" / f"receiving-{number}{PARTIAL}" for number in (2**22 + 7, os.getppid()))
    for desk in (gone, works):
        desk.mkdir(parents=True)
        (desk / "tmp1.dcm").write_bytes(b"half")
    with a_receiver(tmp_path / "inbox"):
        assert not gone.exists()
        assert (works / "tmp1.dcm").exists()


def test_a_full_disk_is_said_to_the_sender(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The sender keeps the file; nothing is stored."""
    monkeypatch.setattr(listening, "SPARE_DISK_BYTES", 1 << 60)
    with a_receiver(tmp_path / "inbox") as (receiver, lines):
        assert send(receiver, *a_series(tmp_path / "scan", slices=1)) != 0
        assert "full" in lines[-1]
    assert stored(tmp_path / "inbox") == []


def test_nobody_may_send_until_somebody_is_named(tmp_path: Path) -> None:
    """An empty list is not an open door."""
    with pytest.raises(UsageError, match="nobody may send"), a_receiver(tmp_path / "inbox", allow=()):
        pass


def test_a_port_that_is_taken_is_named(tmp_path: Path) -> None:
    """Two receivers cannot share one."""
    with a_receiver(tmp_path / "a") as (receiver, _), pytest.raises(UsageError, match=str(receiver.port)), a_receiver(tmp_path / "b", port=receiver.port):
        pass


def test_a_pacs_pushes(tmp_path: Path, orthanc: TestOrthanc) -> None:
    """A real Orthanc sends a study by C-STORE."""
    for path in a_series(tmp_path / "scan"):
        orthanc.upload(path)
    base = f"http://127.0.0.1:{orthanc.http_port}"
    with a_receiver(tmp_path / "inbox", allow=("TESTPACS",)) as (receiver, _):
        modality = {"AET": "CURALOOP", "Host": "127.0.0.1", "Port": receiver.port, "LocalAet": "TESTPACS"}
        httpx.put(f"{base}/modalities/curaloop", json=modality, auth=orthanc.login).raise_for_status()
        (study,) = httpx.get(f"{base}/studies", auth=orthanc.login).json()
        httpx.post(f"{base}/modalities/curaloop/store", content=study, auth=orthanc.login, timeout=30).raise_for_status()
        for _ in range(50):
            if receiver.received == 5:
                break
            time.sleep(0.1)
    assert len(stored(tmp_path / "inbox")) == 5
