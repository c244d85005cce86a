"""Albedo: the colours of iris, sclera, lid margins and skin, as procedural texture."""

import torch
from torch import Tensor

from gazegan.render import elementary, shape
from gazegan.render.bands import Band, Colour
from gazegan.render.eyeball import EyeHit
from gazegan.render.params import EyeParams
from gazegan.render.texture import detail, lattice, ring, value_noise


def rgb(colour: Colour, like: Tensor) -> Tensor:
    """A constant colour as `[C, 1, 1, 1]`."""
    return like.new_tensor(colour)[:, None, None, None]


def blend(under: Tensor, over: Tensor, share: Tensor) -> Tensor:
    """Lay colour `over` onto `under` with opacity `share`."""
    return under + (over - under) * share


def iris(p: EyeParams, band: Band, seed: Tensor, hit: EyeHit, pixel_mm: Tensor) -> Tensor:
    """Colour `[C, B, H, W]` of iris and pupil."""
    u, v = hit.iris
    radius = elementary.sqrt(u * u + v * v)
    share = (radius / p.limbus_radius).clamp(0, 1.2)
    angle = elementary.turn(u, v)
    fine = value_noise(ring(lattice(seed, "fibres", 8, 90)), angle * 90, share * 5)
    coarse = value_noise(ring(lattice(seed, "crypts", 6, 18)), angle * 18, share * 4)
    fibres = 0.6 * fine * detail(2.5, pixel_mm) + 0.5 * coarse
    collar = torch.exp(-(((share - 0.48) / 0.12) ** 2))
    pigment = (p.iris_pigment + 0.25 * collar * (1 - p.iris_pigment)).clamp(0, 1)
    colour = _iris_colour(band, pigment)
    colour = colour * p.iris_bright * (1 + p.iris_contrast * (fibres + 0.3 * collar))
    rim = elementary.sigmoid((share - 0.9) / 0.05)
    colour = colour * (1 - p.limbal_ring * rim)
    return colour.clamp(min=0.002) * (1 - shape.coverage(hit.pupil)) + 0.002


def _iris_colour(band: Band, pigment: Tensor) -> Tensor:
    """Mix the anchors along 0 blue .. 1 dark brown."""
    place = pigment * (len(band.irises) - 1)
    weights = [(1 - (place - i).abs()).clamp(min=0) for i in range(len(band.irises))]
    return sum(w * rgb(c, pigment) for w, c in zip(weights, band.irises, strict=True))  # type: ignore[return-value]


def sclera(
    p: EyeParams, band: Band, seed: Tensor, hit: EyeHit, along: Tensor, pixel_mm: Tensor
) -> Tensor:
    """Colour `[C, B, H, W]` of the white, redder and veined toward the canthi."""
    corner = (2 * (along - 0.5).abs()).clamp(0, 1) ** 2
    u, v = hit.white
    warp = value_noise(lattice(seed, "warp", 16, 16), u + 20, v + 20)
    ridges = value_noise(lattice(seed, "veins", 64, 64), 1.1 * u + 30, 2.6 * v + 2 * warp + 40)
    vein = (1 - 6 * ridges.abs()).clamp(min=0) * detail(1.3, pixel_mm)
    red = p.sclera_warm * (0.4 + corner) + 0.5 * p.veins * vein * (0.25 + corner)
    return p.sclera_white * (1 - rgb(band.redness, red) * red) * rgb(band.white, red)


def skin_tone(p: EyeParams, band: Band) -> Tensor:
    """Colour `[C, B, 1, 1]` of even skin."""
    depth = p.skin_melanin * rgb(band.melanin, p.side) + p.skin_blood * rgb(band.blood, p.side)
    return rgb(band.skin, p.side) * torch.exp(-depth)


def flesh(p: EyeParams, band: Band) -> Tensor:
    """Colour `[C, B, 1, 1]` of wet inner skin: lid margin, caruncle, canthus."""
    return 0.5 * elementary.power(skin_tone(p, band), 0.7) * rgb(band.flesh, p.side)


def bristle(band: Band, like: Tensor) -> Tensor:
    """Colour `[C, 1, 1, 1]` of lashes and brow."""
    return rgb(band.bristle, like)
