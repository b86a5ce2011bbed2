"""Releases: the files of one version, built aside and swapped in whole.

Images that are new go into new shards; shards that a version had stay in all later ones; a dropped image leaves the manifest only. What the
version before holds is asked from git and DVC, never from what happens to lie in `data/`, so that a killed release is simply built again.
"""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from hashlib import sha256
from pathlib import Path
from typing import Any

import polars as pl

from curation.datacard import describe_croissant, write_card
from curation.duplicates import is_dropped_duplicate
from curation.ledger import GENESIS, last_line
from curation.manifest import read_manifest, write_bytes, write_manifest
from curation.modalities import with_task
from curation.project import Project
from curation.shards import LABEL_MAP, PLACE, Place, ShardReader, with_places, write_shards
from curation.versions import Version, has_version, list_versions, open_version

WORKSPACE_COLUMNS = ("uncertainty", "label_issue_score", "route", "route_reason")  # what a model or the router says: else each fine-tuning made a version
SAME_FILES = ("image_id", "pixels_sha256", "suffix", "label_map_sha256")


@dataclass(frozen=True)
class ReleaseFiles:
    """What `build_release` laid into `data/`.

    Attributes:
        version: its name.
        release: content of `release.json`.
        new_images: images that were copied into new shards.
        new_shards: how many shards were added.
    """

    version: str
    release: dict[str, Any]
    new_images: int
    new_shards: int


def select_rows(rows: pl.DataFrame, synthetic: str) -> pl.DataFrame:
    """Return the rows that a release holds, sorted, without what belongs to the workspace.

    Acquired images enter unless they are dropped duplicates or an expert rejected them; synthetic images enter when an expert accepted them.

    Args:
        rows: the working manifest.
        synthetic: `expert`, or `none` to leave all synthetic images out.
    """
    rejected = (pl.col("verdict") == "rejected").fill_null(False)
    acquired = (pl.col("origin") == "acquired") & ~is_dropped_duplicate() & ~rejected
    accepted = (pl.col("origin") == "synthetic") & (pl.col("verdict") == "accepted").fill_null(False)
    chosen = rows.filter(acquired | accepted if synthetic == "expert" else acquired)
    return chosen.with_columns(pl.lit(None, rows.schema[name]).alias(name) for name in WORKSPACE_COLUMNS).sort("image_id")


def is_unchanged(rows: pl.DataFrame, project: Project, recipe_sha256: str | None = None) -> bool:
    """Tell whether the current version holds these rows already.

    Args:
        rows: what `select_rows` returned. Where an image lies does not count.
        project: the project.
        recipe_sha256: hash of the recipe; None leaves it out of the comparison.
    """
    if not has_version(project):
        return False
    with open_version(project) as current:
        same_recipe = recipe_sha256 is None or recipe_sha256 == current.release["recipe_sha256"]
        return same_recipe and _without_place(rows).equals(_without_place(current.manifest()))


def _without_place(rows: pl.DataFrame) -> pl.DataFrame:
    return rows.drop(*PLACE, *WORKSPACE_COLUMNS).sort("image_id")


def build_release(
    project: Project, rows: pl.DataFrame, version: str, parent: str | None, meta: Mapping[str, Any], evidence: Mapping[str, bytes] | None = None
) -> ReleaseFiles:
    """Build a version's files in `workspace/staging` and swap them with `data/`; `track_and_tag` makes them a version.

    Args:
        project: the project; the caller holds its lock.
        rows: what `select_rows` returned.
        version: name of the new version.
        parent: name of the version before.
        meta: `name`, `description`, `licence`, `recipe_sha256`, `code_commit`.
        evidence: content of the files in `evidence/`, by name.

    Raises:
        IntegrityError: a shard is missing or cut short.
    """
    staging = project.workspace / "staging"
    shutil.rmtree(staging, ignore_errors=True)
    data = staging / "data"
    (data / "shards").mkdir(parents=True)
    if has_version(project):
        with open_version(project) as current:
            rows = _reuse_places(rows, current.manifest())
            kept = [name for name in current.release["files"] if name.startswith("shards/")]
            _bring_shards(project, current, kept, data)
    else:
        kept = []
    rows, new_images = _copy_new(project, rows, data, {Path(name).name for name in kept})
    release = _describe(project, rows, version, parent, meta, data)
    _write_files(rows, release, data, evidence or {})
    _swap(data, project.data)
    shutil.rmtree(staging)
    return ReleaseFiles(version, release, new_images, release["counts"]["shards"] - len(kept))


def _reuse_places(rows: pl.DataFrame, released: pl.DataFrame) -> pl.DataFrame:
    """Return the rows pointing to the place where the same pixels were released before."""
    places = released.select(*SAME_FILES, *(pl.col(name).alias(f"released_{name}") for name in PLACE))
    joined = rows.join(places, on=SAME_FILES, how="left", maintain_order="left", nulls_equal=True)
    known = pl.col("released_shard").is_not_null()
    return joined.with_columns(pl.when(known).then(f"released_{name}").otherwise(name).alias(name) for name in PLACE).select(rows.columns)


def _bring_shards(project: Project, current: Version, names: list[str], data: Path) -> None:
    """Link the shards of the current version into the new one; fetch those that are not in `data/`."""
    for name in names:
        lying = project.data / name
        if lying.is_file():
            os.link(lying.resolve(), data / name)
        else:
            current.copy_file(name, data / name)


def _copy_new(project: Project, rows: pl.DataFrame, data: Path, kept: set[str]) -> tuple[pl.DataFrame, int]:
    """Copy images that lie in no kept shard into new shards, in the order of their ids; return the rows with their places."""
    new = rows.filter(~pl.col("shard").is_in(list(kept)).fill_null(False)).sort("image_id")

    def images(reader: ShardReader) -> Iterator[tuple[str, bytes]]:
        for row in new.select("image_id", "suffix", *PLACE).iter_rows(named=True):
            yield f"{row['image_id']}{row['suffix']}", reader.read(Place(row["shard"], row["offset"], row["size_bytes"]))
            if row["label_map_offset"] is not None:
                yield f"{row['image_id']}{LABEL_MAP}", reader.read(Place(row["shard"], row["label_map_offset"], row["label_map_size_bytes"]))

    with ShardReader(*project.shard_folders(), data / "shards") as reader:
        places = write_shards(images(reader), data / "shards")
    return with_places(rows, places), new.height


def _describe(project: Project, rows: pl.DataFrame, version: str, parent: str | None, meta: Mapping[str, Any], data: Path) -> dict[str, Any]:
    """Return the content of `release.json`, the hashes of the shards included."""
    last = last_line(project.ledger)
    shards = sorted(path.name for path in (data / "shards").glob("*.tar"))
    return {
        "version": version,
        "parent": parent,
        "created_at": datetime.now(UTC).isoformat(timespec="seconds"),
        "dataset": {name: str(meta[name]) for name in ("name", "description", "licence")},
        "recipe_sha256": str(meta["recipe_sha256"]),
        "code_commit": str(meta["code_commit"]),
        "counts": {**count_rows(rows), "shards": len(shards), "size_bytes": sum((data / "shards" / name).stat().st_size for name in shards)},
        "ledger_head": last["hash"] if last else GENESIS,
        "files": {f"shards/{name}": name.removesuffix(".tar") for name in shards},
    }


def count_rows(rows: pl.DataFrame) -> dict[str, Any]:
    """Return what a release says about its size; splits and labels count all images, patients only real ones."""
    acquired = with_task(rows.filter(pl.col("origin") == "acquired"))
    labels: dict[str, dict[str, int]] = {}
    for task, label, images in acquired.drop_nulls("label").group_by("task", "label").len().sort("task", "label").iter_rows():
        labels.setdefault(task, {})[label] = images
    return {
        "images": rows.height,
        "acquired": acquired.height,
        "synthetic": rows.height - acquired.height,
        "patients": acquired["patient_id"].n_unique(),
        "labelled": rows["label"].count(),
        "splits": dict(rows.drop_nulls("split").group_by("split").len().sort("split").iter_rows()),
        "labels": labels,
    }


def _write_files(rows: pl.DataFrame, release: dict[str, Any], data: Path, evidence: Mapping[str, bytes]) -> None:
    """Write manifest, evidence, card, Croissant and release.json, each hashed into the next; `release["files"]` is completed."""
    write_manifest(rows, data / "manifest.parquet")
    files = release["files"]
    files["manifest.parquet"] = sha256((data / "manifest.parquet").read_bytes()).hexdigest()
    for name, content in sorted(evidence.items()):
        write_bytes(content, data / "evidence" / name)
        files[f"evidence/{name}"] = sha256(content).hexdigest()
    croissant = json.dumps(describe_croissant(release), indent=1, ensure_ascii=False) + "\n"
    for name, text in (("croissant.json", croissant), ("card.md", write_card(rows, release))):
        write_bytes(text.encode(), data / name)
        files[name] = sha256(text.encode()).hexdigest()
    write_bytes((json.dumps(release, indent=1, sort_keys=True, ensure_ascii=False) + "\n").encode(), data / "release.json")


def _swap(new: Path, current: Path) -> None:
    """Put `new` in the place of `current`, which takes the place of `new`: at once where the system can exchange two names (Linux)."""
    if not current.exists():
        new.rename(current)
    elif not _exchange(new, current):
        old = new.with_name("old")
        current.rename(old)
        new.rename(current)


def _exchange(first: Path, second: Path) -> bool:
    """Exchange two names in one step; tell whether this system can."""
    import ctypes

    here, exchange = -100, 2  # AT_FDCWD and RENAME_EXCHANGE of <linux/fs.h>
    rename = getattr(ctypes.CDLL(None), "renameat2", None)
    return rename is not None and rename(here, os.fsencode(first), here, os.fsencode(second), exchange) == 0


def adopt_release(project: Project) -> int:
    """Let the working manifest point to the released shards and delete working shards that no row needs; return how many were deleted.

    Does nothing before the files in `data/` are a version, so it may be called at any time under the project's lock.
    """
    path = project.data / "release.json"
    if not path.exists() or json.loads(path.read_text())["version"] not in list_versions(project):
        return 0
    before = read_manifest(project.manifest)
    rows = _reuse_places(before, read_manifest(project.data / "manifest.parquet"))
    if not rows.equals(before):
        write_manifest(rows, project.manifest)
    needed = set(rows["shard"]) - {path.name for path in project.released_shards.glob("*.tar")}
    idle = [shard for shard in project.working_shards.glob("*.tar") if shard.name not in needed]
    for shard in idle:
        shard.unlink()
    return len(idle)
