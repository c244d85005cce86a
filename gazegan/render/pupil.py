"""Where the pupil is seen through the cornea."""

import math
from collections.abc import Callable
from dataclasses import replace

import torch
from torch import Tensor

from gazegan.render import eyeball, shape
from gazegan.render.camera import Camera
from gazegan.render.eyeball import Pose
from gazegan.render.params import EyeParams

PUPIL_POINTS = 16
"""Points on the pupil's edge; an ellipse through as many is exact to thousandths of a pixel."""

_STEPS = 6
_SETTLED, _TURNED = 1e-8, 0.2
"""Guards of Broyden's update: px^2 below which steps are rounding, and its least denominator."""
_FARTHEST, _STEEPEST = 1e4, 100.0
"""Bounds on a step, px, and on pixels a pixel of miss; they act where no ray finds the pupil, as in
an eye that looks away from the camera, whose pupil would else be nowhere (NaN)."""


def pupil_points(p: EyeParams, where: Pose, camera: Camera) -> Tensor:
    """Pixels `[B, 1 + 16, 2]` at which centre and edge of the pupil are seen through the cornea.

    The edge runs from the nasal side upward. Broyden's method (Math. Comput. 1965) on how far, in
    pixels, each ray lands beside its point in the plane of the pupil's edge. Beginning at the
    paraxial image, it ends within 1e-4 px up to 65 degrees from the optical axis.
    """
    turn = p.side.new_tensor([2 * math.pi * i / PUPIL_POINTS for i in range(PUPIL_POINTS)])
    zero = torch.zeros_like(p.side)
    u = p.pupil_nasal + torch.cat((zero, p.pupil_radius * turn.cos()), -1)
    v = p.pupil_up + torch.cat((zero, p.pupil_radius * turn.sin()), -1)
    depth = eyeball.iris_depth(p)
    # Around the eyeball's centre pixels are small numbers, which float32 holds more exactly.
    near = replace(camera, centre=torch.zeros_like(camera.centre))
    aim = _project(p, where, near, u, v, depth)

    def miss(px: Tensor) -> Tensor:
        rays = near.rays_at(px)
        cornea, normal, _ = eyeball.hit_cornea(p, where.axis, rays)
        landed = eyeball.enter(p, where, rays.way, cornea, normal).down_to(depth)
        return aim - _project(p, where, near, *landed, depth)

    magnified, rise = _paraxial(p)
    start = _project(p, where, near, magnified * u, magnified * v, depth + rise)
    return _solve(miss, start) + camera.centre[:, None]


def _project(
    p: EyeParams, where: Pose, camera: Camera, u: Tensor, v: Tensor, height: Tensor
) -> Tensor:
    local = torch.stack((p.side * u, -v, -height.expand_as(u)))
    return camera.project(shape.from_frame(where.eye, local))


def _paraxial(p: EyeParams) -> tuple[Tensor, Tensor]:
    """Magnification of the pupil by the cornea, and mm by which its image lies before it."""
    power = (eyeball.AQUEOUS - 1) / p.cornea_radius
    image = 1 / (eyeball.AQUEOUS / p.chamber_depth - power)
    return eyeball.AQUEOUS * image / p.chamber_depth, p.chamber_depth - image


def _solve(miss: Callable[[Tensor], Tensor], px: Tensor) -> Tensor:
    """Return the pixels `[B, N, 2]` of no miss, by Broyden's update of the inverse Jacobian."""
    # Where the cornea magnifies by 1.1, a tenth less than the miss is about right at first.
    inverse = 0.9 * torch.eye(2, device=px.device, dtype=px.dtype).expand(*px.shape, 2)
    left = miss(px)
    for _ in range(_STEPS - 1):
        step = _times(inverse, left).clamp(-_FARTHEST, _FARTHEST)
        px = px + step
        before, left = left, miss(px)
        found = _times(inverse, before - left)
        weight = (step * found)[..., :1] + (step * found)[..., 1:]
        least = _TURNED * ((step * step)[..., :1] + (step * step)[..., 1:]) + _SETTLED
        gain = (step - found) / torch.maximum(weight, least)
        inverse = inverse + gain[..., None] * _times(inverse.mT, step)[..., None, :]
        inverse = inverse.clamp(-_STEEPEST, _STEEPEST)
    return px + _times(inverse, left).clamp(-_FARTHEST, _FARTHEST)


def _times(matrix: Tensor, vector: Tensor) -> Tensor:
    """Matrices `[..., 2, 2]` times vectors `[..., 2]`."""
    return matrix[..., 0] * vector[..., :1] + matrix[..., 1] * vector[..., 1:]
