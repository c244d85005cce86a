"""Albedo: the colours of iris, sclera, lid margins and skin, as procedural texture."""

import torch
from torch import Tensor

from gazegan.render import elementary, shape
from gazegan.render.eyeball import EyeHit
from gazegan.render.params import EyeParams
from gazegan.render.shape import FaceHit, Lids
from gazegan.render.texture import detail, lattice, ring, value_noise

# Linear RGB. Skin by Beer-Lambert through melanin and blood; irises between the anchors below.
_SKIN_BASE = (0.88, 0.76, 0.66)
_MELANIN = (0.78, 1.05, 1.32)
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
    u, v = hit.white
    warp = value_noise(lattice(seed, "warp", 16, 16), u + 20, v + 20)
    ridges = value_noise(lattice(seed, "veins", 64, 64), 1.1 * u + 30, 2.6 * v + 2 * warp + 40)
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


def skin(p: EyeParams, seed: Tensor, face: FaceHit, lids: Lids, pixel_mm: Tensor) -> Tensor:
    """Colour `[3, B, H, W]` of the face with texture, crease, and the shade of bag and socket."""
    u, v = face.u, face.v
    mottle = value_noise(lattice(seed, "mottle", 24, 24), u / 5 + 12, v / 5 + 12)
    grain = value_noise(lattice(seed, "grain", 96, 96), u * 1.4 + 48, v * 1.4 + 48)
    texture = 0.8 * mottle + 0.8 * grain * detail(0.7, pixel_mm)
    crease = torch.exp(-(((lids.above - lids.gap) / (0.3 + 0.07 * lids.gap)) ** 2))
    bag = torch.exp(-(((lids.below - 5.0) / 2.5) ** 2)) * lids.bulge
    socket = elementary.sigmoid((v + 1 - 0.25 * u) / 2.5) * elementary.sigmoid((u + 9) / 5)
    shade = (1 - p.fold_depth * crease * lids.bulge) * (1 - 0.5 * p.bag * bag)
    orbit = torch.exp(-((u / 17) ** 2) - ((v - 2) / 7) ** 2)
    shade = shade * (1 - p.socket_shade * socket) * (1 - p.orbit_shade * orbit)
    return skin_tone(p) * (1 + p.skin_texture * texture) * shade


def hair_cover(p: EyeParams, seed: Tensor, face: FaceHit, lids: Lids, pixel_mm: Tensor) -> Tensor:
    """Opacity `[B, H, W]` of lash lines, lashes and eyebrow before skin and eyeball."""
    above, below = lids.above, lids.below
    outer = 1.1 - 0.25 * lids.along
    width = p.lash_width * outer
    line = torch.exp(
        -((above.clamp(min=0) / width) ** 2) - (above.clamp(max=0) / (0.7 * width)) ** 2
    )
    lean = face.u - 0.5 * above * (lids.along - 0.5)
    strands = value_noise(lattice(seed, "lashes", 2, 64), lean * 1.6 + 32, 0 * lean)
    reach = (1 - above.abs() / p.lash_length.clamp(min=0.1)).clamp(0, 1) ** 2
    lashes = (0.4 + 0.6 * strands * detail(0.8, pixel_mm)).clamp(min=0) * reach
    lower = torch.exp(-((below / 0.7) ** 2)) * p.lower_line
    ends = elementary.sigmoid((face.u + p.canthus_outer + p.lash_wing) / 0.6)
    ends = ends * elementary.sigmoid((p.canthus_inner - 1 - face.u) / 0.6)
    fringe = torch.maximum(torch.maximum(line, 0.6 * lashes) * p.lash_dark, lower) * ends
    return torch.maximum(fringe, _brow(p, seed, face)).clamp(0, 1)


def _brow(p: EyeParams, seed: Tensor, face: FaceHit) -> Tensor:
    u, v = face.u, face.v
    rough = value_noise(lattice(seed, "brow", 24, 48), (u + 0.6 * v) / 0.9 + 24, v / 2.5 + 4)
    bow = (v - p.brow_at + 0.012 * (u - 2) ** 2) / 3.2
    return torch.exp(-elementary.fourth(bow)) * p.brow_dark * (0.75 + 0.35 * rough)


def bristle(like: Tensor) -> Tensor:
    """Colour `[3, 1, 1, 1]` of lashes and brow."""
    return rgb(_BRISTLE, like)
