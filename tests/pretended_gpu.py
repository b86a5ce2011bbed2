"""A GPU that is not there: its tensors hold real numbers that the CPU computes, say that they are on `cuda:0`, and refuse to meet tensors of the CPU.

Torch's own FakeTensorMode has no numbers (so nothing can be saved, looked at or gone on with), and its backward pass needs a torch that was built for CUDA.
Gradients are recorded behind the tensors, on what they hold. What is not imitated: kernels and their rounding, memory, streams, several GPUs.
"""

from __future__ import annotations

import ctypes
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import cache
from pathlib import Path
from typing import Any, Self

import pytest
import torch
from torch.utils._python_dispatch import TorchDispatchMode

aten = torch.ops.aten
CUDA, META = 1, 14  # torch's numbers of kinds of devices
CPU, GPU = torch.device("cpu"), torch.device("cuda", 0)
COPIES = {aten.copy_.default, aten._to_copy.default}
"""What may go from one device to the other."""
INDEXES = {aten.index.Tensor, aten.index_put_.default, aten.index_put.default, aten._index_put_impl_.default}
"""A GPU takes positions that lie on the CPU."""
FUSED = {torch.ops.mkldnn._convolution_pointwise.default} if torch.backends.mkldnn.is_available() else set()  # type: ignore[no-untyped-call]
HEAVY = {aten.convolution.default, aten.native_group_norm.default, *FUSED}
RECORDED = {aten._embedding_bag_forward_only.default: aten._embedding_bag.default}
AUTOGRAD = ("AutogradCPU", "AutogradOther", "AutogradFunctionality", "ADInplaceOrView")


class OnGpu(torch.Tensor):
    """A tensor that claims to be on the GPU; `held` is the same on the CPU, with its gradient."""

    held: torch.Tensor
    __torch_function__ = torch._C._disabled_torch_function_impl

    @staticmethod
    def __new__(cls, held: torch.Tensor) -> Self:
        """Return a tensor of the same shape, type and layout."""
        layout: dict[str, Any] = {"strides": held.stride(), "storage_offset": held.storage_offset(), "dtype": held.dtype, "device": GPU}
        with torch.inference_mode(mode=False):
            made: Any = torch.Tensor._make_wrapper_subclass(cls, held.size(), **layout)
        made.held = held
        return made  # type: ignore[no-any-return]

    @classmethod
    def __torch_dispatch__(cls, function: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        """Refuse what outlived the block."""
        raise RuntimeError(f"{function} on the pretended GPU, which is gone")

    @property
    def requires_grad(self) -> bool:  # type: ignore[override]
        """Of what is held."""
        return self.held.requires_grad

    @requires_grad.setter
    def requires_grad(self, value: bool) -> None:
        self.held.requires_grad = value

    def requires_grad_(self, requires_grad: bool = True) -> Self:
        """Let what is held learn."""
        self.held.requires_grad_(requires_grad)
        return self

    @property
    def grad(self) -> Any:  # type: ignore[override]
        """Gradient, on the GPU too."""
        return None if self.held.grad is None else OnGpu(self.held.grad)

    @grad.setter
    def grad(self, value: Any) -> None:
        self.held.grad = None if value is None else value.held

    def backward(self) -> None:  # type: ignore[override]
        """Compute the gradients of what is held."""
        self.held.backward()

    def numpy(self, **_: Any) -> Any:  # type: ignore[override]
        """Refuse, as torch does."""
        raise TypeError("can't convert cuda:0 device type tensor to numpy. Use Tensor.cpu() to copy the tensor to host memory first.")


class PretendedGpu(TorchDispatchMode):
    """Computes everything, and keeps to the rules of a GPU.

    Attributes:
        heavy_on_cpu: convolutions and group norms that were left to the CPU.
        heavy_on_gpu: those that were not.
        functions_on_gpu: all that was computed or copied there.
    """

    def __init__(self) -> None:
        super().__init__()
        self._mode_key = torch._C._TorchDispatchModeKey.FAKE  # torch asks no driver then
        self.heavy_on_cpu, self.heavy_on_gpu, self.functions_on_gpu = 0, 0, 0

    def __torch_dispatch__(self, function: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        """Compute one function of tensors."""
        kwargs = dict(kwargs or {})
        if _is_composite(function):
            with self:
                return function.decompose(*args, **kwargs)
        here = [tensor for tensor in _tensors((args, kwargs)) if isinstance(tensor, OnGpu)]
        asked = kwargs.get("device")
        to_gpu = bool(here) if asked is None else asked.type == "cuda"
        if function is aten.copy_.default:
            to_gpu = isinstance(args[0], OnGpu)
        if function in HEAVY:
            self.heavy_on_gpu, self.heavy_on_cpu = self.heavy_on_gpu + to_gpu, self.heavy_on_cpu + (not to_gpu)
        if not here and not to_gpu:
            return function(*args, **kwargs)
        self.functions_on_gpu += 1
        _check_devices(function, args, kwargs)
        if to_gpu and asked is not None:
            kwargs["device"] = CPU
        held_args, held_kwargs = _map((args, kwargs), lambda tensor: tensor.held if isinstance(tensor, OnGpu) else tensor)
        with _recording():
            made = RECORDED.get(function, function)(*held_args, **held_kwargs)
        known = {id(tensor.held): tensor for tensor in here}
        return _map(made, lambda tensor: known[id(tensor)] if id(tensor) in known else OnGpu(tensor) if to_gpu else tensor)


@cache
def _is_composite(function: Any) -> bool:
    """Say whether a function is made of others."""
    return bool(torch._C._dispatch_has_kernel_for_dispatch_key(function.name(), "CompositeImplicitAutograd"))


def _tensors(values: Any) -> Iterator[torch.Tensor]:
    """Yield the tensors of nested tuples, lists and dictionaries."""
    if isinstance(values, torch.Tensor):
        yield values
    elif isinstance(values, tuple | list | dict):
        for value in values.values() if isinstance(values, dict) else values:
            yield from _tensors(value)


def _map(values: Any, change: Callable[[torch.Tensor], Any]) -> Any:
    """Return nested tuples, lists and dictionaries with their tensors changed."""
    if isinstance(values, torch.Tensor):
        return change(values)
    if isinstance(values, dict):
        return {name: _map(value, change) for name, value in values.items()}
    return type(values)(_map(value, change) for value in values) if type(values) in (tuple, list) else values


def _check_devices(function: Any, args: Any, kwargs: Any) -> None:
    """Raise `RuntimeError` when tensors of both devices meet; single numbers may lie on the CPU."""
    if function in COPIES:
        return
    meeting = (args[:1], args[2:], kwargs) if function in INDEXES else (args, kwargs)
    if any(not isinstance(tensor, OnGpu) and tensor.ndim for tensor in _tensors(meeting)):
        raise RuntimeError(f"Expected all tensors to be on the same device, but found at least two devices, cuda:0 and cpu! ({function})")


def _recording() -> Any:
    """Return a block in which functions of plain tensors record gradients, as they do outside of a mode."""
    keys: Any = torch._C.DispatchKey
    include, exclude = torch._C._dispatch_tls_local_include_set(), torch._C._dispatch_tls_local_exclude_set()
    for name in ("Python", "PythonTLSSnapshot"):
        include, exclude = include.remove(getattr(keys, name)), exclude.add(getattr(keys, name))
    for name in AUTOGRAD:
        exclude = exclude.remove(getattr(keys, name))
    return torch._C._ForceDispatchKeyGuard(include, exclude)


@contextmanager
def _guarded() -> Iterator[None]:
    """Let torch choose a GPU where there is none: the guard of the meta device, which does nothing, stands in for that of CUDA, which this build lacks."""
    library = ctypes.CDLL(str(next((Path(torch.__file__).parent / "lib").glob("libc10.*"))))
    guards = (ctypes.c_void_p * (META + 1)).in_dll(library, "_ZN3c104impl26device_guard_impl_registryE")
    before, lifts = guards[CUDA], torch._C._only_lift_cpu_tensors()
    guards[CUDA] = guards[META]
    torch._C._set_only_lift_cpu_tensors(True)  # torch.tensor(..., device="cuda:0") is made on the CPU and copied
    try:
        yield
    finally:
        guards[CUDA] = before
        torch._C._set_only_lift_cpu_tensors(lifts)


@contextmanager
def pretended_gpu(patch: pytest.MonkeyPatch, *, has_bfloat16: bool = True) -> Iterator[PretendedGpu]:
    """Let torch find one GPU while the block runs; one without bfloat16 imitates it, as those before Ampere do."""
    before = torch.__future__.get_overwrite_module_params_on_conversion()
    with patch.context() as finds, _guarded(), PretendedGpu() as gpu:
        finds.setattr(torch.cuda, "is_available", lambda: True)
        finds.setattr(torch.cuda, "device_count", lambda: 1)
        finds.setattr(torch.cuda, "get_device_name", lambda _: "a pretended GPU")
        finds.setattr(torch.cuda, "is_bf16_supported", lambda including_emulation=True: has_bfloat16 or including_emulation)
        torch.__future__.set_overwrite_module_params_on_conversion(True)
        try:
            yield gpu
        finally:
            torch.__future__.set_overwrite_module_params_on_conversion(before)
