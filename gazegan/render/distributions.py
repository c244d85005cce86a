"""How one parameter spreads over a population of eyes, and how to draw from that."""

import math
from collections.abc import Callable, Mapping
from typing import Annotated, Any

import torch
from pydantic import BeforeValidator, Field, TypeAdapter, model_validator
from torch import Tensor

from gazegan.config import Config

_FORMS = (
    "give a number, [low, high], {mean, sd, low, high}, {choice, weights}, {mixture, weights} or"
    " {of, slope, offset, sd, low, high}"
)
_NEEDED = (
    {"low", "high"},
    {"low", "high", "mean", "sd"},
    {"choice"},
    {"mixture"},
    {"low", "high", "of", "slope"},
)
"""What each form must have; `weights`, `offset` and `sd` of the last ones are optional."""
_FAR = 30


class Distribution(Config):
    """One parameter's spread: uniform, cut-off normal, choice, mixture, or following another.

    In a recipe a number is a constant and `[low, high]` is uniform. Written out are
    `{mean, sd, low, high}`, a normal cut off at `low` and `high`; `{choice, weights}`;
    `{mixture, weights}`, a list of any forms of which one is chosen; and
    `{of, slope, offset, sd, low, high}`, offset + slope * the value of the parameter named by
    `of`, with normal spread `sd` about it (none unless given), cut off at `low` and `high`.
    `weights` are equal and `offset` is 0 unless given.
    """

    low: float | None = None
    high: float | None = None
    mean: float | None = None
    sd: float | None = Field(default=None, gt=0)
    choice: tuple[float, ...] | None = Field(default=None, min_length=1)
    mixture: "tuple[Spread, ...] | None" = Field(default=None, min_length=1)
    weights: tuple[Annotated[float, Field(ge=0)], ...] | None = None
    of: str | None = None
    slope: float | None = None
    offset: float | None = None

    @model_validator(mode="after")
    def _consistent(self) -> "Distribution":
        given = {name for name in type(self).model_fields if getattr(self, name) is not None}
        if "weights" in given and not given & {"choice", "mixture"}:
            raise ValueError("weights need a choice or a mixture")
        optional = {"weights"} | ({"offset", "sd"} if "of" in given else set())
        if given - optional not in _NEEDED:
            begun = [form for form in _NEEDED if given - optional < form]
            if len(begun) == 1:
                raise ValueError(f"give {' and '.join(sorted(begun[0] - given))} too")
            raise ValueError(_FORMS)
        self._check_weights() if self.choice or self.mixture else self._check_range()
        return self

    def _check_weights(self) -> None:
        parts, what = (self.choice, "choice") if self.choice else (self.mixture or (), "mixture")
        weights = self.weights or (1.0,) * len(parts)
        if len(weights) != len(parts) or not 0 < sum(weights) < math.inf:
            raise ValueError(f"weights must match {what} in number and not all be 0")

    def _check_range(self) -> None:
        low, high = self.bounds
        if low > high:
            raise ValueError(f"low {low} lies above high {high}; swap them")
        if self.mean is None or self.sd is None or low == high:
            return
        if low > self.mean + _FAR * self.sd or high < self.mean - _FAR * self.sd:
            raise ValueError(f"low .. high lies more than {_FAR} sd from the mean; widen it")

    @property
    def _parts(self) -> "list[Distribution]":
        """What a choice or a mixture draws from: all that has a weight."""
        parts = self.mixture or [Distribution(low=value, high=value) for value in self.choice or ()]
        weights = self.weights or (1.0,) * len(parts)
        return [part for part, weight in zip(parts, weights, strict=True) if weight > 0]

    @property
    def bounds(self) -> tuple[float, float]:
        """The smallest and largest value that can be drawn."""
        if self.low is not None and self.high is not None:
            return self.low, self.high
        ends = [part.bounds for part in self._parts]
        return min(low for low, _ in ends), max(high for _, high in ends)

    @property
    def values(self) -> set[float] | None:
        """The values that can be drawn, or None where they fill a range."""
        if self.low is not None:
            return {self.low} if self.low == self.high else None
        sets = [part.values for part in self._parts]
        return None if None in sets else {value for values in sets for value in values or ()}

    @property
    def lines(self) -> "tuple[Distribution, ...]":
        """Itself or those of its parts that follow another parameter."""
        if self.mixture is not None:
            return tuple(line for part in self.mixture for line in part.lines)
        return () if self.of is None else (self,)

    def misses(self, bounds: tuple[float, float]) -> bool:
        """Whether the line, with its spread, stays off low .. high for all of what it follows."""
        assert self.slope is not None and self.low is not None and self.high is not None
        ends = [(self.offset or 0.0) + self.slope * end for end in bounds]
        margin = _FAR * (self.sd or 0.0)
        return max(ends) < self.low - margin or min(ends) > self.high + margin

    def quantile(self, u: Tensor, drawn: Mapping[str, Tensor]) -> Tensor:
        """Map uniform draws `u` `[B]` in (0, 1) to this distribution.

        The inverse of its CDF; of a choice or a mixture, that of the parts as they are written,
        one after the other.

        `drawn` holds the values `[B]` of the parameters that it follows.
        """
        if self.choice is not None:
            return torch.tensor(self.choice, dtype=u.dtype)[self._split(u)[0]]
        if self.mixture is not None:
            chosen, rest = self._split(u)
            drafts = [part.quantile(rest, drawn) for part in self.mixture]
            return torch.stack(drafts).gather(0, chosen[None])[0].to(u.dtype)
        low, high = self.bounds
        if self.of is not None:
            assert self.slope is not None
            mean = (self.offset or 0.0) + self.slope * drawn[self.of].double()
            if self.sd is None:
                return mean.clamp(low, high).to(u.dtype)
            return _cut_normal(u, mean, self.sd, low, high)
        if self.mean is None or self.sd is None:
            return (low + (high - low) * u).clamp(low, high)
        return _cut_normal(u, torch.tensor(self.mean, dtype=torch.float64), self.sd, low, high)

    def _split(self, u: Tensor) -> tuple[Tensor, Tensor]:
        """Return which part each draw falls into, and its place 0..1 within that part, float64."""
        count = len(self.choice or self.mixture or ())
        weights = torch.tensor(self.weights or (1.0,) * count, dtype=torch.float64)
        share = weights / weights.sum()
        ends = share.cumsum(0)
        chosen = torch.bucketize(u.double(), ends[:-1], right=True)
        rest = (u.double() - (ends - share)[chosen]) / share[chosen]
        return chosen, rest.clamp(0, 1)


def _cut_normal(u: Tensor, mean: Tensor, sd: float, low: float, high: float) -> Tensor:
    """Quantiles of normals cut off at `low` and `high`; exact in the tails, on either side.

    `mean` `[B]` or `[]` is float64. Farther than 30 sd from the range no CDF is left.
    """
    mean = mean.clamp(low - _FAR * sd, high + _FAR * sd)
    lower = low + high < 2 * mean  # reckons in the lower tail, where CDFs are exact
    flip = torch.where(lower, 1.0, -1.0).double()
    near, far = flip * (low - mean) / sd, flip * (high - mean) / sd
    a, b = (
        0.5 * torch.special.erfc(-end / math.sqrt(2))
        for end in (torch.minimum(near, far), torch.maximum(near, far))
    )
    part = torch.where(lower, u.double(), 1 - u.double())
    drawn: Tensor = mean + flip * sd * torch.special.ndtri(a + (b - a) * part)
    return drawn.clamp(low, high).to(u.dtype)


def _read(value: Any) -> Any:
    if isinstance(value, bool):
        raise ValueError("expected a number, not true or false")
    if isinstance(value, int | float):
        return {"low": value, "high": value}
    if isinstance(value, list | tuple):
        if len(value) != 2:
            raise ValueError("a range is [low, high]")
        return {"low": value[0], "high": value[1]}
    if not isinstance(value, dict | Distribution):
        raise ValueError(_FORMS)
    return value


Spread = Annotated[Distribution, BeforeValidator(_read)]
"""A distribution in any of the forms in which a recipe may write it."""
Distribution.model_rebuild()
read: Callable[[Any], Distribution] = TypeAdapter(Spread).validate_python
"""Turn any of these forms into a Distribution; raises pydantic's ValidationError."""
