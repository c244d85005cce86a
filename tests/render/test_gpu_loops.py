"""Loops for a GPU: their text run thread by thread on a CPU, and compiled for GPUs without one."""

import ctypes
import subprocess
import sys
from contextlib import nullcontext

import numpy as np
import pytest
import torch
from torch._inductor.cpp_builder import get_cpp_compiler

from gazegan import rng
from gazegan.render import effects, gpu, kept, threads
from gazegan.render.compiled import compiled, recorded
from gazegan.render.kernel import write
from gazegan.render.params import EyeParams
from gazegan.render.plan import stores
from gazegan.render.prior import Recipe, load_recipe, sample
from gazegan.render.scene import expose, plainly
from gazegan.schema import MASKS

# What CUDA says, in C++, a thread after the other.
BEFORE = """
#include <cmath>
#include <cstring>
using std::fmaxf; using std::fminf; using std::memcpy;
#define __global__
#define __device__
#define __forceinline__ inline
#define __restrict__
static float rsqrtf(float a) { return 1 / std::sqrt(a); }
struct { int x, y; } static blockIdx, blockDim, threadIdx;
"""
AFTER = """
extern "C" void run(int eyes, int params, const float* p, const int* q, const float* k,
                    const int* n, const float* const* c, const long long* into, const int* pixels,
                    int room, float* s, float* w, float* o0, int l0, float* o1, int l1) {
  blockDim.x = 1;
  for (blockIdx.x = 0; blockIdx.x < eyes; ++blockIdx.x)
    shared(eyes * TOGETHER, p, params, q, k, s);
CALLS
}
"""
CALL = """
  for (blockIdx.y = 0; blockIdx.y < eyes; ++blockIdx.y)
    for (blockIdx.x = 0; blockIdx.x < pixels[NUMBER] + 3; ++blockIdx.x)
      loopNUMBER(s, w, room, c, n, into, o0, o1, 0, 0, l0, l1, 0, 0);"""


def thread_by_thread(kernel, planes, folder):
    """A kernel for a GPU as a function on a CPU."""
    calls = "".join(CALL.replace("NUMBER", str(k)) for k in range(len(kernel.loops)))
    source, library = folder / "loops.cpp", folder / "loops.so"
    source.write_text(BEFORE + kernel.text + AFTER.replace("CALLS", calls))
    words = [get_cpp_compiler(), "-O1", "-w", "-std=c++17", "-shared", "-fPIC", "-fwrapv"]
    subprocess.run([*words, str(source), "-o", str(library)], check=True)
    run = ctypes.CDLL(str(library)).run
    planes = [np.ascontiguousarray(plane) for plane in planes]

    def pointer(values):
        return ctypes.c_void_p(values.ctypes.data)

    def call(params, seed, outs, places):
        eyes = len(seed) // kernel.together
        tables = [
            np.append(kernel.numbers, np.float32(0)),
            np.append(kernel.sizes, 0).astype(np.int32),
        ]
        tables += [np.array([rows * columns for rows, columns in kernel.loops], np.int32)]
        at = np.array([plane.ctypes.data for plane in planes] or [0], dtype=np.int64)
        shared = np.empty(kernel.shared * 16 * (eyes // 8 + 1), np.float32)
        room = np.empty(kernel.room * eyes, np.float32)
        inputs = [part.contiguous().numpy() for part in (params, seed.int(), places)]
        parts = [(ctypes.c_void_p(out.data_ptr()), ctypes.c_int(out[0].numel())) for out in outs]
        parts += [(ctypes.c_void_p(), ctypes.c_int())] * (2 - len(parts))
        run(
            *(ctypes.c_int(eyes), ctypes.c_int(params.shape[1])),
            *(pointer(inputs[0]), pointer(inputs[1]), pointer(tables[0]), pointer(tables[1])),
            *(pointer(at), pointer(inputs[2]), pointer(tables[2]), ctypes.c_int(kernel.room)),
            *(pointer(shared), pointer(room), *parts[0], *parts[1]),
        )

    return call


def loops(recipe, needs):
    program, made = recorded(recipe, needs)
    together = 2 if recipe.image.whole_faces else 1
    return write(program, stores(made.values()), threads.DIALECT, together), program.planes


@pytest.mark.parametrize("name", ["webcam", "studio", "portrait"])
def test_loops_for_a_gpu_render_the_eyes_of_the_plain_renderer(name, tmp_path):
    """Within 2 grey levels but for 1 pixel in 10,000, each at its place; a face's two together."""
    recipe = load_recipe(name, ("image.height=24", "image.width=40"))
    count, needs = 10, effects.kinds(effects.of_recipe(recipe))[0]
    run = thread_by_thread(*loops(recipe, needs), tmp_path)
    params, seed = sample(recipe, 3, torch.arange(count)), rng.bits(torch.arange(count) // 2, 0)
    channels = recipe.image.channels
    image, masks = torch.empty(count, channels, 24, 40), torch.empty(count, len(MASKS), 24, 40)
    faces = torch.randperm(count // 2, generator=rng.stream(0, "places"))
    places = torch.stack((2 * faces, 2 * faces + 1), 1).flatten()
    run(params.flat(), seed, (image, masks), places)
    plain = expose(EyeParams.from_flat(params.flat()), seed, recipe.image, needs)
    off = 255 * (plain.image - image[places]).abs()
    assert float((off > 2).float().mean()) <= 1e-4
    torch.testing.assert_close(masks[places], plain.masks, atol=2e-3, rtol=0)


@pytest.mark.parametrize("changed", [{}, {"depth": True, "channels": 3}])
def test_loops_compile_for_gpus(changed, monkeypatch, tmp_path):
    pytest.importorskip("cuda.bindings.nvrtc")
    recipe = Recipe.model_validate({"image": {"height": 24, "width": 40, **changed}})
    kernel, _ = loops(recipe, effects.of_recipe(recipe))
    monkeypatch.setattr(kept, "cache_dir", lambda: str(tmp_path))
    made = gpu.build(kernel.text, 9, 0)
    assert made[:4] == b"\x7fELF" and b"loop0" in made and b"shared" in made


def test_what_does_not_compile_is_said(monkeypatch, tmp_path):
    pytest.importorskip("cuda.bindings.nvrtc")
    monkeypatch.setattr(kept, "cache_dir", lambda: str(tmp_path))
    with pytest.raises(gpu.CudaError, match="NVRTC_ERROR_COMPILATION"):
        gpu.build("not CUDA", 9, 0)
    assert not list(tmp_path.rglob("*.*"))


def test_without_a_compiler_for_gpus_the_plain_renderer_answers(monkeypatch):
    monkeypatch.setitem(sys.modules, "cuda.bindings.nvrtc", None)
    monkeypatch.setattr(gpu, "_bindings", gpu._bindings.__wrapped__)
    monkeypatch.setattr(torch.cuda, "device", lambda _: nullcontext())
    monkeypatch.setattr(torch.cuda, "get_device_capability", lambda: (9, 0))
    monkeypatch.setattr(gpu.Gpu, "_there", lambda _, values: torch.from_numpy(values))
    said = []
    recipe = Recipe.model_validate({"image": {"height": 24, "width": 40}})
    assert compiled(recipe, "cuda", said.append) is plainly
    assert said == [
        "--compile: no compiler that works (pip install cuda-bindings brings one);"
        " rendering without it"
    ]


def test_for_other_devices_nothing_is_compiled():
    said = []
    recipe = Recipe.model_validate({"image": {"height": 24, "width": 40}})
    assert compiled(recipe, "mps", said.append) is plainly
    assert "nothing is compiled for mps" in said[0]
