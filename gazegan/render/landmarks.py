"""The camera's framing, and points of the eye projected into the image."""

import math
from dataclasses import dataclass

import torch
from torch import Tensor

from gazegan.render import eyeball, shape
from gazegan.render.eyeball import Pose
from gazegan.render.params import EyeParams
from gazegan.render.prior import Image
from gazegan.render.shape import Rays


@dataclass(frozen=True)
class Camera:
    """A pinhole: focal length `[B]` and principal point `[B, 2]`, px; distance `[B]`, mm."""

    focal: Tensor
    centre: Tensor
    distance: Tensor

    def project(self, points: Tensor) -> Tensor:
        """Project points `[3, B, 1, N]` mm from the eyeball's centre to pixels `[B, N, 2]`."""
        depth = (self.distance[:, None] + points[2, :, 0]).clamp(min=1)  # not behind the camera
        xy = torch.stack((points[0, :, 0], points[1, :, 0]), -1) / depth[..., None]
        return xy * self.focal[:, None, None] + self.centre[:, None]


def frame(p: EyeParams, where: Pose, image: Image) -> Camera:
    """Place the image on the eye as the recipe's framing says."""
    distance = p.distance.flatten()
    unit = torch.ones_like(distance)
    lids = on_face(p, where, *_six_points(p, where))
    seen = Camera(unit, torch.zeros_like(unit)[:, None].expand(-1, 2), distance).project(lids)
    fissure = (seen[:, 0, 0] - seen[:, 3, 0]).abs().clamp(min=1 / distance)  # at least 1 mm
    if image.framing == "landmarks":
        focal, middle = p.fill.flatten() * image.width / fissure, seen.mean(1)
    else:
        focal, middle = unit * (960 * image.width / 60), (seen[:, 0] + seen[:, 3]) / 2
    turn = (p.side * torch.deg2rad(p.head_yaw)).sin()
    across = p.side * (p.shift_nasal + p.shift_turn * turn)
    shift = torch.stack((across.flatten(), p.shift_down.flatten()), -1)
    half = torch.tensor((image.width / 2, image.height / 2), device=focal.device, dtype=focal.dtype)
    return Camera(focal, half + shift * image.width - focal[:, None] * middle, distance)


def on_face(p: EyeParams, where: Pose, u: Tensor, v: Tensor) -> Tensor:
    """Return the points `[3, B, 1, N]` of the face at (u, v) `[B, 1, N]`, along camera axes."""
    h = shape.face_height(p, u, v)
    return shape.from_frame(where.head, torch.stack((p.side * u, -v, -h)))


def _along(p: EyeParams, places: list[float]) -> Tensor:
    """The u `[B, 1, N]` of places along the lids, 0 the inner and 1 the outer canthus."""
    t = p.canthus_inner.new_tensor(places)
    return p.canthus_inner - (p.canthus_inner + p.canthus_outer) * t


def _six_points(p: EyeParams, where: Pose) -> tuple[Tensor, Tensor]:
    """Six lid points as common face landmarkers place them, from the inner canthus round."""
    u = _along(p, [0, 1 / 3, 2 / 3, 1, 2 / 3, 1 / 3])
    upper, lower, _ = shape.margins(p, where.lift, u)
    return u, torch.cat((upper[..., :4], lower[..., 4:]), -1)


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
    z = -eyeball.limbus_depth(p).expand_as(x)
    return shape.from_frame(where.eye, torch.stack((x, y, z)))


def rays_at(camera: Camera, px: Tensor) -> Rays:
    """Return the rays through pixels `[B, N, 2]`, shaped as an image of one row."""
    d = (px - camera.centre[:, None]) / camera.focal[:, None, None]
    x, y = d[..., 0][:, None], d[..., 1][:, None]
    far = camera.distance[:, None, None]
    return Rays(
        torch.stack((x * far, y * far, torch.zeros_like(x))),
        torch.stack((x, y, torch.ones_like(x))),
    )


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
    away = shape.dot(iris, torch.stack((iris[0], iris[1], iris[2] + p.distance)))[:, 0] < 0
    on_eye = torch.cat((pupil, camera.project(iris)), 1)
    bare = between_lids(p, where, camera, on_eye)
    seen = torch.ones_like(points[..., 0], dtype=torch.bool)
    seen[:, 0], seen[:, 1] = bare[:, 0], bare[:, 1]
    seen[:, -32:] = bare[:, 2:] & away[:, 1:]
    x, y = points.unbind(-1)
    return points, seen & (x >= 0) & (x <= image.width) & (y >= 0) & (y <= image.height)


def between_lids(p: EyeParams, where: Pose, camera: Camera, px: Tensor) -> Tensor:
    """Return whether the eyeball is bare of lids at pixels `[B, N, 2]`, as `[B, N]`."""
    face = shape.hit_face(p, where.head, rays_at(camera, px))
    return (shape.lids(p, where.lift, face.u, face.v).bare > 0)[:, 0]
