"""The critic: scores how real an eye looks, as a whole and patch by patch."""

from itertools import pairwise
from typing import Annotated, Literal, NamedTuple

import torch.nn.functional as F
from pydantic import Field
from torch import Tensor, nn

from gazegan.config import Config
from gazegan.nets.layers import conv, pad_to

Width = Annotated[int, Field(ge=1, le=1024)]


class CriticConfig(Config):
    """Size of a critic; each width is one convolution of stride 2."""

    widths: tuple[Width, ...] = Field((16, 32, 64), min_length=1, max_length=7)
    grid: tuple[Width, Width] = (3, 5)
    """Rows and columns to which features are pooled for the whole-image score."""
    norm: Literal["none", "instance", "group"] = "none"
    """Never batch: WGAN-GP penalises each sample's own gradient (Gulrajani et al., section 4)."""


class Scores(NamedTuple):
    """Unbounded scores, high for real images."""

    whole: Tensor
    """[B], from the layout of the whole image."""
    patch: Tensor
    """[B, P], one for each local receptive field."""


class Critic(nn.Module):
    """Strided convolutions with a whole-image head and a patch head."""

    def __init__(self, config: CriticConfig, channels: int) -> None:
        super().__init__()
        self.config = config
        w = (channels, *config.widths)
        self.trunk = nn.Sequential(*(conv(a, b, 2, config.norm) for a, b in pairwise(w)))
        self.patch = nn.Conv2d(w[-1], 1, 1)
        rows, columns = config.grid
        self.whole = nn.Linear(w[-1] * rows * columns, 1)

    def forward(self, image: Tensor) -> Scores:
        """Score images `[B, C, H, W]` in 0..1 of any size."""
        least = 2 ** len(self.config.widths)
        padded, _ = pad_to(image, 1, least)
        features = self.trunk(2 * padded - 1)
        pooled = F.adaptive_avg_pool2d(features, self.config.grid)
        return Scores(self.whole(pooled.flatten(1)).squeeze(1), self.patch(features).flatten(1))

    def value(self, image: Tensor) -> Tensor:
        """Return one score `[B]` an image: whole plus mean patch score."""
        scores = self(image)
        value: Tensor = scores.whole + scores.patch.mean(1)
        return value
