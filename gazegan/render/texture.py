"""Procedural noise: a pure function of a seed an image, smooth, periodic where it must be."""

from functools import cache

import torch
from torch import Tensor
from torch.nn import functional as F

from gazegan import rng
from gazegan.render.elementary import fourth

_TABLE = 512
"""Rows and columns of the lattice that all plain noise is cut out of."""
_LEFT, _ROOM = 128, 8
"""First cell, and bits of the number of cells, at which the middle of a noise can lie there."""


def noise(seed: Tensor, name: str, x: Tensor, y: Tensor) -> Tensor:
    """Noise `[B, H, W]` in -1..1 at `x`, `y` `[B, H, W]` in cells, another for each seed and name.

    All of it is cut out of one lattice, at a place drawn by `seed` `[B]` and `name`: to hash a
    lattice for each eye and texture costs more than to sample it.
    """
    word = rng.hash32(rng.hash32(seed.to(torch.int32)) ^ _key(name))[:, None, None]
    cells = (1 << _ROOM) - 1
    left, top = _LEFT + (word & cells), _LEFT + ((word >> _ROOM) & cells)
    grid = _table(x.device).expand(len(seed), -1, -1, -1)
    return value_noise(grid, x + left, y + top)


@torch.compiler.assume_constant_result  # type: ignore[untyped-decorator]
def _key(name: str) -> int:
    return rng.mix(0, name) & 0x7FFFFFFF


@torch.compiler.assume_constant_result  # type: ignore[untyped-decorator]
@cache
def _table(device: torch.device) -> Tensor:
    """The lattice `[1, 1, _TABLE, _TABLE]`, a constant."""
    words = rng.bits(torch.arange(_TABLE * _TABLE), 0, "table")
    return (2 * rng.unit(words) - 1).view(1, 1, _TABLE, _TABLE).to(device)


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
    at = torch.stack((_faded(x, width), _faded(y, height)), dim=-1)
    return F.grid_sample(grid.to(at.dtype), at, padding_mode="reflection", align_corners=True)[:, 0]


def _faded(x: Tensor, cells: int) -> Tensor:
    """Places for `grid_sample`, -1..1 for 0..cells - 1."""
    cell = x.floor()
    part = x - cell
    faded = torch.addcmul(cell, part * part, torch.rsub(part, 3, alpha=2))
    return torch.rsub(faded * (-2 / (cells - 1)), -1)


def ring(grid: Tensor) -> Tensor:
    """Close lattices `[B, 1, h, w]` along x, so that sampling at 0 and at w agree."""
    return torch.cat((grid, grid[..., :1]), dim=-1)


def detail(frequency: float, footprint: Tensor) -> Tensor:
    """Return the share `[B, 1, 1]` of an octave that pixels of `footprint` mm can still show.

    `frequency` is in lattice cells a millimetre; what falls below the Nyquist limit fades out
    instead of aliasing.
    """
    return 1 / (1 + fourth(2 * frequency * footprint))
