"""What JPEG makes of an image: 8x8 cosine transforms, rounded by the tables of its standard.

Written out as sums over eight values: a library's matrix product does not promise an eye the same
bits in every batch. Decoding is libjpeg's, with smoothly interpolated colour.
"""

import math

import torch
from torch import Tensor
from torch.nn import functional as F

from gazegan.render.sensor import grey

_LUMA = (
    *(16, 11, 10, 16, 24, 40, 51, 61, 12, 12, 14, 19, 26, 58, 60, 55),
    *(14, 13, 16, 24, 40, 57, 69, 56, 14, 17, 22, 29, 51, 87, 80, 62),
    *(18, 22, 37, 56, 68, 109, 103, 77, 24, 35, 55, 64, 81, 104, 113, 92),
    *(49, 64, 78, 87, 103, 121, 120, 101, 72, 92, 95, 98, 112, 100, 103, 99),
)
_CHROMA = (
    *(17, 18, 24, 47, 99, 99, 99, 99, 18, 21, 26, 66, 99, 99, 99, 99),
    *(24, 26, 56, 99, 99, 99, 99, 99, 47, 66, 99, 99, 99, 99, 99, 99),
    *((99,) * 32),
)
"""Quantisation tables (ITU-T T.81, tables K.1 and K.2)."""
_MIDDLE = 128 / 255
"""The level that is coded as zero."""


def compress(image: Tensor, quality: Tensor) -> Tensor:
    """Return images `[B, C, H, W]` in 0..1 as JPEG files of libjpeg's `quality` show them.

    `quality` `[B, 1, 1]` is 1..100; 0 leaves an image as it is. Colour is halved in both directions
    (4:2:0). Gradients pass through the rounding as if it were not there.
    """
    if image.shape[1] == 1:
        coded = _MIDDLE + _coded(image[:, 0] - _MIDDLE, quality, _LUMA)[:, None]
    else:
        coded = _in_colour(image, quality)
    return torch.where(quality[:, None] > 0, coded.clamp(0, 1), image)


def _in_colour(image: Tensor, quality: Tensor) -> Tensor:
    """Code luma and, at half the size, chroma (JFIF's YCbCr)."""
    height, width = image.shape[-2:]
    luma = grey(image)[:, 0]
    wide = _padded(image, 16)
    bright = grey(wide)[:, 0]
    cb, cr = (
        _doubled(_coded(_halved((plane - bright) / scale), quality, _CHROMA), height, width)
        for plane, scale in ((wide[:, 2], 1.772), (wide[:, 0], 1.402))
    )
    y = _MIDDLE + _coded(luma - _MIDDLE, quality, _LUMA)
    red, blue = y + 1.402 * cr, y + 1.772 * cb
    return torch.stack((red, (y - 0.299 * red - 0.114 * blue) / 0.587, blue), 1)


def _coded(plane: Tensor, quality: Tensor, base: tuple[int, ...]) -> Tensor:
    """Round the cosine transform of planes `[B, H, W]` about zero, and turn back."""
    height, width = plane.shape[-2:]
    wide = _padded(plane, 8)
    tall, broad = wide.shape[-2] // 8, wide.shape[-1] // 8
    blocks = wide.view(-1, tall, 8, broad, 8)
    step = _table(quality, base)[:, None, :, None] / 255
    basis = _basis(plane)
    waves = _floored(_turned(blocks, basis.T) / step + 0.5) * step
    return _turned(waves, basis).reshape(wide.shape)[..., :height, :width]


def _table(quality: Tensor, base: tuple[int, ...]) -> Tensor:
    """Quantisation steps `[B, 8, 8]` of 255 levels, scaled as libjpeg does."""
    coarse, fine = 5000 / quality.clamp(min=1), 200 - 2 * quality
    scale = _floored(torch.where(quality < 50, coarse, fine))
    steps = scale * quality.new_tensor(base).view(8, 8)
    return _floored((steps + 50) / 100).clamp(1, 255)


def _floored(x: Tensor) -> Tensor:
    """The whole numbers below x; the gradient is that of x."""
    return x + (x.floor() - x).detach()


def _basis(like: Tensor) -> Tensor:
    """The orthonormal cosines `[8, 8]`, a row for each frequency."""
    rows = [[math.cos((2 * n + 1) * k * math.pi / 16) / 2 for n in range(8)] for k in range(8)]
    return like.new_tensor([[value / math.sqrt(2) for value in rows[0]], *rows[1:]])


def _turned(blocks: Tensor, basis: Tensor) -> Tensor:
    """Sum rows of `basis` weighted with blocks `[B, h, 8, w, 8]`, along both axes of a block."""
    across = sum(blocks[..., k : k + 1] * basis[k] for k in range(8))
    assert isinstance(across, Tensor)
    down = sum(across[:, :, k : k + 1] * basis[k][:, None, None] for k in range(8))
    assert isinstance(down, Tensor)
    return down


def _padded(plane: Tensor, size: int) -> Tensor:
    """Repeat the last row and column until height and width are multiples of `size`."""
    height, width = plane.shape[-2:]
    return F.pad(plane, (0, -width % size, 0, -height % size), mode="replicate")


def _halved(plane: Tensor) -> Tensor:
    rows = plane[:, ::2] + plane[:, 1::2]
    return (rows[..., ::2] + rows[..., 1::2]) / 4


def _doubled(plane: Tensor, height: int, width: int) -> Tensor:
    """Interpolate to `[B, height, width]` with weights 3/4 and 1/4, beyond the border repeated."""
    plane = plane[:, : (height + 1) // 2, : (width + 1) // 2]
    for axis in (-2, -1):
        plane = _doubled_along(plane.transpose(axis, -1)).transpose(axis, -1)
    return plane[:, :height, :width]


def _doubled_along(plane: Tensor) -> Tensor:
    wide = torch.cat((plane[..., :1], plane, plane[..., -1:]), -1)
    before, after = wide[..., :-2], wide[..., 2:]
    pairs = torch.stack((0.75 * plane + 0.25 * before, 0.75 * plane + 0.25 * after), -1)
    return pairs.flatten(-2)
