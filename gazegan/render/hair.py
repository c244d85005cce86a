"""Lashes and brows: anti-aliased hairs, each found from the pixel by inverting its curve."""

from dataclasses import dataclass

import torch
from torch import Tensor

from gazegan.render import elementary
from gazegan.render.lids import Lids
from gazegan.render.params import EyeParams
from gazegan.render.shape import FaceHit
from gazegan.render.sight import around
from gazegan.render.texture import detail, draws, noise

_LINE, _SPREAD = 6.0, 3.5
"""Widths, and mm at least, from the margins at which their dark lines have faded to nothing."""
_APEX = 11.0
"""How far temporal of the eyeball's centre, mm, the brow is highest; both its ends fall."""
_BROW = (("brow", 0.3, 0.0), ("brow behind", 0.38, 0.3), ("brow over", 0.34, -0.25))
"""Layers of the brow's hairs: their noise, its cells' width in mm, and how hairs lean."""
_FAINT = 2.2
"""Half-widths of the brow at which no hair is left of it."""
_BARE = 3.0
"""How much more of the lids beside the inner canthus, mm, bears no lashes where it is moist."""
_UPPER_MM, _LOWER_MM = 0.8, 1.2
"""Distance between tufts of lashes on the upper and the lower margin."""


def lashes(
    p: EyeParams,
    seed: Tensor,
    lift: Tensor,
    face: FaceHit,
    lids: Lids,
    pixel_mm: Tensor,
    fine: bool,
    uneven: bool,
) -> Tensor:
    """Opacity `[B, H, W]` of the lash lines and of the lashes; `lift` is that of the pose."""
    tip = _tip(p, lift)
    high = torch.maximum(tip.abs(), _LINE * p.lash_width).clamp(min=_SPREAD)
    low = torch.maximum(tip.abs(), 0.45 * p.lash_length).clamp(min=_SPREAD)
    near = (lids.above < high) & (lids.below < low)
    part = around(near)
    face, lids = part.of(face), part.of(lids)
    ends = elementary.ramp(face.u, -p.canthus_outer - p.lash_wing, 0.6)
    ends = ends * elementary.ramp(face.u, p.canthus_inner - (1.5 + _BARE * p.moist), -0.6)
    row = _Row(seed, face, pixel_mm, fine, p.uneven if uneven else None)
    upper = torch.maximum(_line(p, row, lids), _upper_hairs(p, row, tip, lids))
    lower = elementary.bump(lids.below / 0.7) * p.lower_line * _patchy(row, "below", 1.7)
    lower = torch.maximum(lower, _lower_hairs(p, row, lids))
    shown = (torch.maximum(upper * p.lash_dark, lower) * ends).clamp(0, 1)
    return part.paste(shown * near[(slice(None), *part.slices)])


def _tip(p: EyeParams, lift: Tensor) -> Tensor:
    """How far up upper lashes are seen to reach, which turns with the lid, `[B, 1, 1]` mm."""
    rise = torch.deg2rad(p.lash_curl + p.head_pitch) + p.upper_follow * lift / p.eyeball_radius
    return p.lash_length * rise.sin()


@dataclass(frozen=True)
class _Row:
    """What all rows of lashes share."""

    seed: Tensor
    face: FaceHit
    pixel_mm: Tensor
    fine: bool
    uneven: Tensor | None
    """How far from even rows are, `[B, 1, 1]`, where they are not."""


def _patchy(row: _Row, name: str, length: float) -> Tensor | float:
    """How much of a lash line there is along it, where it is uneven in parts of `length` mm."""
    if row.uneven is None:
        return 1.0
    u = row.face.u / length
    broad, narrow = noise(row.seed, name, u), noise(row.seed, name, 2.4 * u)
    most = 0.6 * detail(2.4 / length, row.pixel_mm)
    return 1 + 0.6 * row.uneven * torch.addcmul(broad, most, narrow)


def _line(p: EyeParams, row: _Row, lids: Lids) -> Tensor:
    """The dark line of roots, or of paint, on the upper margin."""
    above, along = lids.above, lids.along
    width = p.lash_width * (0.35 + 0.75 * (1 - along) + 0.4 * lids.bulge)
    if row.fine:  # frayed by single hairs, which lean outward
        u = torch.addcmul(row.face.u, 0.05 * (row.face.u + 1), above, value=-1)
        for wide, deep in ((4.3, 0.25), (8.9, 0.3)):
            hairs = noise(row.seed, "fray", wide * u)
            width = width * (1 + deep * hairs * detail(wide, row.pixel_mm))
    outward = (above / (width * _patchy(row, "above", 2.2))).clamp(min=0)
    inward = above.clamp(max=0)
    faded = outward * outward * outward
    if row.uneven is not None:  # by single hairs, which run out one by one
        faded = torch.lerp(faded, 1.3 * outward, 0.8 * row.uneven)
    return torch.exp(-torch.addcmul(faded, inward, inward, value=4))


def _upper_hairs(p: EyeParams, row: _Row, tip: Tensor, lids: Lids) -> Tensor:
    up = lids.above / tip.clamp(min=0.3)
    along = torch.maximum(up, -lids.above / (-tip).clamp(min=0.3))
    rows = [
        _strands(row, name, _UPPER_MM, along, lids.above, p.lash_thick)
        for name in ("lashes", "lashes behind")
    ]
    return torch.addcmul(rows[0] + rows[1], rows[0], rows[1], value=-1)


def _lower_hairs(p: EyeParams, row: _Row, lids: Lids) -> Tensor:
    along = lids.below / (0.42 * p.lash_length).clamp(min=0.3)
    thick = 0.55 * p.lash_thick
    hairs = _strands(row, "lower lashes", _LOWER_MM, along, -lids.below, thick)
    if row.fine:  # a second row, and few near the nose
        behind = _strands(row, "lower behind", 1.6 * _LOWER_MM, 1.25 * along, -lids.below, thick)
        hairs = torch.maximum(hairs, behind) * elementary.ramp(row.face.u, 7, -4)
    return (0.75 if row.uneven is None else 0.75 - 0.35 * row.uneven) * p.lash_dark * hairs


def _strands(
    row: _Row, name: str, spacing: float, along: Tensor, rise: Tensor, thick: Tensor
) -> Tensor:
    """Coverage `[B, H, W]` of a row of hairs that fan out from the middle of the lid.

    `along` is 0 at a hair's root and 1 at the longest tip; `rise` is the height above the
    margin, mm. A pixel's coverage is that of the part of it which a hair's width fills; where
    pixels are as wide as the spacing it becomes the mean of the row. Large images show that
    neighbours lean together in tufts, and bend outward toward their tips.
    """
    u, pixel_mm = row.face.u, row.pixel_mm
    sway = noise(row.seed, name + " sway", u / 2.5)
    lean = torch.add(0.035 * (u + 1), sway, alpha=0.25)
    if row.uneven is not None:
        lean = torch.addcmul(lean, 0.35 * row.uneven, sway)
    if row.fine:
        tuft, bent = noise(row.seed, name + " tufts", u / 1.1), along.clamp(0, 1)
        lean = lean * (0.5 + 0.8 * bent) + (0.1 + 0.12 * bent) * tuft
    cell = torch.addcmul(u, rise, lean, value=-1) / spacing
    at = cell.floor()
    place = draws(row.seed, name, at)
    away = torch.add(cell - at - 0.5, place, alpha=-0.35).abs()
    reach = 0.7 + 0.3 * place
    near = (along > -0.1) & (along < 1)  # beyond is nothing, which a compiler can leave out
    left = (1 - along / reach).clamp(0, 1) * near
    width = thick * (left * elementary.sqrt(left).reciprocal())
    if row.uneven is not None:
        single = 1 + 0.9 * row.uneven * draws(row.seed, name + " single", at)
        width = width * single * _clumps(row, name, cell * spacing, row.uneven)
    wide = width / pixel_mm
    crisp = torch.addcmul(0.5 * wide + 0.5, away, spacing / pixel_mm, value=-1).clamp(min=0)
    crisp = torch.minimum(crisp, wide.clamp(max=1))
    coarse = 1 / (1 + elementary.fourth(1.5 * pixel_mm / spacing))
    return torch.lerp((width / spacing).clamp(max=1), crisp, coarse)


def _clumps(row: _Row, name: str, root: Tensor, uneven: Tensor) -> Tensor:
    """How much thicker than usual hairs from roots `[B, H, W]` mm are, which stick together."""
    broad, narrow = noise(row.seed, name + " clumps", root / 1.5), noise(row.seed, name, root / 0.8)
    narrow = narrow * detail(1.2, row.pixel_mm)
    return (1 + uneven * (1.3 * broad + 0.8 * narrow)).clamp(min=0)


def brow(
    p: EyeParams, seed: Tensor, face: FaceHit, pixel_mm: Tensor, fine: bool, uneven: bool
) -> Tensor:
    """Opacity `[B, H, W]` of the eyebrow: hairs that lean outward, upright near the nose."""
    u, v = face.u, face.v
    nasal, temporal = (u + _APEX).clamp(min=0), (u + _APEX).clamp(max=0)
    fall = torch.addcmul(0.009 * nasal * nasal, temporal, temporal, value=0.014)
    bow = (v - p.brow_at + fall) / 3.2
    near = bow.abs() < _FAINT
    part = around(near)
    rows, columns = part.slices
    u, v, bow = (plane[..., rows, columns] for plane in (u, v, bow))
    lean = elementary.ramp(u, 6, -5)
    across, down = u + (1.4 * lean + 0.3) * v, v - 0.35 * lean * u
    tufts = noise(seed, "brow tufts", across / 1.1, down / 3.5)
    square = bow * bow
    dense = torch.exp(-torch.addcmul(0.3 * square, square, square)) * (
        1.0 + (0.6 - 0.35 * p.uneven) * tufts
    )
    dense = dense * near[..., rows, columns]
    # From above the inner canthus to the temple.
    dense = dense * elementary.ramp(u, 14.5, -1.5) * elementary.ramp(u, -27, 2.5)
    mean = p.brow_dark * (0.7 + 0.25 * p.uneven) * dense.clamp(0, 1)
    if not fine:
        return part.paste(mean if not uneven else mean * _locks(p, seed, across, down, pixel_mm))
    hairs = _brow_hairs(seed, across + 0.4 * tufts, down, dense.clamp(0, 1.2), pixel_mm)
    crisp = 1 / (1 + elementary.fourth(pixel_mm / 0.3))
    return part.paste(torch.lerp(mean, p.brow_dark * hairs, crisp))


def _locks(p: EyeParams, seed: Tensor, across: Tensor, down: Tensor, pixel_mm: Tensor) -> Tensor:
    """How much denser `[B, H, W]` than usual hairs are, which lie together in locks."""
    broad, narrow = (
        noise(seed, f"locks {wide}", across / wide, down / 5) * detail(0.5 / wide, pixel_mm)
        for wide in (1.6, 0.8)
    )
    return 1 + p.uneven * (0.3 * broad + 0.25 * narrow)


def _brow_hairs(
    seed: Tensor, across: Tensor, down: Tensor, dense: Tensor, pixel_mm: Tensor
) -> Tensor:
    """Opacity of layers of long thin hairs, along which a noise drawn out passes zero.

    Hairs lie over each other, some fainter, over finer ones that are one shade.
    """
    skin = 1 - 0.4 * dense
    steep = 8 / (1 + pixel_mm / 0.08)
    for name, wide, slant in _BROW:
        x, y = torch.add(across, down, alpha=slant) / wide, down / 2.8
        strands = noise(seed, name, x, y).abs()
        faint = 0.6 + 0.4 * noise(seed, name + " faint", 0.6 * x, 0.7 * y)
        skin = skin * (1 - faint * (1.3 * dense - steep * strands).clamp(0, 1))
    return 1 - skin
