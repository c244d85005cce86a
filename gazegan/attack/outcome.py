"""What an attack comes to: degrees before and after, degrees moved, and how sensitive that is."""

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor

from gazegan.attack.balls import Ball
from gazegan.geometry import angular_error_deg

Fn = Callable[[Tensor], Tensor]
"""Images `[B, C, H, W]` in 0..1 -> outputs `[B, 2]`."""
ErrorDeg = Callable[[Tensor, Tensor], Tensor]
"""(output [B, 2], truth) -> degrees [B]."""


@dataclass(frozen=True)
class Adversarial:
    """Images changed within a ball, and what the network says of them."""

    image: Tensor
    """[B, C, H, W] in 0..1."""
    epsilon: float
    """Radius of the ball."""
    clean_deg: Tensor
    """[B] error of the unchanged image; of a targeted attack, the angle to the target."""
    error_deg: Tensor
    """[B] that of the changed image."""
    output: Tensor
    """[B, 2] what the network says of the changed image."""
    moved_deg: Tensor
    """[B] between the answers to the unchanged and the changed image."""
    sensitivity: Tensor
    """[B] |f(x) - f(x*)|^2 / |x - x*|^2 of answers f and images x in 0..1, which a good attack
    makes large; 0 where the image is unchanged."""


def angle_error_deg(output: Tensor, truth: Tensor) -> Tensor:
    """Return the 3-D angle `[B]` in degrees between gazes `[B, 2]` (pitch, yaw) rad."""
    return angular_error_deg(output, truth)


def direction_error_deg(output: Tensor, truth: Tensor) -> Tensor:
    """Return the circular error `[B]`, 0..180 degrees, of (cos, sin) `[B, 2]`; `truth` likewise."""
    across = output[:, 0] * truth[:, 1] - output[:, 1] * truth[:, 0]
    return torch.rad2deg(torch.atan2(across, (output * truth).sum(1)).abs())


def judge(
    fn: Fn, ball: Ball, image: Tensor, truth: Tensor, error: ErrorDeg = angle_error_deg
) -> Adversarial:
    """Compare what `fn` says of `image` `[B, C, H, W]` with what it says of the ball's centre."""
    with torch.no_grad():
        before, after = fn(ball.centre), fn(image)
        return Adversarial(
            image,
            ball.radius,
            error(before, truth),
            error(after, truth),
            after,
            error(after, before),
            _sensitivity(after - before, image - ball.centre),
        )


def _sensitivity(answer: Tensor, change: Tensor) -> Tensor:
    size = change.flatten(1).square().sum(1)
    return torch.where(size > 0, answer.square().sum(1) / size.clamp_min(1e-30), 0)
