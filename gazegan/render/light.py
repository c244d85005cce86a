"""Light: irradiance on skin and eyeball, mirror images of the lamps on the cornea."""

import math
from dataclasses import dataclass

import torch
from torch import Tensor

from gazegan.render import shape
from gazegan.render.elementary import fourth
from gazegan.render.params import EyeParams


@dataclass(frozen=True)
class Lamps:
    """Directions `[3, B, 1, 1]` from the eye toward the key light and the second reflection."""

    key: Tensor
    fill: Tensor
    colour: Tensor
    """[3, B, 1, 1] of all light; its green is 1."""


def lamps(p: EyeParams) -> Lamps:
    """Place the lamps of a scene."""
    warm = torch.stack((1 + p.light_warmth, torch.ones_like(p.light_warmth), 1 - p.light_warmth))
    return Lamps(
        toward(p.light_azimuth, p.light_elevation),
        toward(p.fill_azimuth, p.fill_elevation),
        warm.clamp(min=0),
    )


def toward(azimuth: Tensor, elevation: Tensor) -> Tensor:
    """Unit vectors `[3, ...]` for azimuth (image right) and elevation (up), degrees."""
    a, e = torch.deg2rad(azimuth), torch.deg2rad(elevation)
    return torch.stack((a.sin() * e.cos(), -e.sin(), -a.cos() * e.cos()))


def normal_of(point: Tensor) -> Tensor:
    """Unit normals `[3, B, H, W]` toward the viewer of a surface given by its visible points."""
    dx, dy = shape.slopes(point)
    return shape.unit(torch.linalg.cross(dy, dx, dim=0))


def irradiance(
    p: EyeParams, lamp: Lamps, normal: Tensor, lit: Tensor | float = 1.0, open: Tensor | float = 1.0
) -> Tensor:
    """Irradiance `[B, H, W]` at unit normals: a sky brighter above, and the key light, wrapped.

    `lit` is the share 0..1 of the key light that no shadow keeps off, `open` that of the sky.
    """
    sky = 0.72 - 0.28 * normal[1]
    key = (0.25 + 0.75 * shape.dot(normal, lamp.key)).clamp(min=0)
    return p.light_ambient * sky * open + p.light_key * key * lit


def schlick(cosine: Tensor, base: float) -> Tensor:
    """Fresnel reflectance by Schlick's approximation (Comput. Graph. Forum 1994, eq. 15)."""
    rest = 1 - cosine.clamp(0, 1)
    share: Tensor = base + (1 - base) * fourth(rest) * rest
    return share


def mirror(way: Tensor, normal: Tensor) -> Tensor:
    """Reflect directions at unit normals."""
    return way - 2 * shape.dot(way, normal) * normal


def lobe(reflected: Tensor, lamp: Tensor, radius_deg: Tensor, footprint_rad: Tensor) -> Tensor:
    """Brightness 0..1 of a lamp's reflection, dimmed where a pixel is larger than the lamp.

    `footprint_rad` is the angle through which the reflection turns across one pixel.
    """
    wide2 = (radius_deg * (math.pi / 180)) ** 2
    blurred2 = wide2 + 0.25 * footprint_rad * footprint_rad
    return wide2 / blurred2 * torch.exp(-2 * (1 - shape.dot(reflected, lamp)) / blurred2)


def reflections(p: EyeParams, lamp: Lamps, way: Tensor, normal: Tensor, pixel_mm: Tensor) -> Tensor:
    """Light `[B, H, W]` mirrored by the cornea toward the camera: two lamps and a soft sky."""
    reflected = mirror(way, normal)
    turn = 2 * pixel_mm / p.cornea_radius
    key = p.glint * lobe(reflected, lamp.key, p.glint_size, turn)
    fill = p.fill_glint * lobe(reflected, lamp.fill, 1.6 * p.glint_size, turn)
    share = schlick(-shape.dot(way, normal), 0.025)
    sky = (0.3 - 0.3 * reflected[1]).clamp(min=0) * p.light_ambient
    return key + fill + share * sky
