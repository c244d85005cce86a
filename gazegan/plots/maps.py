"""Maps of samples in the plane, coloured by what they are or where they look."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from numpy.typing import ArrayLike

from gazegan.plots.axes import png_of
from gazegan.plots.palette import FAINT, GRID, INK, SERIES, Floats, floats

_MARKERS = ("o", "s", "^", "D")
_MOST = len(SERIES) * len(_MARKERS)
_DOT, _UNKNOWN = 13.0, "#d5d9de"
_WORDS: dict[str, Any] = {"color": INK, "fontsize": 9}
_SIDE, _ABOVE, _BELOW = 4.4, 0.4, 1.6
"""Inches: width of a panel, room for its title, and for its key and the note."""


@dataclass(frozen=True)
class Kinds:
    """Colours by kind: a name for each of N samples, empty where it is unknown."""

    title: str
    names: Sequence[str]


@dataclass(frozen=True)
class Directions:
    """Colours by direction: hue tells `[N]` degrees in 0..360, strength the eccentricity `[N]`."""

    title: str
    direction_deg: ArrayLike
    eccentricity_deg: ArrayLike
    """Degrees; NaN where unknown, as may be the direction."""


def embedding_map(places: ArrayLike, panels: Sequence[Kinds | Directions], note: str) -> bytes:
    """Draw a map `[N, 2]` once for each colouring, side by side above a note, as PNG.

    Axes have no ticks, since those of such maps mean nothing; both have the same scale.
    """
    x, y = floats(places).T
    ratio = float(np.clip(np.ptp(y) / (np.ptp(x) or 1.0), 0.5, 1.5))
    width = 0.2 + (_SIDE + 0.2) * len(panels)
    height = _ABOVE + ratio * _SIDE + _BELOW
    figure = Figure(figsize=(width, height), dpi=110)
    for number, panel in enumerate(panels):
        left = (0.2 + number * (_SIDE + 0.2)) / width
        place = (left, _BELOW / height, _SIDE / width, ratio * _SIDE / height)
        axes = figure.add_axes(place, xticks=(), yticks=())
        axes.set_title(panel.title, loc="left", color=INK, fontsize=12.5, fontweight="bold")
        axes.set_aspect("equal", adjustable="datalim")
        axes.spines[:].set_color(GRID)
        if isinstance(panel, Kinds):
            _draw_kinds(axes, x, y, panel.names)
        else:
            _draw_directions(axes, x, y, panel)
            _draw_wheel(figure, left + _SIDE / width / 2, _full_deg(panel))
    figure.text(0.2 / width, 0.12 / height, note, color=FAINT, fontsize=9.5)
    return png_of(figure)


def _draw_kinds(axes: Axes, x: Floats, y: Floats, names: Sequence[str]) -> None:
    named, labels = np.asarray(names), Counter(name for name in names if name)
    shown = sorted(name for name, _ in labels.most_common(_MOST))
    for k, name in enumerate(shown):
        marker = _MARKERS[k // len(SERIES) if len(shown) > len(_MARKERS) else k]
        dots, colour = named == name, SERIES[k % len(SERIES)]
        axes.scatter(
            x[dots], y[dots], s=_DOT, c=colour, marker=marker, label=name, edgecolors="white",
            linewidths=0.25,
        )  # fmt: skip
    rest = ~np.isin(named, shown)
    if rest.any():
        label = "others" if len(labels) > _MOST else "unknown"
        axes.scatter(
            x[rest], y[rest], s=_DOT, color=_UNKNOWN, linewidths=0, zorder=0.5, label=label
        )
    longest = max((len(name) for name in shown), default=0)
    axes.legend(
        loc="upper center", bbox_to_anchor=(0.5, -0.01), ncols=max(1, min(5, 44 // (longest + 4))),
        fontsize=9, labelcolor=INK, frameon=False, markerscale=1.6, handletextpad=0.1,
        columnspacing=0.9, borderaxespad=0.2,
    )  # fmt: skip


def _draw_directions(axes: Axes, x: Floats, y: Floats, panel: Directions) -> None:
    angle, off = floats(panel.direction_deg), floats(panel.eccentricity_deg)
    known = ~np.isnan(off)
    axes.scatter(x[~known], y[~known], s=_DOT, color=_UNKNOWN, linewidths=0)
    colours = direction_colours(angle[known], (off[known] / _full_deg(panel)).clip(0, 1))
    axes.scatter(x[known], y[known], s=_DOT, c=colours, linewidths=0)


def _full_deg(panel: Directions) -> float:
    """Return the eccentricity at which colours are full."""
    off = floats(panel.eccentricity_deg)
    return max(1.0, float(np.nanquantile(off, 0.95)))


def _draw_wheel(figure: Figure, middle: float, full_deg: float) -> None:
    """Draw the key of directions below a panel: where the gaze goes, as the camera sees it."""
    width, height = figure.get_size_inches()
    side = 0.72
    place = (middle - side / 2 / width, 0.62 / height, side / width, side / height)
    wheel = figure.add_axes(place, xlim=(-1, 1), ylim=(-1, 1))
    y, x = np.mgrid[1:-1:160j, -1:1:160j]
    radius = np.hypot(x, y)
    colours = direction_colours(np.degrees(np.arctan2(y, x)), radius.clip(0, 1))
    shade = (radius <= 1).astype(np.float64)[..., None]
    wheel.imshow(np.concatenate((colours, shade), -1), extent=(-1, 1, -1, 1))
    wheel.set_axis_off()
    wheel.text(1.12, 0, f"right (full from {full_deg:.0f}°)", ha="left", va="center", **_WORDS)
    wheel.text(-1.12, 0, "left", ha="right", va="center", **_WORDS)
    wheel.text(0, 1.08, "up", ha="center", va="bottom", **_WORDS)
    wheel.text(0, -1.12, "down", ha="center", va="top", **_WORDS)


def direction_colours(direction_deg: ArrayLike, strength: ArrayLike) -> Floats:
    """Return RGB `[..., 3]` in 0..1: hue by direction `[...]`, grey at strength 0, full at 1.

    All are equally light, so that no direction stands out (Ottosson's Oklab, 2020).
    """
    angle, chroma = np.radians(floats(direction_deg)), 0.14 * floats(strength)
    lab = np.stack((np.full_like(angle, 0.7), chroma * np.cos(angle), chroma * np.sin(angle)), -1)
    linear = ((lab @ _TO_CONES.T) ** 3) @ _TO_RGB.T
    shown: Floats = linear.clip(0, 1) ** (1 / 2.2)
    return shown


_TO_CONES = np.array(
    (
        (1, 0.3963377774, 0.2158037573),
        (1, -0.1055613458, -0.0638541728),
        (1, -0.0894841775, -1.2914855480),
    )
)
_TO_RGB = np.array(
    (
        (4.0767416621, -3.3077115913, 0.2309699292),
        (-1.2684380046, 2.6097574011, -0.3413193965),
        (-0.0041960863, -0.7034186147, 1.7076147010),
    )
)
