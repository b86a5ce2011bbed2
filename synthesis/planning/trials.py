"""What a generator costs here and now: a few real training steps and a small drawing, timed through the engine's own `fit` and `sample`.

The images are noise: what a step costs does not depend on what they show. Memory is the peak of the whole process, as the system counts it.
"""

from __future__ import annotations

import re
import statistics
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np

from curation.progress import silent
from synthesis.engines.engine import Engine, Examples, Wanted
from synthesis.engines.loading import open_engine
from synthesis.network import choose_device, torch_threads
from synthesis.planning.fingerprint import GIB
from synthesis.recipe import GeneratorSettings, SamplingSettings, SynthesisSettings

STATUS, RESET = Path("/proc/self/status"), Path("/proc/self/clear_refs")
DRAWN = 8
"""Images in one forward pass of the sampler."""


@dataclass(frozen=True)
class Trial:
    """What a step cost.

    Attributes:
        threads: of torch.
        precision: bf16 or fp32.
        layout: of tensors in memory.
        batch_size: images a step.
        seconds_step: median wall time of a step after the first.
        fastest_step: the shortest of them, which other processes disturbed least.
        cpu_seconds_step: median CPU time of all threads.
        peak_gb: GiB of this process, or of its GPU, at its peak; None where the system does not tell.
        autoencoder_step: median wall time of a step of the autoencoder that is trained before; None where there is none.
    """

    threads: int
    precision: str
    layout: str
    batch_size: int
    seconds_step: float
    fastest_step: float
    cpu_seconds_step: float
    peak_gb: float | None
    autoencoder_step: float | None = None


def time_training(generator: GeneratorSettings, channels: int, classes: tuple[str, ...], threads: int, steps: int = 2) -> Trial:
    """Train for `steps` steps after one that warms up, in a folder that is thrown away, and return what they cost."""
    marks: dict[str, list[tuple[float, float]]] = {}

    def note(done: int, total: int, what: str) -> None:  # noqa: ARG001
        marks.setdefault(what, []).append((time.perf_counter(), time.process_time()))

    short = _shortened(generator, steps + 1)
    examples = _noise_examples(short, channels, classes)
    with torch_threads(threads), TemporaryDirectory() as folder, _peak_of_process(choose_device(short)) as peak:
        _open(short).fit(examples, Path(folder), note)
    walls, cpus = np.diff(np.array(marks["training the generator"]), axis=0).T.tolist()
    packing = np.diff(np.array(marks.get("training the autoencoder", [])), axis=0)
    return Trial(
        threads=threads,
        precision=short.precision,
        layout=short.layout,
        batch_size=short.batch_size,
        seconds_step=statistics.median(walls),
        fastest_step=min(walls),
        cpu_seconds_step=statistics.median(cpus),
        peak_gb=peak[0] if peak else None,
        autoencoder_step=float(np.median(packing[:, 0])) if packing.size else None,
    )


def time_sampling(generator: GeneratorSettings, sampling: SamplingSettings, channels: int, classes: tuple[str, ...], threads: int) -> float:
    """Return the seconds that drawing one image would take: two denoising steps of a full batch are timed, the rest is multiplied."""
    short, two = _shortened(generator, 1), sampling.model_copy(update={"steps": 2})
    examples = _noise_examples(short, channels, classes)
    parent = {"parent": examples.images[1], "parent_id": examples.image_ids[1]}
    with torch_threads(threads), TemporaryDirectory() as folder:
        engine = _open(short, two)
        engine.fit(examples, Path(folder), silent)
        wanted = [Wanted({"label": classes[0]}, seed, **(parent if engine.needs_parents else {})) for seed in range(DRAWN)]
        began = time.perf_counter()
        engine.sample(wanted, silent)
        return (time.perf_counter() - began) * (sampling.steps / two.steps) / DRAWN


def _open(generator: GeneratorSettings, sampling: SamplingSettings | None = None) -> Engine:
    return open_engine(SynthesisSettings(generator=generator, sampling=sampling or SamplingSettings()))


def _shortened(generator: GeneratorSettings, steps: int) -> GeneratorSettings:
    """Return settings of a training of a few steps that leaves nothing on the way; an autoencoder gets as many."""
    packing = {name: getattr(generator, name).model_copy(update={"steps": steps}) for name in ("latent", "volume")}
    return generator.model_copy(update={"steps": steps, "checkpoint_steps": 10**9, "preview_steps": 0, "base": None, **packing})


def _noise_examples(generator: GeneratorSettings, channels: int, classes: tuple[str, ...]) -> Examples:
    """Return two noise images a class; the second one shows the second class."""
    number, size = 2 * len(classes), generator.size_px
    shape = (number, size, size, 3) if channels == 3 else (number, size, size)
    if generator.engine == "volume":
        shape = (number, generator.volume.slices, size, size)
    images = np.random.default_rng(0).integers(0, 256, shape, np.uint8)
    names = tuple(f"{position:032x}" for position in range(number))
    return Examples(images, tuple({"label": label} for label in classes * 2), names, names)


@contextmanager
def _peak_of_process(device: Any) -> Iterator[list[float]]:
    """Yield a list that holds the peak of memory in GiB after the block: of the GPU where it computes on one, else of this process; empty where unknown."""
    import torch

    peak: list[float] = []
    on_gpu = device.type == "cuda"
    if on_gpu:
        torch.cuda.init()  # type: ignore[no-untyped-call]
        torch.cuda.reset_peak_memory_stats(device)
    elif RESET.exists():
        RESET.write_text("5")
    yield peak
    if on_gpu:
        peak.append(torch.cuda.max_memory_allocated(device) / GIB)
    elif STATUS.exists() and (found := re.search(r"VmHWM:\s+(\d+) kB", STATUS.read_text())):
        peak.append(int(found[1]) / 2**20)
