"""The renderer, compiled: the same passes, fused into few loops that run at the speed of C++."""

import subprocess
from collections.abc import Callable
from dataclasses import fields, replace

import torch
from torch import Tensor
from torch._inductor.exc import InvalidCxxCompiler

from gazegan import rng
from gazegan.errors import reason
from gazegan.render import effects, histogram, jpeg, lanes, threads
from gazegan.render.effects import Effects
from gazegan.render.gpu import CudaError, Gpu
from gazegan.render.kernel import write
from gazegan.render.native import Native
from gazegan.render.params import EyeParams
from gazegan.render.plan import stores
from gazegan.render.prior import Image, Recipe, sample
from gazegan.render.scene import Renderer, Rows, expose, plainly
from gazegan.render.steps import Program, UntraceableError, Value
from gazegan.render.tracing import Tracer

_FAULTS = (InvalidCxxCompiler, CudaError, subprocess.CalledProcessError, OSError)


def compiled(
    recipe: Recipe, device: torch.device | str = "cpu", notify: Callable[[str], None] = print
) -> Renderer:
    """Return a renderer for the size and the effects of `recipe`, compiled before it is returned.

    On a CPU that takes half a minute, once for each small size of image and once for all large
    ones, on an NVIDIA GPU seconds; later runs find it on disk. Images agree with the plain
    renderer's within 2 grey levels, equalised ones within what that makes of them. Where no
    compiler works, `notify` hears of it in one line and the plain renderer is returned.
    """
    where = torch.device(device)
    needs = tuple(dict.fromkeys(effects.kinds(effects.of_recipe(recipe))))
    try:
        return _fused(recipe, needs, where)
    except UntraceableError as fault:
        notify(f"--compile: this recipe cannot be compiled ({fault}); rendering without it")
    except _FAULTS as fault:
        notify(f"--compile: no compiler that works ({reason(fault)}); rendering without it")
    return plainly


def _fused(recipe: Recipe, needs: tuple[Effects, ...], device: torch.device) -> Renderer:
    """The renderer in loops, one for all steps between those that look sideways."""
    even = recipe.image.equalised
    image = recipe.image.model_copy(update={"equalised": False})
    before = recipe.model_copy(update={"image": image})
    ready = {wanted: _loops(before, replace(wanted, jpeg=False), device) for wanted in needs}

    @torch.no_grad()
    def call(params: EyeParams, seed: Tensor, image: Image, wanted: Effects, rows: Rows) -> None:
        run, names = ready[wanted]
        run(params.flat(), seed, [getattr(rows.room, name) for name in names], rows.places)
        if wanted.jpeg or even:
            photo = rows.room.image[rows.places]
            photo = jpeg.compress(photo, params.jpeg[:, None, None]) if wanted.jpeg else photo
            photo = histogram.equalise(photo) if even else photo
            rows.room.image.index_copy_(0, rows.places, photo)

    return call


def _loops(recipe: Recipe, needs: Effects, device: torch.device) -> tuple[Native | Gpu, list[str]]:
    """Return compiled loops, and the names of what they make of an eye."""
    program, made = recorded(recipe, needs)
    outputs, together = stores(list(made.values())), _rows(recipe.image)
    if device.type == "cpu":
        kernel = write(program, outputs, lanes.DIALECT, together)
        return Native(kernel, program.planes), list(made)
    if device.type != "cuda":
        raise CudaError(f"nothing is compiled for {device.type}")
    kernel = write(program, outputs, threads.DIALECT, together)
    return Gpu(kernel, program.planes, device), list(made)


def recorded(recipe: Recipe, needs: Effects) -> tuple[Program, dict[str, Value]]:
    """Return the steps that render an eye, and what they make by the names of Pixels.

    Raises UntraceableError where a pass does what steps cannot say.
    """
    index = torch.arange(_rows(recipe.image))
    flat, seed = sample(recipe, 0, index).flat(), rng.bits(index, 0)
    with torch.no_grad(), Tracer() as tracer:
        tracer.follow("params", flat)
        tracer.follow("seed", seed)
        pixels = expose(EyeParams.from_flat(flat), seed, recipe.image, needs)
    parts = {f.name: getattr(pixels, f.name) for f in fields(pixels)}
    known = {name: tracer.value(part) for name, part in parts.items() if part is not None}
    return tracer.program, known


def _rows(image: Image) -> int:
    """How many rows of parameters make one image."""
    return 2 if image.whole_faces else 1
