"""Albedo: the colours of iris, sclera, lid margins and hair, as procedural texture."""

import torch
from torch import Tensor

from gazegan.render import elementary
from gazegan.render.bands import Band, Colour
from gazegan.render.eyeball import EyeHit
from gazegan.render.params import EyeParams
from gazegan.render.texture import detail, lattice, noise, ring, value_noise

_MEAN = 0.12
"""Opacity of vessels on the average, which is what small images show of them."""


def rgb(colour: Colour, like: Tensor) -> Tensor:
    """A constant colour as `[C, 1, 1, 1]`."""
    return like.new_tensor(colour)[:, None, None, None]


def blend(under: Tensor, over: Tensor, share: Tensor) -> Tensor:
    """Lay colour `over` onto `under` `[C, B, H, W]` with opacity `share` `[B, H, W]`."""
    return torch.lerp(under, over, share)


def iris(
    p: EyeParams,
    band: Band,
    seed: Tensor,
    hit: EyeHit,
    black: Tensor,
    pixel_mm: Tensor,
    fine: bool,
) -> Tensor:
    """Colour `[C, B, H, W]` of iris and pupil, whose coverage is `black`.

    `fine` adds what only large images show.

    From the pupil outward: the dark ruff, the pupillary zone, the collarette a third of the way
    to the limbus, crypts beside it, the ciliary zone's radial fibres, the dark rim.
    """
    u, v = hit.iris
    radius = elementary.sqrt(u * u + v * v)
    share = (radius / p.limbus_radius).clamp(0, 1.2)
    angle = elementary.turn(u, v)
    coarse = value_noise(ring(lattice(seed, "crypts", 6, 18)), angle * 18, share * 4)
    fibres, edge = 0.5 * coarse, 0.48 + 0.03 * coarse
    collar = elementary.bump((share - edge) / 0.12)
    if fine:
        fibres = fibres + _fibres(seed, angle, share, coarse, pixel_mm)
    pigment = (p.iris_pigment + 0.25 * collar * (1 - p.iris_pigment)).clamp(0, 1)
    colour = _iris_colour(band, pigment)
    colour = colour * p.iris_bright * (1 + p.iris_contrast * (fibres + 0.3 * collar))
    rim = elementary.ramp(share, 0.9, 0.05)
    colour = colour * (1 - p.limbal_ring * rim)
    if fine:
        colour = colour * (1 - 0.6 * elementary.bump(hit.pupil / 0.16))
    return colour.clamp(min=0.002) * (1 - black) + 0.002


def _fibres(seed: Tensor, angle: Tensor, share: Tensor, coarse: Tensor, pixel_mm: Tensor) -> Tensor:
    """Contrast of the stroma's radial fibres and of the crypts between them."""
    bend = angle + 0.004 * coarse
    wide = value_noise(ring(lattice(seed, "fibres", 8, 90)), bend * 90, share * 5)
    thin = value_noise(ring(lattice(seed, "threads", 10, 210)), bend * 210, share * 7)
    threads = 0.55 - 1.5 * thin.abs()
    holes = value_noise(ring(lattice(seed, "holes", 12, 26)), angle * 26 + wide, share * 9)
    zone = elementary.bump((share - 0.6) / 0.16)
    crypts = zone * (2.6 * (holes - 0.45)).clamp(0, 1)
    spun = 0.55 * wide * detail(2.0, pixel_mm) + 0.6 * threads * detail(4.0, pixel_mm)
    return spun - 0.9 * crypts * detail(1.0, pixel_mm)


def _iris_colour(band: Band, pigment: Tensor) -> Tensor:
    """Mix the anchors along 0 blue .. 1 dark brown."""
    place = pigment * (len(band.irises) - 1)
    weights = [(1 - (place - i).abs()).clamp(min=0) for i in range(len(band.irises))]
    return sum(w * rgb(c, pigment) for w, c in zip(weights, band.irises, strict=True))  # type: ignore[return-value]


def sclera(
    p: EyeParams,
    band: Band,
    seed: Tensor,
    hit: EyeHit,
    along: Tensor,
    pixel_mm: Tensor,
    fine: bool,
) -> Tensor:
    """Colour `[C, B, H, W]` of the white, redder and veined toward the canthi."""
    corner = (2 * (along - 0.5).abs()).clamp(0, 1) ** 2
    u, v = hit.white
    cloud = noise(seed, "warp", 0.7 * u, v)
    red = p.sclera_warm * (0.4 + 1.2 * corner + 0.25 * cloud)
    vessels = _vessels(seed, u, v, cloud, pixel_mm) if fine else _MEAN
    red = red + p.veins * (0.3 + corner) * vessels
    return p.sclera_white * (1 - rgb(band.redness, red) * red.clamp(0, 1.3)) * rgb(band.white, red)


def stained(p: EyeParams, seed: Tensor, hit: EyeHit, pixel_mm: Tensor, white: Tensor) -> Tensor:
    """Return the white, of colour `[C, B, H, W]`, with its uneven darker and brighter places."""
    u, v = hit.white
    broad, narrow = noise(seed, "stain", u / 2.2, v / 1.6), noise(seed, "stains", 1.1 * u, 1.1 * v)
    stain = torch.addcmul(0.22 * broad, 0.12 * detail(1.1, pixel_mm), narrow)
    return white * (1 + p.uneven * stain)


def _vessels(seed: Tensor, u: Tensor, v: Tensor, cloud: Tensor, pixel_mm: Tensor) -> Tensor:
    """Opacity of vessels that run toward the iris, twigs leaving the stems.

    Vessels are where two smooth fields vanish. The twigs' field joins that of the stems beside
    them, so that twigs end in stems instead of crossing them.
    """
    bend = noise(seed, "bends", 0.9 * u, 0.9 * v)
    x, y = 0.28 * u + 0.2 * bend, 0.75 * v + 0.35 * cloud + 0.3 * bend
    stem = noise(seed, "stems", x, y)
    twig = noise(seed, "twigs", 3.1 * x + 0.4 * y, 2.3 * y + bend)
    near = (stem.abs() * 4).clamp(max=1)
    thick = (1 - 13 * stem.abs()).clamp(min=0) * detail(0.7, pixel_mm)
    thin = (1 - 7 * (twig * near + stem * (1 - near)).abs()).clamp(min=0) * detail(1.3, pixel_mm)
    return 0.9 * thick + 0.5 * thin * (1.2 - near)


def skin_tone(p: EyeParams, band: Band) -> Tensor:
    """Colour `[C, B, 1, 1]` of even skin."""
    depth = p.skin_melanin * rgb(band.melanin, p.side) + p.skin_blood * rgb(band.blood, p.side)
    return rgb(band.skin, p.side) * torch.exp(-depth)


def skin_brightness(p: EyeParams, band: Band) -> Tensor:
    """Return how bright `[B, 1, 1]` even skin is."""
    tone = skin_tone(p, band)
    red, green, blue = tone.expand(3, *tone.shape[1:])
    return 0.3 * red + 0.6 * green + 0.1 * blue  # type: ignore[no-any-return]


def flesh(p: EyeParams, band: Band) -> Tensor:
    """Colour `[C, B, 1, 1]` of wet inner skin, little pigmented: lid margin, caruncle, canthus."""
    return 0.32 * elementary.power(skin_tone(p, band), 0.5) * rgb(band.flesh, p.side)


def bristle(p: EyeParams, band: Band) -> Tensor:
    """Colour `[C, B, 1, 1]` of lashes and brow."""
    dark, light = (rgb(hair, p.side) for hair in band.hairs)
    return blend(dark, light, p.hair_light)
