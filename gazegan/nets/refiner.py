"""The generator: a rendered eye in, the same eye made to look like the target domain out."""

from itertools import pairwise
from typing import Annotated, Literal

import torch
import torch.nn.functional as F
from pydantic import Field
from torch import Tensor, nn

from gazegan.config import Config
from gazegan.nets.layers import (
    LEAK,
    Norm,
    channels_last,
    conv,
    gaussian_blur,
    pad_to,
    residuals,
    up_conv,
)

Width = Annotated[int, Field(ge=1, le=1024)]


class RefinerConfig(Config):
    """Size of a refiner; sides are halved `len(widths) - 1` times."""

    widths: tuple[Width, ...] = Field((8, 16, 32), min_length=1, max_length=7)
    blocks: int = Field(2, ge=0, le=32)
    """Residual blocks at the lowest resolution."""
    norm: Norm = "none"
    """Instance and group normalisation hide an image's own contrast and level from the network;
    with WGAN-GP they made refined skin blotchy within 300 steps."""
    latent: int = Field(0, ge=0, le=4096)
    """Numbers of the vector through which the lowest resolution passes; 0: it stays a grid of
    maps."""
    grid: tuple[Width, Width] = (3, 5)
    """Rows and columns to which maps are pooled for the vector, and from which they are spread."""
    skips: bool = False
    """Add each encoder level to the decoder level of its size. Then fine detail can be changed, by
    which gaze is read; networks trained on such renders did no better (experiments/ablation)."""
    output: Literal["residual", "direct"] = "residual"
    """residual: a change of the image. direct: the whole image, by a sigmoid; it begins without the
    image, which it has to learn to keep (`refiner_lead` of the training)."""
    smooth: float = Field(1.0, ge=0, le=10)
    """Standard deviation, px, of the Gaussian through which a change passes; 0 for none. It
    takes out the lattice of the transposed convolutions, on which a gaze network would train, and
    keeps edges where they are."""
    detail: float = Field(0.0, ge=0, le=100)
    """Standard deviation, px, of the Gaussian whose part of the change is taken out; 0 for none.
    What is broader stays: the shading of lids and cheeks, by which a gaze network reads pitch."""
    clamp: Literal["hard", "soft"] = "hard"
    """hard: cut at 0 and 1. soft: scale the change by the room left, so gradients never vanish."""


def add_soft(image: Tensor, change: Tensor) -> Tensor:
    """Move `image` `[...]` in 0..1 towards 1 or 0 by tanh of `change` `[...]`; 0 leaves it."""
    share = torch.tanh(change)
    return image + share * torch.where(share > 0, 1 - image, image)


def _blurred(image: Tensor, sigma: float) -> Tensor:
    return gaussian_blur(image, image.new_full((len(image),), sigma), sigma)


class Latent(nn.Module):
    """Passes maps of any size through a vector: pooled, squeezed, and spread out again."""

    def __init__(self, channels: int, grid: tuple[int, int], numbers: int) -> None:
        super().__init__()
        self.grid, count = grid, channels * grid[0] * grid[1]
        self.squeeze, self.spread = nn.Linear(count, numbers), nn.Linear(numbers, count)

    def forward(self, x: Tensor) -> Tensor:
        """Map `[B, C, H, W]` to the same shape."""
        pooled = F.adaptive_avg_pool2d(x, self.grid)
        vector = F.leaky_relu(self.squeeze(pooled.flatten(1)), LEAK)
        grid = F.leaky_relu(self.spread(vector), LEAK).view_as(pooled)
        return F.interpolate(grid, x.shape[-2:], mode="bilinear", align_corners=False)


class Refiner(nn.Module):
    """Encoder-decoder with a transposed-convolution decoder and a residual or direct output.

    The last layer of a residual one starts at zero: untrained it is the identity.
    """

    def __init__(self, config: RefinerConfig, channels: int) -> None:
        super().__init__()
        self.config = config
        w, norm = config.widths, config.norm
        self.stem = conv(channels, w[0], 1, norm)
        self.down = nn.ModuleList(conv(a, b, 2, norm) for a, b in pairwise(w))
        self.middle = residuals(w[-1], config.blocks, norm)
        if config.latent:
            self.middle.append(Latent(w[-1], config.grid, config.latent))
        self.up = nn.ModuleList(up_conv(b, a, norm) for a, b in pairwise(w))
        self.head = nn.Conv2d(w[0], channels, 3, padding=1)
        if config.output == "residual":
            nn.init.zeros_(self.head.weight)
            assert self.head.bias is not None
            nn.init.zeros_(self.head.bias)
        channels_last(self)

    def decoded(self, image: Tensor) -> Tensor:
        """Return what the last layer makes of images `[B, C, H, W]`, of the same shape."""
        factor = 2 ** len(self.down)
        # At least 2x2 at the bottom: instance normalisation needs more than one value.
        padded, (rows, columns) = pad_to(image, factor, least=2 * factor)
        levels = [self.stem(2 * padded - 1)]
        for down in self.down:
            levels.append(down(levels[-1]))
        x = self.middle(levels.pop())
        for up in reversed(self.up):
            below = levels.pop()
            x = up(x) + below if self.config.skips else up(x)
        out: Tensor = self.head(x)[..., rows, columns].to(image.dtype)
        return out

    def change(self, image: Tensor) -> Tensor:
        """Return what a residual network would add to `image` `[B, C, H, W]`, before the limits."""
        change = self.decoded(image)
        if self.config.smooth:
            change = _blurred(change, self.config.smooth)
        if self.config.detail:
            change = change - _blurred(change, self.config.detail)
        return change

    def forward(self, image: Tensor) -> Tensor:
        """Refine images `[B, C, H, W]` in 0..1, sides from 8 px; same shape and range."""
        if self.config.output == "direct":
            return torch.sigmoid(self.decoded(image))
        if self.config.clamp == "soft":
            return add_soft(image, self.change(image))
        return (image + self.change(image)).clamp(0, 1)
