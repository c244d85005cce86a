"""An attack without gradients: squares of the image are changed at random, what helps is kept."""

import math

import torch
from torch import Tensor

from gazegan.attack.balls import Ball, MakeBall, rand_like
from gazegan.attack.gradient import Best, goal_of, value_of
from gazegan.attack.outcome import Adversarial, ErrorDeg, Fn, angle_error_deg, judge
from gazegan.modes import evaluating

_HALVED_AT = (10, 50, 200, 500, 1000, 2000, 4000, 6000, 8000)
"""Of 10000 queries, when the squares' area is halved (the source's code)."""


def square(
    fn: Fn,
    image: Tensor,
    truth: Tensor,
    epsilon: float,
    generator: torch.Generator,
    queries: int = 500,
    error: ErrorDeg = angle_error_deg,
    *,
    ball: MakeBall = Ball,
    targeted: bool = False,
    share: float = 0.8,
) -> Adversarial:
    """Change squares of the image by random signs and keep what raises the error.

    `image` is `[B, C, H, W]` in 0..1. Begins with vertical stripes; squares begin with a `share` of
    the pixels and shrink. Each image is asked about `queries` times. In an L-infinity ball this is
    the Square attack; in others it is the same search with changes scaled into the ball. If
    `targeted`, `truth` is what the network is to say. Raises ValueError where `epsilon` is outside
    the ball's range or `queries` below 1. Source: Andriushchenko et al., ECCV 2020, algorithms 1
    and 2.
    """
    if queries < 1:
        raise ValueError(f"queries must be at least 1, got {queries}")
    region = ball(image.detach(), epsilon)
    goal = goal_of(fn, truth, error, targeted)
    with evaluating(fn):
        clean = Best(region.centre, value_of(goal, region.centre))

        def value(change: Tensor) -> Tensor:
            return value_of(goal, region.project(region.centre + change))

        stripes = region.amplitude * _signs(region.centre[:, :, :1], generator)
        first = region.shrink(stripes.expand_as(region.centre))
        best = Best(first, value(first))
        for query in range(1, queries):
            part = area(query, queries, share)
            step = 2 * region.amplitude * _square(region, part, generator)
            tried = region.shrink(best.point + step)
            best = best.or_better(tried, value(tried))
        found = clean.or_better(region.project(region.centre + best.point), best.value)
        return judge(fn, region, found.point, truth, error)


def area(query: int, queries: int, share: float) -> float:
    """Return the squares' share of the pixels at a query: `share`, halved as queries go by."""
    at = 10_000 * query / queries
    return float(share / 2 ** sum(at > limit for limit in _HALVED_AT))


def _square(region: Ball, part: float, generator: torch.Generator) -> Tensor:
    """Return a square `[B, C, H, W]` of one random sign a channel; zero around it.

    Its middle is any pixel that may change, its area `part` of these.
    """
    like = region.centre
    height, width = like.shape[-2:]
    pixels = float(region.allowed.flatten(1).sum(1).float().mean())
    side = max(1, round(math.sqrt(part * pixels)))
    lots = rand_like(like[:, :1], generator) * region.allowed
    middle = lots.flatten(1).argmax(1)
    top, left = (x.view(-1, 1, 1, 1) - side // 2 for x in (middle // width, middle % width))
    row = torch.arange(height, device=like.device)[:, None]
    column = torch.arange(width, device=like.device)
    inside = (row >= top) & (row < top + side) & (column >= left) & (column < left + side)
    return inside * _signs(like[:, :, :1, :1], generator)


def _signs(like: Tensor, generator: torch.Generator) -> Tensor:
    return 2 * (rand_like(like, generator) < 0.5).to(like.dtype) - 1
