"""How far a refinement moved the pupil: the price at which realism was bought."""

import torch
import torch.nn.functional as F
from torch import Tensor

from gazegan.schema import MASKS


def _darkness(image: Tensor, region: Tensor) -> Tensor:
    """Return how much darker than the region's mean each pixel `[B, H, W]` is, in the region."""
    grey = image.mean(1)
    mean = (grey * region).sum((1, 2)) / region.sum((1, 2)).clamp_min(1e-6)
    return (mean[:, None, None] - grey).clamp_min(0) * region


def dark_centre(image: Tensor, region: Tensor) -> Tensor:
    """Return the centroid (x, y) `[B, 2]` px of darkness inside a region.

    `image` is `[B, C, H, W]`, `region` `[B, H, W]` coverage in 0..1; pixel centres are at .5.
    Brightness and contrast of the image do not matter; NaN where nothing stands out as dark.
    """
    weight = _darkness(image, region)
    total = weight.sum((1, 2))
    height, width = weight.shape[1:]
    x = torch.arange(width, device=image.device, dtype=image.dtype) + 0.5
    y = torch.arange(height, device=image.device, dtype=image.dtype) + 0.5
    sums = torch.stack(((weight.sum(1) * x).sum(1), (weight.sum(2) * y).sum(1)), dim=1)
    return torch.where(total[:, None] > 1e-6, sums / total[:, None], torch.nan)


def eye_region(masks: Tensor, margin: int) -> Tensor:
    """Return iris and pupil `[B, H, W]` of masks `[B, K, H, W]`, grown by `margin` pixels.

    Pixels of the grown rim count only where they are no skin, so that lashes and lid shadows do
    not pose as pupil.
    """
    iris = masks[:, MASKS.index("iris")] + masks[:, MASKS.index("pupil")]
    grown = F.max_pool2d(iris[:, None], 2 * margin + 1, stride=1, padding=margin)[:, 0]
    return grown * (1 - masks[:, MASKS.index("skin")])


def pupil_shift(raw: Tensor, refined: Tensor, masks: Tensor, margin: int = 1) -> Tensor:
    """Return how far (x, y) `[B, 2]` px the dark pupil and iris moved from raw to refined.

    Images are `[B, C, H, W]` in 0..1 and share the masks `[B, K, H, W]` of the raw ones. The
    region stays where the raw eye has it, so large shifts are underestimated. Eyes too closed to
    be located give NaN.
    """
    region = eye_region(masks, margin)
    shift = dark_centre(refined, region) - dark_centre(raw, region)
    open_enough = region.sum((1, 2)) >= 4
    return torch.where(open_enough[:, None], shift, torch.nan)


def summary(shift_px: Tensor) -> dict[str, float]:
    """Return median, 95th percentile and located share of shifts `[N]` px, NaN where unknown."""
    known = shift_px[shift_px.isfinite()].double()
    if not len(known):
        return {"located": 0.0}
    return {
        "median_px": known.median().item(),
        "p95_px": known.quantile(0.95).item(),
        "located": len(known) / len(shift_px),
    }
