"""The gaze regressor: an eye image in, where it looks out."""

from typing import Annotated, Literal

import torch.nn.functional as F
from pydantic import Field
from torch import Tensor, nn

from gazegan.config import Config
from gazegan.nets.layers import channels_last, equalise, standardise

Target = Literal["angles", "direction"]
"""angles: (pitch, yaw) rad. direction: (cos, sin) of the direction in 0..360 degrees."""

Width = Annotated[int, Field(ge=1, le=1024)]


class RegressorConfig(Config):
    """Size of a regressor; every convolution but the first and the fourth halves the sides."""

    target: Target = "angles"
    widths: tuple[Width, Width, Width, Width, Width] = (16, 32, 64, 96, 128)
    grid: tuple[Width, Width] = (3, 5)
    """Rows and columns that the features keep: gaze is a matter of where things are."""
    hidden: Width = 64
    knots: int = Field(17, ge=0, le=257)
    """Quantiles of the histogram equalisation of the input; 0 only standardises it."""
    epsilon: float = Field(0.02, gt=0, le=1)
    """Spread, in units of the image's 0..1, below which contrast is not amplified."""


def _conv(inputs: int, outputs: int, stride: int) -> nn.Sequential:
    return nn.Sequential(
        nn.Conv2d(inputs, outputs, 3, stride, padding=1, bias=False),
        nn.BatchNorm2d(outputs),
        nn.ReLU(),
    )


class Regressor(nn.Module):
    """Five batch-normalised convolutions, a pooled grid and two linear layers."""

    strides = (1, 2, 2, 1, 2)

    def __init__(self, config: RegressorConfig, channels: int) -> None:
        super().__init__()
        self.config = config
        w = (channels, *config.widths)
        self.trunk = nn.Sequential(
            *(_conv(a, b, s) for a, b, s in zip(w, w[1:], self.strides, strict=False))
        )
        rows, columns = config.grid
        self.head = nn.Sequential(
            nn.Linear(w[-1] * rows * columns, config.hidden, bias=False),
            nn.BatchNorm1d(config.hidden),
            nn.ReLU(),
            nn.Linear(config.hidden, 2),
        )
        channels_last(self)

    @property
    def target(self) -> Target:
        """What `forward` returns."""
        return self.config.target

    def forward(self, image: Tensor) -> Tensor:
        """Map images `[B, C, H, W]` in 0..1 to `[B, 2]`: (pitch, yaw) rad or (cos, sin)."""
        if self.config.knots > 1:
            even = equalise(image, self.config.knots)
        else:
            even = standardise(image, self.config.epsilon)
        features = self.trunk(even)
        pooled = F.adaptive_avg_pool2d(features, self.config.grid)
        out: Tensor = self.head(pooled.flatten(1))
        # The floor keeps the gradient finite where the raw output passes through zero.
        return out if self.target == "angles" else F.normalize(out, dim=1, eps=1e-3)
