"""C++ made into a function: compiled once, kept on disk, called with tensors."""

import ctypes
import subprocess
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch._inductor.cpp_builder import get_cpp_compiler

from gazegan.render.kept import kept
from gazegan.render.kernel import Kernel
from gazegan.render.steps import LANES

_FLAGS = (
    *("-O3", "-std=c++17", "-shared", "-fPIC", "-march=native", "-Wno-psabi"),
    *("-fno-math-errno", "-fno-trapping-math", "-fno-signed-zeros", "-ffp-contract=fast"),
)
# Thousands of steps in a loop want registers more than anything: steps are taken in an order that
# needs few of them, and none is spent on running along with each of the planes. Clang
# refuses the words.
_GCC = (
    *("-fschedule-insns", "-fsched-pressure", "--param=sched-pressure-algorithm=2"),
    "-fno-ivopts",
)


class Native:
    """A kernel, ready to be called."""

    def __init__(self, kernel: Kernel, planes: Sequence[np.ndarray[Any, Any]]) -> None:
        self._render = ctypes.CDLL(str(build(kernel.text))).render
        self._kernel = kernel
        # Vectors may read past a plane's end.
        self._planes = [np.append(p.view(np.float32), np.zeros(LANES, np.float32)) for p in planes]

    def __call__(
        self, params: Tensor, seed: Tensor, outs: Sequence[Tensor], places: Tensor
    ) -> None:
        """Run on rows of `params` `[B, P]` and `seed` `[B]`, into rows `places` `[B]` of `outs`."""
        kernel, count = self._kernel, len(seed)
        params, seed = params.contiguous(), seed.to(torch.int32).contiguous()
        places = places.to(torch.int64).contiguous()
        room = torch.empty(kernel.room + LANES)
        assert all(out.is_contiguous() and out.dtype == torch.float32 for out in outs)
        self._render(
            ctypes.c_long(count),
            *(ctypes.c_void_p(params.data_ptr()), ctypes.c_long(params.shape[1])),
            ctypes.c_void_p(seed.data_ptr()),
            *(ctypes.c_void_p(table.ctypes.data) for table in (kernel.numbers, kernel.sizes)),
            ctypes.c_void_p(room.data_ptr()),
            _pointers([plane.ctypes.data for plane in self._planes]),
            _pointers([out.data_ptr() for out in outs]),
            (ctypes.c_long * len(outs))(*(out[0].numel() for out in outs)),
            ctypes.c_long(len(outs)),
            ctypes.c_void_p(places.data_ptr()),
        )


def _pointers(places: Sequence[int]) -> Any:
    return (ctypes.c_void_p * max(1, len(places)))(*places)


def build(text: str) -> Path:
    """Compile C++, unless it was before, and return the library.

    Raises InvalidCxxCompiler where there is no compiler, CalledProcessError where it fails.
    """
    compiler = get_cpp_compiler()
    machine = _machine(compiler)
    flags = (*_FLAGS, *_GCC) if "gcc version" in machine else _FLAGS

    def make(library: Path) -> None:
        source = library.with_suffix(".cpp")
        source.write_text(text)
        words = [compiler, *flags, str(source), "-o", str(library)]
        subprocess.run(words, check=True, capture_output=True, text=True)

    return kept((compiler, *flags, machine, text), ".so", make)


def _machine(compiler: str) -> str:
    """What the compiler makes of `-march=native`, and its version."""
    asked = [compiler, "-march=native", "-x", "c++", "-E", "-v", "-"]
    told = subprocess.run(asked, input="", capture_output=True, text=True, check=False).stderr
    lines = [line for line in told.splitlines() if "-march" in line or "version" in line]
    return "\n".join(line for line in lines if "/tmp" not in line)
