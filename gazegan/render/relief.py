"""The fine relief of the lids, as heights over the face: fold, roll, bag, wrinkles, pores."""

import torch
from torch import Tensor

from gazegan.render.elementary import bump, ramp
from gazegan.render.lids import Lids
from gazegan.render.params import EyeParams
from gazegan.render.sight import Sight
from gazegan.render.texture import detail, noise

_ROUGH = 0.5
"""Height of the skin's grain, mm, for each unit of the contrast of its colour."""


def height(s: Sight, grain: Tensor, fold: Tensor) -> Tensor:
    """Return the relief `[B, H, W]`, mm toward the viewer, that the skin's normals follow.

    `grain` is that of the skin's colour, `fold` that of `crease`; lids are smooth.
    """
    p, lids = s.p, s.lids
    raised = _upper(p, lids, fold) + _lower(p, lids) + _wrinkles(s)
    if s.fine:
        raised = raised + _pores(s)
    rough = _ROUGH * p.skin_texture * detail(0.5, s.pixel_mm)
    return torch.addcmul(raised, rough * ramp(lids.open.abs(), 2.5, 1.5), grain)


def _upper(p: EyeParams, lids: Lids, fold: Tensor) -> Tensor:
    """The lid's platform over the tarsal plate, its crease, and the skin that hangs over that."""
    beyond = lids.above - lids.gap
    overhang = p.hood * ramp(beyond, 0, 0.45) * bump(beyond.clamp(min=0) / 6)
    edge = torch.exp(-2 * lids.above.clamp(min=0))
    return _between(lids) * (overhang - p.fold_depth * fold - 0.35 * edge)


def crease(lids: Lids) -> Tensor:
    """How deep `[B, H, W]` in the crease above the upper lid a point lies, 0..1.

    Steep where the skin folds over, softer below on the lid's platform; it runs out nasally.
    """
    beyond = lids.above - lids.gap
    below = 0.3 + 0.14 * lids.gap
    narrow = torch.where(beyond > 0, 0.3 + 0.03 * lids.gap, below)
    return bump(beyond / narrow) * (1 - 0.55 * lids.along * lids.along)


def _lower(p: EyeParams, lids: Lids) -> Tensor:
    """The roll of muscle under the lower margin, the bag, and the trough that ends it.

    Squinting swells the roll. The trough is nearest to the lid and deepest toward the nose.
    """
    below = lids.below
    roll, edge = bump((below - 2.2) / 1.5), torch.exp(-2 * below.clamp(min=0))
    trough = bump(torch.add(below - 8.5, lids.along, alpha=2.5) / 2.4) * (0.5 + lids.along)
    raised = (0.1 + 0.3 * p.squint) * roll - 0.25 * edge + p.bag * (1.3 * roll - trough)
    return _between(lids) * raised


def _between(lids: Lids) -> Tensor:
    """1 between the canthi, running out in them without a kink, which normals would show."""
    return lids.bulge * lids.bulge * lids.bulge


def _wrinkles(s: Sight) -> Tensor:
    """Grooves that follow the lower lid, and fan out beyond the outer canthus."""
    p, seed, lids, u, v = s.p, s.seed, s.lids, s.face.u, s.face.v
    beyond = -u - p.canthus_outer
    fan = 10 / (10 + beyond.clamp(min=0))
    sway = noise(seed, "sway", u / 4, v / 4)
    across = u / 8 + 0.4 * sway
    line = noise(seed, "wrinkles", across, -0.75 * fan * lids.below + 0.5 * sway)
    under = bump((lids.below - 4) / 3) * lids.bulge
    feet = ramp(beyond, 0, 1.5) * bump((v + 3) / 7)
    groove = (1 - 3 * line.abs()).clamp(min=0)
    deep = groove * groove * (0.5 + 0.5 * sway) * detail(0.9, s.pixel_mm)
    return -0.16 * p.wrinkles * (1 + p.squint) * deep * (0.08 + torch.maximum(0.7 * under, feet))


def _pores(s: Sight) -> Tensor:
    """Pores, and the net of shallow lines between them, finer on the lids than around."""
    seed, pixel_mm, u, v = s.seed, s.pixel_mm, s.face.u, s.face.v
    bend = noise(seed, "net", 0.5 * u, 0.5 * v)
    x, y = 1.5 * u + 0.7 * v + 1.2 * bend, 1.7 * v - 0.8 * u - bend
    coarse = noise(seed, "pores", x, y)
    thin = noise(seed, "lines", 1.7 * (x - y), 1.7 * (x + y))
    net = (1 - 3 * thin.abs()).clamp(min=0)
    smooth = ramp(s.lids.open.abs(), 3, 1.5)
    pores = 0.12 * coarse * (0.3 + 0.7 * smooth) * detail(1.8, pixel_mm)
    return s.p.skin_texture * (pores - 0.07 * net * detail(3.5, pixel_mm))
