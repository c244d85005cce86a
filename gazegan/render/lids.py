"""The lids' margins drawn on the face, and where points lie relative to them.

Scalars per eye are `[B, 1, 1]`; (u, v) are mm on the face, of pixels or of landmarks.
"""

from dataclasses import dataclass, replace

import torch
from torch import Tensor

from gazegan.render.elementary import power, sqrt
from gazegan.render.params import EyeParams
from gazegan.render.texture import noise

_TINY = 1e-6
_FOLD = 0.14
"""How far from the inner canthus an epicanthic fold reaches, as a share of the fissure."""
_BENT = 0.5
"""How far, mm, an uneven crease strays from its curve."""


def margins(p: EyeParams, lift: Tensor, u: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Return height v of the upper margin, of the lower margin, and the place 0..1 along the lids.

    All are `[B, H, W]` as `u` is; lengths are mm; `lift` `[B, 1, 1]` is that of the pose. The
    margins follow the eye's pitch, meet in the canthi, of which the outer one follows too, and
    never cross. An epicanthic fold lowers the nasal end of the upper one, over the caruncle.
    """
    along = ((u + p.canthus_outer) / (p.canthus_inner + p.canthus_outer)).clamp(0, 1)
    line = -p.canthus_drop + p.canthus_tilt * (0.5 - along) + p.outer_follow * lift * (1 - along)
    low = p.lower_lid - p.lower_follow * lift - p.squint
    high = torch.maximum(p.upper_lid + p.upper_follow * lift, 0.3 - low)
    folded = 1 - p.epicanthus * torch.exp(-(((1 - along) / _FOLD) ** 2))
    upper = line + high * folded * _arch(along, p.upper_peak, p.upper_round)
    lower = line - low * _arch(along, p.lower_peak, p.lower_round)
    return torch.maximum(upper, lower), lower, along


def _arch(along: Tensor, peak: Tensor, rounding: Tensor) -> Tensor:
    """A bump from 0 over 1 at `peak` to 0; `rounding` 1 is nearly elliptic, larger pointed."""
    left, right = along / peak, (1 - along) / (1 - peak)
    nearest = torch.minimum(left, right).clamp(0, 1)
    return power(sqrt(1 - (1 - nearest) ** 2 + _TINY), rounding)


@dataclass(frozen=True)
class Lids:
    """Where pixels `[B, H, W]` lie relative to the lids, mm on the face."""

    along: Tensor
    """0 at the outer canthus and beyond, 1 at the inner."""
    bulge: Tensor
    """0 at the canthi, 1 between them."""
    above: Tensor
    """Height above the upper margin."""
    below: Tensor
    """Depth below the lower margin."""
    open: Tensor
    """Positive between the margins."""
    bare: Tensor
    """Positive where neither lid nor the lower margin's thickness covers the eyeball."""
    gap: Tensor
    """Height of the crease above the upper margin."""


def place(p: EyeParams, lift: Tensor, u: Tensor, v: Tensor) -> Lids:
    """Place points (u, v) `[B, H, W]` mm of the face relative to the lids; `lift` is the pose's."""
    upper, lower, along = margins(p, lift, u)
    under, rise = upper - v, v - lower
    bulge = sqrt(4 * along * (1 - along))
    bare = torch.minimum(under - 0.15, rise - p.waterline * bulge)
    gap = p.fold_gap * (0.4 + 0.6 * bulge) - 0.25 * lift
    return Lids(along, bulge, -under, -rise, torch.minimum(under, rise), bare, gap)


def bent(p: EyeParams, seed: Tensor, u: Tensor, lids: Lids) -> Lids:
    """Return lids whose crease strays from its curve, the more the more `uneven` they are."""
    return replace(lids, gap=lids.gap + _BENT * p.uneven * noise(seed, "bent", u / 6))
