"""The renderer, compiled: the same passes fused into one kernel for each size of image."""

from collections.abc import Callable
from typing import Any

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

_PIXELS = 8 * 36 * 60
"""Pixels that one call renders on a CPU: calls are cheap, and few stay in its cache."""
_OPTIONS: dict[str, str | int | bool | Callable[..., Any]] = {
    # Places in lattices are clamped where they are reckoned; to check them again takes time.
    "assert_indirect_indexing": False,
    # Results of more steps than this that are used again are kept: half the time of compiling.
    "realize_opcount_threshold": 8,
}


def compiled(
    recipe: Recipe, device: torch.device | str = "cpu", notify: Callable[[str], None] = print
) -> Renderer:
    """Return a renderer for the size and the effects of `recipe`, compiled before it is returned.

    That takes minutes once; later runs find it on disk. Images agree with the plain renderer's
    within 2 grey levels, equalised ones within what that makes of them. Where no compiler works,
    `notify` hears of it in one line and the plain renderer is returned.
    """
    together = _together(recipe.image, torch.device(device))
    fast, indices = _compile(together), torch.arange(together)
    try:
        if torch.device(device).type == "cpu":
            get_cpp_compiler()  # looks for it; tracing, which comes first, takes a minute
        params, textures = _sample_on(recipe, indices, device), rng.bits(indices, 0).to(device)
        needs = effects.of_recipe(recipe)
        for wanted in {needs, effects.common(needs)}:
            fast(params, textures, recipe.image, wanted)
    except (TorchDynamoException, InductorError, InvalidCxxCompiler) as fault:
        notify(f"--compile: no compiler that works ({_reason(fault)}); rendering without it")
        return expose
    return fast


def _compile(size: int) -> Renderer:
    fused = torch.compile(_flat, fullgraph=True, dynamic=False, options=_OPTIONS)

    @torch.no_grad()
    def call(params: EyeParams, seed: Tensor, image: Image, needs: Effects) -> Pixels:
        # One shape, one compilation: the last eyes of a run are filled up.
        parts = [
            fused(_filled(flat, size), _filled(some, size), image, needs)
            for flat, some in zip(
                torch.split(params.flat(), size), torch.split(seed, size), strict=True
            )
        ]
        return Pixels.cat(parts)[: len(seed)]

    return call


def _together(image: Image, device: torch.device) -> int:
    """Return how many eyes one call renders; an even number where faces are whole."""
    if device.type != "cpu":
        return chunk(image, device)
    whole = 2 if image.whole_faces else 1
    return whole * max(1, _PIXELS // (whole * image.height * image.width))


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
