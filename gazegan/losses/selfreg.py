"""Self-regularisation: how much a refinement may change, and where."""

from collections.abc import Callable

import torch
from torch import Tensor


def weighted_l1(refined: Tensor, raw: Tensor, weight: Tensor | None = None) -> Tensor:
    """Return the mean absolute change of images `[B, C, H, W]`, weighted by `[B, 1, H, W]`.

    Shrivastava et al., "Learning from Simulated and Unsupervised Images" (CVPR 2017), equation 4
    with the identity as feature, and a weight for each pixel.
    """
    change = (refined - raw).abs()
    return change.mean() if weight is None else (change * weight).mean()


def feature_l1(features: Callable[[Tensor], Tensor], refined: Tensor, raw: Tensor) -> Tensor:
    """Return the mean absolute change of `features` of images `[B, C, H, W]`.

    Shrivastava et al. 2017, equation 4 with another feature than the identity.
    """
    with torch.no_grad():
        before = features(raw)
    return (features(refined) - before).abs().mean()


def region_weight(masks: Tensor, weights: tuple[float, ...]) -> Tensor:
    """Return the pixel weights `[B, 1, H, W]` of masks `[B, K, H, W]` with K region weights."""
    row = torch.tensor(weights, dtype=masks.dtype).to(masks.device, non_blocking=True)
    return (masks * row.view(1, -1, 1, 1)).sum(1, keepdim=True)
