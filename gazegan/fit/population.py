"""A recipe's distributions: looked beyond, and moved to where weighted eyes come from."""

import math
from collections.abc import Callable, Sequence
from typing import Any

import torch
from pydantic import ValidationError
from torch import Tensor

from gazegan.fit.balance import effective
from gazegan.render.distributions import Distribution
from gazegan.render.params import SPECS, EyeParams
from gazegan.render.population import GAZE, Prior
from gazegan.render.prior import Recipe

KEPT = (*GAZE, "side")
"""What labels are about is never moved."""
_REACH, _BEYOND = 0.3, 0.3
"""How far beyond its range a parameter is tried, in widths of it, and by what share of eyes."""
_DIGITS = 3
_NOTABLE = 0.2
"""Changes of mean or spread, in spreads, below which a parameter is left as it was."""
_RARE = 0.01
"""Least weight of a choice, so that later rounds can still come back to it."""


def movable(recipe: Recipe, held: Sequence[str] = ()) -> tuple[str, ...]:
    """Return the parameters that vary and that `fit` can move: all forms but mixtures."""

    def moves(name: str) -> bool:
        spread = recipe.eyes.spread(name)
        return spread.mixture is None and spread.values != {spread.low}

    return tuple(name for name in SPECS if name not in (*KEPT, *held) and moves(name))


def widened(recipe: Recipe, names: Sequence[str]) -> Recipe:
    """Return the recipe with tails: some eyes lie beyond the ranges of parameters `names`.

    A parameter keeps its range where a wider one would allow impossible eyes.
    """

    def tails(name: str, old: Distribution) -> Distribution | None:
        if old.low is None or old.high is None or old.of is not None:
            return None
        by = (1 + 2 * _REACH) * (old.high - old.low) / 2
        far = _scaled(old, name, (old.low + old.high) / 2, by, 1 + _REACH)
        return Distribution(mixture=(old, far), weights=(1 - _BEYOND, _BEYOND))

    return _changed(recipe, names, tails)


def moved(
    recipe: Recipe,
    names: Sequence[str],
    drawn: EyeParams,
    weights: Tensor,
    spreads: bool = True,
) -> Recipe:
    """Return the recipe with means of parameters `names`, and `spreads`, changed as `weights` do.

    `drawn` `[N]` come from the recipe or its widened form, `weights` `[N]` sum to one. Changes
    within twice what so many effective samples vary by chance are left out, others shrunk (as by
    James and Stein). A uniform range stays uniform, a normal normal; choices get their parts'
    weights; what follows another parameter gets another offset. What would be impossible is left
    as it was.
    """
    size = effective(weights)

    def move(name: str, old: Distribution) -> Distribution | None:
        values = getattr(drawn, name).double()
        if old.choice is not None:
            return _reweighted(old, values, weights, size)
        mean, spread = _moments(values, weights)
        before, was = _moments(values, torch.full_like(weights, 1 / len(weights)))
        if was <= 0 or spread <= 0:
            return None
        shift = _shrunk((mean - before) / was, size**-0.5) * was
        growth = 1.0
        if spreads:
            growth = math.exp(_shrunk(math.log(spread / was), (2 * size) ** -0.5))
        if old.of is not None:
            return _with(old, offset=_round((old.offset or 0.0) + shift))
        assert old.low is not None and old.high is not None
        middle, half = (old.low + old.high) / 2 + shift, growth * (old.high - old.low) / 2
        return _scaled(old, name, middle, half, growth, shift)

    return _changed(recipe, names, move)


def tidied(old: Recipe, new: Recipe, names: Sequence[str]) -> Recipe:
    """Return the new recipe without the changes of parameters `names` that hardly matter."""

    def keep(name: str, spread: Distribution) -> Distribution:
        return new.eyes.spread(name) if _notable(spread, new.eyes.spread(name)) else spread

    return _changed(old, names, keep)


def _notable(old: Distribution, new: Distribution) -> bool:
    if old.choice is not None:
        before, after = (_part_shares(spread) for spread in (old, new))
        return any(abs(a - b) >= _NOTABLE / 2 for a, b in zip(before, after, strict=True))
    if old.of is not None:
        return abs((new.offset or 0) - (old.offset or 0)) >= _NOTABLE * (old.sd or 0)
    middle, spread = _rough(old)
    there, wide = _rough(new)
    return abs(there - middle) >= _NOTABLE * spread or abs(wide / spread - 1) >= _NOTABLE


def _part_shares(spread: Distribution) -> list[float]:
    assert spread.choice is not None
    weights = spread.weights or (1.0,) * len(spread.choice)
    return [weight / sum(weights) for weight in weights]


def _rough(spread: Distribution) -> tuple[float, float]:
    """Return middle and spread of a range, or those of the normal that it cuts off."""
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


def _reweighted(old: Distribution, values: Tensor, weights: Tensor, size: float) -> Distribution:
    """Return a choice whose shares changed as those of the weighted eyes did."""
    assert old.choice is not None
    shares = []
    for part, share in zip(old.choice, _part_shares(old), strict=True):
        here = (values - part).abs() < 1e-6
        change = float(weights[here].sum()) - float(here.double().mean())
        chance = math.sqrt(max(share * (1 - share), _RARE) / size)
        shares.append(max(_RARE, share + _shrunk(change, chance)))
    return Distribution(choice=old.choice, weights=tuple(round(share, 3) for share in shares))


def _moments(values: Tensor, weights: Tensor) -> tuple[float, float]:
    mean = (weights * values).sum()
    return float(mean), float((weights * (values - mean).square()).sum().sqrt())


def _shrunk(change: float, chance: float) -> float:
    """Return `change`, the more shrunk the nearer it is to twice `chance`; below that, 0."""
    return change * max(0.0, 1 - (2 * chance / change) ** 2) if change else 0.0


def _with(old: Distribution, **changes: Any) -> Distribution:
    return Distribution.model_validate({**old.model_dump(exclude_none=True), **changes})


def _round(value: float) -> float:
    return float(f"{value:.{_DIGITS}g}")
