"""How good a map is: against what a renderer knows, and against the network itself."""

from dataclasses import dataclass

import torch
from torch import Tensor

from gazegan.explain.attributions import Attribution, Fn, apart, pitch_deg
from gazegan.modes import evaluating
from gazegan.schema import LANDMARKS

LID_BAND = 0.06
"""Half the width of the band that counts as lids, a share of the fissure's width: about 1.7 mm to
either side, which takes in margins and lashes."""
_LIDS = slice(LANDMARKS.index("lid_00"), LANDMARKS.index("lid_15") + 1)


@dataclass(frozen=True)
class MaskShares:
    """How much attribution lies on each mask, beside how much of the image the mask is."""

    attribution: Tensor
    """[B, K] share in 0..1 of the absolute attribution; NaN where there is none at all."""
    area: Tensor
    """[B, K] share in 0..1 of the pixels: what attribution spread evenly would have."""


@dataclass(frozen=True)
class Pointing:
    """Whether the strongest pixel of a map lies on each region, beside how often one at random."""

    hit: Tensor
    """[B, K] 0 or 1; NaN where there is no attribution at all."""
    chance: Tensor
    """[B, K] share in 0..1 of the pixels."""


@dataclass(frozen=True)
class Removal:
    """How far outputs are from those of whole images while pixels are taken away or put back."""

    share: Tensor
    """[S] 0..1, of the pixels moved so far, the strongest first."""
    deletion: Tensor
    """[B, S] distance while they are taken away: a good map's rises early."""
    insertion: Tensor
    """[B, S] distance while they are put back: a good map's falls early."""


def strength(values: Tensor) -> Tensor:
    """Return the absolute attribution `[B, H, W]` of every pixel of maps `[B, C, H, W]`."""
    summed: Tensor = values.abs().sum(1)
    return summed


def mask_shares(attribution: Attribution, masks: Tensor) -> MaskShares:
    """Share the absolute attribution among `masks` `[B, K, H, W]`, coverage in 0..1."""
    weight = strength(attribution.map)[:, None].double()
    on_mask = (weight * masks).sum((-2, -1))
    return MaskShares(on_mask / weight.sum((-2, -1)), masks.double().mean((-2, -1)))


def lid_band(landmarks: Tensor, size: tuple[int, int], width: float = LID_BAND) -> Tensor:
    """Return the band around the outline of the lids `[B, H, W]`, 0 or 1.

    `landmarks` `[B, L, 2]` px are those of the schema; the band holds the pixels of an image of
    `size` (height, width) whose centres are within `width` times the distance of the canthi of the
    closed line through the 16 lid landmarks. It overlaps with skin, sclera, lashes and iris.
    """
    lids = landmarks[:, _LIDS].double()
    rows, columns = (torch.arange(side, device=lids.device).double() + 0.5 for side in size)
    grid = torch.stack(torch.meshgrid(columns, rows, indexing="xy"), -1)
    begin, along = lids[:, :, None, None], (lids.roll(-1, 1) - lids)[:, :, None, None]
    place = ((grid - begin) * along).sum(-1) / along.square().sum(-1).clamp_min(1e-12)
    foot = begin + place.clamp(0, 1)[..., None] * along
    nearest = (grid - foot).norm(dim=-1).amin(1)
    fissure = (lids[:, 8] - lids[:, 0]).norm(dim=-1)
    band: Tensor = nearest <= width * fissure[:, None, None]
    return band.to(landmarks.dtype)


def pointing_game(attribution: Attribution, regions: Tensor) -> Pointing:
    """Tell whether the strongest pixel lies on `regions` `[B, K, H, W]`, coverage in 0..1.

    A pixel lies on a region that covers at least half of it. Source: Zhang et al., ECCV 2016,
    section 4.2, without its tolerance.
    """
    weight = strength(attribution.map).flatten(1)
    on = (regions >= 0.5).flatten(2).double()
    hit = on.gather(2, weight.argmax(1)[:, None, None].expand(-1, on.shape[1], 1))[..., 0]
    none = weight.sum(1, keepdim=True) == 0
    return Pointing(hit.masked_fill(none, torch.nan), on.mean(2))


def completeness_gap(
    attribution: Attribution, at_baseline: Tensor, period: float | None = None
) -> Tensor:
    """Return by how much maps `[B]` miss the change of the output from the baseline.

    `at_baseline` `[B]` is the output there; the sum of a complete map is the output at the image
    less that, whole turns of `period` aside.
    """
    total = attribution.map.double().sum((1, 2, 3))
    changed = attribution.output.double() - at_baseline.double()
    return apart(total, changed, period)


def removal(
    fn: Fn,
    image: Tensor,
    baseline: Tensor,
    weight: Tensor,
    output: Fn = pitch_deg,
    steps: int = 20,
    period: float | None = None,
) -> Removal:
    """Take pixels of `image` away in the order of `weight` `[B, H, W]`, and put them back.

    `image` and `baseline`, whose pixels stand where those of the image are away, are
    `[B, C, H, W]`. Of equal weights the upper left goes first; those of weight -inf, as many in
    each image, are never moved and do not count. Source: Petsiuk et al., RISE, BMVC 2018,
    section 4, with the distance of the output in the place of a class's probability.
    """
    pixels = int((weight[0] != -torch.inf).sum())
    order = weight.flatten(1).argsort(dim=1, descending=True, stable=True)
    rank = order.argsort(dim=1).view_as(weight)[:, None]
    share = torch.linspace(0, 1, steps + 1, dtype=torch.float64)
    away, back = list[Tensor](), list[Tensor]()
    with evaluating(fn), torch.no_grad():
        whole = output(fn(image))
        for count in (share * pixels).round().tolist():
            chosen = rank < count
            for kept, seen in ((away, ~chosen), (back, chosen)):
                mixed = torch.where(seen, image, baseline)
                kept.append(apart(output(fn(mixed)), whole, period).abs())
    return Removal(share, torch.stack(away, 1), torch.stack(back, 1))


def area_under(curve: Tensor) -> Tensor:
    """Return the area `[B]` under curves `[B, S]` over equal steps from 0 to 1: their mean."""
    return torch.trapezoid(curve.double(), dx=1 / (curve.shape[1] - 1))


def rank_correlation(a: Tensor, b: Tensor) -> Tensor:
    """Return Spearman's correlation `[B]` of the strengths of maps `[B, C, H, W]`.

    1 where both put pixels in the same order; NaN where all of a map's pixels are equally strong.
    """
    from scipy.stats import rankdata  # half a second that other uses should not wait for

    ranks = [
        torch.from_numpy(rankdata(strength(x).flatten(1).cpu().numpy(), axis=1)) for x in (a, b)
    ]
    one, other = (r - r.mean(1, keepdim=True) for r in ranks)
    found: Tensor = (one * other).sum(1) / (one.norm(dim=1) * other.norm(dim=1))
    return found
