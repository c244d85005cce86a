"""Attacks that follow the gradient of the angle error: FGSM, PGD with restarts and momentum.

Regression has no wrong class to reach, so the attacks raise the error in degrees itself (or lower
the angle to a target) inside a ball around the image and within 0..1. Networks are only ever read:
gradients are taken by the image alone, and modules run in evaluation mode.
"""

from collections.abc import Callable, Sequence
from functools import partial
from typing import NamedTuple, Protocol

import torch
from torch import Tensor

from gazegan.attack.balls import Ball, MakeBall, Patch, heaviest_square
from gazegan.attack.outcome import Adversarial, ErrorDeg, Fn, angle_error_deg, judge
from gazegan.modes import evaluating

Goal = Callable[[Tensor], Tensor]
"""What is climbed: points `[B, ...]` -> values `[B]`."""


class Best(NamedTuple):
    """The highest points `[B, ...]` that were met, and their values `[B]`."""

    point: Tensor
    value: Tensor

    def or_better(self, point: Tensor, value: Tensor) -> "Best":
        """Choose, row by row, whichever of two is higher: points `[B, ...]`, values `[B]`."""
        chosen = (value > self.value).view(-1, *[1] * (point.dim() - 1))
        return Best(torch.where(chosen, point, self.point), torch.maximum(value, self.value))


class Terrain(Protocol):
    """Where a climb may go, and its steepest step of size 1 up a gradient."""

    def project(self, point: Tensor, /) -> Tensor: ...

    def steepest(self, gradient: Tensor, /) -> Tensor: ...


def goal_of(fn: Fn, truth: Tensor, error: ErrorDeg, targeted: bool) -> Goal:
    """Return what an attack climbs, `[B]` degrees: the error, or minus the angle to a target."""
    return lambda image: -error(fn(image), truth) if targeted else error(fn(image), truth)


def fgsm(
    fn: Fn,
    image: Tensor,
    truth: Tensor,
    epsilon: float,
    error: ErrorDeg = angle_error_deg,
    *,
    ball: MakeBall = Ball,
    targeted: bool = False,
) -> Adversarial:
    """Step once by `epsilon` along the steepest way: of an L-infinity ball, the gradient's sign.

    `image` is `[B, C, H, W]` in 0..1. If `targeted`, `truth` is what the network is to say. Raises
    ValueError where `epsilon` is outside the ball's range. Source: Goodfellow et al., arXiv
    1412.6572, section 4, with the angle error in the loss's place.
    """
    region = ball(image.detach(), epsilon)
    with evaluating(fn):
        _, slope = value_and_gradient(goal_of(fn, truth, error, targeted), region.centre)
        changed = region.project(region.centre + region.radius * region.steepest(slope))
        return judge(fn, region, changed, truth, error)


def pgd(
    fn: Fn,
    image: Tensor,
    truth: Tensor,
    epsilon: float,
    generator: torch.Generator | None,
    steps: int = 20,
    step_size: float | None = None,
    error: ErrorDeg = angle_error_deg,
    *,
    ball: MakeBall = Ball,
    targeted: bool = False,
    restarts: int = 1,
    momentum: float = 0.0,
    uphill: Callable[[Tensor], Tensor] | None = None,
) -> Adversarial:
    """Climb the error by steepest steps inside the ball; keep each image's worst point.

    `image` is `[B, C, H, W]` in 0..1. Starts `restarts` times from a random point drawn with
    `generator`, or from the image itself where that is None. Without `step_size` the steps shrink
    by `step_sizes`. If `targeted`, `truth` is what the network is to say. `uphill` turns a gradient
    into a step of size 1 in another way than the ball's steepest. Raises ValueError where `epsilon`
    is outside the ball's range, `steps` or `restarts` below 1. Sources: Madry et al., arXiv
    1706.06083, section 2.1; momentum: Dong et al., CVPR 2018, equations 6 and 7.
    """
    region = ball(image.detach(), epsilon)
    falling = step_sizes(region.first_step / 2, steps)
    sizes = falling if step_size is None else [step_size] * steps
    if restarts < 1:
        raise ValueError(f"restarts must be at least 1, got {restarts}")
    goal = goal_of(fn, truth, error, targeted)
    with evaluating(fn):
        best = Best(region.centre, value_of(goal, region.centre))
        for _ in range(restarts):
            start = region.centre if generator is None else region.draw(generator)
            best = best.or_better(*climb(goal, start, region, sizes, momentum, uphill))
        return judge(fn, region, best.point, truth, error)


def mi_fgsm(
    fn: Fn,
    image: Tensor,
    truth: Tensor,
    epsilon: float,
    steps: int = 10,
    error: ErrorDeg = angle_error_deg,
    *,
    ball: MakeBall = Ball,
    targeted: bool = False,
    momentum: float = 1.0,
) -> Adversarial:
    """Climb from the image `[B, C, H, W]` in `steps` equal steps that gather momentum.

    Arguments and faults as those of `pgd`, which keeps the worst point where the source keeps the
    last. Source: Dong et al., CVPR 2018, algorithm 1.
    """
    if steps < 1:
        raise ValueError(f"steps must be at least 1, got {steps}")
    size = ball(image.detach(), epsilon).radius / steps
    more = {"ball": ball, "targeted": targeted, "momentum": momentum}
    return pgd(fn, image, truth, epsilon, None, steps, size, error, **more)  # type: ignore[arg-type]


def step_sizes(epsilon: float, steps: int) -> list[float]:
    """Return `steps` sizes that fall evenly from 2 epsilon; their sum crosses the whole ball.

    The first size is that of Croce and Hein, arXiv 2003.01690, section 3. Raises ValueError where
    `steps` is below 1.
    """
    if steps < 1:
        raise ValueError(f"steps must be at least 1, got {steps}")
    return [2 * epsilon * (1 - step / steps) for step in range(steps)]


def climb(
    goal: Goal,
    start: Tensor,
    terrain: Terrain,
    sizes: Sequence[float],
    momentum: float = 0.0,
    uphill: Callable[[Tensor], Tensor] | None = None,
) -> Best:
    """Take steps of `sizes` up the gradient of `goal` from `start` `[B, ...]`; keep the highest."""
    uphill = uphill or terrain.steepest
    here, velocity = start, torch.zeros_like(start)
    best = Best(start, torch.full((len(start),), -torch.inf, device=start.device))
    for size in sizes:
        value, slope = value_and_gradient(goal, here)
        best = best.or_better(here, value)
        velocity = momentum * velocity + _at_mean_size_1(slope) if momentum else slope
        here = terrain.project(here + size * uphill(velocity))
    return best.or_better(here, value_of(goal, here))


def place_patch(
    fn: Fn,
    image: Tensor,
    truth: Tensor,
    side: int,
    error: ErrorDeg = angle_error_deg,
    *,
    common: bool = False,
) -> Callable[[Tensor, float], Patch]:
    """Return the balls of a square of `side` px, where the error's gradient is largest.

    Each of `image` `[B, C, H, W]` has its own place, or if `common` they share one. Raises
    ValueError where no such square fits into the image.
    """
    with evaluating(fn):
        _, slope = value_and_gradient(goal_of(fn, truth, error, False), image.detach())
    weight = slope.abs().sum(0, keepdim=True) if common else slope.abs()
    return partial(Patch, mask=heaviest_square(weight, side))


def value_of(goal: Goal, point: Tensor) -> Tensor:
    """Return a goal's values `[B]` at points, without a gradient."""
    with torch.no_grad():
        return goal(point)


def value_and_gradient(goal: Goal, point: Tensor) -> tuple[Tensor, Tensor]:
    """Return a goal's values `[B]` and their gradients by points `[B, ...]`.

    The gradient is zero where the goal does not depend on the points at all.
    """
    with torch.inference_mode(False), torch.enable_grad():
        x = point.detach().clone().requires_grad_()
        value = goal(x)
        if not value.requires_grad:
            return value, torch.zeros_like(x)
        (gradient,) = torch.autograd.grad(value.sum(), x, allow_unused=True)
    return value.detach(), torch.zeros_like(x.detach()) if gradient is None else gradient


def _at_mean_size_1(gradient: Tensor) -> Tensor:
    size = gradient.flatten(1).abs().mean(1).view(-1, *[1] * (gradient.dim() - 1))
    return gradient / size.clamp_min(1e-30)
