"""A recipe's distributions as points that can be moved, and moved ones as a recipe."""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any, Self

import torch
from pydantic import ValidationError
from torch import Tensor

from gazegan.render.distributions import Distribution
from gazegan.render.params import SPECS, EyeParams
from gazegan.render.population import GAZE, Prior
from gazegan.render.prior import Recipe

KEPT = (*GAZE, "side")
"""What labels are about is never moved."""
_DIGITS = 3
_NOTABLE = 0.2
"""Changes of mean or spread, in spreads, below which a parameter is left as it was."""


def movable(recipe: Recipe, held: Sequence[str] = ()) -> tuple[str, ...]:
    """Return the parameters that vary and that `fit` can move.

    Those are ranges, normals and what follows another parameter; not choices and mixtures, nor
    what others follow.
    """
    followed = {line.of for name in SPECS for line in recipe.eyes.spread(name).lines}

    def moves(name: str) -> bool:
        spread = recipe.eyes.spread(name)
        varies = spread.sd is not None if spread.of else spread.values is None
        return varies and spread.mixture is None

    fixed = {*KEPT, *held, *followed}
    return tuple(name for name in SPECS if name not in fixed and moves(name))


@dataclass(frozen=True)
class Place:
    """Where the distributions of J parameters lie: middles and spreads `[J]`, in their units.

    Of what follows another parameter the middle is the offset.
    """

    middle: Tensor
    spread: Tensor
    follows: Tensor
    """[J] bool, whether a parameter follows another."""

    @classmethod
    def of(cls, recipe: Recipe, names: Sequence[str]) -> Self:
        """Return where a recipe's distributions of the J parameters `names` lie, in float64."""
        spreads = [recipe.eyes.spread(name) for name in names]
        rough = torch.tensor([_rough(spread) for spread in spreads], dtype=torch.float64)
        follows = torch.tensor([spread.of is not None for spread in spreads], dtype=torch.bool)
        return cls(rough[:, 0], rough[:, 1], follows)


def drawn_moved(
    drawn: EyeParams, names: Sequence[str], place: Place, shift: Tensor, growth: Tensor
) -> EyeParams:
    """Return scenes as a recipe's moved distributions draw them, differentiably.

    Parameters `names` of `drawn` `[N]` come from distributions at `place`; these go by `shift`
    `[J]`, in units of the parameters, and are stretched about their middles by `growth` `[J]`.
    """
    values = {}
    for k, name in enumerate(names):
        value, spec = getattr(drawn, name), SPECS[name]
        stretched = value if place.follows[k] else growth[k] * (value - place.middle[k])
        base = 0 if place.follows[k] else place.middle[k]
        moved = (base + shift[k] + stretched).clamp(spec.low, spec.high)
        values[name] = moved.to(value.dtype)
    return replace(drawn, **values)


def moved(recipe: Recipe, names: Sequence[str], shift: Tensor, growth: Tensor) -> Recipe:
    """Return the recipe with parameters `names` shifted and stretched as `drawn_moved` does.

    `shift` and `growth` are `[J]`, one for each name. A uniform range stays uniform, a normal
    normal; what follows another parameter gets another offset. What would be impossible is left as
    it was.
    """
    how = dict(zip(names, zip(shift.tolist(), growth.tolist(), strict=True), strict=True))

    def move(name: str, old: Distribution) -> Distribution:
        by, wider = how[name]
        if old.of is not None:
            return _with(old, offset=_round((old.offset or 0.0) + by))
        assert old.low is not None and old.high is not None
        middle, half = (old.low + old.high) / 2 + by, wider * (old.high - old.low) / 2
        return _scaled(old, name, middle, half, wider, by)

    return _changed(recipe, names, move)


def tidied(old: Recipe, new: Recipe, names: Sequence[str]) -> Recipe:
    """Return the new recipe without the changes of parameters `names` that hardly matter."""

    def keep(name: str, spread: Distribution) -> Distribution:
        return new.eyes.spread(name) if _notable(spread, new.eyes.spread(name)) else spread

    return _changed(old, names, keep)


def _notable(old: Distribution, new: Distribution) -> bool:
    (middle, spread), (there, wide) = _rough(old), _rough(new)
    return abs(there - middle) >= _NOTABLE * spread or abs(wide / spread - 1) >= _NOTABLE


def _rough(spread: Distribution) -> tuple[float, float]:
    """Return middle and spread of a range, those of the normal that it cuts off, or about a line.

    The middle of what follows a line is its offset.
    """
    if spread.of is not None:
        return spread.offset or 0.0, spread.sd or 0.0
    if spread.mean is not None and spread.sd is not None:
        return spread.mean, spread.sd
    assert spread.low is not None and spread.high is not None
    return (spread.low + spread.high) / 2, (spread.high - spread.low) / math.sqrt(12)


def _changed(
    recipe: Recipe,
    names: Sequence[str],
    change: Callable[[str, Distribution], Distribution | None],
) -> Recipe:
    """Change parameters, leaving out what makes the recipe impossible."""
    changes = {name: change(name, recipe.eyes.spread(name)) for name in names}
    return _with_all(recipe, [(name, new) for name, new in changes.items() if new is not None])


def _with_all(recipe: Recipe, changes: Sequence[tuple[str, Distribution]]) -> Recipe:
    """Make those changes that are possible; all at once, or else in halves, since checks cost."""
    try:
        eyes = Prior.model_validate({**_spreads(recipe), **dict(changes)})
        return Recipe.model_validate({**dict(recipe), "eyes": eyes})
    except ValidationError:
        if len(changes) <= 1:
            return recipe
    half = len(changes) // 2
    return _with_all(_with_all(recipe, changes[:half]), changes[half:])


def _spreads(recipe: Recipe) -> dict[str, Any]:
    return {name: getattr(recipe.eyes, name) for name in type(recipe.eyes).model_fields}


def _scaled(
    old: Distribution, name: str, middle: float, half: float, growth: float, shift: float = 0.0
) -> Distribution:
    """Return a range about `middle`, cut off where the parameter ends; a normal's own with it."""
    spec = SPECS[name]
    low, high = max(spec.low, middle - half), min(spec.high, middle + half)
    ends = {"low": _round(min(low, high)), "high": _round(max(low, high))}
    if old.sd is None or old.mean is None:
        return Distribution(**ends)
    return Distribution(mean=_round(old.mean + shift), sd=_round(old.sd * growth), **ends)


def _with(old: Distribution, **changes: Any) -> Distribution:
    return Distribution.model_validate({**old.model_dump(exclude_none=True), **changes})


def _round(value: float) -> float:
    return float(f"{value:.{_DIGITS}g}")
