"""Scenes as latents: each parameter's place in its recipe's distribution, as a normal deviate."""

import math
from collections.abc import Mapping

import torch
from torch import Tensor

from gazegan import rng
from gazegan.render.params import PARAM_NAMES, EyeParams
from gazegan.render.population import POLAR
from gazegan.render.prior import Recipe, quantiles


def names(recipe: Recipe) -> tuple[str, ...]:
    """Return what a recipe draws, in the order of latents."""
    return (*PARAM_NAMES, *POLAR) if recipe.eyes.polar else PARAM_NAMES


def free_names(recipe: Recipe, known: Mapping[str, Tensor]) -> list[str]:
    """Return the parameters that a descent can change: neither known, constant nor chosen."""
    spread = recipe.eyes.spread
    return [n for n in names(recipe) if n not in known and spread(n).values is None]


def params_at(
    recipe: Recipe, latent: Tensor, known: Mapping[str, Tensor] | None = None
) -> EyeParams:
    """Return the parameters at latents `[N, P]`, differentiable; `known` `[N]` are as they say.

    A latent of z is the value below which the share of the normal distribution below z lies, if
    the parts of choices and mixtures are written in rising order.
    """
    places = 0.5 * torch.erfc(-latent / math.sqrt(2))
    columns = dict(zip(names(recipe), places.unbind(1), strict=True))
    return quantiles(recipe, columns.__getitem__, known)


def drawn(recipe: Recipe, seed: int, indices: Tensor, name: str) -> Tensor:
    """Return the latents `[B, P]` of random scenes, each from its index, `seed` and `name`."""
    places = rng.uniforms(indices, seed, [(name, part) for part in names(recipe)])
    latent: Tensor = torch.special.ndtri(places.T)
    return latent


_FIRST = {
    "head": "head_pitch",
    "": "side",
    "eyeball": "eyeball_radius",
    "lids": "canthus_inner",
    "face": "orbit_depth",
    "lashes": "lash_dark",
    "colours": "skin_melanin",
    "light": "light_azimuth",
    "glasses": "glasses",
    "camera": "distance",
}
"""The first parameter of each group, in the order of PARAM_NAMES; what is in no group is a label,
or acts where a pair is drawn."""


def groups() -> dict[str, tuple[str, ...]]:
    """Return the parameters that leave the gaze as it is, by what they are parameters of."""
    starts = [*map(PARAM_NAMES.index, _FIRST.values()), len(PARAM_NAMES)]
    parts = zip(_FIRST, starts[:-1], starts[1:], strict=True)
    return {name: PARAM_NAMES[begin:end] for name, begin, end in parts if name}
