"""Replay: a synthetic image is made again from its row and the generator on the disk, and must come out bit by bit the same."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import polars as pl

from curation.errors import UsageError
from curation.manifest import read_manifest, write_bytes
from curation.pixels import encode_png
from curation.progress import Progress, silent
from curation.project import Project
from synthesis.candidates import DRAWN_WITH
from synthesis.conditions import LABEL
from synthesis.drawing import describe_machine, give_parents
from synthesis.engines.engine import Engine, Wanted
from synthesis.engines.loading import load_engine
from synthesis.finishing import finish
from synthesis.generator import generator_sha256
from synthesis.network import torch_threads
from synthesis.recipe import Device, GeneratorSettings, SamplingSettings
from synthesis.volumes import as_picture


@dataclass(frozen=True)
class ReplayReport:
    """An image that was made again.

    Attributes:
        image_id: of its row.
        label: that it was asked to show.
        seed: of its noise.
        generator_sha256: that made it.
        threads: of torch, as when it was first made.
        picture: PNG with the image, relative to the project.
    """

    image_id: str
    label: str
    seed: int
    generator_sha256: str
    threads: int
    picture: str


def replay(project: Project, image_id: str, progress: Progress | None = None) -> ReplayReport:
    """Make a synthetic image again, compare it with its row, and leave it beside its generator.

    Args:
        project: its working manifest has the row, its models have the generator.
        image_id: of a synthetic image; nothing else is needed, since its row holds condition, seed, steps, guidance, parents and threads.
        progress: told of the drawing.

    Raises:
        UsageError: there is no such row, its generator or its parent is gone, or the image comes out different.
    """
    rows = read_manifest(project.manifest)
    row = _find_row(rows, image_id)
    folder = _find_generator(project, row["generator_sha256"])
    asked: dict[str, Any] = json.loads(row["condition"])
    recorded: dict[str, str] = asked.pop(DRAWN_WITH, {})
    asked.pop("task", None)
    threads = int(recorded.get("threads", "1"))
    with torch_threads(threads):
        device: Device = "cpu" if recorded.get("device") == "cpu" else "auto"
        engine = load_engine(folder, SamplingSettings(steps=row["steps"], guidance_scale=row["guidance_scale"]), device)
        wish = _with_parent(project, rows, row, Wanted(asked, row["seed"]), engine)
        image = engine.sample([wish], progress or silent)[0]
        here = describe_machine(GeneratorSettings(device=device))
    if finish(image, row["value_unit"], row["spacing_mm"]).sha256 != row["pixels_sha256"]:
        raise UsageError(_explain(recorded, here))
    picture = folder / f"replay-{image_id}.png"
    write_bytes(encode_png(as_picture(image) if row["ndim"] == 3 else image, {"Curaloop-Synthetic": "YES"}), picture)
    return ReplayReport(image_id, asked[LABEL], row["seed"], row["generator_sha256"], threads, picture.relative_to(project.root).as_posix())


def _find_row(rows: pl.DataFrame, image_id: str) -> dict[str, Any]:
    """Return the row of a synthetic image.

    Raises:
        UsageError: there is none.
    """
    found = rows.filter((pl.col("image_id") == image_id) & (pl.col("origin") == "synthetic"))
    if found.is_empty():
        known = rows.filter(pl.col("origin") == "synthetic")["image_id"].sort()
        there = f"{known.len()} are there, the first is {known[0]}" if known.len() else "there are none yet, `curaloop synthesize` draws some"
        raise UsageError(f"no synthetic image of workspace/manifest.parquet has this image_id; {there}")
    return found.row(0, named=True)


def _find_generator(project: Project, sha256: str) -> Path:
    """Return the folder of a generator.

    Raises:
        UsageError: it is gone.
    """
    for folder in sorted(project.models.glob("generator-*")):
        if generator_sha256(folder) == sha256:
            return folder
    raise UsageError(
        f"no folder in workspace/models holds generator {sha256[:16]} as it was (moved, or its weights were changed), and generators are not versioned: "
        "bring its folder back, or train it again from the rows that its training_manifest_sha256 names"
    )


def _with_parent(project: Project, rows: pl.DataFrame, row: dict[str, Any], wish: Wanted, engine: Engine) -> Wanted:
    """Return the wish with the parent that the row names.

    Raises:
        UsageError: the parent is not in the working manifest any more.
    """
    if not engine.needs_parents:
        return wish
    found = rows.filter(pl.col("image_id").is_in(row["parents"]))
    if found.is_empty():
        raise UsageError("the real image that this one was made from is not in the working manifest any more, so it cannot be made again")
    return give_parents(project, found, [wish], [found["image_id"][0]])[0]


def _explain(recorded: dict[str, str], here: dict[str, str]) -> str:
    """Return a sentence on why an image came out different."""
    differ = [f"{name} {recorded[name]} then, {here[name]} now" for name in here if name in recorded and name != "threads" and recorded[name] != here[name]]
    reason = "; ".join(differ) if differ else "nothing that is on record differs, so the generator, the row or its parent was changed"
    return f"the image came out different from its row ({reason}): replay it where it was made"
