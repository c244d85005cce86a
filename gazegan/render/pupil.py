"""Where the pupil is seen through the cornea."""

import math

import torch
from torch import Tensor

from gazegan.render import eyeball, shape
from gazegan.render.camera import Camera
from gazegan.render.eyeball import Pose
from gazegan.render.params import EyeParams

PUPIL_POINTS = 16
"""Points on the pupil's edge; an ellipse through as many is exact to thousandths of a pixel."""


def pupil_points(p: EyeParams, where: Pose, camera: Camera) -> Tensor:
    """Pixels `[B, 1 + 16, 2]` at which centre and edge of the pupil are seen through the cornea.

    The edge runs from the nasal side upward. Walks each ray until its refracted landing meets the
    point; a step closes most of the gap, as the cornea magnifies by little.
    """
    turn = p.side.new_tensor([2 * math.pi * i / PUPIL_POINTS for i in range(PUPIL_POINTS)])
    zero = torch.zeros_like(p.side)
    nasal = p.pupil_nasal + torch.cat((zero, p.pupil_radius * turn.cos()), -1)
    up = p.pupil_up + torch.cat((zero, p.pupil_radius * turn.sin()), -1)
    real = torch.stack((p.side * nasal, -up, -eyeball.iris_depth(p).expand_as(up)))
    real = shape.from_frame(where.eye, real)
    px = start = camera.project(real)
    for _ in range(12):
        u, v = eyeball.hit_eye(p, where, camera.rays_at(px)).iris
        miss = torch.stack((p.side * (nasal - u), v - up, torch.zeros_like(u)))
        px = px + 0.85 * (camera.project(real + shape.from_frame(where.eye, miss)) - start)
    return px
