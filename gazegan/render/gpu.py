"""CUDA made into a function: compiled once, kept on disk, called with tensors."""

import ctypes
from collections.abc import Sequence
from functools import cache
from typing import Any

import numpy as np
import torch
from torch import Tensor

from gazegan.render.kept import kept
from gazegan.render.kernel import Kernel
from gazegan.render.steps import LANES

_FLAGS = ("-std=c++17", "-w", "-ftz=true", "-prec-div=false", "-prec-sqrt=false")
_BLOCK = 128
"""Threads that run together."""
_OUTS = 4
"""Outputs that a loop has room for."""


class CudaError(Exception):
    """NVIDIA's compiler or driver refuses something."""


class Gpu:
    """A kernel on an NVIDIA GPU, ready to be called.

    Raises CudaError where NVIDIA's compiler is not installed or fails.
    """

    def __init__(
        self, kernel: Kernel, planes: Sequence[np.ndarray[Any, Any]], device: torch.device | str
    ) -> None:
        self._kernel, self._device = kernel, torch.device(device)
        self._numbers = self._there(kernel.numbers)
        self._sizes = self._there(kernel.sizes.astype(np.int32))
        self._planes = [self._there(plane.view(np.float32).ravel()) for plane in planes]
        at = np.array([plane.data_ptr() for plane in self._planes], dtype=np.int64)
        self._pointers = self._there(at)
        with torch.cuda.device(self._device):  # the driver's context is there, as tensors are
            made = build(kernel.text, *torch.cuda.get_device_capability())
            self._module = _told(_bindings().driver.cuModuleLoadData(made))
        names = ("shared", *(f"loop{k}" for k in range(len(kernel.loops))))
        find = _bindings().driver.cuModuleGetFunction
        self._functions = [_told(find(self._module, name.encode())) for name in names]

    def _there(self, values: np.ndarray[Any, Any]) -> Tensor:
        """Numbers in the device's memory, one more than there are: never none."""
        return torch.from_numpy(np.append(values, values.dtype.type(0))).to(self._device)

    def __call__(
        self, params: Tensor, seed: Tensor, outs: Sequence[Tensor], places: Tensor
    ) -> None:
        """Run on rows of `params` `[B, P]` and `seed` `[B]`, into rows `places` `[B]` of `outs`."""
        kernel, count = self._kernel, len(seed)
        eyes = count // kernel.together
        params, seed = params.contiguous(), seed.to(torch.int32).contiguous()
        places = places.to(torch.int64).contiguous()
        shared = torch.empty(-(-eyes // LANES) * LANES * kernel.shared, device=self._device)
        room = torch.empty(eyes * kernel.room, device=self._device)
        assert all(out.is_contiguous() and out.dtype == torch.float32 for out in outs)
        lacking = _OUTS - len(outs)
        where = (*outs, *[None] * lacking, *(out[0].numel() for out in outs), *[0] * lacking)
        common = (shared, room, kernel.room, self._pointers, self._sizes, places, *where)
        first = (count, params, params.shape[1], seed, self._numbers, shared)
        with torch.cuda.device(self._device):
            _launch(self._functions[0], (-(-eyes // _BLOCK), 1), first)
            for loop, (rows, columns) in zip(self._functions[1:], kernel.loops, strict=True):
                _launch(loop, (-(-rows * columns // _BLOCK), eyes), common)


def _launch(function: Any, blocks: tuple[int, int], args: Sequence[Tensor | int | None]) -> None:
    """Run a function in so many blocks of threads, after all that the device was told before."""
    values = tuple(arg.data_ptr() if isinstance(arg, Tensor) else arg or 0 for arg in args)
    kinds = tuple(ctypes.c_int if isinstance(arg, int) else ctypes.c_void_p for arg in args)
    stream = torch.cuda.current_stream().cuda_stream
    grid = (*blocks, 1, _BLOCK, 1, 1)
    _told(_bindings().driver.cuLaunchKernel(function, *grid, 0, stream, (values, kinds), 0))


def build(text: str, major: int, minor: int) -> bytes:
    """Compile CUDA for GPUs of a compute capability, unless it was before.

    Raises CudaError where there is no compiler, or it fails.
    """
    flags = (*_FLAGS, f"--gpu-architecture=sm_{major}{minor}")
    version = _told(_bindings().nvrtc.nvrtcVersion())
    words = (str(version), *flags, text)
    return kept(words, ".cubin", lambda file: file.write_bytes(_compiled(text, flags))).read_bytes()


def _compiled(text: str, flags: Sequence[str]) -> bytes:
    nvrtc = _bindings().nvrtc
    program = _told(nvrtc.nvrtcCreateProgram(text.encode(), b"loops.cu", 0, [], []))
    try:
        _told(nvrtc.nvrtcCompileProgram(program, len(flags), [flag.encode() for flag in flags]))
        made = bytes(_told(nvrtc.nvrtcGetCUBINSize(program)))
        _told(nvrtc.nvrtcGetCUBIN(program, made))
    finally:
        nvrtc.nvrtcDestroyProgram(program)
    return made


@cache
def _bindings() -> Any:
    """NVIDIA's driver and compiler, which torch for its GPUs brings along."""
    try:
        import cuda.bindings.driver
        import cuda.bindings.nvrtc
    except ImportError:
        raise CudaError("pip install cuda-bindings brings one") from None
    return cuda.bindings


def _told(answer: Any) -> Any:
    """What a call returns beside its state."""
    state, *rest = answer
    if state.value:
        raise CudaError(state.name)
    return rest[0] if len(rest) == 1 else tuple(rest)
