"""Glasses: rim, bridge and hinge in a plane before the face; what the lens absorbs and mirrors."""

import torch
from torch import Tensor

from gazegan.render import environment, lens, light, shape, surface
from gazegan.render.elementary import fourth, sigmoid, sqrt
from gazegan.render.eyeball import Pose
from gazegan.render.lens import Glass
from gazegan.render.light import Lamps, Mirror
from gazegan.render.params import EyeParams
from gazegan.render.shape import FaceHit, Rays
from gazegan.render.texture import noise

_INDEX = 0.53
"""Refractive index of the lens less 1, by which opticians state base curves."""
_TWO_SURFACES = 0.085
"""Reflectance of an uncoated lens: ((n - 1) / (n + 1))^2 at each of two surfaces."""
_COATED = 0.9
"""Share of its reflection that the best coating takes away."""
_RIM_TILT, _BAR_TURN = 0.7, 0.3
"""How far outward a rim mirrors, as a share of a unit vector, and the angle, rad, through which
that is taken to turn from pixel to pixel."""
_THREAD = 0.1
"""Half the width of the edge and the thread that hold a lens without a rim below, mm."""
_CEILING = 1.5
"""What the smooth upper side of a frame mirrors, as a share of the light that skin sends."""
_GREEN = (0.45, 1.0, 0.6)
"""Tint of what a coating still reflects."""

_PAD, _PAD_AT, _BEND, _CLEAR = (1.2, 2.5), 0.3, 0.25, 0.45
"""Half the width and height, mm, of a pad as it is seen; how far nasal of the lens its middle is;
half the width of the wire that holds it; and the pad's opacity."""
_HINGE, _OVER = 6.0, 4.0
"""Length of the hinge, and of the bridge beyond the face's middle, so that both halves meet, mm."""


def wear(
    s: Glass, seed: Tensor, level: Tensor, lamp: Lamps, rays: Rays, seen: Tensor, pixel_mm: Tensor
) -> tuple[Tensor, Tensor]:
    """Lay glasses over light `seen` `[C, B, H, W]`; return that, and the rim's opacity `[B, H, W]`.

    `level` `[B, 1, 1]` is the light that the skin around sends.
    """
    p = s.p
    x, y, t = lens.crossing(s.head, rays)
    u, v = p.side * x, -y
    inside = lens.outline(p, u, v)
    lensed = shape.coverage(inside)
    cover, profile = _frame(p, inside, u, v, pixel_mm, s.pads)
    point = rays.at + t * rays.way
    glare, tint = _mirrored(s, seed, level, lamp, x, y, point, pixel_mm)
    shine = p.glasses * cover * _shine(s, level, lamp, profile, u, v)
    kept = 1 - cover
    if s.tinted:
        kept = kept * (
            1 - lensed * (1 - torch.exp(-2 * p.lens_tint * surface.rgb(lamp.band.dye, u)))
        )
    mirrored = p.glasses * lensed * (1 - cover) * glare * tint + shine
    return seen * (1 - p.glasses * (1 - kept)) + lamp.colour * mirrored, p.glasses * cover


def _bar(p: EyeParams, up: Tensor) -> Tensor:
    """Half the width `[B, H, W]` of the rim, mm, `up` mm above the lens' centre.

    `rim_brow` widens it above; where `rim_below` is 0 it narrows to a thread below.
    """
    bar = 0.5 * p.rim_width * (1 + p.rim_brow * sigmoid(up / 2))
    shown = sigmoid(up) * (1 - p.rim_below) + p.rim_below
    return _THREAD + (bar - _THREAD) * shown


def _frame(
    p: EyeParams, inside: Tensor, u: Tensor, v: Tensor, pixel_mm: Tensor, pads: bool
) -> tuple[Tensor, Tensor]:
    """Coverage `[B, H, W]` by the frame, and place -1..1 across its bar, 1 at the outside.

    Of a bar as thin as a pixel, which shows it whole, the place is the middle.
    """
    half = _bar(p, v + p.lens_drop)
    # Two edges, not one band, which is not seen whole where it is thinner than a pixel.
    rim = shape.coverage(inside + half) - shape.coverage(inside - half)
    cover = torch.maximum(rim, shape.coverage(_bridge_and_hinge(p, u, v)))
    across = (-inside / torch.maximum(half, 2 * pixel_mm - half)).clamp(-1, 1)
    if not pads:
        return cover, across
    pad, wire, turned = _pad(p, u, v)
    held = p.rim_pads * torch.maximum(_CLEAR * shape.coverage(pad), shape.coverage(wire))
    return torch.maximum(cover, held), torch.where(held > cover, turned, across)


def _pad(p: EyeParams, u: Tensor, v: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Positive, mm, on the pad beside the nose and on the wire, and how that is turned, -1..1.

    The pad lets most light through; the wire is bent from the rim to it.
    """
    x, y = u - p.lens_nasal - p.lens_half_width - _PAD_AT, v + p.lens_drop
    y = y + 0.2 * p.lens_half_height
    x = torch.add(x, y, alpha=0.35)  # pads lean, as the nose's sides do
    oval = _PAD[0] * (1 - _length(x / _PAD[0], y / _PAD[1]))
    arm = _BEND - (_length(x + 0.8, y - 1.6) - 1.4).abs()
    return oval, arm, (0.8 * (x + y)).sin()


def _length(x: Tensor, y: Tensor) -> Tensor:
    return sqrt(torch.addcmul(y * y, x, x) + 1e-6)


def _bridge_and_hinge(p: EyeParams, u: Tensor, v: Tensor) -> Tensor:
    """Positive, mm, on them; they leave the rim at the height of the upper third."""
    beside = (u - p.lens_nasal).abs() - p.lens_half_width
    rise = (v + p.lens_drop - 0.35 * p.lens_half_height).abs()
    ends = torch.minimum(0.4 * p.rim_width + 0.2 - rise, beside)
    to_middle = 0.5 * p.ipd + _OVER - p.lens_nasal - p.lens_half_width
    return torch.minimum(ends, torch.where(u > p.lens_nasal, to_middle, _HINGE) - beside)


def hides(p: EyeParams, where: Pose, rays: Rays) -> Tensor:
    """Whether `[B, H, W]` a frame of glasses lies before what rays see."""
    x, y, _ = lens.crossing(where.head, rays)
    u, v = p.side * x, -y
    rim = _bar(p, v + p.lens_drop) - lens.outline(p, u, v).abs()
    pad = (_pad(p, u, v)[1] > 0) & (p.rim_pads > 0.5)
    return (p.glasses > 0.5) & ((torch.maximum(rim, _bridge_and_hinge(p, u, v)) > 0) | pad)


def _shine(s: Glass, level: Tensor, lamp: Lamps, profile: Tensor, u: Tensor, v: Tensor) -> Tensor:
    """Light `[B, H, W]` from the frame, a round bar: scattered, and mirrored from the key light."""
    p = s.p
    x, y = (u - p.lens_nasal) / p.lens_half_width, (v + p.lens_drop) / p.lens_half_height
    away = shape.unit(torch.stack((p.side * x, -y, torch.zeros_like(x))))
    ahead = torch.stack((0 * p.side, 0 * p.side, -torch.ones_like(p.side)))
    tilt = 0.85 * profile
    front = (1 - tilt * tilt).clamp(min=0.05).sqrt()
    normal = tilt * away + front * ahead
    key = shape.to_frame(s.head, lamp.seen(lamp.key))
    facing = shape.dot(normal, shape.unit(key + ahead)).clamp(min=0)
    gloss = fourth(fourth(facing)) * p.light_key * (0.05 + 0.25 * (1 - p.rim_dark))
    lit = 0.6 - 0.35 * normal[1]
    up = normal[1].clamp(max=0)
    sheen = _CEILING * p.rim_gloss * (up * up)
    bar = level * (0.012 + 0.8 * (1 - p.rim_dark) * lit + sheen) + gloss
    if lamp.room is None:
        return bar
    # The same across the bar, which is too thin to show how that varies.
    rooms = environment.bright(p, lamp.room, _RIM_TILT * away, torch.full_like(p.side, _BAR_TURN))
    return bar + (0.1 + (1 - p.rim_dark)) * p.room_glare * level * rooms


def _mirrored(
    s: Glass,
    seed: Tensor,
    level: Tensor,
    lamp: Lamps,
    x: Tensor,
    y: Tensor,
    point: Tensor,
    pixel_mm: Tensor,
) -> tuple[Tensor, Tensor]:
    """Light `[B, H, W]` or by channel that the front of the lens mirrors, and its tint.

    Its base curve is a sphere's; besides the lights it shows bright parts of the room, `lens_glare`
    times as bright as skin. A coating takes most away and tints the rest.
    """
    p = s.p
    curve = p.lens_curve / (1000 * _INDEX)
    out = torch.stack((x * curve, y * curve, -torch.ones_like(x)))
    normal = shape.unit(shape.from_frame(s.head, out))
    way = shape.unit(point + s.eye.T[:, :, None, None])
    turn = pixel_mm * (2 * curve + 1 / p.distance)
    lights, sky = light.reflections(
        p, lamp, Mirror(way, normal, point, turn, _TWO_SURFACES), pixel_mm
    )
    rx, ry, _ = lamp.upright(light.mirror(way, normal))
    rooms = noise(seed, "glare", 3.5 * p.side * rx, 3.5 * ry)
    room = p.lens_glare * level * (0.25 + 0.75 * sigmoid(7 * rooms - 1.5))
    plain = torch.ones_like(lamp.colour)
    coloured = len(lamp.colour) == 3
    green = p.lens_coating * p.lens_green
    tint = surface.blend(plain, surface.rgb(_GREEN, x), green) if coloured else plain
    return lights + sky + room, (1 - _COATED * p.lens_coating) * tint


def shade(s: Glass, toward: Tensor, face: FaceHit) -> Tensor:
    """Share `[B, H, W]` of a far light `toward` `[3, B, 1, 1]` that the frame lets through.

    Its shadow is soft by the lamp's size. What a tint absorbs of all light behind the lens, on its
    way in and out, `wear` takes away; beside the lens no tinted shadow falls.
    """
    p = s.p
    x, y, z = shape.to_frame(s.head, toward)
    px, py, pz = shape.to_frame(s.head, face.point)
    reach = (pz + lens.BEFORE_EYE) / (-z).clamp(min=0.2)
    u, v = p.side * (px + reach * x), -(py + reach * y)
    inside = lens.outline(p, u, v)
    soft = 0.3 + 0.06 * reach.clamp(min=0)
    half = _bar(p, v + p.lens_drop)
    rim = sigmoid(3 * (half - inside.abs()) / soft) * (2 * half / soft).clamp(max=1)
    lit = 1 - 0.8 * rim
    share: Tensor = 1 - p.glasses * (1 - lit)
    return share
