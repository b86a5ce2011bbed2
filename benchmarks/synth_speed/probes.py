"""The parts, each run in a process of its own: `python -m benchmarks.synth_speed.probes NAME` prints one line of JSON."""

from __future__ import annotations

import json
import os
import statistics
import sys
import time
from collections.abc import Callable
from typing import Any

from synthesis.planning.presets import PRESETS, apply_preset
from synthesis.recipe import GeneratorSettings, SamplingSettings

CLASSES = tuple("abcdefg")
ROUNDS = 3
IMAGES = 256


def settings_of(name: str, **changes: Any) -> GeneratorSettings:
    """Return a preset's settings."""
    return apply_preset(PRESETS[name], GeneratorSettings(**changes))


def cpu_s(operation: Callable[[], Any]) -> float:
    """Return the CPU seconds of all threads that one call takes."""
    began = time.process_time()
    operation()
    return time.process_time() - began


def step() -> dict[str, float]:
    """Return CPU seconds of a training step of the preset cpu-64, plain and ours, in turn on one thread, and what of ours is drawing the batch."""
    import torch

    from benchmarks.synth_speed.plain import PlainTraining
    from synthesis.network import build_network
    from synthesis.training import Lessons, class_weights, draw_batch, train_step, update_average

    torch.set_num_threads(1)
    settings = settings_of("cpu-64")
    images = torch.randint(0, 256, (IMAGES, 3, settings.size_px, settings.size_px), dtype=torch.uint8)
    codes = torch.arange(IMAGES)[:, None] % len(CLASSES)
    network = build_network(3, len(CLASSES) + 1, settings).train()
    plain = PlainTraining(build_network(3, len(CLASSES) + 1, settings), images.float() / 127.5 - 1, codes[:, 0], settings)
    average = {name: parameter.detach().clone() for name, parameter in network.named_parameters()}
    optimizer = torch.optim.AdamW(network.parameters(), lr=settings.learning_rate, weight_decay=0.01, fused=True)
    lessons, weights = Lessons(images, codes, torch.tensor([len(CLASSES)])), class_weights(codes[:, 0], settings.balance)
    drawing: list[float] = []

    def ours() -> None:
        began = time.process_time()
        batch = draw_batch(len(drawing), lessons, weights, settings)
        drawing.append(time.process_time() - began)
        train_step(network, optimizer, batch, settings.learning_rate, settings)
        update_average(network, average, 0.99)

    pairs = [(cpu_s(plain.step), cpu_s(ours)) for _ in range(ROUNDS + 1)][1:]
    plain_s, ours_s = (statistics.median(pair[part] for pair in pairs) for part in (0, 1))
    return {"plain_s": plain_s, "ours_s": ours_s, "ratio": statistics.median(own / other for other, own in pairs), "drawing_s": statistics.median(drawing[1:])}


def sampling() -> dict[str, float]:
    """Return how often the network is asked for eight images of 20 guided steps, and the CPU seconds an image, preset cpu-64."""
    import torch

    from synthesis.network import build_network
    from synthesis.sampling import FORWARD_IMAGES, draw_images

    torch.set_num_threads(1)
    settings, asked = settings_of("cpu-64"), SamplingSettings(steps=20, guidance_scale=2.0)
    network, forwards = build_network(3, len(CLASSES) + 1, settings).eval(), []
    network.register_forward_hook(lambda _module, arguments, _result: forwards.append(len(arguments[0])))
    codes, nulls = torch.zeros((FORWARD_IMAGES, 1), dtype=torch.long), torch.tensor([len(CLASSES)])
    seconds = cpu_s(lambda: draw_images(network, codes, nulls, list(range(FORWARD_IMAGES)), (3, settings.size_px, settings.size_px), asked, settings.precision))
    return {"forwards": float(len(forwards)), "batch": float(max(forwards)), "cpu_s_image": seconds / FORWARD_IMAGES}


def encoder() -> dict[str, float]:
    """Return milliseconds an image of the encoder, ours and as published in float32: wall time on two threads, CPU time on one."""
    import numpy as np
    import torch
    from efficientnet_lite_pytorch import EfficientNet

    from adaptation.encoders import DEFAULT, load_encoder

    images = list(np.random.default_rng(0).integers(0, 256, (32, 224, 224, 3), np.uint8))
    two, one = load_encoder(threads=2), load_encoder(threads=1)
    plain, batch = EfficientNet.from_name(DEFAULT).eval(), torch.zeros((8, 3, 224, 224))

    def published() -> None:
        with torch.inference_mode():
            for _ in range(len(images) // len(batch)):
                plain.extract_features(batch).mean((2, 3))

    def wall_s(operation: Callable[[], Any]) -> float:
        began = time.perf_counter()
        operation()
        return time.perf_counter() - began

    torch.set_num_threads(1)
    for warm in (lambda: one.embed(images[:8]), published):
        warm()
    pairs = [(cpu_s(published), cpu_s(lambda: one.embed(images))) for _ in range(ROUNDS)]
    two.embed(images[:8])
    wall = min(wall_s(lambda: two.embed(images)) for _ in range(ROUNDS))
    of_image = 1000 / len(images)
    plain_ms, ours_ms = (of_image * min(pair[part] for pair in pairs) for part in (0, 1))
    return {"wall_ms": of_image * wall, "cpu_ms": ours_ms, "plain_cpu_ms": plain_ms, "load": os.getloadavg()[0]}


def threads() -> dict[str, float]:
    """Return the threads that a plan would choose, `chosen`, and wall seconds of a step of cpu-32 with one and with all cores, timed anew after the choice."""
    from synthesis.planning.fingerprint import look_at_machine
    from synthesis.planning.plan import GAIN
    from synthesis.planning.trials import time_training

    settings, numbers = settings_of("cpu-32"), sorted({1, look_at_machine().cores})
    first, again = ([time_training(settings, 3, CLASSES, number).fastest_step for number in numbers] for _ in range(2))
    chosen = numbers[-1] if first[-1] < GAIN * first[0] else 1
    return {"chosen": float(chosen)} | {str(number): seconds for number, seconds in zip(numbers, again, strict=True)}


def memory(preset: str) -> dict[str, float]:
    """Return the peak of this process in GiB while it trains with a preset, and what is counted from shapes."""
    from synthesis.planning.counting import count_step
    from synthesis.planning.trials import time_training

    settings = settings_of(preset)
    counted = count_step(settings, 3, len(CLASSES)).peak_gb
    if PRESETS[preset].gpus:
        return {"counted_gb": counted}
    measured = time_training(settings, 3, CLASSES, 1).peak_gb
    return {"counted_gb": counted} | ({} if measured is None else {"peak_gb": measured})


def main(name: str) -> None:
    """Print what one part measured."""
    parts: dict[str, Callable[[], dict[str, float]]] = {"step": step, "sampling": sampling, "encoder": encoder, "threads": threads}
    print(json.dumps(memory(name.removeprefix("memory:")) if name.startswith("memory:") else parts[name]()))


if __name__ == "__main__":
    main(sys.argv[1])
