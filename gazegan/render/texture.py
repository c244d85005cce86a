"""Procedural noise: a pure function of a seed an image, smooth, periodic where it must be."""

from functools import cache

import torch
from torch import Tensor
from torch.nn import functional as F

from gazegan import rng
from gazegan.render.elementary import fourth
from gazegan.render.tracing import tracing

_TABLE = 512
"""Rows and columns of the lattice that all plain noise is cut out of."""
_LEFT, _ROOM = 128, 8
"""First cell, and bits of the number of cells, at which the middle of a noise can lie there."""
_SCALE = 2 / (_TABLE - 1)
"""What `grid_sample` calls a cell of the table, whose middle is 0 and whose ends are -1 and 1."""


def noise(seed: Tensor, name: str, x: Tensor, y: Tensor | None = None) -> Tensor:
    """Noise `[B, H, W]` in -1..1 at `x`, `y` `[B, H, W]` in cells, another for each seed and name.

    All of it is cut out of one lattice, at a place drawn by `seed` `[B]` and `name`: to hash a
    lattice for each eye and texture costs more than to sample it. Without `y` it has one dimension.
    """
    left, top = _corner(seed, name)
    if tracing():
        return _gathered(_table(x.device), top * _TABLE + left, x, y)
    down = (_SCALE * top - 1).to(x.dtype)
    down = down.expand_as(x) if y is None else torch.add(down, _fade(y), alpha=_SCALE)
    across = torch.add((_SCALE * left - 1).to(x.dtype), _fade(x), alpha=_SCALE)
    return _sample(_table(x.device).expand(len(seed), -1, -1, -1), across, down)


def draws(seed: Tensor, name: str, cell: Tensor) -> Tensor:
    """Random numbers `[B, H, W]` in -1..1, one for each of the whole numbers `cell`."""
    left, top = _corner(seed, name)
    place = (left + cell.detach().to(torch.int32)).clamp(0, _TABLE - 1)
    drawn: Tensor = _table(cell.device).to(cell.dtype).flatten()[top * _TABLE + place]
    return drawn


def _corner(seed: Tensor, name: str) -> tuple[Tensor, Tensor]:
    """Column and row of the table `[B, 1, 1]` at which the middle of a noise lies."""
    word = rng.hash32(rng.hash32(seed.to(torch.int32)) ^ _key(name))[:, None, None]
    cells = (1 << _ROOM) - 1
    return _LEFT + (word & cells), _LEFT + ((word >> _ROOM) & cells)


def _gathered(grid: Tensor, start: Tensor, x: Tensor, y: Tensor | None) -> Tensor:
    """What `_sample` finds, by steps that a compiler fuses with what comes before and after.

    `start` `[B, 1, 1]` is where in `grid`, flat, the cell (0, 0) lies.
    """
    flat, width = grid.to(x.dtype).flatten(), grid.shape[-1]
    last = flat.numel() - width - 2
    column, across = _split(x)
    if y is None:
        at = (start + column).clamp(0, last)
        return _between(flat[at], flat[at + 1], across)
    row, down = _split(y)
    at = (start + row * width + column).clamp(0, last)
    upper = _between(flat[at], flat[at + 1], across)
    return _between(upper, _between(flat[at + width], flat[at + width + 1], across), down)


def _between(start: Tensor, end: Tensor, share: Tensor) -> Tensor:
    return torch.addcmul(start, end - start, share)


def _split(x: Tensor) -> tuple[Tensor, Tensor]:
    """Cells, whole numbers, and how far beyond them, faded."""
    cell = x.floor()
    part = x - cell
    return cell.detach().to(torch.int32), part * part * (3 - 2 * part)


def _key(name: str) -> int:
    key: int = rng.mix(0, name) & 0x7FFFFFFF
    return key


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
    if tracing():
        start = torch.arange(len(grid), device=x.device)[:, None, None] * (height * width)
        return _gathered(grid, start, x.clamp(0, width - 1.001), y.clamp(0, height - 1.001))
    return _sample(grid, _placed(_fade(x), width), _placed(_fade(y), height))


def _placed(cell: Tensor, count: int) -> Tensor:
    """Places 0..count - 1 in -1..1."""
    return torch.rsub(cell, -1, alpha=-2 / (count - 1))


def _sample(grid: Tensor, x: Tensor, y: Tensor) -> Tensor:
    """Interpolate lattices linearly at places -1..1."""
    at = torch.stack((x, y)).permute(1, 2, 3, 0)  # planes side by side, which is faster to fill
    return F.grid_sample(grid.to(at.dtype), at, padding_mode="reflection", align_corners=True)[:, 0]


def _fade(x: Tensor) -> Tensor:
    cell = x.floor()
    part = x - cell
    return torch.addcmul(cell, part * part, torch.rsub(part, 3, alpha=2))


def ring(grid: Tensor) -> Tensor:
    """Close lattices `[B, 1, h, w]` along x, so that sampling at 0 and at w agree."""
    return torch.cat((grid, grid[..., :1]), dim=-1)


def detail(frequency: float, footprint: Tensor) -> Tensor:
    """Return the share `[B, 1, 1]` of an octave that pixels of `footprint` mm can still show.

    `frequency` is in lattice cells a millimetre; what falls below the Nyquist limit fades out
    instead of aliasing.
    """
    return 1 / (1 + fourth(2 * frequency * footprint))
