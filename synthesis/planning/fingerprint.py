"""What a plan depends on: the train images of a task, and the machine that would train on them."""

from __future__ import annotations

import os
import platform
from collections import Counter
from dataclasses import dataclass
from pathlib import Path

import polars as pl

from synthesis.recipe import Device

GIB = 2**30
MEMORY_LIMITS = (Path("/sys/fs/cgroup/memory.max"), Path("/sys/fs/cgroup/memory/memory.limit_in_bytes"))
"""Where Linux says what a container may take."""


@dataclass(frozen=True)
class DataFingerprint:
    """Real labelled train images of one task.

    Attributes:
        task: family and dimensions, e.g. colour-2d.
        images: of each class.
        patients: distinct ones of each class.
        side_px: median of the shorter sides; 0 without images.
        channels: 1 or 3.
    """

    task: str
    images: dict[str, int]
    patients: dict[str, int]
    side_px: int
    channels: int

    @property
    def total(self) -> int:
        """Images of all classes."""
        return sum(self.images.values())


@dataclass(frozen=True)
class Machine:
    """Where a generator would be trained.

    Attributes:
        processor: architecture.
        cores: that this process may use.
        memory_gb: in GiB, of the machine or of the container, whichever is less.
        gpus: names.
        gpu_memory_gb: of the smallest GPU; 0 without one.
    """

    processor: str
    cores: int
    memory_gb: float
    gpus: tuple[str, ...] = ()
    gpu_memory_gb: float = 0.0


def fingerprint_rows(rows: pl.DataFrame, task: str) -> DataFingerprint:
    """Return the fingerprint of the rows of `synthesis.training_set.usable_rows`."""
    patients = rows.group_by("label").agg(pl.coalesce("group_id", "patient_id").n_unique().alias("patients")).sort("label")
    sides = rows.select(pl.min_horizontal("rows", "columns")).to_series()
    return DataFingerprint(
        task=task,
        images=dict(sorted(Counter(rows["label"]).items())),
        patients=dict(patients.iter_rows()),
        side_px=int(sides.median() or 0),  # type: ignore[arg-type]  # a column of integers
        channels=3 if rows.height and (rows["channels"] == 3).mean() >= 0.5 else 1,  # type: ignore[operator]
    )


def look_at_machine(device: Device = "auto") -> Machine:
    """Return what this process may use now; on the device `cpu` no GPU."""
    import psutil
    import torch

    limits = [int(text) for path in MEMORY_LIMITS if path.exists() and (text := path.read_text().strip()).isdigit()]
    memory = min([psutil.virtual_memory().total, *limits])
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    number = 0 if device == "cpu" else torch.cuda.device_count()
    cards = [torch.cuda.get_device_properties(card) for card in range(number)]
    smallest = min((card.total_memory for card in cards), default=0)
    return Machine(platform.machine(), cores, round(memory / GIB, 1), tuple(card.name for card in cards), round(smallest / GIB, 1))
