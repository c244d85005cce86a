"""The camera's optics and electronics: blur, vignetting, exposure, noise, transfer curve."""

import math

import torch
from torch import Tensor
from torch.nn import functional as F

from gazegan import rng
from gazegan.render.elementary import exp2, power
from gazegan.render.params import EyeParams

_LUMA = (0.299, 0.587, 0.114)


def develop(p: EyeParams, seed: Tensor, light: Tensor, channels: int, reach: int) -> Tensor:
    """Turn linear light `[3, B, H, W]` into the camera's image `[B, channels, H, W]` in 0..1.

    `reach` is that of `blur`.
    """
    image = blur(light * _vignette(p, light), p.blur, reach)
    image = transfer(image, p.contrast).transpose(0, 1)
    if channels == 1:
        image = grey(image)
    return (image + p.noise[:, None] * gaussian(seed, image)).clamp(0, 1)


def metered(p: EyeParams, seen: Tensor) -> Tensor:
    """Gain `[B, 1, 1]` with which automatic exposure brings light `seen` toward mid-grey."""
    return power(0.22 / seen.clamp(min=1e-4), p.metering) * exp2(p.exposure)


def grey(image: Tensor) -> Tensor:
    """Luma `[B, 1, H, W]` of RGB `[B, 3, H, W]` (ITU-R BT.601)."""
    return _LUMA[0] * image[:, :1] + _LUMA[1] * image[:, 1:2] + _LUMA[2] * image[:, 2:]


def transfer(light: Tensor, contrast: Tensor) -> Tensor:
    """Encode linear light: gamma 1/2.2, contrast about mid-grey, a soft shoulder near white."""
    encoded = power(light.clamp(min=1e-5), 1 / 2.2)
    encoded = 0.45 + (encoded - 0.45) * contrast
    knee = 0.8
    over = (encoded - knee).clamp(min=0)
    return torch.minimum(encoded, torch.full_like(encoded, knee)) + over / (1 + over / (1 - knee))


def reach_of(sigma: float) -> int:
    """Return how many pixels away a Gaussian of `sigma` px still counts."""
    return max(1, math.ceil(2.5 * sigma))


def blur(image: Tensor, sigma: Tensor, reach: int) -> Tensor:
    """Blur `[..., B, H, W]` by Gaussians of `sigma` `[B, 1, 1]` px, cut off beyond 2.5 sigma.

    `reach` px is at least `reach_of` the widest; more changes nothing. Written as shifted sums
    because their bits do not depend on the batch, which a library's grouped convolution does not
    promise.
    """
    weights = _kernel(sigma, reach)
    for axis in (-1, -2):
        image = _blur_along(image, weights, axis)
    return image


def _kernel(sigma: Tensor, reach: int) -> list[Tensor]:
    """Weights at distance 0, 1, ...; every eye's own cut-off, not the batch's, ends its kernel."""
    narrow = sigma.clamp(min=0.05)
    weights = [
        torch.exp(-0.5 * (k / narrow) ** 2) * (k < 2.5 * sigma + 1) for k in range(reach + 1)
    ]
    total = weights[0] + 2 * sum(weights[1:])
    return [weight / total for weight in weights]


def _blur_along(image: Tensor, weights: list[Tensor], axis: int) -> Tensor:
    radius, length = len(weights) - 1, image.shape[axis]
    pad = (radius, radius, 0, 0) if axis == -1 else (0, 0, radius, radius)
    wide = F.pad(image, pad, mode="replicate")
    blurred = weights[0] * image
    for k in range(1, radius + 1):
        pair = wide.narrow(axis, radius - k, length) + wide.narrow(axis, radius + k, length)
        blurred = blurred + weights[k] * pair
    return blurred


def gaussian(seed: Tensor, like: Tensor) -> Tensor:
    """Standard normal noise shaped `like` `[B, C, H, W]`, a function of `seed` `[B]` and place."""
    place = torch.arange(like[0].numel(), device=seed.device)
    spread = seed.to(torch.int32)[:, None]
    first = rng.unit(rng.hash32(rng.bits(place, 0, "noise radius") + spread))
    second = rng.unit(rng.hash32(rng.bits(place, 0, "noise angle") + spread))
    return ((-2 * first.log()).sqrt() * (2 * math.pi * second).cos()).view(like.shape)


def _vignette(p: EyeParams, light: Tensor) -> Tensor:
    height, width = light.shape[-2:]
    y = torch.linspace(-1, 1, height, device=light.device, dtype=light.dtype)[:, None]
    x = torch.linspace(-1, 1, width, device=light.device, dtype=light.dtype)
    return 1 - p.vignette * 0.5 * (x * x + y * y)
