"""Figures that explain networks: curves side by side, and bars of what moves an answer."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from numpy.typing import ArrayLike

from gazegan.plots.axes import dress, legend, png_of, styles
from gazegan.plots.palette import FAINT, INK, SERIES, Floats, floats

_BARS, _COLUMNS = 12, 3


@dataclass(frozen=True)
class Panel:
    """Named lines in axes of their own."""

    title: str
    x: str
    y: str
    lines: Mapping[str, tuple[ArrayLike, ArrayLike]]
    baseline: str = ""
    """The line that is drawn dashed."""


@dataclass(frozen=True)
class Moves:
    """How far an answer goes, in degrees, where each of P parameters rises by its spread."""

    title: str
    slope: ArrayLike
    """[P] to first order."""
    swing: ArrayLike
    """[P] from half a spread below to half above."""
    truth: ArrayLike
    """[P] how far the true answer goes."""
    image: ArrayLike | None = None
    """[C, H, W] in 0..1: the eye, if it is a single one."""


def curve_panels(panels: Sequence[Panel]) -> bytes:
    """Draw panels of lines over percentages side by side as PNG; the first has the legend."""
    figure = Figure(figsize=(4.3 * len(panels), 3.6), dpi=110, layout="constrained")
    for place, panel in enumerate(panels, start=1):
        axes = figure.add_subplot(1, len(panels), place)
        dress(axes, panel.title, panel.x, panel.y)
        names = [name for name in panel.lines if name != panel.baseline]
        drawn = dict(zip([*names, panel.baseline], styles(len(names)), strict=True))
        for name, (x, y) in panel.lines.items():
            axes.plot(floats(x), floats(y), label=name, **drawn[name])
        lowest = min(float(floats(y).min()) for _, y in panel.lines.values())
        axes.set(xlim=(0, 100), ylim=(None if lowest < 0 else 0, None))
        if place == 1:
            legend(axes, loc="lower right")
    return png_of(figure)


def move_bars(panels: Sequence[Moves], names: Sequence[str], marked: Sequence[str]) -> bytes:
    """Draw for each panel the parameters that move its answer most, as bars, as PNG.

    `names` `[P]` are those of the parameters; those `marked` have another colour and are always
    drawn. Bars are slopes, circles swings, and a line across says how far the true answer goes.
    """
    rows, columns = -(-len(panels) // _COLUMNS), min(_COLUMNS, len(panels))
    figure = Figure(figsize=(4.6 * columns, 4.6 * rows), dpi=100, layout="constrained")
    cells = figure.subfigures(rows, columns, squeeze=False, hspace=0.04).flat
    for cell, panel in zip(cells, panels, strict=False):
        above, below = cell.subplots(2, 1, height_ratios=(1, 3.6))
        _head(above, panel, marked)
        _bars(below, panel, names, marked)
    return png_of(figure)


def _head(axes: Axes, panel: Moves, marked: Sequence[str]) -> None:
    """Show the eye under the title, or what the colours mean."""
    axes.set_title(panel.title, loc="left", color=INK, fontsize=12.5, fontweight="bold")
    axes.set_axis_off()
    if panel.image is not None:
        image = floats(panel.image)
        shown = np.repeat(image, 4 - len(image), 0)[:3].transpose(1, 2, 0).clip(0, 1)
        axes.imshow(shown, interpolation="nearest")
        axes.set_anchor("W")
        return
    told = (
        (SERIES[1], " and ".join(name.replace("_", " ") for name in marked)),
        (SERIES[0], "everything else: should move nothing"),
        (INK, "circle: over the whole deviation; line: the true answer"),
    )
    for row, (colour, text) in enumerate(told):
        axes.text(0, 0.75 - 0.32 * row, text, color=colour, fontsize=10, transform=axes.transAxes)


def _bars(axes: Axes, panel: Moves, names: Sequence[str], marked: Sequence[str]) -> None:
    slope, swing, truth = (floats(part) for part in (panel.slope, panel.swing, panel.truth))
    chosen = _strongest(slope, [names.index(name) for name in marked])
    rows = np.arange(len(chosen))[::-1]
    dress(axes, "", "degrees for one standard deviation", "")
    axes.grid(visible=False, axis="y")
    colours = [SERIES[1] if names[k] in marked else SERIES[0] for k in chosen]
    axes.barh(rows, slope[chosen], height=0.7, color=colours)
    axes.plot(swing[chosen], rows, "o", color=INK, markerfacecolor="white", markersize=5)
    for row, k in zip(rows, chosen, strict=True):
        if truth[k]:
            axes.plot([truth[k]] * 2, [row - 0.45, row + 0.45], color=INK, linewidth=2)
    axes.margins(x=0.08)
    axes.axvline(0, color=FAINT, linewidth=1)
    axes.set_yticks(rows, [names[k].replace("_", " ") for k in chosen])


def _strongest(values: Floats, always: Sequence[int]) -> list[int]:
    """Places of the largest absolute values, largest first, with those of `always` among them."""
    order = [int(k) for k in np.argsort(-np.abs(values), kind="stable")]
    others = [k for k in order if k not in always and values[k]][: max(0, _BARS - len(always))]
    return [k for k in order if k in others or k in always]
