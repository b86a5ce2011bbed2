"""Builders for tests of ingest: sources of pictures, their tables, and a run that checks its own numbers."""

from concurrent.futures import Executor, Future
from pathlib import Path
from typing import Any

import polars as pl

from curation.ingest import IngestReport, ingest
from curation.intake import read_intake
from curation.manifest import read_manifest
from curation.pixels import decode, hash_pixels
from curation.project import Project
from curation.recipe import ColourSettings, HarmonizeSettings, SourceSettings
from curation.shards import Place, ShardReader
from tests.curation_builders import a_picture, a_raster

KEY = b"k" * 32
SETTINGS = HarmonizeSettings(colour=ColourSettings(size_px=16))


class Here(Executor):
    """Runs every call at once in this process, and counts them."""

    def __init__(self) -> None:
        self.calls = 0

    def submit(self, fn: Any, /, *args: Any, **kwargs: Any) -> Future[Any]:
        """Run `fn` now."""
        self.calls += 1
        future: Future[Any] = Future()
        future.set_result(fn(*args, **kwargs))
        return future


def a_source(folder: Path, **changes: Any) -> SourceSettings:
    """Return a source of pictures in `folder`."""
    return SourceSettings(**{"name": "clinic", "kind": "raster", "path": folder, "modality": "XC", **changes})


def run(project: Project, *sources: SourceSettings, settings: HarmonizeSettings = SETTINGS, executor: Executor | None = None) -> IngestReport:
    """Ingest, and check that the numbers add up, that every row's bytes are what it says, and that no two rows are the same image."""
    report = ingest(project, sources, settings, KEY, executor or Here())
    assert report.found == report.kept + report.duplicates + report.quarantined + report.skipped
    rows = read_manifest(project.manifest)
    with ShardReader(*project.shard_folders()) as shards:
        for row in rows.filter(pl.col("origin") == "acquired").iter_rows(named=True):
            pixels = decode(shards.read(Place(row["shard"], row["offset"], row["size_bytes"])), row["suffix"])
            assert hash_pixels(pixels, row["spacing_mm"]) == row["pixels_sha256"]
    return report


def fill(folder: Path, seeds: range | list[int]) -> Path:
    """Write one picture a seed."""
    folder.mkdir(parents=True, exist_ok=True)
    for seed in seeds:
        (folder / f"{seed:03}.png").write_bytes(a_raster(a_picture(seed)))
    return folder


def write_table(path: Path, labels: dict[str, str], patients: dict[str, str] | None = None) -> Path:
    """Write a table of labels and patients by stem."""
    lines = [f"{stem},{label},{(patients or {}).get(stem, 'patient-' + stem)}" for stem, label in labels.items()]
    path.write_text("image,dx,who\n" + "\n".join(lines) + "\n")
    return path


def intake_of(project: Project) -> dict[str, tuple[str, str]]:
    """Return outcome and code by path."""
    return {row["path"]: (row["outcome"], row["code"]) for row in read_intake(project.intake).iter_rows(named=True)}
