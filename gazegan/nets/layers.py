"""Small blocks that the networks share."""

import math
from typing import Literal

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from gazegan.nets.normaliser_free import FreeResidual, StandardisedConv, activation_gain, every

Norm = Literal["instance", "group", "batch", "none", "free"]
"""Normalisation between a convolution and its activation. none: plain convolutions. free: weights
are standardised in its stead, but for those of transposed convolutions, and residual blocks scaled
(`nets.normaliser_free`)."""

LEAK = 0.2
"""Slope of leaky ReLU below 0."""


def normalisation(kind: Norm, channels: int) -> nn.Module:
    """Return the normalisation layer of `kind` for `channels` feature maps."""
    match kind:
        case "instance":
            return nn.InstanceNorm2d(channels, affine=True)
        case "group":
            return nn.GroupNorm(math.gcd(8, channels), channels)
        case "batch":
            return nn.BatchNorm2d(channels)
        case "none" | "free":
            return nn.Identity()


def conv(inputs: int, outputs: int, stride: int, norm: Norm) -> nn.Sequential:
    """Return convolution, normalisation and leaky ReLU; a stride of 2 halves even sides.

    A strided kernel is 4 wide, a multiple of its stride, so that every pixel counts alike.
    """
    kernel = 4 if stride == 2 else 3
    layer: nn.Conv2d
    if norm == "free":
        layer = StandardisedConv(inputs, outputs, kernel, stride, 1, activation_gain(LEAK))
    else:
        # A bias before a normalisation would be subtracted again.
        layer = nn.Conv2d(inputs, outputs, kernel, stride, padding=1, bias=norm == "none")
    return nn.Sequential(layer, normalisation(norm, outputs), nn.LeakyReLU(LEAK))


def up_conv(inputs: int, outputs: int, norm: Norm) -> nn.Sequential:
    """Return a transposed convolution that doubles both sides, normalisation, leaky ReLU."""
    bias = norm in ("none", "free")
    return nn.Sequential(
        nn.ConvTranspose2d(inputs, outputs, 4, stride=2, padding=1, bias=bias),
        normalisation(norm, outputs),
        nn.LeakyReLU(LEAK),
    )


def residuals(channels: int, blocks: int, norm: Norm) -> nn.Sequential:
    """Return residual blocks for maps that come from `conv` of the same `norm`."""
    if norm == "free":
        return nn.Sequential(*(FreeResidual(channels, k, LEAK) for k in range(blocks)))
    return nn.Sequential(*(Residual(channels, norm) for _ in range(blocks)))


class Residual(nn.Module):
    """Two 3x3 convolutions added to their input (He et al., CVPR 2016)."""

    def __init__(self, channels: int, norm: Norm) -> None:
        super().__init__()
        self.body = nn.Sequential(
            conv(channels, channels, 1, norm),
            nn.Conv2d(channels, channels, 3, padding=1, bias=norm == "none"),
            normalisation(norm, channels),
        )

    def forward(self, x: Tensor) -> Tensor:
        """Map `[B, channels, H, W]` to the same shape."""
        out: Tensor = x + self.body(x)
        return out


class PreActivation(nn.Module):
    """Two 3x3 convolutions, each after normalisation and activation, added to their input.

    Where shapes change, the input is projected after its activation (He et al., ECCV 2016).
    """

    def __init__(self, inputs: int, outputs: int, stride: int) -> None:
        super().__init__()
        self.first = nn.BatchNorm2d(inputs)
        self.body = nn.Sequential(
            nn.Conv2d(inputs, outputs, 3, stride, padding=1, bias=False),
            nn.BatchNorm2d(outputs),
            nn.ReLU(),
            nn.Conv2d(outputs, outputs, 3, padding=1, bias=False),
        )
        same = inputs == outputs and stride == 1
        self.stride = stride
        self.project = None if same else nn.Conv2d(inputs, outputs, 1, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        """Map `[B, inputs, H, W]` to `[B, outputs, H / stride, W / stride]`."""
        active = F.relu(self.first(x))
        beside = x if self.project is None else self.project(every(active, self.stride))
        out: Tensor = beside + self.body(active)
        return out


def standardise(image: Tensor, epsilon: float) -> Tensor:
    """Shift and scale every image `[B, C, H, W]` to mean 0 and spread near 1.

    `epsilon` is added to the variance as a square, so flat images stay near 0 and finite.
    """
    centred = image - image.mean((1, 2, 3), keepdim=True)
    variance = centred.square().mean((1, 2, 3), keepdim=True)
    return centred / (variance + epsilon**2).sqrt()


def rim(side: int, share: float) -> int:
    """Return how many px `middle` cuts off either end of a side."""
    return round((1 - share) / 2 * side)


def middle(image: Tensor, share: float) -> Tensor:
    """Cut off the rim of images `[..., H, W]`: `share` of both sides is left, to two pixels."""
    top, left = (rim(side, share) for side in image.shape[-2:])
    return image[..., top : image.shape[-2] - top, left : image.shape[-1] - left]


def equalise(image: Tensor, knots: int, stretches: bool = False) -> Tensor:
    """Give every image `[B, C, H, W]` nearly the same histogram: uniform, mean 0, spread 1.

    The image's own cumulative distribution, drawn as straight lines between `knots` of its
    quantiles, so that gradients pass. With `stretches` knots are means of as many stretches of
    ranks: gradients are then those of many pixels, and the ends of the histogram are cut off. A
    flat image becomes constant.
    """
    values = image.flatten(1)
    ordered = values.sort(dim=1).values
    if stretches:
        quantiles = F.adaptive_avg_pool1d(ordered[:, None], knots)[:, 0]
    else:
        places = torch.linspace(0, values.shape[1] - 1, knots, device=image.device)
        quantiles = ordered[:, places.round().long()]
    with torch.no_grad():
        upper = torch.searchsorted(quantiles.contiguous(), values.contiguous())
        upper = upper.clamp(1, knots - 1)
    low, high = quantiles.gather(1, upper - 1), quantiles.gather(1, upper)
    # The floor keeps the noise of a nearly flat stretch from being blown up.
    part = ((values - low) / (high - low).clamp(min=2e-3)).clamp(0, 1)
    level = (upper - 1 + part) / (knots - 1)
    return (level.view_as(image) - 0.5) * math.sqrt(12)


def channels_last(network: nn.Module) -> None:
    """Lay the weights out with channels innermost: a sixth faster on a CPU, the same shapes."""
    network.to(memory_format=torch.channels_last)


def gaussian_blur(image: Tensor, sigma: Tensor, largest: float | None = None) -> Tensor:
    """Blur images `[B, C, H, W]` by Gaussians of `sigma` `[B]` px, borders repeated.

    Kernels end at three times the `largest` sigma, by default that of these images.
    """
    reach = max(1, int(3 * (float(sigma.max()) if largest is None else largest) + 0.5))
    place = torch.arange(-reach, reach + 1, device=image.device, dtype=image.dtype)
    kernel = torch.exp(-0.5 * (place / sigma.clamp_min(1e-3)[:, None]).square())
    kernel = kernel / kernel.sum(1, keepdim=True)
    b, c, h, w = image.shape
    wide = F.pad(image, (reach, reach, reach, reach), mode="replicate")
    flat = wide.reshape(1, b * c, h + 2 * reach, -1)
    kernel = kernel.repeat_interleave(c, 0)[:, None]
    rows = F.conv2d(flat, kernel[..., None, :], groups=b * c)
    return F.conv2d(rows, kernel[..., :, None], groups=b * c).view(b, c, h, w)


def pad_to(image: Tensor, multiple: int, least: int = 1) -> tuple[Tensor, tuple[slice, slice]]:
    """Repeat the border of `[B, C, H, W]` until both sides are multiples of `multiple`.

    Sides are at least `least`. Also returns the (row, column) slices that crop back.
    """
    before_after = []
    for side in image.shape[-2:]:
        target = math.ceil(max(side, least) / multiple) * multiple
        before = (target - side) // 2
        before_after.append((before, target - side - before))
    (top, bottom), (left, right) = before_after
    rows = slice(top, top + image.shape[-2])
    columns = slice(left, left + image.shape[-1])
    if top + bottom + left + right:
        image = F.pad(image, (left, right, top, bottom), mode="replicate")
    return image, (rows, columns)
