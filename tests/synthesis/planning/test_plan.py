"""Plans: presets by data and machine, bounds with reasons, the stop, and what a few real steps cost."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from curation.errors import UsageError
from curation.pixels import Pixels
from synthesis.latents.autoencoder import build_autoencoder
from synthesis.planning.counting import count_step
from synthesis.planning.evidence import warn_of_autoencoder
from synthesis.planning.fingerprint import DataFingerprint, Machine, fingerprint_rows, look_at_machine
from synthesis.planning.keeping import plan_synthesis, planned_settings
from synthesis.planning.plan import count_views, find_shortage, make_plan
from synthesis.planning.presets import PRESETS, apply_preset, choose_preset
from synthesis.planning.trials import time_sampling, time_training
from synthesis.recipe import GeneratorSettings, LatentSettings, PlanSettings, SamplingSettings, SynthesisSettings, VolumeSettings
from tests.synthesis.builders import a_gap_table, a_phantom_project, embed_phantoms, tiny_generator, tiny_synthesis

CPU = Machine("x86_64", 2, 16.0)
ONE_GPU = Machine("x86_64", 16, 64.0, ("A card",), 24.0)


def some_data(**changes: Any) -> DataFingerprint:
    """Return the fingerprint of a task with one rare class."""
    values: dict[str, Any] = {"images": {"common": 900, "rare": 40}, "patients": {"common": 600, "rare": 30}, "side_px": 450, "channels": 3}
    return DataFingerprint(**{"task": "colour-2d", **values, **changes})


@pytest.mark.parametrize(
    ("side_px", "machine", "name"),
    [
        (450, CPU, "cpu-64"),
        (48, CPU, "cpu-32"),
        (450, Machine("x86_64", 2, 1.5), "cpu-32"),
        (450, ONE_GPU, "gpu-256"),
        (200, ONE_GPU, "gpu-128"),
        (450, Machine("x86_64", 16, 64.0, ("A card",), 8.0), "cpu-64"),
        (450, Machine("x86_64", 64, 256.0, ("A card",) * 4, 40.0), "multi-gpu"),
    ],
)
def test_the_preset_follows_images_and_machine(side_px: int, machine: Machine, name: str) -> None:
    """Images are never enlarged, and no preset is chosen that does not fit."""
    chosen, why = choose_preset(some_data(side_px=side_px), machine)
    assert chosen == name
    assert "cores" in why or "GiB" in why


def test_keys_of_the_recipe_win_over_a_preset() -> None:
    """Also keys of the tables inside; the other keys are the preset's."""
    settings = apply_preset(PRESETS["gpu-256"], GeneratorSettings.model_validate({"flips": (), "steps": 7, "latent": {"steps": 9}}))
    assert (settings.flips, settings.steps, settings.size_px, settings.engine) == ((), 7, 256, "latent")
    assert settings.latent.steps == 9
    assert settings.latent.channels == PRESETS["gpu-256"].generator["latent"]["channels"]


def test_too_little_data_stops_with_what_would_be_enough() -> None:
    """Few patients of the wanted class, or few images in all; enough of both say nothing."""
    settings = SynthesisSettings()
    few = find_shortage(some_data(patients={"common": 600, "rare": 6}), ("rare",), settings)
    assert few.startswith("too little data: 6 train patients of rare; 10 would be enough")
    assert "Collect 4 more" in few
    assert "HAM10000" in few
    assert "collect 25 more" in find_shortage(some_data(images={"common": 10, "rare": 5}), ("rare",), settings)
    both = find_shortage(some_data(task="mr-3d", images={"T1w": 1, "T2w": 30}, patients={"T1w": 1, "T2w": 12}), ("T1w",), settings)
    assert both.startswith("too little data: 31 labelled train volumes of mr-3d; 40 would be enough")
    assert "And 1 train patients of T1w; 10 would be enough" in both
    assert find_shortage(some_data(), ("rare",), settings) == ""
    stopped = make_plan(some_data(patients={"common": 600, "rare": 6}), CPU, ("rare",), settings)
    assert stopped.stop == few
    assert stopped.trials == ()


def test_views_are_counted_as_training_draws() -> None:
    """The docstring's example, and many draws of the real weights agree."""
    import torch

    from synthesis.training import class_weights

    assert count_views({"a": 90, "b": 10}, 0.0, 1000) == 10
    assert count_views({"a": 90, "b": 10}, 1.0, 1000) == 50
    labels = torch.tensor([0] * 90 + [1] * 10)
    drawn = torch.multinomial(class_weights(labels, 0.6), 20_000, replacement=True, generator=torch.Generator().manual_seed(0))
    assert (drawn >= 90).sum().item() / 10 == pytest.approx(count_views({"a": 90, "b": 10}, 0.6, 20_000), rel=0.1)


@pytest.mark.parametrize("minutes", [600, 0.02])
def test_a_plan_bounds_time_and_views_and_says_why(minutes: float) -> None:
    """Steps fit the minutes, the rare class's images are not looked at too often, and a short training is called a demonstration."""
    settings = SynthesisSettings(
        candidates=8,
        generator=GeneratorSettings(size_px=16, channels=(8, 16), batch_size=4, precision="fp32", layout="channels_first"),
        sampling=SamplingSettings(steps=4),
        plan=PlanSettings(preset="cpu-32", minutes=minutes, most_views=20),
    )
    plan = make_plan(some_data(), CPU, ("rare",), settings, threads=1)
    keys = {choice.key: choice for choice in plan.choices}
    assert plan.generator.channels == (8, 16)
    steps = PRESETS["cpu-32"].generator["steps"]
    assert (plan.generator.steps == steps) == (minutes == 600)
    assert plan.most_views <= 20
    assert (plan.generator.balance < 1) == (minutes == 600)
    assert keys["balance"].reason
    assert keys["steps"].value == f"{plan.generator.steps:,}"
    assert plan.minutes_training is not None
    assert plan.minutes_training <= max(0.1, minutes)
    assert plan.minutes_sampling is not None
    assert plan.warnings[0].startswith("a demonstration")
    assert [trial.threads for trial in plan.trials] == [1]


def test_precision_layout_and_threads_are_chosen_by_timing() -> None:
    """Each choice names both times, and is the one that the times say."""
    settings = SynthesisSettings(
        generator=GeneratorSettings(size_px=16, channels=(8, 16), batch_size=9, steps=2), sampling=SamplingSettings(steps=2), plan=PlanSettings(preset="cpu-32")
    )
    plan = make_plan(some_data(), CPU, ("rare",), settings)
    assert [choice.key for choice in plan.choices] == ["preset", "precision", "layout", "threads", "balance"]
    bf16, fp32, first, last, one, two = plan.trials
    assert plan.generator.precision == ("fp32" if fp32.cpu_seconds_step < bf16.cpu_seconds_step else "bf16")
    assert plan.generator.layout == ("channels_last" if last.cpu_seconds_step < 0.95 * first.cpu_seconds_step else "channels_first")
    assert plan.threads == (2 if two.fastest_step < 0.75 * one.fastest_step else 1)
    assert (one.threads, two.threads) == (1, 2)


def test_a_trial_tells_time_and_memory() -> None:
    """A wider network takes longer; the peak is that of a process that holds torch."""
    small, large = (time_training(tiny_generator(channels=channels), 3, ("a", "b"), 1) for channels in ((8, 16), (64, 128)))
    assert 0 < small.cpu_seconds_step < large.cpu_seconds_step
    assert small.peak_gb is None or 0.05 < small.peak_gb < 8
    assert time_sampling(tiny_generator(), SamplingSettings(steps=4), 1, ("a",), 1) > 0


@pytest.mark.parametrize("engine", ["latent", "inpainting"])
def test_other_engines_are_timed_through_the_same_interface(engine: str) -> None:
    """The autoencoder's steps are timed by themselves; an engine that changes parents gets some."""
    settings = tiny_generator(engine=engine, size_px=32, latent={"channels": (8, 8), "batch_size": 4})
    trial = time_training(settings, 3, ("a", "b"), 1)
    assert trial.seconds_step > 0
    assert (trial.autoencoder_step is not None) == (engine == "latent")
    assert time_sampling(settings, SamplingSettings(steps=4), 3, ("a", "b"), 1) > 0


def test_memory_is_counted_from_shapes() -> None:
    """Twice the images keep twice the activations; parts of a batch keep a part; weights are those of the network."""
    from synthesis.network import build_network

    settings = tiny_generator(batch_size=4)
    one, two = count_step(settings, 3, 2), count_step(settings.model_copy(update={"batch_size": 8}), 3, 2)
    assert two.activation_bytes == pytest.approx(2 * one.activation_bytes, rel=0.05)
    assert two.flops == pytest.approx(2 * one.flops, rel=0.05)
    parts = count_step(settings.model_copy(update={"batch_size": 8, "accumulation": 2}), 3, 2)
    assert parts.activation_bytes == one.activation_bytes
    assert one.parameters == sum(parameter.numel() for parameter in build_network(3, 3, settings).parameters())
    for preset in PRESETS.values():
        assert count_step(apply_preset(preset, GeneratorSettings()), 3, 7).peak_gb < preset.peak_gb, preset.name


def test_a_batch_that_does_not_fit_is_computed_in_parts() -> None:
    """On a machine with next to no memory; one with enough takes it whole."""
    settings = SynthesisSettings(
        generator=GeneratorSettings(size_px=32, channels=(8, 16), batch_size=8, steps=1, precision="fp32", layout="channels_first"),
        sampling=SamplingSettings(steps=2),
        plan=PlanSettings(preset="cpu-32"),
    )
    small, large = (make_plan(some_data(), Machine("x86_64", 1, memory_gb), ("rare",), settings, threads=1) for memory_gb in (0.02, 8.0))
    assert large.generator.accumulation == 1
    assert small.generator.accumulation in (2, 4, 8)
    assert small.counted_gb is not None
    assert small.counted_gb <= 0.01
    assert "GiB of room" in next(choice.reason for choice in small.choices if choice.key == "accumulation")


def test_a_plan_is_kept_with_the_project(tmp_path: Path) -> None:
    """A second run uses the same plan, whatever the machine's load; another recipe gets another one."""
    project = a_phantom_project(tmp_path)
    settings = tiny_synthesis(plan=PlanSettings(preset="auto", least_class_patients=2))
    plan, path = plan_synthesis(project, settings, a_gap_table(), threads=1)
    again, same = plan_synthesis(project, settings, a_gap_table(), threads=1)
    assert (again, same) == (plan, path)
    assert plan.data.images == {"disc": 4, "stripes": 12}
    applied, threads = planned_settings(project, settings, a_gap_table(), threads=1)
    assert (applied.generator, threads) == (plan.generator, 1)
    assert planned_settings(project, tiny_synthesis(), a_gap_table()) == (tiny_synthesis(), 1)
    other = settings.model_copy(update={"plan": PlanSettings(preset="auto", least_class_patients=50)})
    stopped, elsewhere = plan_synthesis(project, other, a_gap_table(), threads=1)
    assert elsewhere != path
    assert "4 train patients of disc; 50 would be enough" in stopped.stop


def test_a_plan_foresees_what_the_screens_take_and_what_cannot_be_had(tmp_path: Path) -> None:
    """The screens are timed once, also for a plan that was made without; a class too many and a brief autoencoder are named."""
    project = a_phantom_project(tmp_path, discs=10)
    latent = LatentSettings(channels=(8, 16), latent_channels=3, steps=4, batch_size=4)
    settings = tiny_synthesis(classes=3, candidates=9, generator=tiny_generator(engine="latent", latent=latent, steps=2))
    calls: list[int] = []

    def embed(images: list[Pixels]) -> Any:
        calls.append(len(images))
        return embed_phantoms(images)

    plan, path = plan_synthesis(project, settings, a_gap_table(missing=9), threads=1)
    assert plan.minutes_screening is None
    timed, same = plan_synthesis(project, settings, a_gap_table(missing=9), threads=1, embed=embed)
    assert same == path
    assert timed.minutes_screening is not None
    assert 0 <= timed.minutes_screening < 5
    assert calls
    asked = len(calls)
    again, _ = plan_synthesis(project, settings, a_gap_table(missing=9), threads=1, embed=embed)
    assert (again, len(calls)) == (timed, asked)
    warned = " | ".join(timed.warnings)
    assert "synthesis.classes is 3, but candidates can be made for 1 only (disc)" in warned
    assert "synthesis.generator.latent.steps: 4 of 4 images" in warned


def test_a_pretrained_autoencoder_that_shrinking_beats_is_foreseen(tmp_path: Path) -> None:
    """One with random weights, measured on the project's own images; it cannot be trained for longer."""
    build_autoencoder(3, LatentSettings(channels=(8, 16), latent_channels=3), 0, 2).network.save_pretrained(tmp_path / "coder", safe_serialization=True)
    generator = tiny_generator(engine="latent", latent=LatentSettings(autoencoder=str(tmp_path / "coder")), steps=2)
    plan, _ = plan_synthesis(a_phantom_project(tmp_path), tiny_synthesis(generator=generator), a_gap_table(), threads=1)
    (warning,) = (sentence for sentence in plan.warnings if "autoencoder" in sentence)
    assert "take another one" in warning
    assert "shrinking them 2 times" in warning
    assert str(tmp_path) not in warning


def test_a_default_autoencoder_is_not_called_brief() -> None:
    """Nothing is known against 1,500 steps; 400 of 16 images and 100 of 4 volumes were measured to be too few. A base brings its own."""
    briefly = LatentSettings(steps=400)
    assert warn_of_autoencoder(GeneratorSettings(engine="latent")) == ""
    assert warn_of_autoencoder(GeneratorSettings(engine="volume")) == ""
    assert warn_of_autoencoder(GeneratorSettings(engine="volume", volume=VolumeSettings(steps=100))).endswith("raise synthesis.generator.volume.steps")
    assert "set synthesis.generator.engine = 'pixel'" in warn_of_autoencoder(GeneratorSettings(engine="latent", latent=briefly))
    assert warn_of_autoencoder(GeneratorSettings(engine="latent", latent=briefly, base=Path("base"))) == ""
    assert warn_of_autoencoder(GeneratorSettings(engine="pixel", latent=briefly)) == ""


@pytest.mark.parametrize(("wrong", "key"), [({"base": "nowhere"}, "generator.base"), ({"conditions": ("scanner",)}, "generator.conditions")])
def test_what_training_would_stop_at_stops_the_plan(tmp_path: Path, wrong: dict[str, Any], key: str) -> None:
    """Nobody should learn of it after the plan was agreed on."""
    with pytest.raises(UsageError, match=f"synthesis.{key}"):
        plan_synthesis(a_phantom_project(tmp_path), tiny_synthesis(generator=tiny_generator(**wrong)), a_gap_table(), threads=1)


def test_a_machine_has_cores_and_memory() -> None:
    """What psutil and the container say."""
    machine = look_at_machine()
    assert machine.cores >= 1
    assert machine.memory_gb > 0.1


def test_a_task_without_images_has_an_empty_fingerprint(tmp_path: Path) -> None:
    """No image, no side."""
    from curation.manifest import read_manifest
    from synthesis.training_set import usable_rows

    rows = usable_rows(read_manifest(a_phantom_project(tmp_path).manifest), "xray-2d", "train")
    assert fingerprint_rows(rows, "xray-2d") == DataFingerprint("xray-2d", {}, {}, 0, 1)
