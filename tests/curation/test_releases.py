"""Tests of curation.releases and curation.datacard, with real images, git, DVC and a remote."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from hashlib import sha256
from pathlib import Path

import numpy as np
import polars as pl
import pytest

from curation.curate import curate
from curation.diffs import diff_versions
from curation.errors import IntegrityError
from curation.git import run_git
from curation.ledger import append_decision
from curation.manifest import read_manifest, write_manifest
from curation.pixels import hash_pixels
from curation.project import Project
from curation.recipe import GapSettings, SplitSettings
from curation.records import to_frame
from curation.releases import WORKSPACE_COLUMNS, ReleaseFiles, adopt_release, build_release, is_unchanged, select_rows
from curation.shards import Place, ShardReader, verify_shard
from curation.versions import list_versions, next_version, open_version, tag_untagged, track_and_tag
from tests.builders import a_manifest, a_project, a_record, a_synthetic_record, an_id, pixels_of, store_images

META = {"name": "test cohort", "description": "Made by a test.", "licence": "CC0-1.0", "recipe_sha256": "r1", "code_commit": "c1"}


def release(project: Project, rows: pl.DataFrame | None = None) -> ReleaseFiles:
    """Make a version of the working manifest, or of `rows`, as the release stage does."""
    rows = select_rows(read_manifest(project.manifest), "expert") if rows is None else rows
    names = list_versions(project)
    files = build_release(project, rows, next_version(project), names[-1] if names else None, META, {"note.txt": b"counted"})
    track_and_tag(project, files.version, f"Release {files.version}")
    adopt_release(project)
    return files


def a_curated_project(tmp_path: Path, n: int = 12) -> Project:
    """Return a project whose images have their sides."""
    project = a_project(tmp_path, a_manifest(n))
    curate(project, SplitSettings(), GapSettings())
    return project


def add_images(project: Project, rows: pl.DataFrame) -> None:
    """Store images for new rows and add them to the working manifest."""
    write_manifest(pl.concat([read_manifest(project.manifest), store_images(project, rows)]), project.manifest)


def test_two_versions_are_read_back_from_the_remote_and_from_clones(tmp_path: Path) -> None:
    """Version 1, a change, version 2; then the pixels of version 1 without checkout, without cache, in a clone without tags."""
    project = a_curated_project(tmp_path)
    release(project)
    first = read_manifest(project.data / "manifest.parquet")
    add_images(project, a_manifest(4, start=12))
    rows = read_manifest(project.manifest).filter(pl.col("image_id") != an_id(0))
    write_manifest(rows.with_columns(label=pl.when(pl.col("image_id") == an_id(1)).then(pl.lit("melanoma")).otherwise("label")), project.manifest)
    curate(project, SplitSettings(), GapSettings())
    files = release(project)
    assert (files.new_images, files.new_shards, files.release["parent"]) == (4, 1, "data-v1")
    shutil.rmtree(project.root / ".dvc" / "cache")
    clone = Project(tmp_path / "clone")
    run_git(tmp_path, "clone", "-q", "--no-tags", str(project.root), str(clone.root))
    for place in (project, clone):
        with open_version(place, "data-v1") as version:
            assert version.manifest().equals(first)
            for row in first.iter_rows(named=True):
                pixels = version.pixels(row)
                assert hash_pixels(pixels, row["spacing_mm"]) == row["pixels_sha256"]
                np.testing.assert_array_equal(pixels, pixels_of(row["image_id"], row["label"]))
        with open_version(place) as version:
            assert version.name == "data-v2"
            diff = diff_versions(first, version.manifest())
            assert (diff.added, diff.removed, diff.relabelled, diff.resplit, diff.repixelled) == (4, 1, 1, 0, 0)
    assert not clone.data.exists()


def test_release_json_holds_the_hash_of_every_file_and_the_ledger_head(tmp_path: Path) -> None:
    """A person can check a version with sha256sum alone."""
    project = a_curated_project(tmp_path)
    head = append_decision(project.ledger, "noted", what="test", why="test")
    release(project)
    facts = json.loads((project.data / "release.json").read_text())
    present = {path.relative_to(project.data).as_posix() for path in project.data.rglob("*") if path.is_file()}
    assert "evidence/note.txt" in present
    assert set(facts["files"]) == present - {"release.json"}
    assert all(sha256((project.data / name).read_bytes()).hexdigest() == digest for name, digest in facts["files"].items())
    assert (facts["version"], facts["parent"], facts["recipe_sha256"], facts["code_commit"], facts["ledger_head"]) == ("data-v1", None, "r1", "c1", head)
    assert facts["counts"]["images"] == facts["counts"]["acquired"] == 12
    assert facts["counts"]["patients"] == 6
    assert sum(facts["counts"]["splits"].values()) == 12
    assert facts["counts"]["labels"]["colour-2d"] == {"keratosis": 4, "melanoma": 4, "nevus": 4}


def test_relabelling_touches_no_shard_and_nothing_changed_is_noticed(tmp_path: Path) -> None:
    """Only place, uncertainty and route do not count as a change."""
    project = a_curated_project(tmp_path)
    rows = select_rows(read_manifest(project.manifest), "expert")
    assert not is_unchanged(rows, project, "r1")
    first = release(project)
    working = read_manifest(project.manifest).with_columns(uncertainty=pl.lit(0.5), route=pl.lit("uncertain"))
    rows = select_rows(working, "expert")
    assert is_unchanged(rows, project, "r1")
    assert not is_unchanged(rows, project, "r2")
    relabelled = rows.with_columns(label=pl.lit("melanoma"))
    assert not is_unchanged(relabelled, project, "r1")
    second = release(project, relabelled)
    assert (second.new_images, second.new_shards) == (0, 0)
    shards = {name for name in first.release["files"] if name.startswith("shards/")}
    assert shards == {name for name in second.release["files"] if name.startswith("shards/")}


def test_the_working_manifest_follows_the_release_and_idle_shards_go(tmp_path: Path) -> None:
    """Candidates that were not released keep their shard."""
    candidate = a_synthetic_record()
    project = a_curated_project(tmp_path)
    add_images(project, to_frame([candidate]))
    assert len(list(project.working_shards.glob("*.tar"))) == 2
    release(project)
    rows = read_manifest(project.manifest)
    assert [shard.name for shard in project.working_shards.glob("*.tar")] == rows.filter(pl.col("origin") == "synthetic")["shard"].to_list()
    with ShardReader(project.released_shards, project.working_shards) as reader:
        for row in rows.iter_rows(named=True):
            assert reader.read(Place(row["shard"], row["offset"], row["size_bytes"])).startswith(b"\x89PNG")
    assert read_manifest(project.data / "manifest.parquet").height == 12


def test_a_rebuilt_workspace_stores_nothing_twice(tmp_path: Path) -> None:
    """Ingesting the same sources again gives the same images in other shards; the release keeps the old ones."""
    project = a_curated_project(tmp_path)
    release(project)
    shutil.rmtree(project.workspace)
    again = store_images(project, a_manifest(13))
    write_manifest(again, project.manifest)
    curate(project, SplitSettings(), GapSettings())
    files = release(project)
    assert (files.new_images, files.new_shards) == (1, 1)


def test_a_fresh_clone_releases_without_pulling_first(tmp_path: Path) -> None:
    """Shards that are not in data/ come from the remote."""
    project = a_curated_project(tmp_path)
    release(project)
    clone = Project(tmp_path / "clone")
    run_git(tmp_path, "clone", "-q", str(project.root), str(clone.root))
    with open_version(clone) as version:
        rows = version.manifest().with_columns(label=pl.lit("nevus"))
    write_manifest(rows, clone.manifest)
    files = release(clone)
    assert (files.version, files.new_images) == ("data-v2", 0)
    for shard in clone.released_shards.glob("*.tar"):
        verify_shard(shard)


def test_only_accepted_synthetic_images_and_no_dropped_or_rejected_ones_enter() -> None:
    """And what belongs to the workspace stays there."""
    records = [
        a_record(image_id=an_id(0), duplicate_group=an_id(0), uncertainty=0.4, route="uncertain", route_reason="x"),
        a_record(image_id=an_id(1), duplicate_group=an_id(0)),
        a_record(image_id=an_id(2), verdict="rejected"),
        a_record(image_id=an_id(3), label=None),
        *(a_synthetic_record(image_id=an_id(f"s{n}"), verdict=verdict) for n, verdict in enumerate(("accepted", "rejected", None))),
    ]
    chosen = select_rows(to_frame(records), "expert")
    assert set(chosen["image_id"]) == {an_id(0), an_id(3), an_id("s0")}
    assert set(select_rows(to_frame(records), "none")["image_id"]) == {an_id(0), an_id(3)}
    assert all(chosen[name].null_count() == chosen.height for name in WORKSPACE_COLUMNS)


def test_a_missing_shard_stops_the_release_and_leaves_data_alone(tmp_path: Path) -> None:
    """Nothing is half built."""
    project = a_curated_project(tmp_path)
    release(project)
    add_images(project, a_manifest(2, start=12))
    before = {path: path.read_bytes() for path in project.data.rglob("*") if path.is_file()}
    for shard in project.working_shards.glob("*.tar"):
        shard.unlink()
    with pytest.raises(IntegrityError):
        release(project)
    assert {path: path.read_bytes() for path in project.data.rglob("*") if path.is_file()} == before
    assert list_versions(project) == ["data-v1"]


KILLED = """
import os, signal, sys
sys.path.insert(0, sys.argv[2])
from pathlib import Path
from curation.manifest import read_manifest
from curation.project import Project
from curation.releases import build_release, select_rows
from curation.versions import track_and_tag
def die(event, arguments):
    if event in ("os.rename", "os.link", "os.mkdir", "subprocess.Popen", "ctypes.dlsym", "shutil.rmtree") and sys.argv[3] in repr(arguments):
        os.kill(os.getpid(), signal.SIGKILL)
sys.addaudithook(die)
project = Project(Path(sys.argv[1]))
rows = select_rows(read_manifest(project.manifest), "expert")
meta = {"name": "test cohort", "description": "", "licence": "CC0-1.0", "recipe_sha256": "r1", "code_commit": "c1"}
build_release(project, rows, "data-v2", "data-v1", meta)
track_and_tag(project, "data-v2", "Release data-v2")
"""

MOMENTS = {
    "the first byte goes to the remote": "/remote/files/",
    "the first shard is linked": "staging/data/shards/",
    "the two folders are exchanged": "renameat2",
    "the old data/ is deleted": "workspace/staging')",
    "DVC fills its cache": ".dvc/cache/files/",
    "git commits": "'commit', '-q'",
    "git tags": "'tag', '-a'",
}


def test_a_killed_release_leaves_the_old_version_or_the_new_one_and_a_rerun_repairs(tmp_path: Path) -> None:
    """Kill -9 just before each decisive step; afterwards version 1 reads, and the same release goes through."""
    first = a_curated_project(tmp_path)
    release(first)
    add_images(first, a_manifest(2, start=12))
    curate(first, SplitSettings(), GapSettings())
    for moment, trace in MOMENTS.items():
        copy = Project(tmp_path / moment.replace(" ", "-").replace("/", ""))
        shutil.copytree(first.root, copy.root, symlinks=True)
        command = [sys.executable, "-W", "ignore", "-c", KILLED, str(copy.root), str(Path.cwd()), trace]
        assert subprocess.run(command, capture_output=True, check=False).returncode == -9, moment
        with open_version(copy, "data-v1") as version:
            assert version.manifest().height == 12
        rows = select_rows(read_manifest(copy.manifest), "expert")
        assert tag_untagged(copy) == ("data-v2" if moment == "git tags" else None)
        if not is_unchanged(rows, copy):
            assert list_versions(copy) == ["data-v1"], moment
            release(copy, rows)
        with open_version(copy, "data-v2") as version:
            assert [hash_pixels(version.pixels(row)) for row in version.manifest().iter_rows(named=True)] == rows["pixels_sha256"].to_list()


def test_the_card_and_croissant_say_what_is_in_the_version(tmp_path: Path) -> None:
    """Counts on the card are those of the manifest; Croissant lists every file and column."""
    project = a_curated_project(tmp_path)
    add_images(project, to_frame([a_synthetic_record(verdict="accepted")]))
    release(project)
    card = (project.data / "card.md").read_text()
    assert "13 images: 12 acquired from 6 patients, 1 synthetic" in card
    assert "| melanoma | 1 | 1 |" in card
    croissant = json.loads((project.data / "croissant.json").read_text())
    facts = json.loads((project.data / "release.json").read_text())
    named = {part["name"]: part["sha256"] for part in croissant["distribution"]}
    assert named == {name: digest for name, digest in facts["files"].items() if name not in ("card.md", "croissant.json")}
    columns = {field["name"] for field in croissant["recordSet"][0]["field"]}
    assert columns == set(read_manifest(project.data / "manifest.parquet").columns) - {"boxes_px"}
