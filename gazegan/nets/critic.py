"""The critic: scores how real an eye looks, as a whole and patch by patch."""

from itertools import pairwise
from typing import Annotated, Literal

import torch
from pydantic import Field
from torch import Tensor, nn
from torch.nn.utils.parametrizations import spectral_norm

from gazegan.config import Config
from gazegan.nets.layers import channels_last, conv, pad_to

Width = Annotated[int, Field(ge=1, le=1024)]


class CriticConfig(Config):
    """Size of a critic; each width is one convolution of stride 2."""

    widths: tuple[Width, ...] = Field((16, 32, 64), min_length=1, max_length=7)
    heads: Literal["both", "whole", "patch"] = "both"
    """What is scored: the layout of the whole image, patches of it wherever they lie (Shrivastava
    et al., CVPR 2017), or both."""
    grid: tuple[Width, Width] = (3, 5)
    """Rows and columns to which features are pooled for the whole-image score."""
    norm: Literal["none", "instance", "group", "spectral"] = "none"
    """spectral: weights of every layer are divided by their largest singular value, which bounds
    the critic's slope (Miyato et al., "Spectral Normalization for Generative Adversarial
    Networks", ICLR 2018). Never batch: WGAN-GP penalises each sample's own gradient (Gulrajani et
    al., section 4)."""


class Critic(nn.Module):
    """Strided convolutions with a whole-image head, a patch head or both."""

    def __init__(self, config: CriticConfig, channels: int) -> None:
        super().__init__()
        self.config = config
        w = (channels, *config.widths)
        maps = "none" if config.norm == "spectral" else config.norm
        self.trunk = nn.Sequential(*(conv(a, b, 2, maps) for a, b in pairwise(w)))
        rows, columns = config.grid
        self.heads = nn.ModuleDict()
        if config.heads != "whole":
            self.heads["patch"] = nn.Sequential(nn.Conv2d(w[-1], 1, 1), nn.Flatten())
        if config.heads != "patch":
            pool, score = nn.AdaptiveAvgPool2d(config.grid), nn.Linear(w[-1] * rows * columns, 1)
            self.heads["whole"] = nn.Sequential(pool, nn.Flatten(), score)
        channels_last(self)
        if config.norm == "spectral":
            for layer in self.modules():
                if isinstance(layer, nn.Conv2d | nn.Linear):
                    spectral_norm(layer)

    def forward(self, image: Tensor) -> dict[str, Tensor]:
        """Score images `[B, C, H, W]` in 0..1 of any size; unbounded, high for real images.

        `whole` is `[B, 1]`, from the layout of the whole image; `patch` is `[B, P]`, one score
        for each local receptive field. Only the configured heads are there.
        """
        # Instance normalisation needs more than one value of each map.
        least = 2 ** len(self.config.widths) * (2 if self.config.norm == "instance" else 1)
        padded, _ = pad_to(image, 1, least)
        features = self.trunk(2 * padded - 1)
        return {name: head(features).to(image.dtype) for name, head in self.heads.items()}

    def value(self, image: Tensor) -> Tensor:
        """Return one score `[B]` an image: the mean of each head, added."""
        return torch.stack([scores.mean(1) for scores in self(image).values()]).sum(0)
