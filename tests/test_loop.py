"""The whole loop, small, with the real Label Studio, Prefect server, worker and DVC: the demo on a tiny cohort."""

from __future__ import annotations

import io
import json
import os
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import polars as pl
import psutil
import pytest
from rich.console import Console

from curation.ledger import read_ledger, verify_ledger
from curation.manifest import read_manifest
from curation.project import Project
from curation.versions import list_versions, open_version
from flows.demo.cohort import SMALL, read_truth
from flows.demo.findings import compare_with_truth, find_secrets
from flows.demo.run_demo import run_demo
from flows.services import read_services
from flows.stages import open_work
from tests.builders import a_key
from validation.lift.rulings import find_refused, read_rulings

pytestmark = [pytest.mark.service, pytest.mark.timeout(900)]
FEW_STEPS = {"CURALOOP_SYNTHESIS__GENERATOR__STEPS": "12", "CURALOOP_SYNTHESIS__CANDIDATES": "6", "CURALOOP_SYNTHESIS__LEAST_TRAIN_IMAGES": "20"}
FEW_PATIENTS = {"CURALOOP_SYNTHESIS__PLAN__LEAST_CLASS_PATIENTS": "2"}
PERMISSIVE = {"CURALOOP_SYNTHESIS__SCREENS__CLASS_AGREEMENT": "0", "CURALOOP_SYNTHESIS__SCREENS__MEMORIZATION_QUANTILE": "0", "CURALOOP_GAPS__TARGET": "1"}


@dataclass(frozen=True)
class Loop:
    """A project that went through the loop."""

    project: Project
    exit_code: int
    printed: str
    environment: dict[str, str]

    def curaloop(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        """Run a command in the project, as a person would."""
        command = [str(Path(sys.executable).parent / "curaloop"), "-C", str(self.project.root), *arguments]
        return subprocess.run(command, capture_output=True, text=True, check=False, env=self.environment)


@pytest.fixture(scope="module")
def loop(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Loop]:
    """Run the demo once on a tiny cohort; its servers run until the last test of this file."""
    folder = tmp_path_factory.mktemp("loop")
    changes = {"CURALOOP_KEY_FILE": str(a_key(folder / "key")), **FEW_STEPS, **FEW_PATIENTS, **PERMISSIVE}
    project = Project(folder / "demo")
    with pytest.MonkeyPatch.context() as patch:
        for name, value in changes.items():
            patch.setenv(name, value)
        text = io.StringIO()
        try:
            exit_code = run_demo(project.root, Console(file=text, width=140), size=SMALL)
            yield Loop(project, exit_code, text.getvalue(), {**os.environ})
        finally:
            from flows.services import stop_services

            stop_services(project)


def test_two_versions_and_a_model_for_each(loop: Loop) -> None:
    """The release events started both fine-tunings; each model names its version and was trained once."""
    assert loop.exit_code == 0, loop.printed
    assert list_versions(loop.project) == ["data-v1", "data-v2"]
    models = sorted(json.loads(path.read_text())["version"] for path in loop.project.models.glob("data-v*/metrics.json"))
    assert models == ["data-v1", "data-v2"]


def test_everything_planted_was_found(loop: Loop) -> None:
    """Copies, damaged files, missing slices, burned-in text and missing labels: all of them; nothing leaked."""
    truth = read_truth(loop.project.root / "truth.json")
    with open_version(loop.project, "data-v2") as version:
        findings = compare_with_truth(loop.project, truth, version.manifest())
    for finding in findings:
        if finding.fault not in ("flipped label", "no label", "confounded site"):
            assert (finding.fault, finding.found) == (finding.fault, finding.planted)
    relabelled = next(finding for finding in findings if finding.fault == "no label")
    assert relabelled.found >= relabelled.planted - 1
    assert not find_secrets([loop.project.data, loop.project.records, loop.project.review / "images", loop.project.reports], truth.secrets)
    assert find_secrets([loop.project.root / "cohort"], truth.secrets), "the search itself finds what is there"


def test_no_synthetic_image_without_an_experts_acceptance(loop: Loop) -> None:
    """Candidates stay out of the first version; those of the second have a verdict with a fact behind it, lie in train, and the court let them in."""
    with open_version(loop.project, "data-v1") as version:
        assert version.manifest().filter(origin="synthetic").is_empty()
    candidates = read_manifest(loop.project.manifest).filter(origin="synthetic")
    assert candidates.height > 0, "the demo made candidates"
    with open_version(loop.project, "data-v2") as version:
        released = version.manifest().filter(origin="synthetic")
        for row in released.to_dicts():
            assert b"Curaloop-Synthetic" in version.read(row)
    judged = {json.loads(line)["image_id"] for line in loop.project.verdicts.read_text().splitlines()}
    assert set(released["verdict"]) <= {"accepted"}
    assert set(released["split"]) <= {"train"}
    assert set(released["image_id"]) <= judged
    accepted = candidates.filter(verdict="accepted")
    rulings = read_rulings(loop.project.ledger)
    assert rulings or accepted.is_empty(), "the court judged what was accepted"
    refused = find_refused(accepted, rulings, open_work(loop.project.root).settings.lift)
    assert set(accepted["image_id"]) - set(refused) == set(released["image_id"])


def test_files_add_up(loop: Loop) -> None:
    """Every file that was found has one outcome, and the rejected ones a reason."""
    intake = pl.read_parquet(loop.project.intake)
    assert set(intake["outcome"]) == {"kept", "duplicate", "quarantined", "skipped"}
    assert intake.filter(pl.col("outcome") != "kept").select(pl.any_horizontal(pl.col("code", "reason").is_null()).any()).item() is False


def test_the_ledger_holds_and_remembers_the_readers(loop: Loop) -> None:
    """The chain verifies with the head that the release stored, and every relabelling is in it."""
    head = json.loads((loop.project.data / "release.json").read_text())["ledger_head"]
    assert verify_ledger(loop.project.ledger, head) > 2
    with open_version(loop.project, "data-v1") as old, open_version(loop.project, "data-v2") as new:
        before, after = old.manifest(), new.manifest()
    both = before.join(after, on="image_id", suffix="_new").filter(pl.col("label").ne_missing(pl.col("label_new")))
    decided = {line["what"] for line in read_ledger(loop.project.ledger)}
    assert both.height > 0
    assert set(both["image_id"]) <= decided


def test_verify_diff_status_and_report_work_on_it(loop: Loop) -> None:
    """What a person does next: verify both versions, compare them, ask for the state, open the report."""
    for version in ("data-v1", "data-v2"):
        verified = loop.curaloop("verify", version, "--json")
        assert verified.returncode == 0, verified.stdout + verified.stderr
        assert json.loads(verified.stdout)
    assert loop.curaloop("diff", "data-v1", "data-v2").returncode == 0
    status = loop.curaloop("status", "--json")
    assert "data-v2" in json.dumps(json.loads(status.stdout))
    page = (loop.project.reports / "data-v2.html").read_text()
    assert "data-v2" in page
    assert 'src="http' not in page


def test_a_second_run_makes_no_version(loop: Loop) -> None:
    """Nothing changed: no new version, and it says so."""
    again = loop.curaloop("run", "--json")
    assert again.returncode == 0, again.stderr
    assert json.loads(again.stdout)["release"]["unchanged"] is True
    assert list_versions(loop.project) == ["data-v1", "data-v2"]


def test_down_leaves_nothing_behind(loop: Loop) -> None:
    """`curaloop down` stops server, worker and Label Studio; no process of the project is left."""
    services = read_services(loop.project)
    assert services.prefect is not None
    assert services.label_studio is not None
    pids = [services.prefect.server.pid, services.prefect.worker.pid, services.label_studio.pid]
    assert all(psutil.pid_exists(pid) for pid in pids)
    assert loop.curaloop("down").returncode == 0
    assert not any(psutil.pid_exists(pid) and psutil.Process(pid).status() != psutil.STATUS_ZOMBIE for pid in pids)
