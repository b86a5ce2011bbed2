"""Diffusion in pixels: conditions beside the label, a base to start from, processes that train together."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch

from curation.errors import UsageError
from curation.progress import silent
from synthesis.checkpoint import CHECKPOINT_NAME, GENERATOR_NAME, read_about, read_tensors, write_tensors
from synthesis.engines.engine import Examples, Wanted
from synthesis.engines.loading import load_engine
from synthesis.engines.pixel import PixelDiffusion
from synthesis.generator import TABLE_NAME
from synthesis.recipe import SamplingSettings
from tests.synthesis.builders import tiny_generator, training_examples

FAST = SamplingSettings(steps=2)
TOGETHER = """
import sys
from pathlib import Path
from curation.progress import silent
from synthesis.engines.pixel import PixelDiffusion
from synthesis.recipe import SamplingSettings
from tests.synthesis.builders import tiny_generator, training_examples
PixelDiffusion(tiny_generator(steps=4, precision="fp32", device="cpu"), SamplingSettings()).fit(training_examples(), Path(sys.argv[1]), silent)
"""


class StopError(Exception):
    """Ends a training in the middle."""


def stop(done: int, total: int, what: str) -> None:
    """End a training after four steps."""
    if done == 4:
        raise StopError


def by_band() -> Examples:
    """Return gray phantoms of both classes, dark in one age band and bright in the other."""
    bands = ("40-49", "50-59") * 4
    levels = np.array([191 if band == "50-59" else 51 for band in bands], np.uint8)
    return training_examples(4, age_band=bands)._replace(images=np.broadcast_to(levels[:, None, None], (8, 16, 16)).copy())


def test_a_condition_beside_the_label_is_learned(tmp_path: Path) -> None:
    """The age band decides the brightness of these images, the label nothing: drawn images follow the band, also after loading."""
    settings = tiny_generator(conditions=("age_band",), steps=120, batch_size=8, learning_rate=4e-3, precision="fp32")
    PixelDiffusion(settings, FAST).fit(by_band(), tmp_path, silent)
    engine = load_engine(tmp_path, SamplingSettings(steps=6, guidance_scale=1.0))
    dark, bright = (np.mean(engine.sample([Wanted({"label": "disc", "age_band": band}, seed) for seed in range(4)], silent)) for band in ("40-49", "50-59"))
    assert bright - dark > 20
    assert engine.sample([Wanted({"label": "disc"}, 0)], silent)[0].shape == (16, 16)
    with pytest.raises(UsageError, match="never saw age_band"):
        engine.sample([Wanted({"label": "disc", "age_band": "0-9"}, 0)], silent)


def test_a_base_is_kept_and_its_table_grows(tmp_path: Path) -> None:
    """A generator of one class learns a second one from its base: only the table of conditions changes when the recipe says so."""
    common = training_examples()
    common = Examples(common.images[6:], common.conditions[6:], common.image_ids[6:], common.groups[6:])
    PixelDiffusion(tiny_generator(), FAST).fit(common, tmp_path / "common", silent)
    settings = tiny_generator(base=tmp_path / "common", low_shot_steps=5, low_shot_trains="conditions", learning_rate=1e-2)
    engine = PixelDiffusion(settings, FAST)
    with pytest.raises(StopError):
        engine.fit(training_examples(), tmp_path / "stopped", stop)
    resumed, whole = engine.fit(training_examples(), tmp_path / "stopped", silent), engine.fit(training_examples(), tmp_path / "rare", silent)
    assert (resumed.first_step, whole.first_step, whole.steps) == (3, 0, 5)
    assert resumed.generator_sha256 == whole.generator_sha256
    before, after = read_tensors(tmp_path / "common" / GENERATOR_NAME), read_tensors(tmp_path / "rare" / GENERATOR_NAME)
    assert all(torch.equal(before[name], after[name]) for name in before if name != TABLE_NAME)
    about = read_about(tmp_path / "rare" / GENERATOR_NAME)
    assert about is not None
    assert about["vocabulary"] == {"label": ["stripes", "disc"]}
    assert str(tmp_path) not in str(about)
    with pytest.raises(UsageError, match="copy size_px and channels"):
        PixelDiffusion(tiny_generator(base=tmp_path / "common", channels=(8, 8)), FAST).fit(training_examples(), tmp_path / "other", silent)


def test_a_base_may_be_of_the_first_format_or_still_in_training(tmp_path: Path) -> None:
    """The first format named classes only; a checkpoint's averaged weights serve as well."""
    with pytest.raises(StopError):
        PixelDiffusion(tiny_generator(), FAST).fit(training_examples(), tmp_path / "half", stop)
    checkpoint = tmp_path / "half" / CHECKPOINT_NAME
    about = read_about(checkpoint)
    assert about is not None
    old = {"format": 1, "classes": about["vocabulary"]["label"], "channels": 3, "settings": about["settings"], "losses": about["losses"]}
    write_tensors(read_tensors(checkpoint), old, checkpoint)
    settings = tiny_generator(base=tmp_path / "half", low_shot_steps=2)
    assert PixelDiffusion(settings, FAST).fit(training_examples(), tmp_path / "new", silent).steps == 2


def test_grids_of_samples_show_how_it_learns(tmp_path: Path) -> None:
    """Every so many steps a picture, and the weights are the same as without; a saved copy draws the same images."""
    plain, shown = (PixelDiffusion(tiny_generator(preview_steps=steps), FAST) for steps in (0, 4))
    first, second = plain.fit(training_examples(), tmp_path / "plain", silent), shown.fit(training_examples(), tmp_path / "shown", silent)
    assert first.generator_sha256 == second.generator_sha256
    pictures = sorted(path.name for path in (tmp_path / "shown").glob("*.png"))
    assert pictures == ["preview-000004.png", "preview-000008.png"]
    grid = cv2.imread(str(tmp_path / "shown" / pictures[0]))
    assert grid is not None
    assert grid.shape == (32, 256, 3)
    shown.save(tmp_path / "copy")
    wanted = [Wanted({"label": "disc"}, 3)]
    assert (load_engine(tmp_path / "copy", FAST).sample(wanted, silent)[0] == plain.sample(wanted, silent)[0]).all()


def test_accumulated_parts_are_one_batch(tmp_path: Path) -> None:
    """A batch in two parts gives the weights of the whole one, up to rounding."""
    for parts in (1, 2):
        PixelDiffusion(tiny_generator(steps=3, accumulation=parts, precision="fp32"), FAST).fit(training_examples(), tmp_path / str(parts), silent)
    one, two = (read_tensors(tmp_path / str(parts) / GENERATOR_NAME) for parts in (1, 2))
    assert max(float((one[name] - two[name]).abs().max()) for name in one) < 2e-3


def test_processes_train_together(tmp_path: Path) -> None:
    """Two processes with half of each batch give the weights of one process, up to rounding; the first one writes."""
    root = Path(__file__).parents[3]
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = str(free.getsockname()[1])
    shared = {"PYTHONPATH": str(root), "OMP_NUM_THREADS": "1", "WORLD_SIZE": "2", "MASTER_ADDR": "127.0.0.1", "MASTER_PORT": port, "ACCELERATE_USE_CPU": "true"}
    command = [sys.executable, "-c", TOGETHER, str(tmp_path / "two")]
    started = [subprocess.Popen(command, cwd=root, env={**os.environ, **shared, "RANK": rank, "LOCAL_RANK": rank}) for rank in ("0", "1")]
    assert [process.wait(timeout=300) for process in started] == [0, 0]
    PixelDiffusion(tiny_generator(steps=4, precision="fp32", device="cpu"), FAST).fit(training_examples(), tmp_path / "one", silent)
    one, two = (read_tensors(tmp_path / name / GENERATOR_NAME) for name in ("one", "two"))
    assert max(float((one[name] - two[name]).abs().max()) for name in one) < 2e-3
    assert sorted(path.name for path in (tmp_path / "two").iterdir()) == ["generator.safetensors", "loss.csv"]
