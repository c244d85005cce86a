"""Procedural noise: a pure function of a seed an image, smooth, periodic where it must be."""

import torch
from torch import Tensor
from torch.nn import functional as F

from gazegan import rng
from gazegan.render.elementary import fourth


def lattice(seed: Tensor, name: str, height: int, width: int) -> Tensor:
    """Return random lattices `[B, 1, height, width]` in -1..1, one for each `seed` `[B]`."""
    cell = torch.arange(height * width, device=seed.device)
    words = rng.hash32(rng.bits(cell, 0, name) + seed.to(torch.int32)[:, None])
    return (2 * rng.unit(words) - 1).view(-1, 1, height, width)


def value_noise(grid: Tensor, x: Tensor, y: Tensor) -> Tensor:
    """Sample lattices `[B, 1, h, w]` at `x`, `y` `[B, H, W]` in lattice cells, mirrored outside.

    Returns `[B, H, W]` in -1..1, smooth across cells (Perlin's cubic fade).
    """
    height, width = grid.shape[-2:]
    at = torch.stack((_fade(x) * (2 / (width - 1)) - 1, _fade(y) * (2 / (height - 1)) - 1), dim=-1)
    return F.grid_sample(grid.to(at.dtype), at, padding_mode="reflection", align_corners=True)[:, 0]


def _fade(x: Tensor) -> Tensor:
    cell = x.floor()
    part = x - cell
    return cell + part * part * (3 - 2 * part)


def ring(grid: Tensor) -> Tensor:
    """Close lattices `[B, 1, h, w]` along x, so that sampling at 0 and at w agree."""
    return torch.cat((grid, grid[..., :1]), dim=-1)


def detail(frequency: float, footprint: Tensor) -> Tensor:
    """Return the share `[B, 1, 1]` of an octave that pixels of `footprint` mm can still show.

    `frequency` is in lattice cells a millimetre; what falls below the Nyquist limit fades out
    instead of aliasing.
    """
    return 1 / (1 + fourth(2 * frequency * footprint))
