"""Text in the pixels: found, covered and gone; and nothing else touched."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import pytest

from curation.pixels import Pixels
from curation.visible.burned_in import clear_frames, find_text, renditions
from curation.visible.candidates import find_candidates
from tests.curation.visible.text_builders import a_scene, ink_left, written

DATA = Path(__file__).parents[4] / "shared" / "data"


def as_deep(scene: Pixels) -> Pixels:
    """Return the scene with 12 bits, as a detector stores it."""
    return scene.astype(np.uint16) * 16


SCENE = a_scene()
RGB = np.repeat(SCENE[..., None], 3, axis=2)
PLANTED = {
    "white": (SCENE, written(SCENE, "DOE^JANE 1957-03-11")),
    "gray on dark": (SCENE, written(SCENE, "ID 4711-0815", (180, 234), 140)),
    "black on bright": (255 - SCENE, written(255 - SCENE, "MUELLER, HANS", (10, 24), 0)),
    "small": (SCENE, written(SCENE, "St. Mary Hospital", (6, 14), 230, 0.4)),
    "large": (SCENE, written(SCENE, "SMITH", (20, 60), 250, 1.8)),
    "turned right": (SCENE, written(SCENE, "GARCIA 19570311", (8, 22), 255, 0.6, 3)),
    "turned left": (SCENE, written(SCENE, "GARCIA LOPEZ", (8, 22), 255, 0.6, 1)),
    "upside down": (SCENE, written(SCENE, "NGUYEN THI MAI", (8, 22), 255, 0.6, 2)),
    "12 bits": (as_deep(SCENE), written(as_deep(SCENE), "DOE^JANE 1957", value=4095)),
    "signed": (SCENE.astype(np.int16) * 8 - 1024, written(SCENE.astype(np.int16) * 8 - 1024, "DOE^JANE 1957", value=1800)),
    "yellow": (RGB, written(RGB, "KIM SOO 771204", value=(255, 255, 0))),
    "red": (RGB, written(RGB, "KIM SOO 771204", value=(230, 30, 30))),
}


@pytest.mark.parametrize("name", PLANTED)
def test_planted_text_is_covered(name: str) -> None:
    """No stroke stands as it was written, and what is read again finds nothing; the rest of the picture is as it was."""
    scene, planted = PLANTED[name]
    cleared = clear_frames(planted[None], read_whole=False)
    assert ink_left(planted, scene, cleared.frames[0]) < 0.05
    assert cleared.frames.dtype == planted.dtype
    changed = (cleared.frames[0] != planted).reshape(*planted.shape[:2], -1).any(axis=2)
    assert 0 < changed.sum() <= cleared.masked_px < 0.35 * changed.size
    assert not find_text(cleared.frames[0], read_whole=True)


@pytest.mark.parametrize("seed", range(4))
def test_a_picture_without_text_comes_back_untouched(seed: int) -> None:
    """The same array, read or only looked at."""
    scene = a_scene(seed)[None]
    for read_whole in (False, True):
        cleared = clear_frames(scene, read_whole=read_whole)
        assert cleared.frames is scene
        assert cleared.masked_px == 0


def test_a_side_marker_is_no_identity() -> None:
    """An R, L or AP beside the patient stays."""
    scene = written(written(a_scene(), "R", (10, 40), 255, 1.2), "AP", (270, 40), 255, 0.8)[None]
    assert clear_frames(scene, read_whole=True).frames is scene


def test_text_of_one_frame_is_covered_in_the_whole_film_or_only_in_its_slice() -> None:
    """A film shows the same screen all the time; slices of a volume have nothing to do with each other."""
    frames = np.stack([a_scene(seed) for seed in range(3)])
    frames[1] = written(frames[1], "DOE^JANE 1957")
    film = clear_frames(frames, read_whole=False)
    volume = clear_frames(frames, read_whole=False, together=False)
    assert [bool((film.frames[n] != frames[n]).any()) for n in range(3)] == [True, True, True]
    assert [bool((volume.frames[n] != frames[n]).any()) for n in range(3)] == [False, True, False]
    assert film.masked_px == 3 * volume.masked_px


def test_a_counter_on_every_frame_is_covered_too() -> None:
    """What changes from frame to frame is read where it changes."""
    frames = np.stack([written(written(SCENE, "DOE^JANE 1957"), f"{number:04d} msec", (200, 230), 220, 0.5) for number in range(4)])
    cleared = clear_frames(frames, read_whole=True)
    for number, frame in enumerate(cleared.frames):
        assert ink_left(frames[number], SCENE, frame) < 0.05


def test_a_few_extreme_values_do_not_hide_text() -> None:
    """With one pixel at 65535 the rest of 12 bits would be black; it is seen without its extremes, too."""
    planted = written(as_deep(SCENE), "DOE^JANE 1957", value=4095)
    planted[200, 300] = 65535
    assert len(list(renditions(planted, every=False))) == 2
    cleared = clear_frames(planted[None], read_whole=False)
    assert cleared.masked_px > 0


@pytest.mark.real_data
def test_real_images_without_text_are_not_touched() -> None:
    """Dermoscopy with hair and rulers, seldom like letters: none is read as text, and hardly any is read at all."""
    if not DATA.is_dir():
        pytest.skip("the real images are not here")
    paths = sorted((DATA / "ham10000-128" / "images").glob("*.jpg"))[::100]
    pictures = [np.ascontiguousarray(cv2.imread(str(path))[..., ::-1]) for path in paths]
    assert sum(bool(find_candidates(picture)) for picture in pictures) <= 0.05 * len(pictures)
    assert all(clear_frames(picture[None], read_whole=False).masked_px == 0 for picture in pictures)


@pytest.mark.real_data
def test_real_text_in_radiographs_is_found() -> None:
    """A radiograph with the words of a ward on it, from a public set."""
    path = DATA / "hannover-cxr-512" / "images" / "b03ef875.jpg"
    if not path.is_file():
        pytest.skip("the real images are not here")
    picture = np.asarray(cv2.imread(str(path), cv2.IMREAD_GRAYSCALE), np.uint8)
    cleared = clear_frames(picture[None], read_whole=False)
    assert cleared.masked_px > 1000
    assert not find_text(cleared.frames[0], read_whole=True)
