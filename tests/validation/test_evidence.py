"""The tables behind the numbers hold counts and sentences, and no more than that."""

import json
from pathlib import Path

from curation.ingest import ingest
from curation.manifest import write_manifest
from curation.project import Project
from curation.recipe import HarmonizeSettings, SourceSettings
from curation.records import to_frame
from flows.executors import SerialExecutor
from tests.bad_inputs.dicom_files import CASES
from tests.builders import a_synthetic_record, an_id
from validation.evidence import count_intake, list_candidates
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


def test_a_candidate_that_a_weak_screen_stopped_is_no_near_copy(tmp_path: Path) -> None:
    """What nobody could rule out is not said to be a copy of a patient; rows from before that was told apart stay as they were counted."""
    project, records = Project(tmp_path / "project"), []
    told = {
        "copy": {"passed": False, "is_near_copy": True},
        "weak": {"passed": False, "is_near_copy": False},
        "old": {"passed": False},
        "good": {"passed": True},
    }
    for seed, memorization in enumerate(told.values()):
        screens = json.dumps({"memorization": memorization, "class_agreement": {"passed": seed != 1}})
        records.append(a_synthetic_record(image_id=an_id(seed), seed=seed, screens=screens))
    write_manifest(to_frame(records), project.manifest)
    failed = dict(list_candidates(project).select("seed", "screens").iter_rows())
    assert failed == {0: "memorization", 1: "power class_agreement", 2: "memorization", 3: ""}
