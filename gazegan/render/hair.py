"""Lashes and brows: anti-aliased hairs, each found from the pixel by inverting its curve."""

import torch
from torch import Tensor

from gazegan.render import elementary
from gazegan.render.params import EyeParams
from gazegan.render.shape import FaceHit, Lids
from gazegan.render.texture import lattice, value_noise

_UPPER_MM, _LOWER_MM = 0.8, 1.2
"""Distance between tufts of lashes on the upper and the lower margin."""


def lashes(
    p: EyeParams, seed: Tensor, lift: Tensor, face: FaceHit, lids: Lids, pixel_mm: Tensor
) -> Tensor:
    """Opacity `[B, H, W]` of the lash lines and of the lashes; `lift` is that of the pose."""
    ends = elementary.sigmoid((face.u + p.canthus_outer + p.lash_wing) / 0.6)
    ends = ends * elementary.sigmoid((p.canthus_inner - 1.5 - face.u) / 0.6)
    upper = torch.maximum(_line(p, lids), _upper_hairs(p, seed, lift, face, lids, pixel_mm))
    lower = torch.exp(-((lids.below / 0.7) ** 2)) * p.lower_line
    lower = torch.maximum(lower, _lower_hairs(p, seed, face, lids, pixel_mm))
    return (torch.maximum(upper * p.lash_dark, lower) * ends).clamp(0, 1)


def _line(p: EyeParams, lids: Lids) -> Tensor:
    """The dark line of roots, or of paint, on the upper margin."""
    above, along = lids.above, lids.along
    width = p.lash_width * (0.35 + 0.75 * (1 - along) + 0.4 * lids.bulge)
    outward = (above / width).clamp(min=0)
    return torch.exp(-outward * outward * outward - (above.clamp(max=0) / 0.5) ** 2)


def _upper_hairs(
    p: EyeParams, seed: Tensor, lift: Tensor, face: FaceHit, lids: Lids, pixel_mm: Tensor
) -> Tensor:
    """Lashes stand out of the face: how far up they are seen to reach turns with the lid."""
    rise = torch.deg2rad(p.lash_curl + p.head_pitch) + p.upper_follow * lift / p.eyeball_radius
    tip = p.lash_length * rise.sin()
    up = lids.above / tip.clamp(min=0.3)
    along = torch.maximum(up, -lids.above / (-tip).clamp(min=0.3))
    rows = [
        _strands(seed, name, _UPPER_MM, face, along, lids.above, p.lash_thick, pixel_mm)
        for name in ("lashes", "lashes behind")
    ]
    return rows[0] + rows[1] - rows[0] * rows[1]


def _lower_hairs(p: EyeParams, seed: Tensor, face: FaceHit, lids: Lids, pixel_mm: Tensor) -> Tensor:
    along = lids.below / (0.45 * p.lash_length).clamp(min=0.3)
    hairs = _strands(
        seed, "lower lashes", _LOWER_MM, face, along, -lids.below, 0.7 * p.lash_thick, pixel_mm
    )
    return 0.8 * p.lash_dark * hairs


def _strands(
    seed: Tensor,
    name: str,
    spacing: float,
    face: FaceHit,
    along: Tensor,
    rise: Tensor,
    thick: Tensor,
    pixel_mm: Tensor,
) -> Tensor:
    """Coverage `[B, H, W]` of a row of hairs that fan out from the middle of the lid.

    `along` is 0 at a hair's root and 1 at the longest tip; `rise` is the height above the
    margin, mm. A pixel's coverage is that of the part of it which a hair's width fills; where
    pixels are as wide as the spacing it becomes the mean of the row.
    """
    sway = value_noise(lattice(seed, name + " sway", 2, 32), face.u / 2.5 + 16, 0 * face.u)
    root = face.u - rise * (0.035 * (face.u + 1) + 0.25 * sway)
    cell = root / spacing
    place = value_noise(lattice(seed, name, 2, 64), cell.floor() + 32, 0 * cell)
    away = (cell - cell.floor() - 0.5 - 0.35 * place).abs() * spacing
    reach = 0.75 + 0.25 * place
    left = (1 - along / reach).clamp(0, 1) * (along > -0.1)
    width = thick * elementary.sqrt(left)
    crisp = ((0.5 * (width + pixel_mm) - away) / pixel_mm).clamp(min=0)
    crisp = torch.minimum(crisp, (width / pixel_mm).clamp(max=1))
    coarse = 1 / (1 + elementary.fourth(1.5 * pixel_mm / spacing))
    mean = (width / spacing).clamp(max=1)
    return mean + (crisp - mean) * coarse


def brow(p: EyeParams, seed: Tensor, face: FaceHit, pixel_mm: Tensor) -> Tensor:
    """Opacity `[B, H, W]` of the eyebrow: hairs that lean outward, upright near the nose."""
    u, v = face.u, face.v
    bow = (v - p.brow_at + 0.012 * (u - 2) ** 2) / 3.2
    lean = elementary.sigmoid(-(u - 6) / 5)
    across, down = u + (1.4 * lean + 0.3) * v, v - 0.35 * lean * u
    fine = value_noise(lattice(seed, "brow", 48, 96), across / 0.4 + 48, down / 3.5 + 24)
    tufts = value_noise(lattice(seed, "brow tufts", 24, 48), across / 1.3 + 24, down / 4 + 12)
    dense = torch.exp(-elementary.fourth(bow)) * (1.0 + 0.5 * tufts)
    # From beside the bridge of the nose to the temple.
    dense = dense * elementary.sigmoid((19.5 - u) / 1.2) * elementary.sigmoid((u + 27) / 2.5)
    hairs = elementary.sigmoid(4 * (fine + 2.4 * dense - 1.2))
    crisp = 1 / (1 + elementary.fourth(pixel_mm / 0.4))
    return p.brow_dark * dense.clamp(0, 1) * (0.7 + (hairs - 0.7) * crisp)
