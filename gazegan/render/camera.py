"""The camera: where it stands, how its lens bends, what it frames, and the rays of its pixels.

A recipe gives gaze and head as a camera sees them that stands straight ahead. `stand` places
the real camera elsewhere around the eye; everything after it is seen from there.
"""

from dataclasses import dataclass, replace

import torch
from torch import Tensor

from gazegan import geometry
from gazegan.render import eyeball, shape
from gazegan.render.distortion import WIDEST, distort, undistort
from gazegan.render.effects import Effects, profile_at
from gazegan.render.elementary import angle, sqrt
from gazegan.render.eyeball import Pose
from gazegan.render.lens import Glass
from gazegan.render.params import EyeParams
from gazegan.render.prior import Image
from gazegan.render.shape import Rays

_NARROW = 1e-3
"""Floor of the slope from outer to outer canthus; a head in profile comes nowhere near it."""


@dataclass(frozen=True)
class Camera:
    """A pinhole with the lens distortion of Brown and Conrady, as OpenCV has it."""

    focal: Tensor
    """[B] px."""
    centre: Tensor
    """[B, 2] principal point, px."""
    eye: Tensor
    """[B, 3] the eyeball's centre in the camera frame, mm."""
    lens: Tensor | None = None
    """[B, 4] (k1, k2, p1, p2), or None where nothing is distorted."""
    stand: Tensor | None = None
    """[B, 3, 3] the camera's axes in the recipe's frame, or None where both are the same."""

    glass: Glass | None = None
    """Glasses before the eye, or None where nobody wears any."""

    @property
    def distance(self) -> Tensor:
        """Depth `[B]` of the eyeball's centre, mm."""
        return self.eye[:, 2]

    def project(self, points: Tensor) -> Tensor:
        """Project points `[3, B, 1, N]` mm from the eyeball's centre to pixels `[B, N, 2]`.

        What lies behind glasses that refract is found where they show it.
        """
        if self.glass is not None and self.glass.refracts:
            points = self.glass.seen(points)
        x, y, z = points[:, :, 0] + self.eye.T[:, :, None]
        depth = z.clamp(min=1)  # not behind the camera
        x, y = ((side / depth).clamp(-WIDEST, WIDEST) for side in (x, y))
        if self.lens is not None:
            x, y = distort(x, y, self.lens.T[:, :, None])
        return torch.stack((x, y), -1) * self.focal[:, None, None] + self.centre[:, None]

    def rays_at(self, px: Tensor) -> Rays:
        """Return the rays through pixels `[B, N, 2]`, shaped as an image of one row."""
        x, y = px[:, None].unbind(-1)
        return self._rays(x, y)

    def rays(self, height: int, width: int) -> Rays:
        """Return the rays through all pixel centres of an image."""
        along = torch.arange(max(height, width), device=self.focal.device).to(self.focal) + 0.5
        return self._rays(along[:width].expand(height, -1), along[:height, None].expand(-1, width))

    def _rays(self, x: Tensor, y: Tensor) -> Rays:
        """Rays through pixels (x, y), which broadcast to `[B, H, W]`.

        Starting them at the eyeball's depth keeps float32 exact to microns at any distance.
        """
        scale = 1 / self.focal[:, None, None]
        dx = (x - self.centre[:, 0, None, None]) * scale
        dy = (y - self.centre[:, 1, None, None]) * scale
        if self.lens is not None:
            dx, dy = undistort(dx, dy, self.lens.T[:, :, None, None])
        across, down, far = self.eye.T[:, :, None, None]
        straight = Rays(
            torch.stack((dx * far - across, dy * far - down, torch.zeros_like(dx))),
            torch.stack((dx, dy, torch.ones_like(dx))),
        )
        glass = self.glass
        return glass.bend(straight) if glass is not None and glass.refracts else straight

    def held(self, point: Tensor) -> "Camera":
        """Return a camera that sees all as it sees `point` `[3, B, 1, 1]`: through the lens of
        glasses, or past it."""
        if self.glass is None or not self.glass.refracts:
            return self
        return replace(self, glass=self.glass.hold(point))


def stand(p: EyeParams) -> Tensor:
    """Return the axes `[B, 3, 3]` of the camera in the recipe's frame."""
    azimuth = p.side * p.camera_azimuth
    place = torch.deg2rad(torch.cat((p.camera_elevation, azimuth), -1)[:, 0])
    return geometry.rotation(place, -torch.deg2rad(p.camera_roll.flatten()))


def pose(p: EyeParams, needs: Effects) -> Pose:
    """Orient head and eye along the axes of the camera where it stands."""
    where = eyeball.pose(p)
    return _seen(where, stand(p)) if needs.stand else where


def _seen(where: Pose, axes: Tensor) -> Pose:

    def turned(frame: Tensor) -> Tensor:
        columns = frame.transpose(0, 1)[..., None]
        return shape.to_frame(axes, columns)[..., 0].transpose(0, 1)

    return replace(
        where,
        head=turned(where.head),
        eye=turned(where.eye),
        axis=shape.to_frame(axes, where.axis),
    )


def angles_seen(angles: Tensor, axes: Tensor) -> Tensor:
    """Return (pitch, yaw) `[B, 2]` rad as a camera with these axes `[B, 3, 3]` sees them."""
    vector = geometry.vector_from_angles(angles).T[:, :, None, None]
    unmoved = (axes == torch.eye(3, device=axes.device, dtype=axes.dtype)).all(-1).all(-1)
    return torch.where(unmoved[:, None], angles, angles_of(shape.to_frame(axes, vector)))


def angles_of(vector: Tensor) -> Tensor:
    """Return (pitch, yaw) `[B, 2]` rad of unit vectors `[3, B, 1, 1]`."""
    x, y, z = vector[:, :, 0, 0]
    return torch.stack((angle(sqrt(x * x + z * z), -y), angle(-z, -x)), -1)


def frame(p: EyeParams, where: Pose, image: Image, needs: Effects, lids: Tensor) -> Camera:
    """Place the image on the eye as the recipe's framing says.

    `lids` `[3, B, 1, 6]` are the points of the lids that landmarkers find, the canthi 0 and 3.
    Where images show whole faces, the eyes `[B]` are the right and the left of faces by turns.
    """
    eye = torch.cat((p.eye_x, p.eye_y, p.distance), -1)[:, 0]
    if image.whole_faces:
        eye = eye - 0.5 * (p.side * p.ipd)[:, 0] * where.head[:, :, 0]
    lens = lens_of(p) if needs.distortion else None
    distance, unit = eye[:, 2], torch.ones_like(eye[:, 2])
    glass = Glass(p, where.head, eye, needs.lens, needs.tint, needs.pads) if needs.glasses else None
    px = Camera(unit, torch.zeros_like(eye[:, :2]), eye, lens, glass=glass).project(lids)
    across, wide = _across(px, p, needs), p.fill.flatten() * image.width
    if image.framing == "landmarks":
        focal, middle = wide / _fissure(p, across, distance), px.mean(1)
    elif image.framing == "normalised":
        focal, middle = distance * (1.6 * image.width / 60), (px[:, 0] + px[:, 3]) / 2
    elif image.framing == "strip":
        focal, middle = _on_both(px, across, wide)
    else:
        half_field = torch.deg2rad(0.5 * p.field_of_view.flatten())
        focal, middle = 0.5 * image.width / half_field.tan(), torch.zeros_like(px[:, 0])
    centre = principal(p, image) - focal[:, None] * middle
    return Camera(focal, centre, eye, lens, stand(p) if needs.stand else None, glass)


def principal(p: EyeParams, image: Image) -> Tensor:
    """Return where `[B, 2]` px the recipe shifts the point that the camera faces, or frames."""
    turn = (p.side * torch.deg2rad(p.head_yaw)).sin()
    across = p.side * (p.shift_nasal + p.shift_turn * turn)
    shift = torch.stack((across.flatten(), p.shift_down.flatten()), -1)
    half = shift.new_tensor((image.width / 2, image.height / 2))
    return half + shift * image.width


def in_profile(p: EyeParams, where: Pose) -> Tensor:
    """Whether `[B, 1, 1]` heads face so far past the camera that noses and brows may hide eyes."""
    at = torch.cat((p.eye_x, p.eye_y, p.distance), -1).transpose(1, 2)
    facing = where.head[:, :, 2:]  # away from the camera where the head faces it
    along = (at * facing)[:, :1] + (at * facing)[:, 1:2] + (at * facing)[:, 2:]
    square = (at * at)[:, :1] + (at * at)[:, 1:2] + (at * at)[:, 2:]
    return along < torch.deg2rad(profile_at(p)).cos() * sqrt(square)


def _across(px: Tensor, p: EyeParams, needs: Effects) -> Tensor:
    """How far right `[B, N]` points `[B, N, 2]` px would be, were the camera not rolled.

    Lids lie along the image's rows then: its roll must not change how large an eye is shown.
    """
    if not needs.stand:
        return px[..., 0]
    roll = torch.deg2rad(p.camera_roll)[:, 0]
    return px[..., 0] * roll.cos() + px[..., 1] * roll.sin()


def _fissure(p: EyeParams, across: Tensor, distance: Tensor) -> Tensor:
    """Width `[B]` of the lids' opening at focal length 1, `fill_even` of it as it truly is."""
    seen = (across[:, 0] - across[:, 3]).abs().clamp(min=1 / distance)  # at least 1 mm
    square = (p.canthus_inner + p.canthus_outer).flatten() / distance
    return torch.lerp(seen, square, p.fill_even.flatten())


def _on_both(px: Tensor, across: Tensor, wide: Tensor) -> tuple[Tensor, Tensor]:
    """Focal length `[B]` and middle `[B, 2]` that frame both eyes of faces, `wide` `[B]` px.

    `px` `[B, 6, 2]` are points of the lids at focal length 1, the outer canthus 3, and `across`
    `[B, 6]` how far right they would be in a camera that is not rolled.
    """
    span = (across[0::2, 3] - across[1::2, 3]).abs().clamp(min=_NARROW)
    middle = 0.5 * (px[0::2].mean(1) + px[1::2].mean(1))
    return wide / span.repeat_interleave(2), middle.repeat_interleave(2, 0)


def lens_of(p: EyeParams) -> Tensor:
    """The distortion `[B, 4]` (k1, k2, p1, p2)."""
    return torch.cat((p.distortion_k1, p.distortion_k2, p.distortion_p1, p.distortion_p2), -1)[:, 0]
