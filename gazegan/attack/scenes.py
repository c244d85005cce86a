"""Scenes that a network gets most wrong: the search, over any scene that a judge can score.

A scene is a row of standard normal latents, so that how far it may go is how improbable it may be:
every latent alone within a box, and all together no farther out than most scenes that are drawn.
"""

import math
from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor

from gazegan.attack.gradient import Best, climb, step_sizes, value_of

Judge = Callable[[Tensor, Tensor], Tensor]
"""(latents `[M, P]`, which of the scenes each row is `[M]` int64) -> degrees `[M]`."""

_TOGETHER = 0.99
"""Share of drawn scenes that lie no farther out, all latents taken together, than a search goes."""
_AT_ONCE = 64
"""Rows that are judged at a time where there is a choice: few are slow for what they are."""


@dataclass(frozen=True)
class Plan:
    """How a scene is looked for."""

    renders: int = 200
    """Scenes judged for each scene, by the search and by the random draws beside it."""
    within: float = 2.0
    """Bound on every latent, in standard deviations."""
    drawn: float = 0.2
    """Share of the renders that are drawn at random to start from."""
    climbed: float = 0.4
    """Share that goes into following the gradient, from the nominal scene and the worst drawn."""


@dataclass(frozen=True)
class Box:
    """All latents `[M, P]` within a bound each, and together no longer than most draws are.

    Raises ValueError where there is nothing to move or nowhere to go.
    """

    within: float
    free: Tensor
    """[P] bool: which latents may move."""

    def __post_init__(self) -> None:
        if not (math.isfinite(self.within) and self.within > 0):
            raise ValueError(f"within must be above 0, got {self.within}")
        if not bool(self.free.any()):
            raise ValueError("no latent is free to move")

    @property
    def radius(self) -> float:
        """Length of the free latents that 99% of drawn scenes do not exceed (chi distribution)."""
        from scipy.stats import chi  # takes a second that other attacks should not wait

        return float(chi.ppf(_TOGETHER, int(self.free.sum())))

    def project(self, latent: Tensor) -> Tensor:
        """Return latents `[M, P]` inside the box: clipped each, then shortened together."""
        inside = latent.clamp(-self.within, self.within)
        length = (inside * self.free).norm(dim=1, keepdim=True)
        short = inside * (self.radius / length.clamp_min(1e-9)).clamp(max=1)
        return torch.where(self.free, short, latent)

    def steepest(self, gradient: Tensor) -> Tensor:
        """Return the gradient's sign `[M, P]` where latents are free, 0 elsewhere."""
        return gradient.sign() * self.free

    def redraw(self, latent: Tensor, share: float, generator: torch.Generator) -> Tensor:
        """Draw a `share` of the free latents `[M, P]` anew; normal, cut off at the bound."""
        unit = torch.rand(latent.shape, generator=generator, dtype=torch.float64)
        tail = 0.5 * math.erfc(self.within / math.sqrt(2))
        fresh = torch.special.ndtri(tail + (1 - 2 * tail) * unit).to(latent)
        lots = torch.rand(latent.shape, generator=generator).to(latent.device)
        return self.project(torch.where((lots < share) & self.free, fresh, latent))


@dataclass(frozen=True)
class Found:
    """What was found for N scenes, each beside what it began as."""

    latent: Tensor
    """[N, P]."""
    degrees: Tensor
    """[N]."""


def worst_drawn(
    judge: Judge,
    nominal: Tensor,
    box: Box,
    count: int,
    generator: torch.Generator,
    advance: Callable[[int], object] = lambda rows: None,
) -> Found:
    """Return the worst of `count` random draws for each scene `[N, P]`: the search's baseline."""
    best = _scored(judge, box.redraw(nominal, 1.0, generator), advance)
    for _ in range(count - 1):
        best = best.or_better(*_scored(judge, box.redraw(nominal, 1.0, generator), advance))
    return Found(*best)


def worst_scenes(
    judge: Judge,
    nominal: Tensor,
    box: Box,
    plan: Plan,
    generator: torch.Generator,
    advance: Callable[[int], object] = lambda rows: None,
) -> Found:
    """Look for latents whose scenes are judged worst, beginning with `nominal` `[N, P]`.

    Draws some, climbs by signed gradient steps from the nominal scene and the worst drawn, and
    goes on from the worst by drawing ever fewer latents anew, which also moves what has no
    gradient. `advance` hears of rows judged, `plan.renders` a scene.
    """
    drawn = max(1, round(plan.drawn * plan.renders))
    steps = max(1, round(plan.climbed * plan.renders / 2) - 1)
    which = torch.arange(len(nominal))
    best = _scored(judge, box.project(nominal), advance)
    random = worst_drawn(judge, nominal, box, drawn, generator, advance)
    for start in (box.project(nominal), random.latent):
        sizes = step_sizes(box.within / 2, steps)
        best = best.or_better(*climb(lambda z: judge(z, which), start, box, sizes))
        advance(len(nominal) * (steps + 1))
    left = plan.renders - 1 - drawn - 2 * (steps + 1)
    for turn in range(max(0, left)):
        share = 0.3 * (0.02 / 0.3) ** (turn / left)
        best = best.or_better(*_scored(judge, box.redraw(best.point, share, generator), advance))
    return Found(*best)


def alone(
    judge: Judge,
    nominal: Tensor,
    box: Box,
    points: int = 5,
    advance: Callable[[int], object] = lambda rows: None,
) -> Tensor:
    """Return the worst degrees `[P, N]` that each latent alone brings about, the others nominal.

    Each is tried at `points` even places of its range, and where it is; one that is not free is
    left where it is.
    """
    start, count = box.project(nominal), len(nominal)
    resting = _scored(judge, start, advance).value
    worst = resting.repeat(nominal.shape[1], 1)
    places = torch.linspace(-box.within, box.within, points).repeat_interleave(count).to(start)
    free = box.free.nonzero().flatten()
    for some in torch.split(free, max(1, _AT_ONCE // len(places))):
        moved = start.repeat(len(some) * points, 1).view(len(some), len(places), -1)
        moved[torch.arange(len(some)), :, some] = places
        which = torch.arange(count).repeat(len(some) * points)
        with torch.no_grad():
            degrees = judge(moved.flatten(0, 1), which)
        worst[some] = torch.maximum(resting, degrees.view(len(some), points, count).amax(1))
        advance(len(degrees))
    return worst


def _scored(judge: Judge, latent: Tensor, advance: Callable[[int], object]) -> Best:
    which = torch.arange(len(latent))
    degrees = value_of(lambda z: judge(z, which), latent)
    advance(len(latent))
    return Best(latent, degrees)
