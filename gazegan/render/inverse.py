"""Analysis by synthesis: the parameters whose render looks like a given image of an eye.

A parameter's place in its recipe's distribution is a standard normal latent z, so that the most
probable eye (maximum a posteriori) is the least of `trust * mean squared difference + |z|^2 / 2`.
"""

import difflib
import math
from collections.abc import Mapping
from dataclasses import dataclass, replace

import torch
from torch import Tensor
from torch.nn import functional as F

from gazegan import rng
from gazegan.errors import UserError
from gazegan.render import effects, latents
from gazegan.render.effects import Effects
from gazegan.render.latents import free_names
from gazegan.render.params import SPECS, EyeParams
from gazegan.render.population import POLAR
from gazegan.render.prior import Image, Recipe
from gazegan.render.scene import chunk, expose

QUIET = ("noise", "shot_noise", "jpeg")
"""Held at 0 where they are not known: noise of its own brings no render nearer to an image."""

_FARTHEST = 3.0
"""Bound on latents: the outermost 0.13% of a distribution at either end are not reached."""


@dataclass(frozen=True)
class Plan:
    """How an eye is looked for: from many starts, the best few small, the best of them large."""

    starts: int = 32
    """Eyes of the population looked at first; one of them is its median."""
    kept: int = 3
    """The most similar of them, from which a descent starts."""
    coarse: int = 50
    """Steps of Adam on images of half the size."""
    fine: int = 60
    """Steps of Adam from the best of them on whole images."""
    rate: float = 0.15
    """Adam's first step of a latent; it falls to zero along a cosine."""
    trust: float = 3e4
    """Weight of the mean squared difference of pixels in 0..1 against the population."""


@dataclass(frozen=True)
class Recovery:
    """What was found for B images."""

    params: EyeParams
    seed: Tensor
    """[B] int32, of the textures in which it was looked for."""
    difference: Tensor
    """[B] mean squared difference between render and image."""
    loss: Tensor
    """[steps, B] what was descended on whole images."""


def recover(
    images: Tensor,
    recipe: Recipe,
    known: Mapping[str, Tensor] | None = None,
    seed: int = 0,
    plan: Plan | None = None,
) -> Recovery:
    """Return the eyes of a recipe whose renders look most like `images` `[B, C, H, W]` in 0..1.

    `known` holds parameters `[B]` that are not looked for. Those that a recipe chooses from a list
    have no slope: where they are not known, they are those of the best start. Deterministic in
    `seed`, which draws the starts and the textures. Raises UserError for recipes of pairs, where
    channels are not the recipe's, and for images and parameters that are not as they are said to
    be.
    """
    _check(images, recipe, known or {})
    plan = plan or Plan()
    height, width = images.shape[-2:]
    image = recipe.image.model_copy(update={"height": height, "width": width, "depth": False})
    needs, step = effects.of_recipe(recipe), chunk(image)
    quiet = {name: torch.zeros(len(images)) for name in QUIET}
    held = quiet | {name: value.cpu() for name, value in (known or {}).items()}
    parts = []
    for at in range(0, len(images), step):
        some = {name: value[at : at + step] for name, value in held.items()}
        search = _Search(recipe, image, needs, images[at : at + step], some, seed)
        parts.append(_recover(search, plan))
    return Recovery(
        EyeParams.from_flat(torch.cat([part.params.flat() for part in parts])),
        torch.cat([part.seed for part in parts]),
        torch.cat([part.difference for part in parts]),
        torch.cat([part.loss for part in parts], 1),
    )


def _check(images: Tensor, recipe: Recipe, known: Mapping[str, Tensor]) -> None:
    if recipe.pairs:
        raise UserError(
            f"{recipe.name}: eyes of a pair cannot be recovered one by one; pairs=false"
        )
    if images.ndim != 4:
        raise UserError(f"images have shape {tuple(images.shape)}, expected [B, C, H, W]")
    if images.shape[1] != recipe.image.channels:
        raise UserError(
            f"images have {images.shape[1]} channels, the recipe {recipe.image.channels}"
        )
    if not bool(((images >= 0) & (images <= 1)).all()):  # so is no NaN
        raise UserError("images must lie in 0..1; divide those in 0..255 by 255")
    for name, value in known.items():
        _check_known(name, value, len(images), latents.names(recipe))


def _check_known(name: str, value: Tensor, count: int, names: tuple[str, ...]) -> None:
    if name not in names:
        near = difflib.get_close_matches(name, names, n=1)
        hint = f"did you mean {near[0]!r}?" if near else "name another"
        raise UserError(f"known: no parameter {name!r}; {hint}")
    if value.shape != (count,):
        raise UserError(f"known: {name} has shape {tuple(value.shape)}, expected ({count},)")
    if name == "side" and not bool((value.abs() == 1).all()):
        raise UserError("known: side must be -1 or 1; of labels, give 1.0 - 2 * eyes.side")
    spec = (SPECS | POLAR)[name]
    single = value.float()  # as the bounds are, where parameters reach them
    if not bool(((single >= spec.low) & (single <= spec.high)).all()):
        raise UserError(f"known: {name} must stay within {spec.low:g} .. {spec.high:g}")


@dataclass(frozen=True)
class _Search:
    """Images and what is known of them."""

    recipe: Recipe
    image: Image
    needs: Effects
    target: Tensor
    known: dict[str, Tensor]
    seed: int

    def smaller(self, by: int) -> "_Search":
        """The same at a fraction of the size."""
        size = self.image.height // by, self.image.width // by
        image = self.image.model_copy(update={"height": size[0], "width": size[1]})
        return replace(self, image=image, target=F.interpolate(self.target, size, mode="area"))

    def of(self, eyes: Tensor) -> "_Search":
        """The same for `eyes` `[N]`, which may repeat."""
        known = {name: value[eyes] for name, value in self.known.items()}
        return replace(self, target=self.target[eyes], known=known)

    def params(self, latent: Tensor) -> EyeParams:
        """The eyes at latents `[N, P]`; they are on the CPU, as recipes are, images where given."""
        found = latents.params_at(self.recipe, latent, self.known)
        return EyeParams.from_flat(found.flat().to(self.target))

    def difference(self, latent: Tensor, by: int = 1) -> Tensor:
        """Mean squared difference `[N]` of renders to the images; `by` is how much smaller."""
        params = self.params(latent)
        params = replace(params, blur=params.blur / by, motion=params.motion / by)
        seen = expose(params, textures(self.seed, self.target), self.image, self.needs).image
        return (seen - self.target).square().mean((1, 2, 3))


def textures(seed: int, like: Tensor) -> Tensor:
    """Return the texture seeds `[B]` in which eyes are looked for, the same for every eye."""
    return rng.bits(torch.zeros(len(like), dtype=torch.int64), seed, "inverse").to(like.device)


def _recover(search: _Search, plan: Plan) -> Recovery:
    # Not smaller than images may be.
    by = 2 if min(search.target.shape[-2:]) >= 16 else 1
    count, half = len(search.target), search.smaller(by)
    starts = _starts(plan.starts, latents.names(search.recipe), search.seed)
    with torch.no_grad():
        scores = [half.difference(start.expand(count, -1), by) for start in starts]
    best = torch.stack(scores).topk(min(plan.kept, plan.starts), 0, largest=False).indices.cpu()
    latent, eyes = starts[best.flatten()], torch.arange(count).repeat(len(best))
    latent, loss = _descend(half.of(eyes), latent, plan.coarse, plan, by)
    won = loss[-1].view(len(best), count).argmin(0)
    latent = latent.view(len(best), count, -1)[won, torch.arange(count)]
    latent, loss = _descend(search, latent, plan.fine, plan, 1)
    with torch.no_grad():
        left = search.difference(latent)
        return Recovery(search.params(latent), textures(search.seed, left), left, loss)


def _starts(count: int, names: tuple[str, ...], seed: int) -> Tensor:
    """Latents `[S, P]` of the median eye and of others from the population."""
    index = torch.arange(count)
    draws = [rng.uniform(index, seed, "start", name) for name in names]
    drawn: Tensor = torch.special.ndtri(torch.stack(draws, 1))
    drawn = drawn.clamp(-_FARTHEST, _FARTHEST)
    drawn[0] = 0
    return drawn


def _descend(
    search: _Search, start: Tensor, steps: int, plan: Plan, by: int
) -> tuple[Tensor, Tensor]:
    """Lower the loss by Adam; returns latents `[N, P]` and the losses `[steps + 1, N]`."""
    names = latents.names(search.recipe)
    places = torch.tensor([names.index(n) for n in free_names(search.recipe, search.known)])
    latent, losses = start[:, places].requires_grad_(), list[Tensor]()
    adam = torch.optim.Adam([latent], lr=plan.rate, betas=(0.9, 0.99))

    def energy(value: Tensor) -> Tensor:
        whole = start.index_copy(1, places, value)
        weighed: Tensor = plan.trust * search.difference(whole, by).cpu()
        return weighed + 0.5 * value.square().sum(1)

    for step in range(steps):
        adam.param_groups[0]["lr"] = plan.rate * 0.5 * (1 + math.cos(math.pi * step / steps))
        loss = energy(latent)
        losses.append(loss.detach())
        (slope,) = torch.autograd.grad(loss.sum(), latent)
        # A spike where an edge vanishes may not turn the way of many steps: a soft bound.
        latent.grad = slope / (1 + slope.norm(dim=1, keepdim=True) / plan.trust)
        adam.step()
        with torch.no_grad():
            latent.clamp_(-_FARTHEST, _FARTHEST)
    with torch.no_grad():
        losses.append(energy(latent))
        return start.index_copy(1, places, latent.detach()), torch.stack(losses)
