"""`make bench-synth`: measure, print one table, write JSON, exit 1 when a target is missed. Names as arguments measure only these."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

from benchmarks.measurement import Measurement, publish
from synthesis.planning.plan import GAIN
from synthesis.planning.presets import PRESETS


def probe(name: str) -> dict[str, float]:
    """Run one part in a fresh process and return what it measured."""
    command = [sys.executable, "-m", "benchmarks.synth_speed.probes", name]
    ran = subprocess.run(command, cwd=Path(__file__).parents[2], check=True, stdout=subprocess.PIPE, text=True)
    found: dict[str, float] = json.loads(ran.stdout.splitlines()[-1])
    return found


def measure_step() -> list[Measurement]:
    """Training: ours beside diffusers' defaults, and how much of a step is waiting for data."""
    found = probe("step")
    detail = f"cpu-64, 32 images, one thread: {found['ours_s']:.2f} CPU-s beside {found['plain_s']:.2f} in fp32, channels first, diffusers' defaults"
    share = found["drawing_s"] / found["ours_s"]
    return [
        Measurement("training step / plain fp32 step", found["ratio"], "", 0.6, detail),
        Measurement("data loader, share of a step", share, "", 0.05, f"{1000 * found['drawing_s']:.1f} ms a batch, from memory"),
    ]


def measure_sampling() -> list[Measurement]:
    """Sampling: one forward pass a step, both halves of guidance in it."""
    found = probe("sampling")
    detail = f"cpu-64: {found['batch']:.0f} images a pass, wanted and unconditional together; {found['cpu_s_image']:.2f} CPU-s an image"
    return [Measurement("forward passes for 20 guided steps of 8 images", found["forwards"], "", 20, detail)]


def measure_encoder() -> list[Measurement]:
    """Return the encoder's wall time an image, the best of some rounds; busy cores make it longer, and the load says so."""
    found = probe("encoder")
    detail = f"wall at load {found['load']:.1f}; on one thread {found['cpu_ms']:.1f} CPU-ms beside {found['plain_cpu_ms']:.1f} in fp32"
    return [Measurement("encoder on 2 cores", found["wall_ms"], "ms an image", 10, detail)]


def measure_threads() -> list[Measurement]:
    """Threads: the number that a plan chooses, timed once more, is not much slower than the other number would be."""
    return [compare_threads(probe("threads"))]


def compare_threads(found: dict[str, float]) -> Measurement:
    """Return how much longer a step takes with the chosen threads than with the better number: `chosen`, and seconds a step by number of threads.

    Example:
        One thread was chosen, at .4 s beside .2 s with two: 2, which misses.
    """
    chosen, steps = f"{found['chosen']:.0f}", {number: seconds for number, seconds in found.items() if number != "chosen"}
    detail = f"cpu-32, seconds a step: {', '.join(f'{number} threads {seconds:.2f}' for number, seconds in steps.items())}"
    return Measurement(f"step with the chosen {chosen} threads / best", steps[chosen] / min(steps.values()), "", round(1 / GAIN, 2), detail)


def measure_memory() -> list[Measurement]:
    """Memory: peak of the process for presets that run here; for GPU presets what is counted from shapes."""
    measured = []
    for name, preset in PRESETS.items():
        found = probe(f"memory:{name}")
        counted = f"weights and float32 activations: {found['counted_gb']:.2f} GiB"
        detail = counted if "peak_gb" in found else f"counted, not measured here; {counted}"
        measured.append(Measurement(f"peak memory of {name}", found.get("peak_gb", found["counted_gb"]), "GiB", preset.peak_gb, detail))
    return measured


PARTS: dict[str, Callable[[], list[Measurement]]] = {
    "step": measure_step,
    "sampling": measure_sampling,
    "encoder": measure_encoder,
    "threads": measure_threads,
    "memory": measure_memory,
}


def said(line: Measurement) -> Measurement:
    """Tell a figure as soon as it is there: the whole takes minutes."""
    print(f"{line.name}: {line.value:.3g} {line.unit} ({line.detail})", file=sys.stderr, flush=True)
    return line


def main(names: list[str]) -> int:
    """Measure one part after the other."""
    measured = [said(line) for name in names or list(PARTS) for line in PARTS[name]()]
    return publish("Synthesis: speed and memory", measured, "synth")


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
