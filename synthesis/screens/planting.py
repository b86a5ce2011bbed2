"""Planted faults: images of which the truth is known, so that a screen's detection rate can be counted.

`plant_copies` gives what a generator that learned patients by heart would give; `plant_artefacts` gives what a generator leaves in every image it makes.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from curation.pixels import Pixels


def plant_copies(images: Sequence[Pixels], groups: Sequence[str], seed: int = 0) -> dict[str, list[Pixels]]:
    """Return near-copies of the images by kind of `COPY_KINDS`, each list in the order of the images.

    Kinds: exact copies; mirror images; 5 % or 10 % of the side cut away at a random corner, then enlarged; turned by 4 to 12 degrees; moved by one pixel;
    8 % brighter; 15 % less contrast; gamma 0.8 or 1.25; noise of 4 gray levels; blurred by 0.8 px; JPEG of quality 40; the mean with an image of another
    patient. The last is left out when all images are of one patient.

    Args:
        images: `(H, W)` or `(H, W, 3)` uint8; a copy is as large as its image.
        groups: patient of each.
        seed: of places, angles and noise.
    """
    random = np.random.default_rng(seed)
    planted: dict[str, list[Pixels]] = {kind: [change(image, random) for image in images] for kind, change in _COPIES.items()}
    others = [[place for place, other in enumerate(groups) if other != group] for group in groups]
    if images and all(others):
        planted["blended"] = [_blend(image, images[random.choice(found)]) for image, found in zip(images, others, strict=True)]
    return planted


def plant_artefacts(images: Sequence[Pixels], seed: int = 0) -> dict[str, list[Pixels]]:
    """Return the images with one artefact each, by kind of `ARTEFACT_KINDS`: a source that anybody could tell.

    Kinds: noise of 5 gray levels; blurred by 0.9 px; a checkerboard of 2 px period and 4 gray levels; a tint (first channel 10 gray levels up;
    of gray images all); a frame, its outermost pixels 25 gray levels darker.
    """
    random = np.random.default_rng(seed)
    return {kind: [change(image, random) for image in images] for kind, change in _ARTEFACTS.items()}


def _gray_levels(values: npt.NDArray[Any]) -> Pixels:
    return np.asarray(np.clip(np.rint(values), 0, 255), dtype=np.uint8)


def _crop(image: Pixels, share: float, random: np.random.Generator) -> Pixels:
    import cv2

    height, width = image.shape[:2]
    cuts = [max(1, round(share * side)) for side in (height, width)]
    top, left = (int(random.integers(0, cut + 1)) for cut in cuts)
    part = image[top : top + height - cuts[0], left : left + width - cuts[1]]
    return np.asarray(cv2.resize(part, (width, height), interpolation=cv2.INTER_LINEAR))


def _turn(image: Pixels, degrees: float) -> Pixels:
    import cv2

    height, width = image.shape[:2]
    matrix = cv2.getRotationMatrix2D(((width - 1) / 2, (height - 1) / 2), degrees, 1.0)
    return np.asarray(cv2.warpAffine(image, matrix, (width, height), flags=cv2.INTER_LINEAR, borderMode=cv2.BORDER_REFLECT_101))


def _blur(image: Pixels, sigma_px: float) -> Pixels:
    import cv2

    return np.asarray(cv2.GaussianBlur(image, (0, 0), sigma_px))


def _compress(image: Pixels, quality: int) -> Pixels:
    import cv2

    flag = cv2.IMREAD_COLOR if image.ndim == 3 else cv2.IMREAD_GRAYSCALE
    return np.asarray(cv2.imdecode(cv2.imencode(".jpg", image, [cv2.IMWRITE_JPEG_QUALITY, quality])[1], flag))


def _blend(image: Pixels, other: Pixels) -> Pixels:
    import cv2

    fitted = cv2.resize(other, image.shape[1::-1], interpolation=cv2.INTER_AREA) if other.shape != image.shape else other
    return _gray_levels((image.astype(np.float32) + fitted.astype(np.float32)) / 2)


def _brighten(image: Pixels, factor: float) -> Pixels:
    return _gray_levels(image.astype(np.float32) * factor)


def _flatten(image: Pixels, contrast: float) -> Pixels:
    real = image.astype(np.float32)
    return _gray_levels(real.mean() + contrast * (real - real.mean()))


def _curve(image: Pixels, gamma: float) -> Pixels:
    return _gray_levels(255 * (image.astype(np.float32) / 255) ** gamma)


def _add_noise(image: Pixels, deviation: float, random: np.random.Generator) -> Pixels:
    return _gray_levels(image.astype(np.float32) + random.normal(0, deviation, image.shape))


def _draw_board(image: Pixels, height: float) -> Pixels:
    rows, columns = np.indices(image.shape[:2])
    board = np.where((rows + columns) % 2, height, -height)
    return _gray_levels(image.astype(np.float32) + (board if image.ndim == 2 else board[..., None]))


def _tint(image: Pixels, levels: float) -> Pixels:
    return _gray_levels(image.astype(np.float32) + (levels if image.ndim == 2 else np.array([levels, 0, 0])))


def _frame(image: Pixels, levels: float) -> Pixels:
    real = image.astype(np.float32)
    real[[0, -1]] -= levels
    real[1:-1, [0, -1]] -= levels
    return _gray_levels(real)


Change = Callable[[Pixels, np.random.Generator], Pixels]

_COPIES: dict[str, Change] = {
    "copy": lambda image, _: image.copy(),
    "mirrored": lambda image, _: np.ascontiguousarray(image[:, ::-1]),
    "cropped 5 %": lambda image, random: _crop(image, 0.05, random),
    "cropped 10 %": lambda image, random: _crop(image, 0.10, random),
    "turned": lambda image, random: _turn(image, float(random.uniform(4, 12) * random.choice((-1, 1)))),
    "moved": lambda image, _: np.concatenate([image[:, :1], image[:, :-1]], axis=1),
    "brighter": lambda image, _: _brighten(image, 1.08),
    "flatter": lambda image, _: _flatten(image, 0.85),
    "gamma": lambda image, random: _curve(image, float(random.choice((0.8, 1.25)))),
    "noisy": lambda image, random: _add_noise(image, 4, random),
    "blurred": lambda image, _: _blur(image, 0.8),
    "jpeg": lambda image, _: _compress(image, 40),
}
_ARTEFACTS: dict[str, Change] = {
    "noise": lambda image, random: _add_noise(image, 5, random),
    "blur": lambda image, _: _blur(image, 0.9),
    "checkerboard": lambda image, _: _draw_board(image, 4),
    "tint": lambda image, _: _tint(image, 10),
    "frame": lambda image, _: _frame(image, 25),
}
COPY_KINDS = (*_COPIES, "blended")
ARTEFACT_KINDS = tuple(_ARTEFACTS)
