"""Points of the eye, and where the image shows them."""

import math

import torch
from torch import Tensor

from gazegan.render import eyeball, glasses, lids, shape
from gazegan.render.camera import Camera, in_profile
from gazegan.render.eyeball import Pose
from gazegan.render.params import EyeParams
from gazegan.render.prior import Image

_FINE = 4
"""More steps to the face than pixels get, for rays that graze it."""
_SUNK = 1.0
"""How far, mm, behind what a ray first meets a point of the face counts as hidden."""


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
    upper, lower, _ = lids.margins(p, where.lift, u)
    return on_face(p, where, u, torch.cat((upper[..., :4], lower[..., 4:]), -1))


def lid_points(p: EyeParams, where: Pose) -> Tensor:
    """Sixteen points `[3, B, 1, 16]` from the inner canthus along the upper lid and back."""
    u = _along(p, [i / 8 for i in range(9)] + [1 - i / 8 for i in range(1, 8)])
    upper, lower, _ = lids.margins(p, where.lift, u)
    return on_face(p, where, u, torch.cat((upper[..., :9], lower[..., 9:]), -1))


def caruncle_points(p: EyeParams, where: Pose) -> Tensor:
    """Seven points `[3, B, 1, 7]` around the caruncle."""
    turn = p.side.new_tensor([2 * math.pi * i / 7 for i in range(7)])
    u, v = caruncle_centre(p)
    return on_face(p, where, u + p.caruncle * turn.cos(), v + 0.7 * p.caruncle * turn.sin())


def caruncle_centre(p: EyeParams) -> tuple[Tensor, Tensor]:
    """The caruncle's centre (u, v) `[B, 1, 1]` mm, just inside the inner canthus."""
    return p.canthus_inner - 0.9 * p.caruncle, -p.canthus_drop - 0.5 * p.canthus_tilt + 0.15


def iris_points(p: EyeParams, where: Pose) -> Tensor:
    """Centre and 32 points of the limbus `[3, B, 1, 33]`, from the nasal side upward."""
    turn = p.side.new_tensor([2 * math.pi * i / 32 for i in range(32)])
    zero = torch.zeros_like(p.side)
    x = torch.cat((zero, p.side * p.limbus_radius * turn.cos()), -1)
    y = torch.cat((zero, -p.limbus_radius * turn.sin()), -1)
    z = -eyeball.limbus_depth(p).expand_as(x)
    return shape.from_frame(where.eye, torch.stack((x, y, z)))


def locate(
    p: EyeParams, where: Pose, camera: Camera, image: Image, pupil: Tensor
) -> tuple[Tensor, Tensor]:
    """Return all landmarks `[B, L, 2]` px in the order of schema.LANDMARKS, and which are seen.

    `pupil` `[B, 1, 2]` px is where the pupil's centre is seen. A point is seen where it lies
    inside the image, is hidden neither by the nose or the brow nor by a rim of glasses, and, on the
    eyeball, lies between the lids and on the side toward the camera. Lashes hide nothing.
    """
    iris = iris_points(p, where)
    skin = torch.cat((lid_points(p, where), caruncle_points(p, where)), -1)
    on_eye = torch.cat((pupil, camera.project(iris)), 1)
    points = torch.cat((on_eye[:, :2], camera.project(skin), on_eye[:, 2:]), 1)
    rays = camera.rays_at(points)
    face = shape.hit_face(p, where.head, rays, in_profile(p, where), _FINE)
    bare = (lids.place(p, where.lift, face.u, face.v).bare > 0)[:, 0]
    away = shape.dot(iris, iris + camera.eye.T[:, :, None, None])[:, 0] < 0
    bare[:, 2:-32] = (skin[2] - face.point[2, :, :, 2:-32])[:, 0] < _SUNK
    bare[:, -32:] &= away[:, 1:]
    seen = bare & ~glasses.hides(p, where, rays)[:, 0]
    x, y = points.unbind(-1)
    return points, seen & (x >= 0) & (x <= image.width) & (y >= 0) & (y <= image.height)
