"""Quality of images, and the perceptual hash."""

from __future__ import annotations

import cv2
import numpy as np
import numpy.typing as npt
import pytest

from curation.quality import look_of, perceptual_hash, quality_of

RANDOM = np.random.default_rng(5)


def a_smooth_picture() -> npt.NDArray[np.uint8]:
    """Return random blobs, `(120, 160)`."""
    return np.asarray(cv2.resize(RANDOM.integers(0, 256, (12, 16), dtype=np.uint8), (160, 120), interpolation=cv2.INTER_CUBIC), np.uint8)


PICTURE = a_smooth_picture()


def test_worked_values() -> None:
    """Half black, half white: mean 1/2, standard deviation 1/2, one bit of entropy, all pixels clipped."""
    picture = np.zeros((8, 8), np.uint8)
    picture[:, 4:] = 255
    quality = quality_of(picture)
    assert (quality.brightness, quality.contrast, quality.entropy_bits, quality.clipped, quality.saturation) == (0.5, 0.5, 1.0, 1.0, None)
    assert quality.sharpness == pytest.approx(cv2.Laplacian(picture, cv2.CV_64F).var(), abs=1e-3)


def test_blur_lowers_sharpness_and_colour_raises_saturation() -> None:
    """The measures move the right way."""
    assert quality_of(np.asarray(cv2.GaussianBlur(PICTURE, (9, 9), 3), np.uint8)).sharpness < quality_of(PICTURE).sharpness
    red = np.zeros((4, 4, 3), np.uint8)
    red[..., 0] = 200
    assert quality_of(red[..., 0], red).saturation == 1.0


def test_the_hash_is_the_sign_of_low_frequencies() -> None:
    """Against the full cosine transform of OpenCV."""
    small = cv2.resize(PICTURE, (32, 32), interpolation=cv2.INTER_AREA).astype(np.float32)
    low = cv2.dct(small)[:8, :8] / np.outer([1, *[np.sqrt(2)] * 7], [1, *[np.sqrt(2)] * 7])
    bits = "".join("1" if value else "0" for value in (low > np.median(low)).ravel())
    assert perceptual_hash(PICTURE) == int(bits, 2)


def test_a_resized_recoded_image_keeps_its_hash_and_another_one_does_not() -> None:
    """Within a few of 64 bits; unrelated ones differ in about half."""
    smaller = np.asarray(cv2.resize(PICTURE, (107, 80), interpolation=cv2.INTER_AREA), np.uint8)
    one, near, far = (perceptual_hash(picture) for picture in (PICTURE, smaller, a_smooth_picture()))
    assert (one ^ near).bit_count() <= 4
    assert (one ^ far).bit_count() > 16


def test_volumes_and_deep_images_have_a_look_too() -> None:
    """A volume's is that of its middle slice, whatever its unit."""
    volume = np.stack([PICTURE * 0, PICTURE, PICTURE * 0]).astype(np.float32) * 7 - 300
    hashes = [int(str(look_of(pixels, is_volume=deep)["perceptual_hash"]), 16) for pixels, deep in ((volume, True), (PICTURE, False))]
    assert (hashes[0] ^ hashes[1]).bit_count() <= 6
    assert look_of(PICTURE.astype(np.uint16) * 257, is_volume=False) == look_of(PICTURE, is_volume=False)
