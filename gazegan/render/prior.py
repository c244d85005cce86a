"""Recipes: how the parameters of a population of eyes spread, and how to draw from them."""

import math
from pathlib import Path
from typing import Annotated, Any, Literal

import torch
from pydantic import BeforeValidator, Field, create_model, field_validator, model_validator
from torch import Tensor

from gazegan import config, rng
from gazegan.config import Config
from gazegan.errors import UserError
from gazegan.render import anatomy, pairs
from gazegan.render.anatomy import Extent
from gazegan.render.params import SPECS, EyeParams

RECIPES = Path(__file__).parent.parent / "recipes"
"""Recipes that ship with the package and may be named without a path."""


_FORMS = "give a number, [low, high], {mean, sd, low, high} or {choice, weights}"
_FAR = 30


class Distribution(Config):
    """One parameter's spread: uniform, normal cut off at `low` and `high`, or a weighted choice.

    In a recipe a number is a constant and `[low, high]` is uniform; `{mean, sd, low, high}` and
    `{choice, weights}` are written out.
    """

    low: float | None = None
    high: float | None = None
    mean: float | None = None
    sd: float | None = Field(default=None, gt=0)
    choice: tuple[float, ...] | None = Field(default=None, min_length=1)
    weights: tuple[Annotated[float, Field(ge=0)], ...] | None = None

    @model_validator(mode="after")
    def _consistent(self) -> "Distribution":
        bounded = self.low is not None and self.high is not None
        whole = bounded and (self.mean is None) == (self.sd is None)
        bare = self.low is self.high is self.mean is self.sd is None
        if not (whole if self.choice is None else bare):
            raise ValueError(_FORMS)
        self._check_choice() if self.choice is not None else self._check_range()
        return self

    def _check_choice(self) -> None:
        assert self.choice is not None
        weights = self.weights or (1.0,) * len(self.choice)
        if len(weights) != len(self.choice) or not 0 < sum(weights) < math.inf:
            raise ValueError("weights must match choice in number and not all be 0")

    def _check_range(self) -> None:
        low, high = self.bounds
        if self.weights is not None:
            raise ValueError("weights need a choice")
        if low > high:
            raise ValueError(f"low {low} lies above high {high}; swap them")
        if self.mean is None or self.sd is None or low == high:
            return
        if low > self.mean + _FAR * self.sd or high < self.mean - _FAR * self.sd:
            raise ValueError(f"low .. high lies more than {_FAR} sd from the mean; widen it")

    @property
    def bounds(self) -> tuple[float, float]:
        """The smallest and largest value that can be drawn."""
        if self.choice is not None:
            return min(self.choice), max(self.choice)
        assert self.low is not None and self.high is not None
        return self.low, self.high

    @property
    def extent(self) -> Extent:
        """The bounds, and the median between them."""
        low, high = self.bounds
        return Extent(low, float(self.quantile(torch.tensor([0.5]))), high)

    def quantile(self, u: Tensor) -> Tensor:
        """Map uniform draws `u` in (0, 1) to this distribution (inverse of its CDF)."""
        if self.choice is not None:
            return self._choose(u)
        low, high = self.bounds
        if self.mean is None or self.sd is None:
            return (low + (high - low) * u).clamp(low, high)
        return _cut_normal(u, self.mean, self.sd, low, high)

    def _choose(self, u: Tensor) -> Tensor:
        assert self.choice is not None
        weights = torch.tensor(self.weights or (1.0,) * len(self.choice), dtype=torch.float64)
        edges = (weights.cumsum(0) / weights.sum())[:-1].to(u.dtype)
        return torch.tensor(self.choice, dtype=u.dtype)[torch.bucketize(u, edges, right=True)]


def _cut_normal(u: Tensor, mean: float, sd: float, low: float, high: float) -> Tensor:
    """Quantiles of a normal cut off at `low` and `high`; exact in the tails, on either side."""
    flip = 1.0 if low + high < 2 * mean else -1.0  # reckons in the lower tail, where CDFs are exact
    ends = sorted((flip * (low - mean) / sd, flip * (high - mean) / sd))
    a, b = 0.5 * torch.special.erfc(-torch.tensor(ends, dtype=torch.float64) / math.sqrt(2))
    part = u.double() if flip > 0 else 1 - u.double()
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


class _PriorBase(Config):
    @field_validator("*", mode="after")
    @classmethod
    def _possible(cls, value: Distribution, info: Any) -> Distribution:
        spec = SPECS[info.field_name]
        low, high = value.bounds
        if low < spec.low or high > spec.high:
            raise ValueError(f"must stay within {spec.low:g} .. {spec.high:g} ({spec.doc})")
        return value

    @model_validator(mode="after")
    def _anatomy(self) -> "_PriorBase":
        spreads: dict[str, Distribution] = {name: getattr(self, name) for name in SPECS}
        sides = spreads["side"].choice or set(spreads["side"].bounds)
        if not set(sides) <= {-1, 1} or sides == {-1, 1}:
            raise ValueError("side must be -1, 1 or a choice of both")
        anatomy.check({name: spread.extent for name, spread in spreads.items()})
        return self


_fields: Any = {
    name: (Spread, Field(default=spec.default, description=spec.doc, validate_default=True))
    for name, spec in SPECS.items()
}
Prior: type[Config] = create_model(
    "Prior",
    __base__=_PriorBase,
    **_fields,
)


class Image(Config):
    """What the camera delivers and how the eye is framed in it."""

    height: int = Field(default=36, ge=8, le=8192)
    width: int = Field(default=60, ge=8, le=8192)
    channels: Literal[1, 3] = 1
    framing: Literal["landmarks", "normalised"] = "landmarks"
    """landmarks: centred on the lids and scaled by the fissure as seen, as face-landmark croppers
    do. normalised: focal length 960 px a 60 px width, centred on the canthi, as MPIIGaze."""


class Recipe(Config):
    """A population of eyes and the camera that sees them."""

    name: str = Field(default="default", pattern=r"^[\w-]+$")
    about: str = ""
    image: Image = Image()
    eyes: Prior = Field(default_factory=Prior)
    pairs: bool = False
    """Images 2k and 2k + 1 are the right and the left eye of one face that looks at one target: all
    parameters are shared, `gaze_pitch` and `gaze_yaw` are those of a cyclopean eye, and `ipd` and
    `target_distance` turn the eyes toward each other."""

    @model_validator(mode="after")
    def _both_sides(self) -> "Recipe":
        if self.pairs and self.eyes.side.bounds != (-1, 1):  # type: ignore[attr-defined]
            raise ValueError("pairs have an eye on either side; leave eyes.side out")
        return self


def sample(recipe: Recipe, seed: int, indices: Tensor) -> EyeParams:
    """Draw the parameters of eyes `indices` `[B]` of a recipe, each from i and seed alone."""
    who = pairs.faces(indices) if recipe.pairs else indices
    drawn = EyeParams(
        **{
            name: getattr(recipe.eyes, name).quantile(rng.uniform(who, seed, "eye", name))
            for name in SPECS
        }
    )
    return pairs.converge(drawn, indices) if recipe.pairs else drawn


def _is_file(path: Path) -> bool:
    try:
        return path.is_file()
    except (OSError, ValueError):  # a name too long, or with a zero byte
        return False


def load_recipe(source: str | Path, overrides: tuple[str, ...] = ()) -> Recipe:
    """Read a recipe from a TOML file, or by the name of one that ships with the package.

    Raises UserError where there is none, or where a value is unknown or impossible.
    """
    path = Path(source)
    shipped = {found.stem: found for found in RECIPES.glob("*.toml")}
    if not path.suffix and not _is_file(path):
        if str(source) not in shipped:
            known = ", ".join(sorted(shipped))
            raise UserError(f"{source}: no such recipe; give a .toml file or one of: {known}")
        path = shipped[str(source)]
    return config.load(Recipe, path, overrides)
