"""What stands around the eye: windows and monitors, seen mirrored and lighting what faces them."""

import math
from dataclasses import dataclass

import torch
from torch import Tensor

from gazegan.render import shape
from gazegan.render.bands import Band, Colour
from gazegan.render.elementary import sigmoid, sqrt
from gazegan.render.params import EyeParams
from gazegan.render.texture import detail, noise

_BEHIND = 0.05
"""Cosine below which a direction counts as behind a pane's plane."""
_LAMP, _DAZZLING = 0.3, 10.0
"""The noise above which small lamps shine in a bright room, and how brightly."""


@dataclass(frozen=True)
class Pane:
    """A far rectangle of even radiance, parted by a cross of bars; tensors `[..., B, 1, 1]`."""

    axis: Tensor
    """[3, B, 1, 1] unit direction from the eye to the middle."""
    right: Tensor
    up: Tensor
    across: Tensor
    """Tangent of half the width as an angle."""
    high: Tensor
    bars: Tensor
    """Width of the bars as a share of the pane."""
    radiance: Tensor
    """[C, B, 1, 1]"""


def toward(azimuth: Tensor, elevation: Tensor) -> Tensor:
    """Unit vectors `[3, ...]` for azimuth (image right) and elevation (up), degrees."""
    a, e = torch.deg2rad(azimuth), torch.deg2rad(elevation)
    return torch.stack((a.sin() * e.cos(), -e.sin(), -a.cos() * e.cos()))


def window(p: EyeParams, band: Band) -> Pane:
    """The window of a scene, with a cross of bars."""
    return _pane(
        (p.window_azimuth, p.window_elevation),
        (p.window_width, p.window_height),
        p.window_bars,
        p.window_light * _colour(band.daylight, p.side),
    )


def monitor(p: EyeParams, band: Band) -> Pane:
    """The monitor of a scene, bluish white."""
    return _pane(
        (p.monitor_azimuth, p.monitor_elevation),
        (p.monitor_width, p.monitor_height),
        torch.zeros_like(p.side),
        p.monitor_light * _colour(band.screen, p.side),
    )


def _colour(colour: Colour, like: Tensor) -> Tensor:
    return like.new_tensor(colour)[:, None, None, None]


def _pane(
    place: tuple[Tensor, Tensor], size: tuple[Tensor, Tensor], bars: Tensor, radiance: Tensor
) -> Pane:
    azimuth, elevation = place
    level = torch.zeros_like(azimuth)
    across, high = (torch.deg2rad(0.5 * angle).tan() for angle in size)
    return Pane(
        axis=toward(azimuth, elevation),
        right=toward(azimuth + 90, level),
        up=toward(azimuth, elevation + 90),
        across=across,
        high=high,
        bars=bars,
        radiance=radiance,
    )


def seen(pane: Pane, way: Tensor, footprint: Tensor) -> Tensor:
    """Radiance `[C, B, H, W]` of a pane in unit directions, averaged over pixels.

    `footprint` is the angle, rad, through which the direction turns across one pixel. The pane is
    cut out of the plane at unit distance along its axis.
    """
    ahead = shape.dot(way, pane.axis)
    depth = ahead.clamp(min=_BEHIND)
    wide = footprint / depth
    x, y = shape.dot(way, pane.right) / depth, shape.dot(way, pane.up) / depth
    share = _glazed(x, pane.across, pane.bars, wide) * _glazed(y, pane.high, pane.bars, wide)
    return pane.radiance * (share * (ahead / _BEHIND).clamp(0, 1))


def _glazed(x: Tensor, half: Tensor, bars: Tensor, wide: Tensor) -> Tensor:
    """Share of an interval of length `wide` around x that lies on glass, not frame or bar."""
    return _overlap(x, half, wide) - _overlap(x, bars * half, wide)


def _overlap(x: Tensor, half: Tensor, wide: Tensor) -> Tensor:
    """Share of an interval of length `wide` around x that lies in -half .. half."""
    return ((x + half) / wide + 0.5).clamp(0, 1) - ((x - half) / wide + 0.5).clamp(0, 1)


def bright(p: EyeParams, seed: Tensor, way: Tensor, footprint: Tensor) -> Tensor:
    """Return how bright `[B, H, W]` parts of the room are that lie in unit directions.

    1 is a broad part, such as a wall that is lit, more a small lamp; most is 0. They are drawn by
    `seed` `[B]`, and mirrored with the eye, so that the two eyes of a face see them the other way
    round; `footprint` is the angle, rad, through which the direction turns across one pixel.
    """
    x, y = p.side * way[0], way[1]
    coarse, small = noise(seed, "room", 2.7 * x, 2.7 * y), noise(seed, "things", 6 * x, 6 * y)
    parts = sigmoid(5 * torch.addcmul(coarse, 0.4 * detail(6, footprint), small) - 2)
    above = (small - _LAMP).clamp(min=0)
    lamps = _DAZZLING * above * above * (0.5 + 0.5 * coarse)
    # A pixel that is wider than a lamp gets no more light of it.
    return parts + lamps / (1 + (3 * footprint) * (3 * footprint))


def facing(pane: Pane) -> Tensor:
    """Irradiance over pi `[B, 1, 1]` of the whole pane at unit radiance, where faced squarely.

    That of the opening, less both bars, which cross in its middle.
    """
    a, b, bars = pane.across, pane.high, pane.bars
    crossed = _squarely(bars * a, b) + _squarely(a, bars * b) - _squarely(bars * a, bars * b)
    return _squarely(a, b) - crossed


def _squarely(a: Tensor, b: Tensor) -> Tensor:
    """Irradiance over pi of a rectangle of half-sides a and b at distance 1.

    Four times the configuration factor of a plane element to a parallel rectangle with a corner
    before it (Howell, "A Catalog of Radiation Heat Transfer Configuration Factors").
    """
    slant_a, slant_b = sqrt(1 + a * a), sqrt(1 + b * b)
    half = a / slant_a * (b / slant_a).atan() + b / slant_b * (a / slant_b).atan()
    return 2 / math.pi * half


def irradiance(pane: Pane, normal: Tensor) -> Tensor:
    """Irradiance over pi `[C, B, H, W]` that a pane gives at unit normals."""
    form = facing(pane)
    return pane.radiance * (form * wrapped(shape.dot(normal, pane.axis), sqrt(form)))


def wrapped(cosine: Tensor, radius: Tensor) -> Tensor:
    """The mean clamped cosine over a light of angular `radius` (its sine), smooth at the horizon.

    `cosine` is `[B, H, W]`, `radius` `[B, 1, 1]`. Equals the cosine where the whole light is above
    the surface's horizon, 0 where it is below; a parabola joins them with equal slopes.
    """
    near = torch.minimum(torch.maximum(cosine, -radius), radius) + radius
    return near * near / (4 * radius) + (cosine - radius).clamp(min=0)
