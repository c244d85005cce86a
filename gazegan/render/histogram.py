"""Histogram equalisation of whole grey images, level by level, as MPIIGaze's eyes had it."""

import torch
from torch import Tensor
from torch.nn import functional as F

_TOP = 255
_WIDTH = 4
"""Levels over which the slope of a histogram's sum is smoothed."""


def equalise(image: Tensor) -> Tensor:
    """Return grey images `[B, 1, H, W]` in 0..1 with even histograms, on whole levels of 255.

    A level becomes the share of pixels up to it, those of the darkest left out: to the bit what
    OpenCV's `equalizeHist` makes of images rounded to bytes. A flat image stays as it is. Gradients
    are those of the histogram's sum smoothed by a Gaussian: brightness and contrast have none.
    """
    levels = (image.detach() * _TOP).round().long().flatten(1)
    even = (_table(levels).gather(1, levels) / _TOP).view_as(image).to(image.dtype)
    if not image.requires_grad:
        return even
    tilt = _tilt(image.flatten(1), levels).view_as(image)
    return even + (tilt - tilt.detach())


def _table(levels: Tensor) -> Tensor:
    """What each of 256 levels becomes `[B, 256]`, of images `[B, P]` of whole levels."""
    counts = levels.new_zeros(len(levels), _TOP + 1)
    counts.scatter_add_(1, levels, torch.ones_like(levels))
    lowest = levels.amin(1, keepdim=True)
    darkest = counts.gather(1, lowest)
    others = levels.shape[1] - darkest
    # Single precision and rounding to even are OpenCV's; `_TOP / others` would be another number.
    scale = torch.full_like(others, _TOP, dtype=torch.float32) / others.clamp(min=1)
    table = ((counts.cumsum(1) - darkest).to(torch.float32) * scale).round().clamp(min=0)
    return torch.where(others > 0, table, lowest.to(torch.float32))


def _tilt(values: Tensor, levels: Tensor) -> Tensor:
    """A linear function of `values` `[B, P]` with the slope of equalisation at `levels` `[B, P]`.

    Of the smoothed sum y_i = mean_j S(x_i - x_j), where S' = k: the part of x_i is mean_j k(x_i -
    x_j), that of x_j is -k(x_i - x_j) / P.
    """
    count = values.shape[1]

    def near(weights: Tensor) -> Tensor:
        bins = weights.new_zeros(len(weights), _TOP + 1).scatter_add(1, levels, weights)
        reach = 4 * _WIDTH
        place = torch.arange(-reach, reach + 1, device=weights.device, dtype=weights.dtype)
        kernel = (-0.5 * (place / _WIDTH).square()).exp()
        kernel = (_TOP / count) * kernel / kernel.sum()
        return F.conv1d(bins[:, None], kernel[None, None], padding=reach)[:, 0].gather(1, levels)

    return near(torch.ones_like(values)) * values - near(values)
