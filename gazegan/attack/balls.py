"""Balls around images: how far an image may be changed, and the steepest way to change it."""

import math
from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional as F


@dataclass(frozen=True)
class Ball:
    """All images in 0..1 that differ from `centre` `[B, C, H, W]` by at most `radius` anywhere.

    The L-infinity ball. Raises ValueError where `radius` is outside 0..1.
    """

    centre: Tensor
    radius: float

    def __post_init__(self) -> None:
        if not 0 <= self.radius <= 1:
            raise ValueError(f"radius must lie in 0..1, got {self.radius}")

    @property
    def allowed(self) -> Tensor:
        """Which pixels `[B or 1, 1, H, W]` may change."""
        return torch.ones_like(self.centre[:1, :1], dtype=torch.bool)

    @property
    def amplitude(self) -> float:
        """Largest change of every value where all change alike."""
        return self.radius

    @property
    def first_step(self) -> float:
        """Size of a climb's first step: across the whole ball."""
        return 2 * self.radius

    def shrink(self, change: Tensor) -> Tensor:
        """Return the nearest change `[B, C, H, W]` that is small enough; 0..1 is left aside."""
        return change.clamp(-self.radius, self.radius)

    def steepest(self, gradient: Tensor) -> Tensor:
        """Return the step `[B, C, H, W]` of size 1 that most raises a function of this gradient."""
        return gradient.sign()

    def project(self, image: Tensor) -> Tensor:
        """Return an image `[B, C, H, W]` inside the ball; in the L-infinity ball the nearest."""
        return (self.centre + self.shrink(image - self.centre)).clamp(0, 1)

    def draw(self, generator: torch.Generator) -> Tensor:
        """Draw an image `[B, C, H, W]` evenly from the ball, then clip it to 0..1."""
        unit = rand_like(self.centre, generator)
        return self.project(self.centre + self.radius * (2 * unit - 1))

    def noise(self, generator: torch.Generator) -> Tensor:
        """Draw an image `[B, C, H, W]` as far from the centre as an attack may go: its baseline."""
        up = rand_like(self.centre, generator) < 0.5
        return self.project(self.centre + torch.where(up, self.radius, -self.radius))


@dataclass(frozen=True)
class L2Ball(Ball):
    """All images in 0..1 whose difference from `centre` is at most `radius` long (L2).

    Raises ValueError where `radius` is negative or not finite.
    """

    def __post_init__(self) -> None:
        if not 0 <= self.radius < math.inf:
            raise ValueError(f"radius must be 0 or more, got {self.radius}")

    @property
    def amplitude(self) -> float:
        """Change of every value where all change alike: the root of the mean square."""
        return self.radius / math.sqrt(self.centre[0].numel())

    def shrink(self, change: Tensor) -> Tensor:
        """Return the nearest change `[B, C, H, W]` that is short enough; 0..1 is left aside."""
        return change * (self.radius / _length(change).clamp_min(1e-12)).clamp(max=1)

    def steepest(self, gradient: Tensor) -> Tensor:
        """Return the gradient `[B, C, H, W]`, each image's at length 1; zero where it vanishes."""
        return gradient / _length(gradient).clamp_min(1e-30)

    def draw(self, generator: torch.Generator) -> Tensor:
        """Draw an image `[B, C, H, W]` evenly from the ball, then clip it to 0..1."""
        way = self.steepest(_normal_like(self.centre, generator))
        size = rand_like(self.centre[:, :1, :1, :1], generator)
        return self.project(self.centre + self.radius * size ** (1 / way[0].numel()) * way)

    def noise(self, generator: torch.Generator) -> Tensor:
        """Draw an image `[B, C, H, W]` at the ball's rim, then clip it to 0..1."""
        way = self.steepest(_normal_like(self.centre, generator))
        return self.project(self.centre + self.radius * way)


@dataclass(frozen=True)
class Patch(Ball):
    """All images in 0..1 that differ from `centre` by at most `radius` where `mask` is set.

    With a radius of 1, any pixels may stand in the patch.
    """

    mask: Tensor
    """[B or 1, 1, H, W] bool."""

    @property
    def allowed(self) -> Tensor:
        """Which pixels `[B or 1, 1, H, W]` may change."""
        return self.mask

    @property
    def first_step(self) -> float:
        """Size of a climb's first step; larger ones only leap between black and white."""
        return 0.2 * self.radius

    def shrink(self, change: Tensor) -> Tensor:
        """Return the nearest change `[B, C, H, W]` inside the patch that is small enough."""
        return change.clamp(-self.radius, self.radius) * self.mask

    def steepest(self, gradient: Tensor) -> Tensor:
        """Return the gradient's sign `[B, C, H, W]` inside the patch, 0 outside."""
        return gradient.sign() * self.mask

    def draw(self, generator: torch.Generator) -> Tensor:
        """Draw an image `[B, C, H, W]` near the centre; from a patch of noise climbs find less."""
        unit = rand_like(self.centre, generator)
        return self.project(self.centre + 0.1 * self.radius * (2 * unit - 1))


MakeBall = Callable[[Tensor, float], Ball]
"""(centre `[B, C, H, W]`, size) -> ball."""


def heaviest_square(weight: Tensor, side: int) -> Tensor:
    """Return a mask `[B, 1, H, W]` of the square of `side` px with the largest sum of `weight`.

    `weight` is `[B, C, H, W]`. Raises ValueError where no such square fits into the image.
    """
    height, width = weight.shape[-2:]
    if not 1 <= side <= min(height, width):
        raise ValueError(f"no patch of {side} px fits into {height}x{width} px")
    sums = F.avg_pool2d(weight.sum(1, keepdim=True), side, stride=1)
    best = sums.flatten(1).argmax(1)
    top, left = (x.view(-1, 1, 1, 1) for x in (best // sums.shape[-1], best % sums.shape[-1]))
    row = torch.arange(height, device=weight.device)[:, None]
    column = torch.arange(width, device=weight.device)
    return (row >= top) & (row < top + side) & (column >= left) & (column < left + side)


def rand_like(image: Tensor, generator: torch.Generator) -> Tensor:
    """Draw `[...]` as `image` in 0..1 where the generator lives; every device sees the same."""
    drawn = torch.rand(image.shape, generator=generator, dtype=image.dtype, device=generator.device)
    return drawn.to(image.device)


def _normal_like(image: Tensor, generator: torch.Generator) -> Tensor:
    where = generator.device
    drawn = torch.randn(image.shape, generator=generator, dtype=image.dtype, device=where)
    return drawn.to(image.device)


def _length(change: Tensor) -> Tensor:
    """Return the length of each `[B, ...]`, in a shape that multiplies it."""
    length: Tensor = change.flatten(1).norm(dim=1)
    return length.view(-1, *[1] * (change.dim() - 1))
