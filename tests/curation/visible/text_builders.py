"""Pictures with planted text, and volumes with a known outline."""

from __future__ import annotations

from typing import Any

import cv2
import numpy as np
import numpy.typing as npt

from curation.acquired import Acquired
from curation.pixels import Pixels


def a_scene(seed: int = 0, shape: tuple[int, int] = (240, 320)) -> npt.NDArray[np.uint8]:
    """Return `(H, W)` smooth tissue with noise, an ellipse of bone and dark air around it; no letters."""
    rng = np.random.default_rng(seed)
    rows, columns = np.mgrid[: shape[0], : shape[1]]
    distance = np.hypot((rows - shape[0] / 2) / shape[0], (columns - shape[1] / 2) / shape[1])
    scene = np.where(distance < 0.42, 90 + 25 * np.sin(columns / 23) + 20 * np.cos(rows / 17), 12.0)
    scene[(distance > 0.38) & (distance < 0.42)] = 190
    return np.clip(cv2.GaussianBlur(scene, (0, 0), 1.2) + rng.normal(0, 4, shape), 0, 255).astype(np.uint8)


def written(scene: Pixels, text: str, at: tuple[int, int] = (8, 22), value: Any = 255, size: float = 0.6, turn: int = 0) -> Pixels:
    """Return a copy with a line of text.

    Args:
        scene: `(H, W)` or `(H, W, 3)`.
        text: what to write.
        at: column and row of the base line's left end, before turning.
        value: gray value or colour of the letters.
        size: scale of the font; 1.0 is 22 px high.
        turn: quarters of a turn.
    """
    pixels = np.rot90(scene.astype(np.float32), -turn).copy()
    cv2.putText(pixels, text, at, cv2.FONT_HERSHEY_SIMPLEX, size, value, 1 if size < 0.9 else 2, cv2.LINE_AA)
    return np.ascontiguousarray(np.rot90(np.rint(pixels), turn)).astype(scene.dtype)


def ink_left(before: Pixels, scene: Pixels, after: Pixels) -> float:
    """Return the share of the planted strokes that still stand as they were written."""
    strokes = before.astype(np.float64) - scene
    strokes = np.abs(strokes).reshape(*before.shape[:2], -1).max(axis=2)
    same = (after == before).reshape(*before.shape[:2], -1).all(axis=2)
    is_ink = strokes > 0.5 * strokes.max()
    return float(same[is_ink].mean())


def a_head(step_mm: float = 4.0, *, body_part: str | None = None, modality: str = "MR", with_neck: bool = True, modify: Any = None) -> Acquired:
    """Return an egg of 150 x 200 mm on a neck, in RAS, air around it; `step_mm` is the distance of slices and voxels."""
    size = [int(240 / step_mm), int(240 / step_mm), int(200 / step_mm)]
    up, front, right = (axis * step_mm for axis in np.mgrid[: size[0], : size[1], : size[2]])
    skull = ((up - 140) / 85) ** 2 + ((front - 120) / 100) ** 2 + ((right - 100) / 75) ** 2 < 1
    neck = (up < 100) & (((front - 100) / 60) ** 2 + ((right - 100) / 55) ** 2 < 1)
    body = (skull | neck) if with_neck else skull & (np.abs(up - 140) < 65)
    values = np.where(body, 300.0, 2.0) if modality == "MR" else np.where(body, 40.0, -1000.0)
    pixels = (values + np.random.default_rng(0).normal(0, 1, values.shape)).astype(np.float32)
    affine = np.diag([step_mm, step_mm, step_mm, 1.0])
    fields = {"body_part": body_part} if body_part else {}
    return Acquired(pixels if modify is None else modify(pixels), modality, "p", (step_mm,) * 3, affine, fields)
