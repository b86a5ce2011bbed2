"""The tables behind the numbers hold counts and sentences, and no more than that."""

from pathlib import Path

from curation.ingest import ingest
from curation.project import Project
from curation.recipe import HarmonizeSettings, SourceSettings
from flows.executors import SerialExecutor
from tests.bad_inputs.dicom_files import CASES
from validation.evidence import count_intake
from validation.identifiers import kinds_in


def test_a_uid_that_a_reason_names_stays_in_quarantine(tmp_path: Path) -> None:
    """A transfer syntax is told to who has the file, and is no evidence that leaves the house."""
    (case,) = [case for case in CASES if case.name == "a transfer syntax without decoder here"]
    case.make(tmp_path / "in")
    project = Project(tmp_path / "project")
    project.root.mkdir()
    source = SourceSettings(name="clinic", kind="dicom", path=tmp_path / "in")
    ingest(project, (source,), HarmonizeSettings(), b"k" * 32, SerialExecutor())
    assert "1.2.840.10008.1.2.4.94" in (project.quarantine / "quarantine.jsonl").read_text()
    (reason,) = count_intake(project)["reason"]
    assert "(a UID)" in reason
    assert kinds_in(reason) == []
