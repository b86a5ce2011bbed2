"""The unrolled network: fused and plain convolutions agree, and turning stands for TensorFlow's padding."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch

from adaptation.efficientnet import Convolution, can_fuse

RNG = np.random.default_rng(0)


@pytest.mark.parametrize("number", [torch.float32, torch.bfloat16])
def test_an_activation_inside_a_convolution_is_the_same_as_one_after_it(number: torch.dtype) -> None:
    """Pointwise and depthwise, with and without ReLU6: fused and plain agree to the rounding of their numbers."""
    if not can_fuse(number):
        pytest.skip("no oneDNN for these numbers on this processor")
    maps = torch.from_numpy(RNG.normal(0, 3, (2, 16, 8, 8))).to(number, memory_format=torch.channels_last)
    for groups, size, is_clipped in ((1, 1, True), (1, 1, False), (16, 5, True)):
        kernel, bias = (torch.from_numpy(RNG.normal(size=shape)).to(number) for shape in ((16, 16 // groups, size, size), (16,)))
        fused = Convolution(kernel, bias, 1, groups, is_clipped, is_fused=True)
        found, plain = fused(maps), replace(fused, is_fused=False)(maps)
        torch.testing.assert_close(found, plain)
        assert bool(((found >= 0) & (found <= 6)).all()) == is_clipped


def test_a_turned_convolution_pads_the_end_as_tensorflow_does() -> None:
    """Sides of 8, kernels of 3 and 5, stride 2: equal to a convolution of the upright image, padded by hand, after turning back."""
    for size, before, after in ((3, 0, 1), (5, 1, 2)):
        image, kernel = torch.from_numpy(RNG.normal(size=(1, 1, 8, 8))), torch.from_numpy(RNG.normal(size=(1, 1, size, size)))
        upright = torch.nn.functional.conv2d(torch.nn.functional.pad(image, (before, after) * 2), kernel, stride=2)
        turned = Convolution(kernel.flip(2, 3), torch.zeros(1, dtype=torch.float64), 2, 1, is_clipped=False, is_fused=False)
        torch.testing.assert_close(turned(image.flip(2, 3)).flip(2, 3), upright)
