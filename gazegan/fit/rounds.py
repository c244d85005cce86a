"""Round after round, a recipe's renders come to look like photographs."""

import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace

import torch
from pydantic import Field
from torch import Tensor

from gazegan import rng
from gazegan.config import Config
from gazegan.errors import UserError
from gazegan.fit.balance import balance_partly, effective
from gazegan.fit.population import movable, moved, widened
from gazegan.fit.statistics import Statistics, by_turn, learn, one_side, sides_known, turned
from gazegan.losses.transport import sliced_wasserstein
from gazegan.render.params import SPECS, EyeParams
from gazegan.render.prior import Recipe, sample
from gazegan.render.scene import render_indices
from gazegan.schema import UNKNOWN, EyeBatch

LEAST = 64
"""Photographs below which their spread says little."""
_CHUNK = 512
_TURNED = math.radians(3)
"""Spread of the heads' yaw below which all count as turned alike."""

Advance = Callable[[int], object]


class FitConfig(Config):
    """How a recipe is matched to photographs."""

    rounds: int = Field(8, ge=1, le=1000)
    count: int = Field(8000, ge=256, le=1_000_000)
    """Eyes rendered each round."""
    components: int = Field(40, ge=1, le=400)
    """Principal components of the layout that are matched; at most a quarter of the photographs."""
    effective: float = Field(0.05, gt=0, lt=1)
    """Share of the eyes, in effect, that a round's weights must leave: how far a round goes."""
    narrow: bool = False
    """Match variances too, so that ranges become narrower or wider; else they only move. A few
    people's photographs show less variety than all people have."""
    light: bool = True
    """Match brightness, contrast and detail too; not for photographs with equalised histograms."""
    turns: bool = True
    """Match what eyes look like by how far heads are turned, where photographs come with that."""
    hold: tuple[str, ...] = ()
    """Parameters that stay as they are, beside the gaze."""
    seed: int = Field(0, ge=0)


@dataclass(frozen=True)
class Round:
    """What one round did."""

    recipe: Recipe
    """Where it led."""
    share: float
    """How much of the way from renders to photographs its weights went, 0..1."""
    effective: float
    """Effective number of the weighted eyes."""
    distance: float
    """Sliced Wasserstein distance of its (widened) renders to the photographs."""
    weighted: float
    """That of the weighted ones."""


@dataclass(frozen=True)
class Fitted:
    """Photographs, ready to be compared with."""

    image: Tensor
    """[N, C, H, W]; eyes of one side alone, where sides are known."""
    sided: bool
    statistics: Statistics
    unit: float | None
    """Spread of the heads' yaw, rad; None where it does not count."""
    values: Tensor
    """[V, N, M] statistics of the photographs, and of their mirror images where sides mix."""


def summarise(recipe: Recipe, photographs: EyeBatch, cfg: FitConfig) -> Fitted:
    """Return what `fit` compares photographs by; renders of `recipe` help to choose it.

    Raises UserError where there are too few photographs, or the recipe shows whole faces.
    """
    if recipe.image.whole_faces:
        raise UserError(f"recipe {recipe.name!r} shows whole faces; fit one of single eyes")
    if len(photographs) < LEAST:
        raise UserError(
            f"--real: {len(photographs)} photographs are too few to fit to; take {LEAST}"
        )
    for name in cfg.hold:
        if name not in SPECS:
            raise UserError(f"--hold {name}: no such parameter of eyes")
    sided = sides_known(photographs)
    image, turn = _turned(photographs, sided)
    looked, _ = renders(recipe, cfg.seed, torch.arange(min(cfg.count, 2000)), sided)
    both = [each if sided else torch.cat((each, each.flip(-1))) for each in (image, looked)]
    statistics = learn(*both, min(cfg.components, len(photographs) // 4), cfg.light)
    known = cfg.turns and bool(turn.isfinite().all()) and float(turn.std()) >= _TURNED
    unit = float(turn.square().mean().sqrt()) if known else None
    return Fitted(image, sided, statistics, unit, _seen(image, turn, sided, statistics, unit))


def fit(
    recipe: Recipe,
    photographs: Fitted,
    cfg: FitConfig,
    begin: int = 0,
    advance: Advance = lambda count: None,
) -> Iterator[Round]:
    """Match a recipe to photographs, a round at a time, from round `begin` on.

    Every round renders eyes from the recipe with wider tails, finds the weights of largest entropy
    that bring the means of their statistics (with `narrow` the variances too) toward the
    photographs' as far as enough eyes remain, and moves the recipe's distributions to where the
    weighted eyes lie (an adaptive importance sampler: Cappe et al., Statistics and Computing 2008).
    The gaze's own means, variances and covariance are held. `advance` hears of each batch.
    """
    names = movable(recipe, cfg.hold)
    for number in range(begin, cfg.rounds):
        wide, seed = widened(recipe, names), rng.mix(cfg.seed, "fit", number)
        values = _values(wide, seed, cfg.count, photographs, advance)
        drawn = sample(wide, seed, torch.arange(cfg.count))
        held = _held(drawn, cfg.hold)
        weights, share = balance_partly(
            torch.cat((_powers(values, cfg).mean(0), held), 1),
            torch.cat((_powers(photographs.values, cfg).mean((0, 1)), held.mean(0))),
            cfg.effective * cfg.count,
        )
        recipe = moved(recipe, names, drawn, weights, cfg.narrow)
        near, nearer = (_apart(values, photographs, cfg.seed, by) for by in (None, weights))
        yield Round(recipe, share, effective(weights), near, nearer)


def distance(recipe: Recipe, photographs: Fitted, cfg: FitConfig) -> float:
    """Return how far fresh renders of a recipe are from the photographs.

    The sliced Wasserstein distance of their statistics, in spreads of the photographs' own.
    """
    seed = rng.mix(cfg.seed, "fit", "measure")
    return _apart(_values(recipe, seed, cfg.count, photographs), photographs, cfg.seed)


def within(photographs: Fitted, cfg: FitConfig) -> float:
    """Return that distance between two random halves of the photographs: what is left to chance."""
    count = photographs.values.shape[1]
    order = torch.randperm(count, generator=rng.stream(cfg.seed, "fit", "halves"))
    a, b = (photographs.values[:, half].flatten(0, 1) for half in order.chunk(2))
    return float(sliced_wasserstein(a, b, rng.stream(cfg.seed, "fit", "slices")))


def renders(recipe: Recipe, seed: int, indices: Tensor, sided: bool) -> tuple[Tensor, Tensor]:
    """Render eyes `indices` `[B]`; images and heads' yaws of one side where photographs are."""
    return _turned(render_indices(recipe, seed, indices), sided)


def _turned(batch: EyeBatch, sided: bool) -> tuple[Tensor, Tensor]:
    """Return images and heads' yaws `[B]` rad, of one side alone where sides are known."""
    if sided:
        return one_side(batch), turned(batch)
    return batch.image, turned(replace(batch, side=torch.full_like(batch.id, UNKNOWN)))


def _values(
    recipe: Recipe,
    seed: int,
    count: int,
    photographs: Fitted,
    advance: Advance = lambda count: None,
) -> Tensor:
    """Return statistics `[V, N, M]` of renders, seen as the photographs are."""
    how, parts = (photographs.sided, photographs.statistics, photographs.unit), []
    for some in torch.split(torch.arange(count), _CHUNK):
        parts.append(_seen(*renders(recipe, seed, some, photographs.sided), *how))
        advance(len(some))
    return torch.cat(parts, dim=1)


def _seen(
    image: Tensor, turn: Tensor, sided: bool, statistics: Statistics, unit: float | None
) -> Tensor:
    """Return statistics `[V, N, M]` of images, and of their mirror images where sides mix."""
    views = ((image, turn),) if sided else ((image, turn), (image.flip(-1), -turn))
    seen = [(statistics(view), way) for view, way in views]
    return torch.stack([by_turn(v, way, unit) if unit else v for v, way in seen])


def _powers(values: Tensor, cfg: FitConfig) -> Tensor:
    """Return what is to have the photographs' mean: statistics, with `narrow` their squares too."""
    return torch.cat((values, values.square()), dim=-1) if cfg.narrow else values


def _held(drawn: EyeParams, names: Sequence[str]) -> Tensor:
    """Return what is to keep its mean over the eyes `[N, H]`: the gaze's moments, and others'.

    Gaze toward the nose is held apart from gaze to one side of the image.
    """
    pitch, yaw = drawn.gaze_pitch / 10, drawn.gaze_yaw / 10
    nasal = yaw * drawn.side
    rows = [pitch, yaw, nasal, pitch**2, yaw**2, pitch * yaw, pitch * nasal]
    for name in names:
        values = getattr(drawn, name)
        rows += [values, values**2]
    return torch.stack(rows, dim=1)


def _apart(values: Tensor, photographs: Fitted, seed: int, weights: Tensor | None = None) -> float:
    views = len(values)
    by = None if weights is None else weights.repeat(views)
    there, here = values.flatten(0, 1), photographs.values.flatten(0, 1)
    drawn = rng.stream(seed, "fit", "slices")
    return float(sliced_wasserstein(there, here, drawn, a_weights=by))
