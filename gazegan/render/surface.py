"""Albedo: the colours of iris, sclera, lid margins and skin, as procedural texture."""

import torch
from torch import Tensor

from gazegan.render import elementary, shape
from gazegan.render.params import EyeParams
from gazegan.render.shape import EyeHit
from gazegan.render.texture import detail, lattice, ring, value_noise

# Linear RGB. Skin by Beer-Lambert through melanin and blood; irises between the anchors below.
_SKIN_BASE = (0.88, 0.76, 0.66)
_MELANIN = (0.72, 1.0, 1.5)
_BLOOD = (0.06, 0.36, 0.32)
_IRISES = ((0.075, 0.11, 0.15), (0.07, 0.062, 0.032), (0.05, 0.027, 0.012), (0.016, 0.010, 0.007))
_BRISTLE = (0.030, 0.022, 0.018)


def rgb(colour: tuple[float, float, float], like: Tensor) -> Tensor:
    """A constant colour as `[3, 1, 1, 1]`."""
    return like.new_tensor(colour)[:, None, None, None]


def blend(under: Tensor, over: Tensor, share: Tensor) -> Tensor:
    """Lay colour `over` onto `under` with opacity `share`."""
    return under + (over - under) * share


def iris(p: EyeParams, seed: Tensor, hit: EyeHit, pixel_mm: Tensor) -> Tensor:
    """Colour `[3, B, H, W]` of iris and pupil."""
    u, v = hit.iris
    radius = elementary.sqrt(u * u + v * v)
    share = (radius / p.limbus_radius).clamp(0, 1.2)
    angle = elementary.turn(u, v)
    fine = value_noise(ring(lattice(seed, "fibres", 8, 90)), angle * 90, share * 5)
    coarse = value_noise(ring(lattice(seed, "crypts", 6, 18)), angle * 18, share * 4)
    fibres = 0.6 * fine * detail(2.5, pixel_mm) + 0.5 * coarse
    collar = torch.exp(-(((share - 0.48) / 0.12) ** 2))
    colour = _iris_colour((p.iris_pigment + 0.25 * collar * (1 - p.iris_pigment)).clamp(0, 1))
    colour = colour * p.iris_bright * (1 + p.iris_contrast * (fibres + 0.3 * collar))
    rim = elementary.sigmoid((share - 0.9) / 0.05)
    colour = colour * (1 - p.limbal_ring * rim)
    return colour.clamp(min=0.002) * (1 - shape.coverage(hit.pupil)) + 0.002


def _iris_colour(pigment: Tensor) -> Tensor:
    """Mix the anchors along 0 blue .. 1 dark brown."""
    place = pigment * (len(_IRISES) - 1)
    weights = [(1 - (place - i).abs()).clamp(min=0) for i in range(len(_IRISES))]
    return sum(w * rgb(c, pigment) for w, c in zip(weights, _IRISES, strict=True))  # type: ignore[return-value]


def sclera(p: EyeParams, seed: Tensor, hit: EyeHit, along: Tensor, pixel_mm: Tensor) -> Tensor:
    """Colour `[3, B, H, W]` of the white, redder and veined toward the canthi."""
    corner = (2 * (along - 0.5).abs()).clamp(0, 1) ** 2
    x, y = hit.sclera[0] * p.side, hit.sclera[1]
    warp = value_noise(lattice(seed, "warp", 16, 16), x + 20, y + 20)
    ridges = value_noise(lattice(seed, "veins", 64, 64), 1.1 * x + 30, 2.6 * y + 2 * warp + 40)
    vein = (1 - 6 * ridges.abs()).clamp(min=0) * detail(1.3, pixel_mm)
    red = p.sclera_warm * (0.4 + corner) + 0.5 * p.veins * vein * (0.25 + corner)
    tint = torch.stack((torch.ones_like(red), 1 - 0.55 * red, 1 - 0.65 * red))
    return p.sclera_white * tint * rgb((1.0, 0.97, 0.94), red)


def skin_tone(p: EyeParams) -> Tensor:
    """Colour `[3, B, 1, 1]` of even skin."""
    depth = p.skin_melanin * rgb(_MELANIN, p.side) + p.skin_blood * rgb(_BLOOD, p.side)
    return rgb(_SKIN_BASE, p.side) * torch.exp(-depth)


def flesh(p: EyeParams) -> Tensor:
    """Colour `[3, B, 1, 1]` of wet inner skin: lid margin, caruncle, canthus."""
    return 0.5 * elementary.power(skin_tone(p), 0.7) * rgb((1.0, 0.74, 0.7), p.side)


def bristle(like: Tensor) -> Tensor:
    """Colour `[3, 1, 1, 1]` of lashes and brow."""
    return rgb(_BRISTLE, like)
