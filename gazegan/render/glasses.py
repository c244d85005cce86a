"""Glasses: a rim around the lens in a plane before the face, and the lens' veiling reflection."""

import torch
from torch import Tensor

from gazegan.render import shape
from gazegan.render.elementary import power, sigmoid
from gazegan.render.eyeball import Pose
from gazegan.render.params import EyeParams
from gazegan.render.shape import Rays
from gazegan.render.texture import lattice, value_noise

_BEFORE_EYE = 26.0
"""Distance of the rim's plane from the eyeball's centre, mm: vertex distance 13 mm."""


def wear(
    p: EyeParams, seed: Tensor, level: Tensor, where: Pose, rays: Rays, seen: Tensor
) -> tuple[Tensor, Tensor]:
    """Lay glasses over light `seen` `[C, B, H, W]`; return that, and the rim's opacity `[B, H, W]`.

    `level` `[B, 1, 1]` is the light that the skin around sends.
    """
    u, v = _plane(p, where, rays)
    inside = _inside(p, u, v)
    mottle = value_noise(lattice(seed, "glare", 8, 8), u / 12 + 4, v / 12 + 4)
    veil = p.lens_glare * level * (0.5 + 0.5 * mottle) * shape.coverage(inside)
    lit = 0.6 - 0.4 * sigmoid(2 * inside / p.rim_width)
    rim = level * (0.01 + (1 - p.rim_dark) * lit)
    half_rim = _all_round(p, v)
    cover = shape.coverage(_rim(p, inside)) * half_rim
    worn = (seen + veil) * (1 - cover) + rim * cover
    return seen + p.glasses * (worn - seen), p.glasses * cover


def hides(p: EyeParams, where: Pose, rays: Rays) -> Tensor:
    """Whether `[B, H, W]` a rim of glasses lies before what rays see."""
    u, v = _plane(p, where, rays)
    solid = p.glasses * _all_round(p, v) > 0.5
    return solid & (_rim(p, _inside(p, u, v)) > 0)


def _rim(p: EyeParams, inside: Tensor) -> Tensor:
    """Positive, mm, within the rim."""
    return 0.5 * p.rim_width - inside.abs()


def _all_round(p: EyeParams, v: Tensor) -> Tensor:
    """Share of the rim that is there; half-rims end below."""
    return sigmoid((v + p.lens_drop) / 2) * (1 - p.rim_below) + p.rim_below


def _plane(p: EyeParams, where: Pose, rays: Rays) -> tuple[Tensor, Tensor]:
    """Where rays cross the plane of the glasses, (u, v) mm."""
    at, way = shape.to_frame(where.head, rays.at), shape.to_frame(where.head, rays.way)
    t = (-_BEFORE_EYE - at[2]) / way[2].clamp(min=0.05)
    return p.side * (at[0] + t * way[0]), -(at[1] + t * way[1])


def _inside(p: EyeParams, u: Tensor, v: Tensor) -> Tensor:
    """Signed distance, mm, inside the middle line of the rim, a superellipse."""
    x = ((u - p.lens_nasal).abs() / p.lens_half_width).clamp(1e-3, 50)
    y = ((v + p.lens_drop).abs() / p.lens_half_height).clamp(1e-3, 50)
    level = power(power(x, p.lens_round) + power(y, p.lens_round), 1 / p.lens_round)
    return (1 - level) * torch.minimum(p.lens_half_width, p.lens_half_height)
