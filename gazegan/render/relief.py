"""The fine relief of the lids, as heights over the face: fold, roll, bag, wrinkles, pores."""

import torch
from torch import Tensor

from gazegan.render.elementary import sigmoid
from gazegan.render.params import EyeParams
from gazegan.render.shape import FaceHit, Lids
from gazegan.render.texture import detail, lattice, value_noise


def height(p: EyeParams, seed: Tensor, face: FaceHit, lids: Lids, pixel_mm: Tensor) -> Tensor:
    """Return the relief `[B, H, W]`, mm toward the viewer, that the skin's normals follow."""
    return _upper(p, lids) + _lower(p, lids) + _wrinkles(p, seed, face, lids, pixel_mm)


def _upper(p: EyeParams, lids: Lids) -> Tensor:
    """The lid's platform, its crease, and the skin that hangs over the crease."""
    beyond = lids.above - lids.gap
    overhang = p.hood * sigmoid(beyond / 0.45) * torch.exp(-((beyond.clamp(min=0) / 6) ** 2))
    edge = torch.exp(-(lids.above.clamp(min=0) / 0.5))
    return _between(lids) * (overhang - p.fold_depth * crease(lids) - 0.35 * edge)


def crease(lids: Lids) -> Tensor:
    """How deep `[B, H, W]` in the crease above the upper lid a point lies, 0..1."""
    return torch.exp(-(((lids.above - lids.gap) / (0.3 + 0.07 * lids.gap)) ** 2))


def _lower(p: EyeParams, lids: Lids) -> Tensor:
    """The roll of muscle under the lower margin, the bag, and the trough that ends it."""
    below = lids.below
    roll = torch.exp(-(((below - 2.2) / 1.5) ** 2)) - torch.exp(-(below.clamp(min=0) / 0.5))
    trough = torch.exp(-(((below - 7.5) / 2.0) ** 2))
    return _between(lids) * (0.4 * roll + p.bag * (0.8 * roll - 1.2 * trough))


def _between(lids: Lids) -> Tensor:
    """1 between the canthi, running out in them without a kink, which normals would show."""
    return lids.bulge * lids.bulge * lids.bulge


def _wrinkles(p: EyeParams, seed: Tensor, face: FaceHit, lids: Lids, pixel_mm: Tensor) -> Tensor:
    """Lines under the lid and beyond the outer canthus, and the grain of the pores."""
    u, v = face.u, face.v
    beyond = -u - p.canthus_outer
    fan = 10 / (10 + beyond.clamp(min=0))
    sway = value_noise(lattice(seed, "sway", 24, 24), u / 4 + 12, v / 4 + 12)
    line = value_noise(lattice(seed, "wrinkles", 64, 24), u / 7 + 12, 0.9 * fan * v + sway + 32)
    under = torch.exp(-(((lids.below - 4.5) / 3.5) ** 2)) * lids.bulge
    feet = sigmoid(beyond / 1.5) * torch.exp(-(((v + 3) / 7) ** 2))
    ridge = (1 - 2 * line.abs()).clamp(min=0) * detail(0.9, pixel_mm)
    pores = value_noise(lattice(seed, "pores", 96, 96), 2.2 * u + 48, 2.2 * v + 48)
    pores = p.skin_texture * pores * detail(2.2, pixel_mm)
    return 0.08 * pores - 0.3 * p.wrinkles * ridge * (0.1 + torch.maximum(under, feet))
