"""What a head shows around its eyes: skin, hair, nose, mouth, neck and shoulders, simply shaded.

For faces of 20 to 60 px. Shapes are functions of the place on the face: `across` mm from its middle
and v mm above the eyes, so that both halves of a face mirror each other.
"""

import math
from dataclasses import dataclass, fields
from typing import Self

import torch
from torch import Tensor

from gazegan.render import faces, landmarks, light, outlines, shape, surface
from gazegan.render.camera import Camera
from gazegan.render.elementary import fourth, sigmoid, sqrt
from gazegan.render.eyeball import Pose
from gazegan.render.params import EyeParams
from gazegan.render.sight import Sight
from gazegan.render.texture import lattice, noise

_WIDE, _UP, _DOWN = 70.0, 100.0, 112.0
"""Half-width of the face, mm, and its reach above and below the eyes. Bizygomatic breadth is
about 140 mm and menton to sellion about 120 mm (Gordon et al., ANSUR, 1989)."""
_HAIR = 9.0
"""Thickness of the hair, mm."""
_HAIRS = ((0.02, 0.015, 0.012), (0.06, 0.035, 0.02), (0.2, 0.12, 0.05), (0.35, 0.33, 0.31))
"""Black, brown, fair and grey, linear RGB."""
REACH = (230.0, 150.0)
"""What a head and its body may cover to either side and above the eyes, mm; below, all."""


@dataclass(frozen=True)
class Bust:
    """Halves of heads and bodies; light `[B, 3, H, W]`, opacity `[B, H, W]`."""

    head: Tensor
    covered: Tensor
    """By the head."""
    bare: Tensor
    """By what `paint` shows, whose masks count there."""
    body: Tensor
    clothed: Tensor
    """By neck and body."""

    def joined(self, share: Tensor) -> Self:
        """Return whole heads, of `share` `[F, H, W]` of each right half."""
        parts = {f.name: faces.join(getattr(self, f.name), share) for f in fields(self)}
        return type(self)(**parts)


def bust(s: Sight, radiance: Tensor) -> Bust:
    """Put the face of `paint`'s light `[3, B, H, W]` onto a head."""
    across, v = (0.5 * s.p.ipd - s.face.u).abs(), s.face.v
    level = light.level(s.p, s.lamp) * s.lamp.colour
    chance = lattice(s.seed, "head", 1, 8)[:, 0, :, :, None].unbind(2)
    near = _around_the_eyes(across, v)
    skin = surface.blend(_smooth(s, across, v), radiance, near)
    locks, behind, front = _hair(s, across, v, level, chance)
    oval = shape.coverage(_oval(across, v))
    head = surface.blend(surface.blend(locks, skin, oval), locks, front)
    covered = 1 - (1 - behind) * (1 - oval)
    body, clothed = _body(s, across, v, level, chance)
    return Bust(head.transpose(0, 1), covered, near * oval * (1 - front), body, clothed)


def boxes(p: EyeParams, where: Pose, camera: Camera) -> Tensor:
    """Return boxes `[F, 4]` px around skin and hair of heads whose eyes `[2F]` alternate."""
    turn = p.side.new_tensor([2 * math.pi * i / 64 for i in range(64)])
    across = (_WIDE + _HAIR) * turn.cos()
    up = torch.where(turn.sin() > 0, _UP + _HAIR, _DOWN) * turn.sin()
    px = camera.project(landmarks.on_face(p, where, 0.5 * p.ipd - across, up + 0 * p.ipd))
    return outlines.box_around(px[0::2])


def _around_the_eyes(across: Tensor, v: Tensor) -> Tensor:
    """Share of the face whose relief and texture the eye's own render knows."""
    return sigmoid((31 - v) / 3) * sigmoid((v + 26) / 4) * sigmoid((60 - across) / 4)


def _oval(across: Tensor, v: Tensor, more: float = 0.0) -> Tensor:
    """Positive, mm, within the outline of the face, `more` mm wider and higher."""
    jaw = (_WIDE + more) * (1 - 0.16 * sigmoid((-v - 55) / 14))
    tall = torch.where(v > 0, _UP + more, _DOWN)
    return jaw * (1 - sqrt((across / jaw) ** 2 + (v / tall) ** 2))


def _smooth(s: Sight, across: Tensor, v: Tensor) -> Tensor:
    """Light `[C, B, H, W]` of forehead, cheeks, nose and mouth, on an ellipsoid."""
    x = -s.p.side * (0.5 * s.p.ipd - s.face.u)
    ahead = sqrt(1 - ((across / 85) ** 2 + (v / 135) ** 2).clamp(max=0.9))
    normal = shape.unit(torch.stack((x / 85**2, -v / 135**2, -ahead / 95)))
    lit = light.irradiance(s.p, s.lamp, shape.from_frame(s.where.head, normal), s.face.point)
    skin = surface.skin_tone(s.p, s.lamp.band) * lit * s.lamp.colour
    blotch = noise(s.seed, "blotch", across / 14, v / 14)
    skin = skin * (1 + 0.05 * blotch)
    lips = torch.exp(-fourth(across / 25) - ((v + 72 - 0.002 * across * across) / 5.5) ** 2)
    red = surface.flesh(s.p, s.lamp.band) * lit * s.lamp.colour
    skin = surface.blend(skin, red, 0.75 * lips)
    line = torch.exp(-fourth(across / 26) - ((v + 72 - 0.002 * across * across) / 1.6) ** 2)
    nostril = torch.exp(-(((across - 7.5) / 4) ** 2) - ((v + 46) / 2.5) ** 2)
    wing = torch.exp(-(((across - 17) / 3) ** 2) - ((v + 40) / 8) ** 2)
    under = torch.exp(-((across / 17) ** 2) - ((v + 51) / 4) ** 2)
    chin = torch.exp(-((across / 22) ** 2) - ((v + 86) / 4) ** 2)
    dark = 1 - 0.6 * line - 0.6 * nostril
    dark = dark * (1 - 0.25 * wing) * (1 - 0.25 * under) * (1 - 0.12 * chin)
    ridge = torch.exp(-((across / 7) ** 2)) * sigmoid((v + 44) / 4) * sigmoid((8 - v) / 6)
    return skin * dark.clamp(min=0.05) * (1 + 0.12 * ridge)


def _hair(
    s: Sight, across: Tensor, v: Tensor, level: Tensor, chance: tuple[Tensor, ...]
) -> tuple[Tensor, Tensor, Tensor]:
    """Colour of the hair, its opacity behind the face, and before it."""
    place = (0.5 + 0.5 * chance[0]) * (len(_HAIRS) - 1)
    shares = [(1 - (place - k).abs()).clamp(min=0) for k in range(len(_HAIRS))]
    colour: Tensor = sum(  # type: ignore[assignment]
        share * surface.rgb(hair, v) for share, hair in zip(shares, _HAIRS, strict=True)
    )
    colour = _as_seen(s, colour)
    strands = noise(s.seed, "locks", across / 3, v / 25)
    locks = colour * level * (0.8 + 0.35 * strands + 0.3 * sigmoid((v - 60) / 15))
    ends, line = -70 + 60 * chance[1], 66 + 10 * chance[2]
    outer = _oval(across, v, _HAIR)
    behind = shape.coverage(torch.minimum(outer, v - ends))
    fringe = torch.maximum(v - line + 0.006 * across * across, across + 0.1 * (v + 20).abs() - 66)
    front = shape.coverage(torch.minimum(torch.minimum(outer, fringe), v - ends))
    return locks, behind, front


def _as_seen(s: Sight, colour: Tensor) -> Tensor:
    """Colours `[3, ...]` as the camera's band shows them: infrared has one channel."""
    return colour if len(s.lamp.band.skin) == 3 else colour.mean(0, keepdim=True)


def _body(
    s: Sight, across: Tensor, v: Tensor, level: Tensor, chance: tuple[Tensor, ...]
) -> tuple[Tensor, Tensor]:
    """Light `[B, 3, H, W]` and opacity `[B, H, W]` of neck and clothes."""
    hue = _as_seen(s, torch.stack([0.22 + 0.2 * part for part in chance[3:6]]))
    collar = 145 + 0.2 * (across - 50).clamp(min=0) + 0.002 * (across - 60).clamp(min=0) ** 2
    cloth = torch.minimum(-v - collar + 12 * torch.exp(-((across / 30) ** 2)), 215 - across)
    neck = torch.minimum(50 - across, -v - 60)
    dressed = shape.coverage(cloth)
    shade = 0.75 + 0.15 * torch.exp(-((across / 90) ** 2))
    skin = (
        0.6 * surface.skin_tone(s.p, s.lamp.band) * level * (1 - (across / 75) ** 2).clamp(min=0.3)
    )
    light_ = surface.blend(skin, hue * level * shade, dressed)
    light_ = light_.expand(3, *light_.shape[1:]).transpose(0, 1)
    return light_, 1 - (1 - dressed) * (1 - shape.coverage(neck))
