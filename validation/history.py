"""Invariants of the project's own records: intake, released files, ledger, verdicts.

Sentences name image_ids, shards, versions and line numbers only, never a source file.
"""

from __future__ import annotations

import json
from collections import Counter
from pathlib import Path
from typing import Any

import polars as pl

from curation.errors import CuraloopError, IntegrityError
from curation.ledger import verify_ledger
from curation.overrides import find_overridden
from curation.project import Project
from curation.shards import verify_shard
from curation.versions import list_versions, open_version
from validation.checks import CheckResult, conclude
from validation.review.issued import IssuedTask, read_issued, read_lines
from validation.review.verdicts import gather_opinions

OUTCOMES = ("kept", "duplicate", "quarantined", "skipped")


def check_accounting(project: Project, rows: pl.DataFrame) -> CheckResult:
    """Invariant 6: every file found is kept, duplicate, quarantined or skipped; nothing vanished on the way to the manifest.

    Args:
        project: its intake is read, and the count of the last ingest run.
        rows: all acquired rows of the working manifest.
    """
    text = (
        "found = kept + duplicates + quarantined + skipped; every file that was not kept has a code and a reason; "
        "every image of a kept file is a row, and every acquired row comes from a kept file."
    )
    if not project.intake.exists():
        return conclude("6 no lost input", text, ["there is no intake table: ingest has to run before a release"], 0)
    intake = pl.read_parquet(project.intake)
    failures = [*_uncounted(project, intake), *_unexplained(intake), *_unmatched(intake, rows)]
    return conclude("6 no lost input", text, failures, intake.height)


def _uncounted(project: Project, intake: pl.DataFrame) -> list[str]:
    """Compare the table with the number of files that the last ingest run counted while walking the sources."""
    strange = intake.filter(~pl.col("outcome").is_in(OUTCOMES).fill_null(False)).height
    failures = [f"{strange} files have no known outcome"] if strange else []
    reports = sorted(project.runs.glob("*-ingest.json"))
    if reports:
        found = int(json.loads(reports[-1].read_text())["report"]["found"])
        if found != intake.height:
            failures.append(f"the last ingest run found {found} files, the intake table accounts for {intake.height}")
    return failures


def _unexplained(intake: pl.DataFrame) -> list[str]:
    filled = (pl.col("code").fill_null("") != "") & (pl.col("reason").fill_null("") != "")
    count = intake.filter((pl.col("outcome") != "kept") & ~filled).height
    return [f"{count} files that were not kept have no code or no reason"] if count else []


def _unmatched(intake: pl.DataFrame, rows: pl.DataFrame) -> list[str]:
    kept = set(intake.filter(pl.col("outcome") == "kept")["image_ids"].explode(empty_as_null=True).drop_nulls())
    known = set(rows.filter(pl.col("origin") == "acquired")["image_id"])
    lost = [f"image {image_id} came from a kept file and is not in the manifest" for image_id in sorted(kept - known)]
    return lost + [f"image {image_id} is in the manifest and no kept file accounts for it" for image_id in sorted(known - kept)]


def check_released(project: Project) -> CheckResult:
    """Invariant 7a: released shards hash to their names, and `data/` is what its release.json says."""
    text = "Every shard in data/shards hashes to its name, and data/ holds exactly the files of release.json with the hashes that stand there."
    failures, files = [], sorted(project.released_shards.glob("*.tar")) if project.released_shards.exists() else []
    for shard in files:
        failures += _complaint(lambda path=shard: verify_shard(path))
    failures += compare_with_release(project.data)
    return conclude("7a released files unchanged", text, failures, len(files))


def compare_with_release(data: Path) -> list[str]:
    """Return what differs between the files of `data` and its release.json; shards are left to their own check."""
    from hashlib import sha256

    if not (data / "release.json").exists():
        return []
    recorded: dict[str, str] = json.loads((data / "release.json").read_text())["files"]
    present = {path.relative_to(data).as_posix() for path in data.rglob("*") if path.is_file()} - {"release.json"}
    failures = [f"{name} of release.json is missing in data/" for name in sorted(set(recorded) - present)]
    failures += [f"{name} in data/ is not in release.json" for name in sorted(present - set(recorded))]
    for name in sorted(present & set(recorded)):
        if not name.endswith(".tar") and sha256((data / name).read_bytes()).hexdigest() != recorded[name]:
            failures.append(f"{name} in data/ does not have the hash that release.json says")
    return failures


def _complaint(check: Any) -> list[str]:
    """Run `check` and return what it complains about, without the path of the file's folder."""
    try:
        check()
    except IntegrityError as error:
        return [f"{Path(error.path).name}: {error.reason}"]
    return []


def check_ledger(project: Project, versions: dict[str, dict[str, Any]]) -> CheckResult:
    """Invariant 7b: the ledger's chain holds and the head that each release stored is in it.

    Args:
        project: its ledger.
        versions: release.json of every version, by name.
    """
    failures = _complaint(lambda: verify_ledger(project.ledger))
    for name, release in versions.items():
        failures += [f"{name}: {text}" for text in _complaint(lambda head=release["ledger_head"]: verify_ledger(project.ledger, head))]
    text = "Each line of the ledger follows from the line before it, and the ledger head that every release stored is in the chain."
    return conclude("7b ledger verifies", text, dict.fromkeys(failures), 1 + len(versions))


def read_releases(project: Project) -> tuple[dict[str, dict[str, Any]], list[str]]:
    """Return release.json of every version as its tag holds it, and one sentence for each version that cannot be read."""
    releases: dict[str, dict[str, Any]] = {}
    failures = []
    for name in list_versions(project):
        try:
            with open_version(project, name) as version:
                releases[name] = version.release
        except CuraloopError as error:
            failures.append(f"{name} cannot be read: {type(error).__name__}")
    return releases, failures


def check_versions(project: Project) -> tuple[CheckResult, dict[str, dict[str, Any]]]:
    """Invariant 7c: every version can still be read, says its own name, and follows its parent."""
    releases, failures = read_releases(project)
    parent = None
    for name, release in releases.items():
        if release["version"] != name:
            failures.append(f"the tag {name} holds a release.json of {release['version']}")
        if release["parent"] != parent:
            failures.append(f"{name} follows {release['parent']}, not {parent}")
        parent = name
    current = project.data / "release.json"
    if current.exists() and (name := json.loads(current.read_text())["version"]) in releases and json.loads(current.read_text()) != releases[name]:
        failures.append(f"data/release.json says {name} and differs from the tag {name}")
    text = "release.json of every version can be read through its tag, names that version and its parent; the one in data/ is that of its tag."
    return conclude("7c versions unchanged", text, failures, len(releases)), releases


def check_verdicts(project: Project, rows: pl.DataFrame, until: str | None = None) -> CheckResult:
    """Invariant 8: verdicts come from tasks that we issued, count once, and stand behind every judged row.

    Args:
        project: its verdicts and issued tasks.
        rows: the rows that would be released.
        until: for a version that is verified later: the time of its release (UTC, ISO 8601); newer answers may say something else.
    """
    text = (
        "Every annotation on record answers a task that was issued for that image, none is there twice, and every verdict in the manifest "
        "is what the readers of that image said, its label too unless a person overrode it. Signatures are checked when annotations are pulled."
    )
    try:
        facts, issued, overridden = read_lines(project.verdicts), read_issued(project), find_overridden(project.ledger)
    except IntegrityError as error:
        return conclude("8 verdicts are facts", text, [f"{Path(error.path).name}: {error.reason}"], 0)
    known = [fact for fact in facts if until is None or fact["pulled_at"] <= until]
    failures = [*_strangers(facts, issued), *_repeated(facts), *_unfounded(known, rows, overridden)]
    return conclude("8 verdicts are facts", text, failures, len(facts))


def _strangers(facts: list[dict[str, Any]], issued: dict[str, IssuedTask]) -> list[str]:
    """Return the annotations whose task is not ours, or is about another image."""
    known = {case: task.image_id for case, task in issued.items()}
    strange = [fact for fact in facts if known.get(fact["case_id"]) != fact["image_id"]]
    return [f"annotation {fact['annotation_id']} answers a task that was not issued for its image" for fact in strange]


def _repeated(facts: list[dict[str, Any]]) -> list[str]:
    counted = Counter((fact["annotation_id"], fact["updated_at"]) for fact in facts)
    return [f"annotation {annotation} of {time} is there {count} times" for (annotation, time), count in counted.items() if count > 1]


def _unfounded(facts: list[dict[str, Any]], rows: pl.DataFrame, overridden: frozenset[str]) -> list[str]:
    """Return the verdicts that no reader, or other readers than those on record, stand behind. A label that experts contradict each other on is empty."""
    opinions = gather_opinions(facts)
    failures = []
    for image_id, origin, verdict, label in rows.filter(pl.col("verdict").is_not_null()).select("image_id", "origin", "verdict", "label").iter_rows():
        opinion = opinions.get(image_id)
        if opinion is None:
            failures.append(f"image {image_id} is {verdict}, and no annotation stands behind it")
            continue
        may_differ = origin != "synthetic" and (label is None or image_id in overridden)
        if opinion.is_tie or not opinion.usable or (opinion.label != label and not may_differ):
            failures.append(f"image {image_id} is {verdict}, and its readers say otherwise")
    return failures
