"""The renderer, compiled: the same passes fused into one kernel for each size of image."""

from collections.abc import Callable

import torch
from torch import Tensor
from torch._dynamo.exc import TorchDynamoException
from torch._inductor.cpp_builder import get_cpp_compiler
from torch._inductor.exc import InductorError, InvalidCxxCompiler

from gazegan import rng
from gazegan.render import effects
from gazegan.render.effects import Effects
from gazegan.render.params import EyeParams
from gazegan.render.prior import Image, Recipe, sample
from gazegan.render.scene import Pixels, Renderer, chunk, expose


def compiled(
    recipe: Recipe, device: torch.device | str = "cpu", notify: Callable[[str], None] = print
) -> Renderer:
    """Return a renderer for the size and the effects of `recipe`, compiled before it is returned.

    That takes minutes once; later runs find it on disk. Images agree with the plain renderer's
    within 2 grey levels. Where no compiler works, `notify` hears of it in one line and the plain
    renderer is returned.
    """
    fast = _compile(recipe)
    indices = torch.arange(chunk(recipe.image))
    try:
        if torch.device(device).type == "cpu":
            get_cpp_compiler()  # looks for it; tracing, which comes first, takes a minute
        params, textures = _sample_on(recipe, indices, device), rng.bits(indices, 0).to(device)
        fast(params, textures, recipe.image, effects.of_recipe(recipe))
    except (TorchDynamoException, InductorError, InvalidCxxCompiler) as fault:
        notify(f"--compile: no compiler that works ({_reason(fault)}); rendering without it")
        return expose
    return fast


def _compile(recipe: Recipe) -> Renderer:
    fused = torch.compile(_flat, fullgraph=True, dynamic=False)
    size = chunk(recipe.image)

    def call(params: EyeParams, seed: Tensor, image: Image, needs: Effects) -> Pixels:
        flat, count = params.flat(), len(seed)
        # One shape, one compilation: the last eyes of a run are filled up.
        pixels: Pixels = fused(_filled(flat, size), _filled(seed, size), image, needs)
        return pixels[:count]

    return call


def _sample_on(recipe: Recipe, indices: Tensor, device: torch.device | str) -> EyeParams:
    """Draw parameters with seed 0, on a device."""
    return EyeParams.from_flat(sample(recipe, 0, indices).flat().to(device))


def _flat(flat: Tensor, seed: Tensor, image: Image, needs: Effects) -> Pixels:
    return expose(EyeParams.from_flat(flat), seed, image, needs)


def _filled(rows: Tensor, count: int) -> Tensor:
    """Repeat the first row until there are `count`."""
    return torch.cat((rows, rows[:1].expand(count - len(rows), *rows.shape[1:])))


def _reason(fault: Exception) -> str:
    lines = [line.strip() for line in str(fault).splitlines() if line.strip()]
    return lines[0][:100] if lines else type(fault).__name__
