"""From a scene's parameters through renderer and refiner to a gaze network's answer."""

from dataclasses import dataclass

import torch
from torch import Tensor

from gazegan import rng
from gazegan.errors import UserError
from gazegan.nets.refiner import Refiner
from gazegan.nets.regressor import Regressor
from gazegan.render import effects
from gazegan.render.effects import Effects
from gazegan.render.params import PARAM_NAMES, SPECS, EyeParams
from gazegan.render.prior import Image, Recipe, sample
from gazegan.render.scene import expose, label

_DRAWN = 4000
"""Scenes that tell how far parameters spread."""
_ENDS = ("low", "high")


@dataclass(frozen=True)
class Chain:
    """Renderer, refiner if any and network, differentiable from end to end."""

    image: Image
    needs: Effects
    network: Regressor
    refiner: Refiner | None = None

    def look(self, params: Tensor, textures: Tensor) -> Tensor:
        """Render scenes `[B, P]` with texture seeds `[B]` and refine them: `[B, C, H, W]`."""
        seen = expose(EyeParams.from_flat(params), textures, self.image, self.needs).image
        return seen if self.refiner is None else self.refiner(seen)

    def answer(self, params: Tensor, textures: Tensor) -> Tensor:
        """Return what the network says `[B, 2]` of scenes `[B, P]`.

        A network that reads the head's yaw is told that of the scene, which counts as one more way
        from parameters to the answer.
        """
        seen = self.look(params, textures)
        if not self.network.config.head_yaw:
            out: Tensor = self.network(seen)
            return out
        known = label(EyeParams.from_flat(params), self.image, self.needs)
        told: Tensor = self.network(seen, turn=known["head"][:, 1])
        return told

    def truth(self, params: Tensor) -> Tensor:
        """Return the true gaze `[B, 2]` (pitch, yaw) rad of scenes `[B, P]`."""
        return label(EyeParams.from_flat(params), self.image, self.needs)["gaze"]


def chain(
    recipe: Recipe,
    size: tuple[int, int],
    channels: int,
    network: Regressor,
    refiner: Refiner | None,
) -> Chain:
    """Put networks behind the renderer of a recipe, whose images become what they are used to.

    `size` is (height, width). Raises UserError for recipes of whole faces.
    """
    if recipe.image.whole_faces:
        raise UserError(f"recipe {recipe.name!r} shows whole faces; name one of single eyes")
    given = {"height": size[0], "width": size[1], "channels": channels, "depth": False}
    image = recipe.image.model_copy(update=given)
    return Chain(image, effects.of_recipe(recipe), network, refiner)


def scenes(recipe: Recipe, seed: int, indices: Tensor) -> tuple[Tensor, Tensor]:
    """Draw scenes `[B, P]` and texture seeds `[B]`, those of `render_indices`."""
    return sample(recipe, seed, indices).flat(), rng.bits(indices, seed, "texture")


def spreads(recipe: Recipe, seed: int) -> Tensor:
    """Return the standard deviation `[P]` of every parameter over a recipe's eyes.

    0 for what a recipe chooses from a list: an answer has no slope from one choice to another.
    """
    spread = sample(recipe, seed, torch.arange(_DRAWN)).flat().std(0)
    listed = [recipe.eyes.spread(name).values is not None for name in PARAM_NAMES]
    return spread.masked_fill(torch.tensor(listed), 0.0)


def possible(params: Tensor) -> Tensor:
    """Return scenes `[B, P]` with every parameter within what is possible at all."""
    low, high = (params.new_tensor([getattr(s, end) for s in SPECS.values()]) for end in _ENDS)
    return params.clamp(low, high)
