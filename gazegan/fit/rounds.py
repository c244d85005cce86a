"""Round after round, a recipe's renders come to look like photographs."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from math import cos, pi

import torch
from torch import Tensor

from gazegan import rng
from gazegan.errors import DataError
from gazegan.fit.photographs import FitConfig, Fitted, scenes, seen
from gazegan.fit.population import Place, drawn_moved, movable, moved
from gazegan.render.prior import Recipe
from gazegan.render.scene import chunk

_SQUARES = 0.5
"""How much squares of statistics count beside the statistics themselves."""

Advance = Callable[[int], object]


@dataclass(frozen=True)
class Round:
    """What one round did."""

    recipe: Recipe
    """Where it led."""
    gap: float
    """Squared distance of means, a statistic, over its steps: in spreads of the photographs."""


def fit(
    begin: Recipe,
    photographs: Fitted,
    cfg: FitConfig,
    here: Recipe | None = None,
    done: int = 0,
    advance: Advance = lambda count: None,
) -> Iterator[Round]:
    """Match a recipe to photographs, a round at a time, from round `done` on, where it is `here`.

    A step renders eyes, and moves the middles of the recipe's distributions (with `narrow` their
    spreads too) down the slope, through the renderer, of the squared distance between the means
    of the statistics of renders and photographs, by Adam (Kingma & Ba, ICLR 2015). The scenes
    are those of the recipe's own draws, moved along (Kingma & Welling, ICLR 2014, section 2.4).
    `advance` hears of each step's eyes. Raises DataError where a slope is not finite.
    """
    recipe, names = here or begin, movable(begin, cfg.hold)
    for number in range(done, cfg.rounds):
        recipe, gap = _round(begin, recipe, names, photographs, cfg, number, advance)
        yield Round(recipe, gap)


def _round(
    begin: Recipe,
    recipe: Recipe,
    names: Sequence[str],
    photographs: Fitted,
    cfg: FitConfig,
    number: int,
    advance: Advance,
) -> tuple[Recipe, float]:
    origin, place = Place.of(begin, names), Place.of(recipe, names)
    gone = (place.middle - origin.middle) / origin.spread
    grown = (place.spread / origin.spread).log()
    by, wider = (torch.zeros(len(names), dtype=torch.float64).requires_grad_() for _ in range(2))
    learned = [by, wider] if cfg.narrow else [by]
    optimiser = torch.optim.Adam(learned, betas=(0.9, 0.99))
    seed, gaps = rng.mix(cfg.seed, "fit", number), []
    for step in range(cfg.steps):
        done = (number * cfg.steps + step) / (cfg.rounds * cfg.steps)
        optimiser.param_groups[0]["lr"] = cfg.rate * 0.5 * (1 + cos(pi * done))
        optimiser.zero_grad()
        move = (by * origin.spread, wider.exp())
        indices = torch.arange(step * cfg.batch, (step + 1) * cfg.batch)
        gaps.append(_slope(recipe, names, place, move, indices, seed, photographs, cfg))
        stay = ((gone + by).square() + (grown + wider).square()).sum()
        (cfg.stay * stay).backward()  # type: ignore[no-untyped-call]
        if not all(part.grad is not None and part.grad.isfinite().all() for part in learned):
            raise DataError(
                f"fit: the slope of round {number + 1} is not finite; begin from another recipe"
            )
        optimiser.step()
        advance(cfg.batch)
    with torch.no_grad():
        return moved(recipe, names, by * origin.spread, wider.exp()), sum(gaps) / len(gaps)


def _slope(
    recipe: Recipe,
    names: Sequence[str],
    place: Place,
    move: tuple[Tensor, Tensor],
    indices: Tensor,
    seed: int,
    photographs: Fitted,
    cfg: FitConfig,
) -> float:
    """Add the slope of the squared distance to what `move` came from; returns the distance.

    The eyes are rendered twice, so that only a chunk's steps are remembered at a time.
    """
    drawn, textures = scenes(recipe, seed, indices, photographs.sided, photographs.known)
    goal = _moments(photographs.values, cfg).mean(0)

    def look(rows: slice) -> Tensor:
        scene = drawn_moved(drawn[rows], names, place, *move)
        return _moments(seen(recipe, scene, textures[rows], photographs), cfg)

    with torch.no_grad():
        values = look(slice(None))
    apart = (values - goal).requires_grad_()
    # The product of two halves' means is free of the noise that a mean's square would have, where
    # both eyes of a face, whose rows follow each other, are in one half.
    half = torch.arange(len(apart)) // (1 + recipe.pairs) % 2 == 0
    gap = (apart[half].mean(0) * apart[~half].mean(0)).mean()
    (slopes,) = torch.autograd.grad(gap, apart)
    for at in range(0, len(indices), step := chunk(recipe.image)):
        rows = slice(at, at + step)
        (look(rows) * slopes[rows]).sum().backward(retain_graph=True)  # type: ignore[no-untyped-call]
    return gap.item()


def _moments(values: Tensor, cfg: FitConfig) -> Tensor:
    """Return of statistics `[V, N, M]` what is to have the photographs' mean `[N, K]`."""
    if cfg.narrow:
        values = torch.cat((values, _SQUARES * values.square()), dim=-1)
    return values.mean(0)
