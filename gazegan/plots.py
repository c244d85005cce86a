"""Pictures of results: error curves, scatter, attribution overlays and sheets of eyes.

Every function takes plain arrays (NumPy, CPU tensors or lists) and keeps no global state.
"""

import io
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from typing import Any, Literal

import numpy as np
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.font_manager import findfont
from numpy.typing import ArrayLike, NDArray
from PIL import Image, ImageDraw, ImageFont
from scipy.ndimage import gaussian_filter

Floats = NDArray[np.float64]
Corner = Literal["upper left", "lower right"]

INK, FAINT, GRID = "#24292f", "#69717c", "#e4e7eb"
SERIES = ("#1f6f9c", "#d1603d", "#3d8b5f", "#8a5ba6", "#b8892a")
"""Line colours in the order in which a figure uses them."""

_RAISES, _LOWERS = np.array((0.80, 0.16, 0.12)), np.array((0.10, 0.32, 0.75))
_HOT = np.array((1.0, 0.62, 0.05))
_GAP = 8


@dataclass(frozen=True)
class Row:
    """One row of a contact sheet: images `[C, H, W]` in 0..1, C = 1 or 3, with captions."""

    label: str
    images: Sequence[ArrayLike]
    captions: Sequence[str] = ()
    """One below each image; empty for none."""


def error_curve(
    errors: Mapping[str, ArrayLike], constant: ArrayLike, title: str = "Cumulative gaze error"
) -> bytes:
    """Draw which share of eyes stays within each error, beside the constant predictor, as PNG.

    `errors` maps a name to the errors `[N]` in degrees of one predictor; `constant` holds those
    of the constant predictor.
    """
    figure, axes = _figure(title, "angular error (degrees)", "share of eyes (%)")
    named = {name: _floats(values) for name, values in errors.items()}
    named["constant predictor"] = _floats(constant)
    for (name, values), style in zip(named.items(), _styles(len(errors)), strict=True):
        share = np.r_[0, 100 * np.arange(1, len(values) + 1) / len(values), 100]
        label = f"{name}: median {np.median(values):.1f}°, mean {values.mean():.1f}°"
        axes.step(np.r_[0, np.sort(values), 180], share, where="post", label=label, **style)
    farthest = max(1.0, *(float(np.quantile(values, 0.98)) for values in named.values()))
    axes.axhline(50, color=GRID, linewidth=1.6, zorder=0)
    axes.set(xlim=(0, 1.04 * farthest), ylim=(0, 101))
    _legend(axes, loc="lower right")
    return _png(figure)


def epsilon_curve(
    epsilons: ArrayLike,
    clean_deg: float,
    errors: Mapping[str, ArrayLike],
    constant_deg: float | None = None,
    title: str = "Gaze error under attack",
) -> bytes:
    """Draw mean errors in degrees against the size of the change of the image, as PNG.

    `epsilons` `[E]` are fractions of the range 0..1; `errors` maps a name to `[E]` degrees.
    `constant_deg` is the error of the constant predictor, which no attack can reach.
    """
    figure, axes = _figure(title, "largest change of a pixel (1/255)", "mean error (degrees)")
    x = np.r_[0, 255 * _floats(epsilons)]
    order = np.argsort(x, kind="stable")
    for (name, values), style in zip(errors.items(), _styles(len(errors)), strict=False):
        y = np.r_[clean_deg, _floats(values)]
        axes.plot(x[order], y[order], marker="o", markersize=4.5, label=name, **style)
    axes.axhline(clean_deg, color=FAINT, linestyle=(0, (1, 2)), linewidth=1.6, label="unchanged")
    if constant_deg is not None:
        axes.axhline(constant_deg, label="constant predictor", **_styles(0)[-1])
    axes.set(xlim=(0, 1.03 * float(x.max()) or 1.0), ylim=(0, None))
    _legend(axes, loc="upper left")
    return _png(figure)


def truth_scatter(predicted_deg: ArrayLike, true_deg: ArrayLike) -> bytes:
    """Draw predicted on true pitch and yaw, both `[N, 2]` degrees, with the fitted line, as PNG."""
    figure = Figure(figsize=(9, 4.6), dpi=110, layout="constrained")
    names = ("vertical (pitch)", "horizontal (yaw)")
    columns = zip(names, _floats(true_deg).T, _floats(predicted_deg).T, strict=True)
    for place, (name, x, y) in enumerate(columns, start=1):
        axes = figure.add_subplot(1, 2, place)
        _dress(axes, name, "true (degrees)", "predicted (degrees)")
        _scatter(axes, x, y)
    return _png(figure)


def _scatter(axes: Axes, x: Floats, y: Floats) -> None:
    low, high = float(min(x.min(), y.min())), float(max(x.max(), y.max()))
    pad = 0.05 * (high - low) or 1.0
    limits = np.array((low - pad, high + pad))
    axes.plot(limits, limits, color=FAINT, linestyle=(0, (4, 3)), linewidth=1.4, label="perfect")
    opacity = float(np.clip(10 / np.sqrt(len(x)), 0.15, 0.7))
    axes.scatter(x, y, s=11, color=SERIES[0], alpha=opacity, linewidths=0)
    if np.ptp(x) > 0:
        slope = float(np.cov(x, y, bias=True)[0, 1] / x.var())
        fitted = y.mean() + slope * (limits - x.mean())
        axes.plot(limits, fitted, color=SERIES[1], linewidth=2, label=f"fit, slope {slope:.2f}")
    axes.set(xlim=limits, ylim=limits, aspect="equal")
    _legend(axes, loc="upper left")


def overlay(image: ArrayLike, attribution: ArrayLike, limit: float | None = None) -> Floats:
    """Lay a signed map `[C, H, W]` over the grey image `[C, H, W]`; returns `[3, H, W]` in 0..1.

    Red raises the output, blue lowers it; colour is full at `limit`, by default the 99th
    percentile of this map's absolute values.
    """
    grey, signed = _floats(image).mean(0), _floats(attribution).sum(0)
    full = limit or float(np.quantile(np.abs(signed), 0.99)) or 1.0
    strength = np.clip(np.abs(signed) / full, 0, 1) ** 0.75
    colour = np.where(signed[..., None] > 0, _RAISES, _LOWERS)
    paper = (0.25 + 0.7 * grey)[..., None]
    mixed: Floats = paper + strength[..., None] * (colour - paper)
    return mixed.transpose(2, 0, 1)


def heat(image: ArrayLike, attribution: ArrayLike, sigma_px: float = 1.5) -> Floats:
    """Lay where a map `[C, H, W]` is strong, of either sign, over the grey image `[C, H, W]`.

    The absolute map is smoothed by a Gaussian, so that single pixels do not hide the places.
    Returns `[3, H, W]` in 0..1; colour is full at the strongest place.
    """
    grey = _floats(image).mean(0)
    weight = gaussian_filter(np.abs(_floats(attribution)).sum(0), sigma_px)
    strength = (weight / (weight.max() or 1.0))[..., None]
    paper = (0.2 + 0.6 * grey)[..., None]
    mixed: Floats = paper + 0.85 * strength * (_HOT - paper)
    return mixed.transpose(2, 0, 1)


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
    values = np.clip(_floats(image), 0, 1)
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


def _floats(values: ArrayLike) -> Floats:
    return np.asarray(values, dtype=np.float64)


def _styles(count: int) -> list[dict[str, Any]]:
    """Line styles of `count` series, and the dashed one of a baseline last."""
    lines = [{"color": SERIES[i % len(SERIES)], "linewidth": 2.2} for i in range(count)]
    return [*lines, {"color": FAINT, "linewidth": 1.8, "linestyle": (0, (4, 3))}]


def _figure(title: str, x: str, y: str) -> tuple[Figure, Axes]:
    figure = Figure(figsize=(7.2, 4.6), dpi=110, layout="constrained")
    axes = figure.add_subplot()
    _dress(axes, title, x, y)
    return figure, axes


def _dress(axes: Axes, title: str, x: str, y: str) -> None:
    axes.set_title(title, loc="left", color=INK, fontsize=12.5, fontweight="bold", pad=10)
    axes.set_xlabel(x, color=INK, fontsize=10.5)
    axes.set_ylabel(y, color=INK, fontsize=10.5)
    axes.grid(color=GRID, linewidth=0.9)
    axes.set_axisbelow(True)
    axes.spines[["top", "right"]].set_visible(False)
    axes.spines[["left", "bottom"]].set_color(FAINT)
    axes.tick_params(colors=FAINT, labelcolor=INK, labelsize=9.5)


def _legend(axes: Axes, loc: Corner) -> None:
    axes.legend(
        loc=loc, fontsize=9.5, labelcolor=INK, facecolor="white", framealpha=0.9, edgecolor="none"
    )


def _png(figure: Figure) -> bytes:
    buffer = io.BytesIO()
    FigureCanvasAgg(figure)
    figure.savefig(buffer, format="png", metadata={"Software": None})
    return buffer.getvalue()
