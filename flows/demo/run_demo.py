"""`curaloop demo`: the whole loop on the simulated hospital, with real servers, in a project folder of its own.

The readers are simulated and named so everywhere: they know the planted truth and err at `ERROR_RATE`. Everything else is the real thing.
"""

from __future__ import annotations

import shutil
import sys
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field
from importlib.util import find_spec
from pathlib import Path
from string import Template
from typing import TYPE_CHECKING

from curation.errors import ServiceError, UsageError
from curation.project import RECIPE_NAME, Project

if TYPE_CHECKING:
    from rich.console import Console

    from flows.demo.cohort import CohortSize, GroundTruth
    from flows.services import Services
    from flows.stages import Work

MARK = "truth.json"
ERROR_RATE = 0.05
READER = "simulated-reader-1"
IGNORED = "/cohort/\n/store/\n/truth.json\n"


@dataclass
class Timings:
    """Says what happens, and how long each step took."""

    console: Console
    started: float = field(default_factory=time.monotonic)
    steps: dict[str, float] = field(default_factory=dict)

    @contextmanager
    def step(self, what: str) -> Iterator[None]:
        """Announce a step, time it."""
        began = time.monotonic()
        self.console.print(f"[dim]{began - self.started:5.0f} s[/]  {what} …")
        yield
        self.steps[what] = time.monotonic() - began

    def say(self, sentence: str) -> None:
        """Print a result below the step."""
        self.console.print(f"         {sentence}")


def run_demo(folder: Path, console: Console, seed: int = 0, size: CohortSize | None = None) -> int:
    """Run the loop in `folder` and print what was found of what was planted; return the exit code: 1 when an identifier leaked.

    A folder that an earlier demo made is replaced; any other that is not empty is refused. The servers keep running, so that their pages can be
    looked at.
    """
    clock = Timings(console)
    work, truth = prepare(folder, clock, seed, size)
    with ThreadPoolExecutor(1) as background:
        servers = background.submit(_start, work)
        take_in(work, clock)
        with clock.step("waiting for Prefect and Label Studio"):
            services = servers.result()
    first = _release(work, clock)
    synthesize(work, clock)
    with clock.step(f"waiting for the fine-tuning of {first} that the release event started"):
        _await_model(work, first)
    review(work, truth, services, clock)
    judge_lift(work, clock)
    second = _release(work, clock)
    with clock.step(f"waiting for the fine-tuning of {second}"):
        _await_model(work, second)
    return conclude(work, truth, services, clock, first, second)


def prepare(folder: Path, clock: Timings, seed: int, size: CohortSize | None) -> tuple[Work, GroundTruth]:
    """Make the project and the simulated hospital."""
    from flows.demo.cohort import make_cohort
    from flows.init_project import init_project
    from flows.services import stop_services
    from flows.stages import open_work

    folder = folder.resolve()
    if folder.exists() and any(folder.iterdir()):
        if not (folder / MARK).is_file():
            raise UsageError(f"{folder} is not empty and was not made by the demo; name another folder")
        stop_services(Project(folder))
        shutil.rmtree(folder)
    with clock.step("simulating a hospital: 3 sites, 4 modalities, fake patients, planted faults"):
        folder.mkdir(parents=True, exist_ok=True)
        (folder / MARK).touch()
        truth = make_cohort(folder / "cohort", seed, size)
        truth.write(folder / MARK)
    with clock.step("curaloop init"):
        (folder / ".gitignore").write_text(IGNORED)
        init_project(folder, remote="store", name="simulated hospital")
        (folder / RECIPE_NAME).write_text(render_recipe("cohort", "store", installed=True))
    return open_work(folder), truth


def render_recipe(cohort: str, remote: str, *, installed: bool) -> str:
    """Return the demo's recipe.

    Args:
        cohort: folder of the simulated hospital, relative to the project.
        remote: DVC remote, relative to the project.
        installed: also take the DICOM and NIfTI files that the installed pydicom and nibabel carry.
    """
    template = Template((Path(__file__).parent / "recipe.toml").read_text())
    return template.substitute(cohort=cohort, remote=remote, more=_installed_sources() if installed else "")


def _installed_sources() -> str:
    places = {"pydicom-files": ("dicom", "pydicom", "data/test_files", ""), "nibabel-files": ("nifti", "nibabel", "tests/data", 'modality = "MR"\n')}
    text = ""
    for name, (kind, package, below, more) in places.items():
        spec = find_spec(package)
        assert spec is not None
        assert spec.origin is not None
        text += f'\n[[source]]\nname = "{name}"\nkind = "{kind}"\npath = "{Path(spec.origin).parent / below}"\n{more}'
    return text


def _start(work: Work) -> Services:
    """Start the servers and register the deployments."""
    from flows.deployments import deploy
    from flows.services import start_services

    services, _ = start_services(work.project, work.settings)
    deploy(work.project, work.settings, is_scheduled=False)  # a pull every 15 minutes would now and then hold the lock that the demo's next step needs
    return services


def take_in(work: Work, clock: Timings) -> None:
    """Ingest and curate."""
    from flows.stages import run_curate, run_gaps, run_ingest

    with clock.step("ingest: read, de-identify, harmonize"):
        taken = run_ingest(work)
    clock.say(f"{taken.found} files found = {taken.kept} kept + {taken.duplicates} duplicates + {taken.quarantined} quarantined + {taken.skipped} skipped")
    with clock.step("curate: duplicates, splits, gaps"):
        run_curate(work)
        cells = run_gaps(work)
    clock.say(f"{(cells['missing'] > 0).sum()} of {cells.height} classes have fewer train images than wanted")


def _release(work: Work, clock: Timings) -> str:
    """Release a version and tell Prefect."""
    from flows.stages import announce, run_release

    with clock.step("release: checks, shards, DVC, tag, push, event"):
        report = run_release(work)
        if report.version is None:
            raise UsageError("the release made no new version although something changed; this is a fault of the demo")
        announce(work, report.version)
    clock.say(f"{report.version}: {report.images} images, {len(report.checks)} checks passed")
    for reason, number in report.withheld.items():
        clock.say(f"{number} accepted synthetic images stay out: {reason}")
    return str(report.version)


def _await_model(work: Work, version: str, timeout_s: float = 420) -> None:
    """Wait until the worker has fine-tuned on `version`."""
    deadline = time.monotonic() + timeout_s
    while not list(work.project.models.glob(f"{version}-*/metrics.json")):
        if time.monotonic() > deadline:
            logs = work.project.workspace / "services" / "logs"
            raise ServiceError("Prefect", "the worker", f"did not fine-tune {version} within {timeout_s:.0f} s; see {logs}")
        time.sleep(1)


def synthesize(work: Work, clock: Timings) -> None:
    """Train the generator, sample for the rarest class, screen."""
    from flows.stages import run_synthesize

    with clock.step("synthesize: train the diffusion model, sample for the rarest class, screen"):
        report = run_synthesize(work)
    clock.say(report.skipped or f"{report.sampled} sampled, {report.new_candidates} passed the screens and wait for the experts")


def review(work: Work, truth: GroundTruth, services: Services, clock: Timings) -> None:
    """Push the queue, let the simulated reader answer in Label Studio, pull the verdicts, apply them."""
    from flows.demo.readers import answer_as_simulated_reader
    from flows.stages import run_curate, run_pull, run_push

    assert services.label_studio is not None
    with clock.step("review: push the queue into Label Studio"):
        pushed = run_push(work)
    clock.say(f"{pushed.created} tasks in one queue: uncertain, unlabelled and synthetic images, nobody is told which is which")
    with clock.step(f"review: {READER} answers through the API (knows the truth, errs in {ERROR_RATE:.0%})"):
        answered = answer_as_simulated_reader(work.project, truth, services.label_studio, READER, ERROR_RATE)
    clock.say(f"{answered} tasks answered")
    with clock.step("review: pull the verdicts, apply them"):
        pulled = run_pull(work)
        run_curate(work)
    clock.say(f"{pulled.new} verdicts")


def judge_lift(work: Work, clock: Timings) -> None:
    """Hold the lift court over what the reader accepted; the demo's recipe lets in what it cannot decide, and says so."""
    from flows.lifting import needs_court, run_lift

    if not needs_court(work):
        clock.say("no synthetic image was accepted, so there is nothing to judge")
        return
    with clock.step("lift: judge the synthetic images on real test patients, against duplicates, SMOTE, augmentation and logit adjustment"):
        report = run_lift(work)
    for outcome in report.tasks:
        found = outcome.judgement["verdicts"][-1] if outcome.judgement else {"word": "not judged", "reason": outcome.skipped}
        clock.say(f"{outcome.task}: {found['word']}. {found['reason']}")


def conclude(work: Work, truth: GroundTruth, services: Services, clock: Timings, first: str, second: str) -> int:
    """Write the report, print the differences and what was found; return 1 when a secret leaked."""
    from flows.console import table
    from flows.demo.findings import compare_with_truth, false_alarms, find_secrets
    from flows.stages import run_diff, run_report

    with clock.step("report"):
        page = run_report(work, second)
    from curation.versions import open_version

    with open_version(work.project, second) as version:
        released = version.manifest()
    findings = compare_with_truth(work.project, truth, released)
    project = work.project
    leaks = find_secrets([project.data, project.records, project.review / "images", project.reports], truth.secrets)
    say = clock.console.print
    say()
    say(table("Found of what was planted", [(f.fault, f.planted, f.found, f.how) for f in findings], "fault", "planted", "found", "how"))
    say(f"sound images in quarantine: {false_alarms(project, truth)}    files with a patient's name or number: {len(leaks)}")
    difference = run_diff(work, first, second)
    say(f"{first} → {second}: {difference.added} added, {difference.removed} removed, {difference.relabelled} relabelled")
    say()
    say(table("Where the time went", [(what, round(seconds, 1)) for what, seconds in clock.steps.items()], "step", "seconds"))
    say(f"{time.monotonic() - clock.started:.0f} s in all")
    _say_where(work, services, page, say)
    for leak in leaks:
        say(f"[red]an identifier is in {leak}[/]")
    return 1 if leaks else 0


def _say_where(work: Work, services: Services, page: Path, say: Callable[[str], None]) -> None:
    """Print where the report is and how to open the servers."""
    say(f"\n[bold]Report[/]        {page}")
    if services.label_studio:
        say(f"[bold]Label Studio[/]  {services.label_studio.url}  as {services.label_studio.email} with password {services.label_studio.password}")
    if services.prefect:
        say(f"[bold]Prefect[/]       {services.prefect.url}  (password: {services.prefect.auth_string})")
    say(f"[bold]Stop both[/]     {Path(sys.executable).parent / 'curaloop'} -C {work.project.root} down\n")
