"""A population of eyes: a distribution for every parameter, possible ones only."""

import difflib
from graphlib import CycleError, TopologicalSorter
from typing import Any

import torch
from pydantic import Field, create_model, field_validator, model_validator

from gazegan.config import Config
from gazegan.render import anatomy
from gazegan.render.anatomy import Extent
from gazegan.render.distributions import Distribution, Spread, read
from gazegan.render.params import SPECS
from gazegan.render.spec import Spec

POLAR = {
    "gaze_direction": Spec(0, 360, None, "deg, 0 image right, 90 up"),
    "gaze_eccentricity": Spec(0, 60, None, "between gaze and camera axis, deg"),
}
"""Given together they take the place of `GAZE`: where gaze leaves the camera axis, how far."""
GAZE = ("gaze_pitch", "gaze_yaw")
_EVEN = 1001
"""Evenly placed draws by which a median is found; an odd number, whose middle one is at a half."""
_WHOLE = {
    "glasses": "1 where worn, else 0; give { choice = [0, 1], weights = [0.7, 0.3] }",
    "led_count": "a whole number; give { choice = [1, 2] }",
}
"""What has nothing between whole numbers, and how to say that it differs."""


def _are_whole(value: Distribution) -> bool:
    return value.values is not None and all(one.is_integer() for one in value.values)


class _PriorBase(Config):
    gaze_direction: Spread | None = None
    gaze_eccentricity: Spread | None = None

    @field_validator("*", mode="after")
    @classmethod
    def _possible(cls, value: Distribution | None, info: Any) -> Distribution | None:
        if value is None:
            return value
        spec = (SPECS | POLAR)[info.field_name]
        low, high = value.bounds
        if low < spec.low or high > spec.high:
            raise ValueError(f"must stay within {spec.low:g} .. {spec.high:g} ({spec.doc})")
        if info.field_name in _WHOLE and not _are_whole(value):
            raise ValueError(f"must be {_WHOLE[info.field_name]}")
        for line in value.lines:
            if line.of not in SPECS:
                near = difflib.get_close_matches(line.of or "", SPECS, n=1)
                hint = f"did you mean {near[0]!r}?" if near else "name another"
                raise ValueError(f"of: no parameter {line.of!r}; {hint}")
        return value

    @model_validator(mode="after")
    def _polar_gaze(self) -> "_PriorBase":
        if (self.gaze_direction is None) != (self.gaze_eccentricity is None):
            raise ValueError("gaze_direction and gaze_eccentricity need each other; give both")
        for name in GAZE if self.polar else ():
            if self.spread(name) != type(self).model_fields[name].default:
                raise ValueError(f"{name} is ruled out by gaze_direction; remove one of them")
        return self

    @model_validator(mode="after")
    def _followed(self) -> "_PriorBase":
        try:
            names = self.order
        except CycleError as fault:
            circle = " follows ".join(reversed(fault.args[1]))
            raise ValueError(f"{circle}; give one of them a range") from None
        for name in names:
            for line in self.spread(name).lines:
                if line.misses(self.bounds(str(line.of))):
                    raise ValueError(
                        f"{name} is cut off for every {line.of}; check slope, offset, low and high"
                    )
        return self

    @model_validator(mode="after")
    def _anatomy(self) -> "_PriorBase":
        if not (self.spread("side").values or {0}) <= {-1, 1}:
            raise ValueError("side must be -1, 1 or a choice of both")
        anatomy.check({name: self.extent(name) for name in SPECS})
        return self

    @property
    def polar(self) -> bool:
        """Whether gaze is drawn as direction and eccentricity."""
        return self.gaze_direction is not None

    @property
    def order(self) -> list[str]:
        """What is drawn, every parameter after those that it follows."""
        graph = {name: {str(line.of) for line in self.spread(name).lines} for name in SPECS}
        if self.polar:
            graph |= {name: {str(line.of) for line in self.spread(name).lines} for name in POLAR}
            graph |= {name: set(POLAR) for name in GAZE}
        return list(TopologicalSorter(graph).static_order())

    def spread(self, name: str) -> Distribution:
        """Return the distribution of a parameter."""
        spread: Distribution = getattr(self, name)
        return spread

    def bounds(self, name: str) -> tuple[float, float]:
        """Return the smallest and largest value that a parameter can have."""
        if self.polar and name in GAZE:
            widest = self.spread("gaze_eccentricity").bounds[1]
            return -widest, widest
        return self.spread(name).bounds

    def extent(self, name: str) -> Extent:
        """Return the bounds of a parameter, and the median between them.

        What it follows is taken at its own median.
        """
        spread = self.spread(name)
        middles = {str(line.of): self.extent(str(line.of)).middle for line in spread.lines}
        even = (torch.arange(_EVEN) + 0.5) / _EVEN
        values = spread.quantile(even, {of: torch.full((_EVEN,), m) for of, m in middles.items()})
        low, high = self.bounds(name)
        return Extent(low, float(values.median()), high)


_fields: Any = {
    name: (
        Spread,
        Field(default=read(spec.default), description=spec.doc, validate_default=True),
    )
    for name, spec in SPECS.items()
}
Prior: type[_PriorBase] = create_model("Prior", __base__=_PriorBase, **_fields)
