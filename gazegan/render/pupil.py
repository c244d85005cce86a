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

    def miss(px: Plane) -> Plane:
        rays = near.rays_at(torch.stack(px, -1))
        cornea, normal, _ = eyeball.hit_cornea(p, where.axis, rays)
        landed = eyeball.enter(p, where, rays.way, cornea, normal).down_to(depth)
        x, y = (aim - _project(p, where, near, *landed, depth)).unbind(-1)
        return x, y

    magnified, rise = _paraxial(p)
    start = _project(p, where, near, magnified * u, magnified * v, depth + rise)
    found = _solve(miss, (start[..., 0], start[..., 1]))
    return torch.stack(found, -1) + camera.centre[:, None]


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


Plane = tuple[Tensor, Tensor]
"""x and y `[B, N]`: side by side they are worked on faster than by turns."""


def _solve(miss: Callable[[Plane], Plane], px: Plane) -> Plane:
    """Return the pixels of no miss, by Broyden's update of the inverse Jacobian."""
    # Where the cornea magnifies by 1.1, a tenth less than the miss is about right at first.
    same, none = torch.full_like(px[0], 0.9), torch.zeros_like(px[0])
    inverse = (same, none), (none, same)
    left = miss(px)
    for _ in range(_STEPS - 1):
        step = _step(inverse, left)
        px = px[0] + step[0], px[1] + step[1]
        before, left = left, miss(px)
        found = _times(inverse, (before[0] - left[0], before[1] - left[1]))
        weight = step[0] * found[0] + step[1] * found[1]
        least = _TURNED * (step[0] * step[0] + step[1] * step[1]) + _SETTLED
        share = torch.maximum(weight, least)
        gain = (step[0] - found[0]) / share, (step[1] - found[1]) / share
        (a, b), (c, d) = inverse
        across = a * step[0] + c * step[1], b * step[0] + d * step[1]
        inverse = _grown((a, b), gain[0], across), _grown((c, d), gain[1], across)
    step = _step(inverse, left)
    return px[0] + step[0], px[1] + step[1]


def _grown(row: Plane, gain: Tensor, across: Plane) -> Plane:
    a, b = (value + gain * along for value, along in zip(row, across, strict=True))
    return a.clamp(-_STEEPEST, _STEEPEST), b.clamp(-_STEEPEST, _STEEPEST)


def _step(inverse: tuple[Plane, Plane], left: Plane) -> Plane:
    x, y = _times(inverse, left)
    return x.clamp(-_FARTHEST, _FARTHEST), y.clamp(-_FARTHEST, _FARTHEST)


def _times(matrix: tuple[Plane, Plane], vector: Plane) -> Plane:
    (a, b), (c, d) = matrix
    return a * vector[0] + b * vector[1], c * vector[0] + d * vector[1]
