"""Elementary functions whose bits do not depend on where in a tensor a value lies.

Torch computes `sigmoid`, `pow`, `exp2` and `atan2` by one routine in the body of a tensor and by
another in its last few values, and these differ in the last bit; an eye would then depend on the
batch it is rendered in. `exp`, `log`, `tanh` and `atan` are free of that.
"""

import math

import torch
from torch import Tensor

_TINY = 1e-6
_STEEPEST = 40.0
"""Exponent beyond which a sigmoid is zero in float32, and long before its square is."""


def sqrt(x: Tensor) -> Tensor:
    """Square root `[...]` with a floor, so that its gradient stays finite at and below zero."""
    return x.clamp(min=_TINY).sqrt_()


def sigmoid(x: Tensor) -> Tensor:
    """The logistic function `[...]`, 0..1.

    By `exp`, which costs a third of `tanh`; the bound keeps its gradient finite.
    """
    return _logistic(-x)


def ramp(x: Tensor, middle: Tensor | float, width: float) -> Tensor:
    """The logistic function `[...]` of (x - middle) / width; `width` may be negative."""
    if isinstance(middle, Tensor):
        return _logistic(torch.sub(middle / width, x, alpha=1 / width))
    return _logistic(torch.rsub(x, middle / width, alpha=1 / width))


def _logistic(down: Tensor) -> Tensor:
    """1 / (1 + exp(down)); overwrites its argument, which spares two walks through memory."""
    return (1 + down.clamp_(max=_STEEPEST).exp_()).reciprocal_()


def bump(x: Tensor, y: Tensor | None = None) -> Tensor:
    """exp(-x^2 - y^2) `[...]`.

    Taken from zero, which spares a walk through memory to turn the sign.
    """
    minus = torch.addcmul(x.new_tensor(0.0), x, x, value=-1)
    return (minus if y is None else minus.addcmul_(y, y, value=-1)).exp_()


def power(base: Tensor, exponent: Tensor | float) -> Tensor:
    """Raise positive `base` `[...]` to `exponent`, which may broadcast."""
    return (exponent * base.log()).exp_()


def exp2(x: Tensor) -> Tensor:
    """Two to the power of x `[...]`."""
    return torch.exp(math.log(2) * x)


def fourth(x: Tensor) -> Tensor:
    """The fourth power of x `[...]`."""
    square = x * x
    return square * square


def turn(u: Tensor, v: Tensor) -> Tensor:
    """The polar angle `[...]` of (u, v) in 0..1 turns, rising from -u through -v, u and v to -u."""
    radius = sqrt(u * u + v * v)
    half = torch.atan(v / (radius + u.abs()))
    behind = torch.where(v < 0, -half - math.pi / 2, math.pi / 2 - half)
    return torch.where(u < 0, behind, half) / math.pi + 0.5


def angle(u: Tensor, v: Tensor) -> Tensor:
    """The polar angle `[...]` of (u, v), -pi..pi rad: atan2(v, u) where u^2 + v^2 is not tiny."""
    return 2 * math.pi * (turn(u, v) - 0.5)
