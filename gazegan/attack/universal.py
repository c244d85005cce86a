"""One change that turns the gaze of every image."""

import torch
from torch import Tensor

from gazegan.attack.balls import Ball, MakeBall
from gazegan.attack.gradient import Best, goal_of, step_sizes, value_and_gradient, value_of
from gazegan.attack.outcome import Adversarial, ErrorDeg, Fn, angle_error_deg, judge
from gazegan.modes import evaluating


def universal(
    fn: Fn,
    image: Tensor,
    truth: Tensor,
    epsilon: float,
    steps: int = 20,
    error: ErrorDeg = angle_error_deg,
    *,
    ball: MakeBall = Ball,
    targeted: bool = False,
) -> Tensor:
    """Return the change `[1, C, H, W]` that raises the mean error of `image` `[B, C, H, W]` most.

    Projected ascent from no change; the best on the way is kept. If `targeted`, `truth` is what the
    network is to say. Raises ValueError where `epsilon` is outside the ball's range or `steps`
    below 1. Source: Shafahi et al., "Universal adversarial training", AAAI 2020, with the whole
    batch in each step.
    """
    region = ball(image.detach(), epsilon)
    goal = goal_of(fn, truth, error, targeted)

    def mean(change: Tensor) -> Tensor:
        return goal((region.centre + change).clamp(0, 1)).mean(0, keepdim=True)

    with evaluating(fn):
        change = torch.zeros_like(region.centre[:1])
        best = Best(change, value_of(mean, change))
        for size in step_sizes(region.first_step / 2, steps):
            _, slope = value_and_gradient(mean, change)
            change = region.shrink(change + size * region.steepest(slope))
            best = best.or_better(change, value_of(mean, change))
    return best.point


def apply_change(
    fn: Fn,
    change: Tensor,
    image: Tensor,
    truth: Tensor,
    epsilon: float,
    error: ErrorDeg = angle_error_deg,
    *,
    ball: MakeBall = Ball,
) -> Adversarial:
    """Return `image` `[B, C, H, W]` with one `change` `[1, C, H, W]` made to all."""
    region = ball(image.detach(), epsilon)
    with evaluating(fn):
        return judge(fn, region, region.project(region.centre + change), truth, error)
