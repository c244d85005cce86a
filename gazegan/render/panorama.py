"""The user's panorama: an equirectangular image of the light around the eye.

Its middle is where an eye that looks into the camera looks, its top is above, and its right is
the eye's right (the image's left): a photograph taken from the eye's place.
"""

import functools
import hashlib
import io
import math
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image, UnidentifiedImageError
from torch import Tensor
from torch.nn import functional as F

from gazegan.errors import UserError
from gazegan.render.elementary import sqrt, turn

Map = NDArray[np.float64]
"""Radiance `[H, W, 3]`, linear, over the whole sphere."""

MEAN = 0.72
"""Mean radiance after scaling, that of the sky which the panorama takes the place of."""
_SHARP, _SOFT = 64, 16
"""Rows of the two maps that reflections are looked up in."""
_PIXELS = 1 << 26
_SUFFIXES = (".png", ".jpg", ".jpeg", ".npy")


@dataclass(frozen=True, eq=False)
class Panorama:
    """Light from all around, independent of the eye."""

    moments: Tensor
    """[3, 9] polynomial in the normal, `basis`, that gives irradiance over pi."""
    sharp: Tensor
    """[1, 3, 64, 130] radiance, a column repeated at either end."""
    soft: Tensor
    """[1, 3, 16, 34]"""


@functools.lru_cache(maxsize=4)
def load(file: str, sha256: str = "") -> Panorama:
    """Read a panorama: PNG or JPEG in sRGB, or a .npy array `[H, W]` or `[H, W, 3]`, linear.

    Scaled to the mean radiance of the sky that it replaces. Raises UserError where the file cannot
    be used, or `sha256` is given and is not the file's.
    """
    data = _bytes(file)
    if sha256 and hashlib.sha256(data).hexdigest() != sha256:
        raise UserError(
            f"light.panorama {file}: is not the file this recipe was made with"
            " (another SHA-256); bring that file back, or leave out light.sha256"
        )
    return build(_decode(file, data))


def digest(file: str) -> str:
    """Return the SHA-256 of a panorama's file; raises UserError where it cannot be read."""
    return hashlib.sha256(_bytes(file)).hexdigest()


def _bytes(file: str) -> bytes:
    if Path(file).suffix.lower() not in _SUFFIXES:
        raise UserError(f"light.panorama {file}: name a .png, .jpg or .npy file")
    try:
        return Path(file).read_bytes()
    except (OSError, ValueError):
        raise UserError(f"light.panorama {file}: cannot be read; check the path") from None


_UNREADABLE = (
    *(OSError, ValueError, EOFError, UnidentifiedImageError, Image.DecompressionBombError),
    *(TypeError, SyntaxError, AttributeError),  # of numpy: records, broken headers, archives
)


def _decode(file: str, data: bytes) -> Map:
    try:
        if Path(file).suffix.lower() == ".npy":
            values = np.load(io.BytesIO(data), allow_pickle=False).astype(np.float64)
        else:
            values = _linear(data)
    except _UNREADABLE:
        raise UserError(f"light.panorama {file}: not an image; give a PNG, JPEG or .npy") from None
    return _checked(file, values)


def _checked(file: str, values: Map) -> Map:
    """Return values as `[H, W, 3]`; raises UserError where they cannot be radiance."""
    if values.ndim == 2:
        values = np.repeat(values[..., None], 3, axis=2)
    if values.ndim != 3 or values.shape[2] != 3 or min(values.shape[:2]) < 4:
        raise UserError(f"light.panorama {file}: must be [H, W] or [H, W, 3], at least 4 x 4")
    if not np.isfinite(values).all() or values.min() < 0 or values.max() == 0:
        raise UserError(f"light.panorama {file}: must be finite, not negative and not all black")
    return values


def _linear(data: bytes) -> Map:
    """Undo the transfer curve of sRGB (IEC 61966-2-1)."""
    with Image.open(io.BytesIO(data), formats=("PNG", "JPEG")) as image:
        if image.width * image.height > _PIXELS:
            raise ValueError("too large")
        values = np.asarray(image.convert("RGB"), dtype=np.float64) / 255
    bright = ((values + 0.055) / 1.055) ** 2.4
    linear: Map = np.where(values <= 0.04045, values / 12.92, bright)
    return linear


def build(radiance: Map) -> Panorama:
    """Scale a map to the usual mean radiance and prepare it for irradiance and reflections."""
    ways, solid = sphere(*radiance.shape[:2])
    mean = float((radiance.mean(2) * solid).sum() / (4 * math.pi))
    radiance = radiance * (MEAN / mean)
    # Order 2 holds 99% of irradiance (Ramamoorthi & Hanrahan, SIGGRAPH 2001): the moments of the
    # radiance against the harmonics, each times its own polynomial and the cosine's A_l / pi.
    harmonics = _harmonics(ways)
    share = np.array((1, 2 / 3, 2 / 3, 2 / 3, 1 / 4, 1 / 4, 1 / 4, 1 / 4, 1 / 4))
    moments = np.einsum("hwc,hwk,hw->ck", radiance, harmonics, solid) * share @ _POLYNOMIALS
    maps = [torch.from_numpy(_reduced(radiance, rows)) for rows in (_SHARP, _SOFT)]
    return Panorama(torch.from_numpy(moments).float(), *maps)


def sphere(height: int, width: int) -> tuple[Map, NDArray[np.float64]]:
    """Directions `[H, W, 3]` of an equirectangular map's pixels, camera axes, and solid angles."""
    rows, columns = (np.arange(height) + 0.5) / height, (np.arange(width) + 0.5) / width
    fall, across = math.pi * (rows - 0.5)[:, None], 2 * math.pi * (0.5 - columns)[None]
    level = np.cos(fall)
    ways = np.stack(
        np.broadcast_arrays(level * np.sin(across), np.sin(fall), -level * np.cos(across)), -1
    )
    edges = np.sin(math.pi * (np.arange(height + 1) / height - 0.5))
    return ways, np.repeat(np.diff(edges)[:, None] * (2 * math.pi / width), width, axis=1)


# Real spherical harmonics up to order 2 as polynomials over `basis`.
_Y0, _Y1, _Y2, _Y20, _Y22 = (
    math.sqrt(value / math.pi) for value in (1 / 4, 3 / 4, 15 / 4, 5 / 16, 15 / 16)
)
_POLYNOMIALS = np.zeros((9, 9))
_POLYNOMIALS[0, 0] = _Y0
_POLYNOMIALS[[1, 2, 3], [1, 2, 3]] = _Y1
_POLYNOMIALS[[4, 5, 6], [4, 5, 6]] = _Y2
_POLYNOMIALS[7, [0, 7]] = -_Y20, 3 * _Y20
_POLYNOMIALS[8, [8]] = _Y22


def _harmonics(ways: Map) -> NDArray[np.float64]:
    x, y, z = np.moveaxis(ways, -1, 0)
    terms = (np.ones_like(x), x, y, z, x * y, y * z, x * z, z * z, x * x - y * y)
    found: NDArray[np.float64] = np.stack(terms, -1) @ _POLYNOMIALS.T
    return found


def _reduced(radiance: Map, rows: int) -> NDArray[np.float32]:
    """A small map `[1, 3, rows, 2 rows + 2]`, averaged, closed at its ends."""
    small = [
        Image.fromarray(radiance[..., k].astype(np.float32)).resize(
            (2 * rows, rows), Image.Resampling.BOX
        )
        for k in range(3)
    ]
    stacked = np.stack([np.asarray(channel) for channel in small])
    closed: NDArray[np.float32] = np.concatenate((stacked[..., -1:], stacked, stacked[..., :1]), -1)
    return closed[None]


@dataclass(frozen=True)
class Sky:
    """A panorama as the eyes of a batch have it around them."""

    moments: Tensor
    """[C, 9]"""
    sharp: Tensor
    """[1, C, 64, 130]"""
    soft: Tensor
    cos: Tensor
    """[B, 1, 1] of the turn to the image's right."""
    sin: Tensor


def sky(panorama: Panorama, turn_deg: Tensor, grey: bool) -> Sky:
    """Turn a panorama `[B, 1, 1]` degrees to the image's right, in colour or in one channel."""
    moments, sharp, soft = (
        value.to(turn_deg) for value in (panorama.moments, panorama.sharp, panorama.soft)
    )
    if grey:
        moments, sharp, soft = moments.mean(0, True), sharp.mean(1, True), soft.mean(1, True)
    angle = torch.deg2rad(turn_deg)
    return Sky(moments, sharp, soft, angle.cos(), angle.sin())


def _turned(around: Sky, way: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    x, y, z = way
    return x * around.cos + z * around.sin, y, z * around.cos - x * around.sin


def irradiance(around: Sky, normal: Tensor) -> Tensor:
    """Irradiance over pi `[C, B, H, W]` at unit normals."""
    x, y, z = _turned(around, normal)
    m = around.moments[:, :, None, None, None].unbind(1)
    even = m[0] + m[1] * x + m[2] * y + m[3] * z
    square = m[4] * x * y + m[5] * y * z + m[6] * x * z + m[7] * z * z + m[8] * (x * x - y * y)
    return (even + square).clamp(min=0)


def radiance(around: Sky, way: Tensor, footprint: Tensor) -> Tensor:
    """Radiance `[C, B, H, W]` from unit directions, averaged over about `footprint` rad."""
    x, y, z = _turned(around, way)
    column = turn(-z, -x)
    row = 2 * turn(sqrt(x * x + z * z), y) - 0.5
    fine = math.pi / _SHARP
    share = ((footprint / fine - 1) / (_SHARP / _SOFT - 1)).clamp(0, 1)
    sharp, soft = (_look(level, column, row) for level in (around.sharp, around.soft))
    return sharp + (soft - sharp) * share


def _look(level: Tensor, column: Tensor, row: Tensor) -> Tensor:
    """Sample a map at places 0..1 across and down."""
    wide = level.shape[-1]
    at = torch.stack((2 * (column * (wide - 2) + 1) / wide - 1, 2 * row - 1), -1)
    maps = level.expand(len(at), *level.shape[1:])
    return F.grid_sample(maps, at, padding_mode="border", align_corners=False).transpose(0, 1)
