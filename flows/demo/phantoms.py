"""Phantoms: simulated images with known truth, pure functions of a random generator, a label and a site.

They look like their modality only as far as the loop needs: a class is a visible finding, a site is a way of imaging. Everything drawn from
the one `rng` that is handed in, so a seed gives the same image on the same machine.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float64]

SKIN_LABELS = ("naevus", "keratosis", "melanoma", "dermatofibroma")
XRAY_LABELS = ("normal", "effusion", "nodule")
CT_LABELS = ("normal", "nodule")
MR_LABELS = ("normal", "lesion")
SITES = ("north", "harbour", "hill")


def _grid(rows: int, columns: int) -> tuple[Floats, Floats]:
    """Return y and x, each `(rows, columns)`, from -1 to 1."""
    y, x = np.mgrid[-1 : 1 : rows * 1j, -1 : 1 : columns * 1j]
    return y, x


def _smooth_noise(rng: np.random.Generator, rows: int, columns: int, cells: int) -> Floats:
    """Return noise `(rows, columns)` of unit variance whose grain is about 1/`cells` of the image."""
    import cv2

    coarse = rng.standard_normal((cells + 2, cells + 2))
    noise = cv2.resize(coarse, (columns, rows), interpolation=cv2.INTER_CUBIC).astype(np.float64)
    standard: Floats = (noise - noise.mean()) / noise.std()
    return standard


def _blend(image: Floats, mask: Floats, colour: Floats) -> Floats:
    """Return `image` (H, W, 3) with `colour` (3,) or (H, W, 3) where `mask` (H, W) in [0, 1] says."""
    return image * (1 - mask[..., None]) + colour * mask[..., None]


def skin_lesion(rng: np.random.Generator, label: str, site: str, size_px: int = 144) -> npt.NDArray[np.uint8]:
    """Return a dermoscopy-like picture, `(size_px, size_px, 3)` uint8 RGB."""
    y, x = _grid(size_px, size_px)
    skin = np.array([214, 170, 150]) + rng.normal(0, 9, 3)
    image = skin + 5 * _smooth_noise(rng, size_px, size_px, 6)[..., None] + rng.normal(0, 2.5, (size_px, size_px, 3))
    angle, radius, stretch = rng.uniform(0, np.pi), rng.uniform(0.32, 0.6), rng.uniform(0.75, 1.0)
    cy, cx = rng.normal(0, 0.1, 2)
    u = (x - cx) * np.cos(angle) + (y - cy) * np.sin(angle)
    v = (-(x - cx) * np.sin(angle) + (y - cy) * np.cos(angle)) / stretch
    roughness = {"naevus": 0.05, "keratosis": 0.08, "melanoma": 0.17, "dermatofibroma": 0.05}[label]
    distance = np.hypot(u, v) / radius + roughness * _smooth_noise(rng, size_px, size_px, 7)
    softness = {"naevus": 14, "keratosis": 26, "melanoma": 14, "dermatofibroma": 9}[label]
    lesion = 1 / (1 + np.exp(softness * (distance - 1)))
    image = _blend(image, 0.85 * lesion, _lesion_colour(rng, label, distance, size_px))
    for _ in range(rng.integers(0, 6)):
        image = _hair(rng, image)
    return _as_seen_by(site, image)


def _lesion_colour(rng: np.random.Generator, label: str, distance: Floats, size_px: int) -> Floats:
    """Return the lesion's own colours `(H, W, 3)`."""
    base = {"naevus": (128, 84, 62), "keratosis": (158, 118, 82), "melanoma": (82, 58, 52), "dermatofibroma": (186, 124, 112)}[label]
    colour = np.array(base) + rng.normal(0, 12, 3) + np.zeros((size_px, size_px, 1))
    if label == "keratosis":
        dots = _smooth_noise(rng, size_px, size_px, 26) > 1.1
        colour = colour + 26 * _smooth_noise(rng, size_px, size_px, 18)[..., None] * 0.5 + np.where(dots, 45, 0)[..., None]
    if label == "melanoma":
        veil = np.clip(_smooth_noise(rng, size_px, size_px, 4), 0, 2)[..., None] / 2
        colour = colour * (1 - 0.7 * veil) + np.array([70, 78, 104]) * 0.7 * veil
    if label == "dermatofibroma":
        centre = np.exp(-((distance / rng.uniform(0.35, 0.5)) ** 2))[..., None]
        colour = colour * (1 - 0.75 * centre) + np.array([232, 214, 204]) * 0.75 * centre
    return colour + 6 * _smooth_noise(rng, size_px, size_px, 12)[..., None]


def _hair(rng: np.random.Generator, image: Floats) -> Floats:
    """Return the image with one dark hair across it."""
    import cv2

    size = image.shape[0]
    points = np.stack([np.linspace(-5, size + 5, 12), rng.uniform(0, size) + np.cumsum(rng.normal(0, size / 22, 12))], axis=1)
    if rng.random() < 0.5:
        points = points[:, ::-1]
    mask = np.zeros((size, size), np.uint8)
    cv2.polylines(mask, [np.round(points).astype(np.int32).reshape(-1, 1, 2)], isClosed=False, color=255, thickness=1, lineType=cv2.LINE_AA)
    return _blend(image, mask / 255 * 0.7, np.array([45.0, 34, 30]))


def _as_seen_by(site: str, image: Floats) -> npt.NDArray[np.uint8]:
    """Return the picture with the site's colour cast and vignette."""
    y, x = _grid(*image.shape[:2])
    cast = {"north": (1.0, 1.0, 1.0), "harbour": (1.05, 0.98, 0.90), "hill": (0.94, 0.97, 1.08)}[site]
    vignette = {"north": 0.10, "harbour": 0.25, "hill": 0.05}[site]
    seen = image * np.array(cast) * (1 - vignette * (x**2 + y**2))[..., None]
    picture: npt.NDArray[np.uint8] = np.clip(np.rint(seen), 0, 255).astype(np.uint8)
    return picture


def chest_xray(rng: np.random.Generator, label: str, site: str, size_px: int = 320) -> npt.NDArray[np.uint16]:
    """Return a frontal chest phantom, `(size_px, size_px)` 12-bit values in uint16, MONOCHROME2 (bone is bright)."""
    y, x = _grid(size_px, size_px)
    image = 0.62 - 0.15 * y**2 + 0.02 * _smooth_noise(rng, size_px, size_px, 5)
    width, height = rng.uniform(0.30, 0.36), rng.uniform(0.60, 0.70)
    lungs = np.zeros_like(image)
    for side in (-1, 1):
        distance = ((x - side * 0.42) / width) ** 2 + ((y + 0.05) / height) ** 2
        lungs = np.maximum(lungs, 1 / (1 + np.exp(12 * (distance - 1))))
    image -= 0.36 * lungs
    ribs = np.sin((y + 0.35 * np.abs(x)) * rng.uniform(26, 30)) > 0.55
    image += 0.07 * ribs * lungs + 0.22 * np.exp(-((x / 0.09) ** 2))
    image += 0.20 * np.exp(-(((x - 0.12) / 0.28) ** 2) - ((y - 0.32) / 0.3) ** 2)
    side = rng.choice([-1, 1])
    if label == "effusion":
        level = rng.uniform(0.12, 0.42) + 0.35 * (np.abs(x) - 0.42)
        image += rng.uniform(0.2, 0.32) / (1 + np.exp(-22 * (y - level))) * lungs * (np.sign(x) == side)
    if label == "nodule":
        cx, cy, radius = side * rng.uniform(0.32, 0.52), rng.uniform(-0.45, 0.2), rng.uniform(0.05, 0.09)
        image += rng.uniform(0.17, 0.27) * np.exp(-((((x - cx) ** 2 + (y - cy) ** 2) / radius**2) ** 2))
    gamma, noise = {"north": (1.0, 0.012), "harbour": (1.25, 0.02), "hill": (0.85, 0.03)}[site]
    image = np.clip(image + rng.normal(0, noise, image.shape), 0, 1) ** gamma
    return np.rint(image * 4095).astype(np.uint16)


def chest_ct(rng: np.random.Generator, label: str, site: str, slices: int = 28, size_px: int = 96) -> npt.NDArray[np.int16]:
    """Return a chest phantom, `(slices, size_px, size_px)` int16 HU."""
    z, y, x = np.mgrid[-1 : 1 : slices * 1j, -1 : 1 : size_px * 1j, -1 : 1 : size_px * 1j]
    volume = np.full(z.shape, -1000.0)
    volume[(x / 0.88) ** 2 + (y / 0.68) ** 2 < 1] = 40 + rng.normal(0, 5)
    taper = np.clip(1 - 0.25 * (z + 0.2) ** 2, 0.4, 1)
    centres = []
    for side in (-1, 1):
        lung = ((x - side * 0.42) / (0.34 * taper)) ** 2 + ((y + 0.02) / (0.50 * taper)) ** 2 < 1
        volume[lung] = -820 + rng.normal(0, 15)
        centres.append(lung)
    volume[(x / 0.11) ** 2 + ((y - 0.5) / 0.11) ** 2 < 1] = 420
    vessels = _noise_3d(rng, volume.shape) > 1.9
    volume[(centres[0] | centres[1]) & vessels] = -150
    if label == "nodule":
        side = rng.choice([-1, 1])
        cz, cy, cx, radius = rng.uniform(-0.4, 0.4), rng.uniform(-0.25, 0.2), side * rng.uniform(0.35, 0.5), rng.uniform(0.10, 0.17)
        volume[((z - cz) / 1.2) ** 2 + (y - cy) ** 2 + (x - cx) ** 2 < radius**2] = 45
    noise = {"north": 12, "harbour": 22, "hill": 34}[site]
    scanned: npt.NDArray[np.int16] = np.clip(np.rint(volume + rng.normal(0, noise, volume.shape)), -1024, 3071).astype(np.int16)
    return scanned


def _noise_3d(rng: np.random.Generator, shape: tuple[int, ...]) -> Floats:
    """Return noise of unit variance with a grain of a few voxels."""
    from scipy.ndimage import gaussian_filter

    noise: Floats = gaussian_filter(rng.standard_normal(shape), 1.2)
    noise /= noise.std()
    return noise


def brain_mr(rng: np.random.Generator, label: str, site: str, slices: int = 36, size_px: int = 64) -> npt.NDArray[np.int16]:
    """Return a T2-like brain phantom, `(slices, size_px, size_px)` int16 in the scanner's own units."""
    z, y, x = np.mgrid[-1 : 1 : slices * 1j, -1 : 1 : size_px * 1j, -1 : 1 : size_px * 1j]
    distance = np.sqrt((x / 0.72) ** 2 + (y / 0.86) ** 2 + (z / 0.85) ** 2)
    folds = 0.06 * _noise_3d(rng, distance.shape)
    volume = np.zeros(z.shape)
    volume[distance < 1.08] = 160
    volume[distance + folds < 1] = 520
    volume[distance + folds < 0.84] = 380
    for side in (-1, 1):
        volume[((x - side * 0.12) / 0.08) ** 2 + (y / 0.3) ** 2 + (z / 0.25) ** 2 < 1] = 900
    if label == "lesion":
        side = rng.choice([-1, 1])
        cz, cy, cx = rng.uniform(-0.3, 0.4), rng.uniform(-0.4, 0.4), side * rng.uniform(0.3, 0.45)
        volume[(z - cz) ** 2 + (y - cy) ** 2 + (x - cx) ** 2 < rng.uniform(0.11, 0.18) ** 2] = 820
    gain, bias = {"north": (1.0, 0.1), "harbour": (1.8, 0.3), "hill": (0.6, 0.2)}[site]
    scanned: npt.NDArray[np.int16] = np.clip(np.rint(gain * (volume * (1 + bias * x) + rng.normal(0, 22, volume.shape))), 0, 32767).astype(np.int16)
    return scanned
