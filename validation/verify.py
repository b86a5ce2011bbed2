"""Check a released version again, long after: every byte, every shard, the ledger, the invariants, the contract."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from curation.errors import IntegrityError
from curation.git import run_git
from curation.project import Project
from curation.versions import Version, open_version
from validation.checks import CheckResult, conclude
from validation.contract import check_contract
from validation.history import check_ledger, check_released, check_verdicts, check_versions
from validation.invariants import TrainingRows, check_rows, check_texts
from validation.lift.rulings import EVIDENCE, check_lift, read_rulings
from validation.recipe import LiftSettings, ReleaseSettings

TEXTS = (".md", ".json", ".csv")
BLOCK_BYTES = 2**20


def verify(project: Project, version: str | None = None) -> tuple[CheckResult, ...]:
    """Return what holds of a version; nothing is written and nothing raised for what does not hold.

    Args:
        project: the project, or a clone of it.
        version: e.g. `data-v2`; None is the current version, whose files in `data/` are hashed too.

    Raises:
        UsageError: there is no such version.
    """
    histories, releases = check_versions(project)
    results = [histories, check_ledger(project, releases)]
    with open_version(project, version) as opened:
        is_current = opened.commit == run_git(project.root, "rev-parse", "HEAD") or version is None
        if is_current and project.data.exists():
            results += [check_released(project), check_tree(project)]
        files = check_files(opened)
        results.append(files)
        if not files.failures:
            results += _check_content(project, opened)
    return tuple(results)


def _check_content(project: Project, opened: Version) -> Iterator[CheckResult]:
    """Run the invariants on a version whose bytes are right."""
    rows, release = opened.manifest(), opened.release
    # How much power the recipe of that day demanded is not on record: here it must be known.
    yield from check_rows(rows, _read_training(opened), ReleaseSettings(least_power=0), opened.read)
    texts = {name: opened.read_file(name).decode() for name in (*release["files"], "release.json") if name.endswith(TEXTS)}
    yield check_texts(texts, release["created_at"][:10])
    yield check_verdicts(project, rows, until=release["created_at"])
    if f"evidence/{EVIDENCE}" in release["files"]:
        demanded = json.loads(opened.read_file(f"evidence/{EVIDENCE}"))["settings"]
        yield check_lift(rows, read_rulings(project.ledger, until=release["ledger_head"]), LiftSettings(**demanded))
    yield from check_contract(rows)


def _read_training(opened: Version) -> TrainingRows:
    """Return what the generators behind this version saw, from the evidence that it carries."""
    names = [name for name in opened.release["files"] if name.startswith("evidence/training-")]
    records: list[dict[str, Any]] = [json.loads(opened.read_file(name)) for name in names]
    return {record["training_manifest_sha256"]: frozenset(record["image_ids"]) for record in records}


def check_files(opened: Version) -> CheckResult:
    """Hash every file of a version, as DVC stores it, against its release.json."""
    recorded: dict[str, str] = opened.release["files"]
    failures = []
    for name, expected in sorted(recorded.items()):
        try:
            found = hashlib.sha256(opened.read_file(name)).hexdigest()
        except IntegrityError as error:
            failures.append(f"{name}: {error.reason}")
            continue
        if found != expected:
            failures.append(f"{name} hashes to {found[:12]}…, release.json says {expected[:12]}…")
        if name.endswith(".tar") and name != f"shards/{found}.tar":
            failures.append(f"{name} does not hash to its name")
    text = "Every file of the version, as DVC stores it, has the sha256 of release.json, and every shard hashes to its name."
    return conclude("files as stored", text, failures, len(recorded))


def check_tree(project: Project) -> CheckResult:
    """Compare `data/` with the hash in data.dvc, computed here and not by DVC's memory of file times."""
    import yaml

    recorded = yaml.safe_load((project.root / "data.dvc").read_text())["outs"][0]["md5"]
    found = tree_md5(project.data)
    failures = [] if found == recorded else [f"data/ hashes to {found[:12]}…, data.dvc says {recorded[:12]}…"]
    return conclude("data.dvc fits data/", "The tree of data/ has the hash that data.dvc names.", failures, 1)


def tree_md5(folder: Path) -> str:
    """Return DVC's name of a folder: MD5 of the JSON list of its files, sorted by path, each with its own MD5."""
    files = sorted((path.relative_to(folder).parts, path) for path in folder.rglob("*") if path.is_file())
    listing = [{"md5": _md5(path), "relpath": "/".join(parts)} for parts, path in files]
    return hashlib.md5(json.dumps(listing, sort_keys=True).encode(), usedforsecurity=False).hexdigest() + ".dir"


def _md5(path: Path) -> str:
    digest = hashlib.md5(usedforsecurity=False)
    with path.open("rb") as file:
        while block := file.read(BLOCK_BYTES):
            digest.update(block)
    return digest.hexdigest()
