"""The renderer, compiled: the same passes, fused into few loops that run at the speed of C++."""

import subprocess
from collections.abc import Callable
from dataclasses import fields, replace

import torch
from torch import Tensor
from torch._dynamo.exc import TorchDynamoException
from torch._inductor.exc import InductorError, InvalidCxxCompiler

from gazegan import rng
from gazegan.errors import reason
from gazegan.render import effects, histogram, jpeg, lanes
from gazegan.render.effects import Effects
from gazegan.render.kernel import write
from gazegan.render.native import Native
from gazegan.render.params import EyeParams
from gazegan.render.plan import stores
from gazegan.render.prior import Image, Recipe, sample
from gazegan.render.scene import Pixels, Renderer, Rows, chunk, expose, plainly
from gazegan.render.steps import Program, UntraceableError, Value
from gazegan.render.tracing import Tracer

_FAULTS = (
    *(TorchDynamoException, InductorError, InvalidCxxCompiler),
    *(subprocess.CalledProcessError, OSError),
)


def compiled(
    recipe: Recipe, device: torch.device | str = "cpu", notify: Callable[[str], None] = print
) -> Renderer:
    """Return a renderer for the size and the effects of `recipe`, compiled before it is returned.

    On a CPU that takes half a minute once, for all sizes of image, on a GPU minutes; later runs
    find it on disk. Images agree with the plain renderer's within 2 grey levels, equalised ones
    within what that makes of them. Where no compiler works, `notify` hears of it in one line and
    the plain renderer is returned.
    """
    whole = effects.of_recipe(recipe)
    needs = tuple(dict.fromkeys(effects.kinds(whole)))
    make = _native if torch.device(device).type == "cpu" else _fused
    try:
        return make(recipe, needs, device)
    except UntraceableError as fault:
        notify(f"--compile: this recipe cannot be compiled ({fault}); rendering without it")
    except _FAULTS as fault:
        notify(f"--compile: no compiler that works ({reason(fault)}); rendering without it")
    return plainly


def _native(recipe: Recipe, needs: tuple[Effects, ...], _: torch.device | str) -> Renderer:
    """The renderer on a CPU: loops in C++, one for all steps between those that look sideways."""
    even = recipe.image.equalised
    image = recipe.image.model_copy(update={"equalised": False})
    before = recipe.model_copy(update={"image": image})
    ready = {wanted: _loops(before, replace(wanted, jpeg=False)) for wanted in needs}

    def call(params: EyeParams, seed: Tensor, image: Image, wanted: Effects, rows: Rows) -> None:
        run, names = ready[wanted]
        run(params.flat(), seed, [getattr(rows.room, name) for name in names], rows.places)
        if wanted.jpeg or even:
            photo = rows.room.image[rows.places]
            photo = jpeg.compress(photo, params.jpeg[:, None, None]) if wanted.jpeg else photo
            photo = histogram.equalise(photo) if even else photo
            rows.room.image.index_copy_(0, rows.places, photo)

    return call


def _loops(recipe: Recipe, needs: Effects) -> tuple[Native, list[str]]:
    """Return compiled loops, and the names of what they make of an eye."""
    program, made = recorded(recipe, needs)
    kernel = write(program, stores(list(made.values())), lanes.TEXT, _rows(recipe.image))
    return Native(kernel, program.planes), list(made)


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


def _fused(recipe: Recipe, needs: tuple[Effects, ...], device: torch.device | str) -> Renderer:
    """The renderer on a GPU, by torch.compile, for a number of eyes that stays the same."""
    together = chunk(recipe.image, torch.device(device))
    fused = torch.compile(_flat, fullgraph=True, dynamic=False)

    @torch.no_grad()
    def call(params: EyeParams, seed: Tensor, image: Image, wanted: Effects, rows: Rows) -> None:
        # One shape, one compilation: the last eyes of a run are filled up.
        parts = [
            fused(_filled(flat, together), _filled(some, together), image, wanted)
            for flat, some in zip(
                torch.split(params.flat(), together), torch.split(seed, together), strict=True
            )
        ]
        rows.put(Pixels.cat(parts)[: len(seed)])

    indices = torch.arange(together)
    flat, seed = sample(recipe, 0, indices).flat().to(device), rng.bits(indices, 0).to(device)
    for wanted in needs:
        rows = Rows.new(recipe.image, together, device)
        call(EyeParams.from_flat(flat), seed, recipe.image, wanted, rows)
    return call


def _flat(flat: Tensor, seed: Tensor, image: Image, needs: Effects) -> Pixels:
    return expose(EyeParams.from_flat(flat), seed, image, needs)


def _filled(rows: Tensor, count: int) -> Tensor:
    """Repeat the first row until there are `count`."""
    return torch.cat((rows, rows[:1].expand(count - len(rows), *rows.shape[1:])))
