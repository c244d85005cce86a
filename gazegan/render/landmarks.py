"""Points of the eye, and where the image shows them."""

import math

import torch
from torch import Tensor

from gazegan.render import shape
from gazegan.render.camera import Camera
from gazegan.render.params import EyeParams
from gazegan.render.prior import Image
from gazegan.render.shape import Pose

PUPIL_POINTS = 16
"""Points on the pupil's edge; an ellipse through as many is exact to thousandths of a pixel."""


def on_face(p: EyeParams, where: Pose, u: Tensor, v: Tensor) -> Tensor:
    """Return the points `[3, B, 1, N]` of the face at (u, v) `[B, 1, N]`, along camera axes."""
    h = shape.face_height(p, u, v)
    return shape.from_frame(where.head, torch.stack((p.side * u, -v, -h)))


def _along(p: EyeParams, places: list[float]) -> Tensor:
    """The u `[B, 1, N]` of places along the lids, 0 the inner and 1 the outer canthus."""
    t = p.canthus_inner.new_tensor(places)
    return p.canthus_inner - (p.canthus_inner + p.canthus_outer) * t


def six_points(p: EyeParams, where: Pose) -> Tensor:
    """Six points `[3, B, 1, 6]` of the lids as common face landmarkers place them.

    They run from the inner canthus along the upper lid and back; the outer canthus is the fourth.
    """
    u = _along(p, [0, 1 / 3, 2 / 3, 1, 2 / 3, 1 / 3])
    upper, lower, _ = shape.margins(p, where.lift, u)
    return on_face(p, where, u, torch.cat((upper[..., :4], lower[..., 4:]), -1))


def lid_points(p: EyeParams, where: Pose) -> Tensor:
    """Sixteen points `[3, B, 1, 16]` from the inner canthus along the upper lid and back."""
    u = _along(p, [i / 8 for i in range(9)] + [1 - i / 8 for i in range(1, 8)])
    upper, lower, _ = shape.margins(p, where.lift, u)
    return on_face(p, where, u, torch.cat((upper[..., :9], lower[..., 9:]), -1))


def caruncle_points(p: EyeParams, where: Pose) -> Tensor:
    """Seven points `[3, B, 1, 7]` around the caruncle."""
    turn = p.side.new_tensor([2 * math.pi * i / 7 for i in range(7)])
    u, v = caruncle_centre(p)
    return on_face(p, where, u + p.caruncle * turn.cos(), v + 0.7 * p.caruncle * turn.sin())


def caruncle_centre(p: EyeParams) -> tuple[Tensor, Tensor]:
    """The caruncle's centre (u, v) mm, just inside the inner canthus."""
    return p.canthus_inner - 0.9 * p.caruncle, -p.canthus_drop - 0.5 * p.canthus_tilt + 0.15


def iris_points(p: EyeParams, where: Pose) -> Tensor:
    """Centre and 32 points of the limbus `[3, B, 1, 33]`, from the nasal side upward."""
    turn = p.side.new_tensor([2 * math.pi * i / 32 for i in range(32)])
    zero = torch.zeros_like(p.side)
    x = torch.cat((zero, p.side * p.limbus_radius * turn.cos()), -1)
    y = torch.cat((zero, -p.limbus_radius * turn.sin()), -1)
    z = -shape.limbus_depth(p).expand_as(x)
    return shape.from_frame(where.eye, torch.stack((x, y, z)))


def pupil_points(p: EyeParams, where: Pose, camera: Camera) -> Tensor:
    """Pixels `[B, 1 + 16, 2]` at which centre and edge of the pupil are seen through the cornea.

    The edge runs from the nasal side upward. Walks each ray until its refracted landing meets the
    point; a step closes most of the gap, as the cornea magnifies by little.
    """
    turn = p.side.new_tensor([2 * math.pi * i / PUPIL_POINTS for i in range(PUPIL_POINTS)])
    zero = torch.zeros_like(p.side)
    nasal = p.pupil_nasal + torch.cat((zero, p.pupil_radius * turn.cos()), -1)
    up = p.pupil_up + torch.cat((zero, p.pupil_radius * turn.sin()), -1)
    real = torch.stack((p.side * nasal, -up, -shape.iris_depth(p).expand_as(up)))
    real = shape.from_frame(where.eye, real)
    px = start = camera.project(real)
    for _ in range(12):
        u, v = shape.hit_eye(p, where, camera.rays_at(px)).iris
        miss = torch.stack((p.side * (nasal - u), v - up, torch.zeros_like(u)))
        px = px + 0.85 * (camera.project(real + shape.from_frame(where.eye, miss)) - start)
    return px


def locate(
    p: EyeParams, where: Pose, camera: Camera, image: Image, pupil: Tensor
) -> tuple[Tensor, Tensor]:
    """Return all landmarks `[B, L, 2]` px in the order of schema.LANDMARKS, and which are seen.

    `pupil` `[B, 1, 2]` px is where the pupil's centre is seen. A point is seen where it lies
    inside the image and, on the eyeball, between the lids and on the side toward the camera.
    """
    iris = iris_points(p, where)
    fixed = torch.cat((lid_points(p, where), caruncle_points(p, where), iris[..., 1:]), -1)
    points = torch.cat((pupil, camera.project(iris[..., :1]), camera.project(fixed)), 1)
    away = shape.dot(iris, iris + camera.eye.T[:, :, None, None])[:, 0] < 0
    on_eye = torch.cat((pupil, camera.project(iris)), 1)
    bare = between_lids(p, where, camera, on_eye)
    seen = torch.ones_like(points[..., 0], dtype=torch.bool)
    seen[:, 0], seen[:, 1] = bare[:, 0], bare[:, 1]
    seen[:, -32:] = bare[:, 2:] & away[:, 1:]
    x, y = points.unbind(-1)
    return points, seen & (x >= 0) & (x <= image.width) & (y >= 0) & (y <= image.height)


def between_lids(p: EyeParams, where: Pose, camera: Camera, px: Tensor) -> Tensor:
    """Return whether the eyeball is bare of lids at pixels `[B, N, 2]`, as `[B, N]`."""
    face = shape.hit_face(p, where.head, camera.rays_at(px))
    return (shape.lids(p, where.lift, face.u, face.v).bare > 0)[:, 0]
