"""Sheets of eyes: rows of small images, enlarged, with captions."""

import io
import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache

import numpy as np
from matplotlib.font_manager import findfont
from numpy.typing import ArrayLike
from PIL import Image, ImageDraw, ImageFont

from gazegan.plots.palette import FAINT, INK, floats

_GAP = 8


@dataclass(frozen=True)
class Row:
    """One row of a contact sheet: images `[C, H, W]` in 0..1, C = 1 or 3, with captions."""

    label: str
    images: Sequence[ArrayLike]
    captions: Sequence[str] = ()
    """One below each image; empty for none."""


def contact_sheet(
    rows: Sequence[Row], title: str = "", note: str = "", cell: int = 120
) -> Image.Image:
    """Lay rows of eyes under a title and above a note.

    Small images are enlarged by the whole factor that comes nearest to `cell` pixels of width.
    """
    cells = [[_enlarged(image, cell) for image in row.images] for row in rows]
    label_width = max((_text_width(row.label, 14) for row in rows), default=0)
    left = 2 * _GAP + (label_width + _GAP if label_width else 0)
    column = max(_widest(row, images) for row, images in zip(rows, cells, strict=True)) + _GAP
    texts = [_text_width(title, 16) + 4 * _GAP, _text_width(note, 12) + 4 * _GAP]
    width = max(left + column * max(map(len, cells)) + _GAP, *texts)
    heights = [_row_height(row, images) for row, images in zip(rows, cells, strict=True)]
    top = 40 if title else 2 * _GAP
    sheet = Image.new("RGB", (width, top + sum(heights) + (30 if note else _GAP)), "white")
    draw = ImageDraw.Draw(sheet)
    draw.text((2 * _GAP, 11), title, fill=INK, font=_font(16))
    for row, images, height in zip(rows, cells, heights, strict=True):
        _draw_row(sheet, draw, row, images, (left, top), column)
        top += height
    draw.text((2 * _GAP, top + 4), note, fill=FAINT, font=_font(12))
    return sheet


def png(image: Image.Image) -> bytes:
    """Encode a picture as PNG; equal pictures give equal bytes."""
    buffer = io.BytesIO()
    image.save(buffer, "PNG")
    return buffer.getvalue()


def _draw_row(
    sheet: Image.Image,
    draw: ImageDraw.ImageDraw,
    row: Row,
    images: list[Image.Image],
    corner: tuple[int, int],
    column: int,
) -> None:
    left, top = corner
    tallest = max((image.height for image in images), default=0)
    draw.text((2 * _GAP, top + tallest // 2), row.label, fill=INK, font=_font(14), anchor="lm")
    for place, image in enumerate(images):
        sheet.paste(image, (left + place * column + (column - _GAP - image.width) // 2, top))
    for place, caption in enumerate(row.captions):
        middle = left + place * column + (column - _GAP) // 2
        draw.text((middle, top + tallest + 3), caption, fill=FAINT, font=_font(12), anchor="ma")


def _row_height(row: Row, images: list[Image.Image]) -> int:
    return max((i.height for i in images), default=0) + _GAP + (17 if any(row.captions) else 0)


def _widest(row: Row, images: list[Image.Image]) -> int:
    captions = (_text_width(caption, 12) for caption in row.captions)
    return max((*(image.width for image in images), *captions), default=0)


def _enlarged(image: ArrayLike, cell: int) -> Image.Image:
    """Turn `[C, H, W]` in 0..1 into a picture about `cell` wide, its pixels kept square."""
    values = np.clip(floats(image), 0, 1)
    pixels = np.rint(255 * np.repeat(values, 4 - len(values), 0)[:3]).astype(np.uint8)
    picture = Image.fromarray(np.ascontiguousarray(pixels.transpose(1, 2, 0)))
    factor = max(1, round(cell / picture.width))
    return picture.resize(
        (factor * picture.width, factor * picture.height), Image.Resampling.NEAREST
    )


@cache
def _font(size: int) -> ImageFont.FreeTypeFont:
    return ImageFont.truetype(findfont("DejaVu Sans"), size)


def _text_width(text: str, size: int) -> int:
    return math.ceil(_font(size).getlength(text))
