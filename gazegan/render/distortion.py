"""The distortion of lenses, by Brown and Conrady as OpenCV has it, and its inverse."""

import math
from collections.abc import Sequence
from itertools import product

import torch
from torch import Tensor

_STEPS = 6
"""Newton steps that straighten a ray; lenses for which these are too few are refused."""
WIDEST = 10.0
"""Bound on the slopes of rays."""
_FOLDED = 0.02
"""Bound on how far the lens may squeeze; it acts beyond a fold only."""
_FLAT = 0.1
"""A lens that squeezes areas to less than this share is taken for one that folds."""
_CLOSE = 1e-5
"""How far a ray may miss its pixel, of the way from the axis to the farthest one."""


def distort(x: Tensor, y: Tensor, lens: Tensor) -> tuple[Tensor, Tensor]:
    """Bend the slopes (x, y) of rays as a lens (k1, k2, p1, p2) `[4, ...]` does.

    Brown (Photogrammetric Engineering 1966) with two radial and two tangential terms, in the
    order and with the signs of OpenCV.
    """
    k1, k2, p1, p2 = lens
    square = x * x + y * y
    radial = 1 + square * (k1 + k2 * square)
    twice = 2 * (p1 * y + p2 * x)
    return x * radial + x * twice + p2 * square, y * radial + y * twice + p1 * square


def undistort(x: Tensor, y: Tensor, lens: Tensor) -> tuple[Tensor, Tensor]:
    """Return the slopes `[B, H, W]` that `distort` bends to (x, y), by Newton's method.

    It finds them wherever `straightens` holds, as recipes promise.
    """
    u, v = x.clamp(-WIDEST, WIDEST), y.clamp(-WIDEST, WIDEST)
    for _ in range(_STEPS):
        bent_u, bent_v = distort(u, v, lens)
        uu, uv, vv = _slopes(u, v, lens)
        det = (uu * vv - uv * uv).clamp(min=_FOLDED)
        off_u, off_v = x - bent_u, y - bent_v
        u = (u + (vv * off_u - uv * off_v) / det).clamp(-WIDEST, WIDEST)
        v = (v + (uu * off_v - uv * off_u) / det).clamp(-WIDEST, WIDEST)
    return u, v


def _slopes(u: Tensor, v: Tensor, lens: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """The derivatives of `distort`, whose matrix is symmetric: of x by u, of x by v, of y by v."""
    k1, k2, p1, p2 = lens
    square, twice = u * u + v * v, 2 * (p1 * v + p2 * u)
    radial, rise = 1 + square * (k1 + k2 * square) + twice, 2 * (k1 + 2 * k2 * square)
    uu = radial + u * (u * rise + 4 * p2)
    vv = radial + v * (v * rise + 4 * p1)
    return uu, u * v * rise + 2 * (p1 * u + p2 * v), vv


def straightens(bounds: Sequence[tuple[float, float]], reach: float) -> bool:
    """Whether `undistort` finds all slopes as far as `reach` from the axis.

    `bounds` are those of k1, k2, p1 and p2; lenses at their ends are tried, along 32 directions.
    """
    lens = torch.tensor(list(product(*bounds)), dtype=torch.float64).T[..., None, None]
    turn = torch.arange(32, dtype=torch.float64)[:, None] * (math.pi / 16)
    far = torch.linspace(0, reach, 65, dtype=torch.float64)
    x, y = (far * turn.cos())[None], (far * turn.sin())[None]
    u, v = undistort(x, y, lens)
    bent_u, bent_v = distort(u, v, lens)
    uu, uv, vv = _slopes(u, v, lens)
    missed = max(float((bent_u - x).abs().max()), float((bent_v - y).abs().max()))
    return missed < _CLOSE * reach and float((uu * vv - uv * uv).min()) > _FLAT
