"""Axes that all figures share: their frame, legend, line styles, and how they become PNG."""

import io
from typing import Any, Literal

from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

from gazegan.plots.palette import FAINT, GRID, INK, SERIES

Corner = Literal["upper left", "lower right", "best"]


def styles(count: int) -> list[dict[str, Any]]:
    """Line styles of `count` series, and the dashed one of a baseline last."""
    colours = len(SERIES)
    lines: list[dict[str, Any]] = [
        {"color": SERIES[i % colours], "linewidth": 2.2, "linestyle": "-" if i < colours else "-."}
        for i in range(count)
    ]
    return [*lines, {"color": FAINT, "linewidth": 1.8, "linestyle": (0, (4, 3))}]


def new_figure(title: str, x: str, y: str) -> tuple[Figure, Axes]:
    """Return a figure of 792 x 506 px and its axes, dressed."""
    figure = Figure(figsize=(7.2, 4.6), dpi=110, layout="constrained")
    axes = figure.add_subplot()
    dress(axes, title, x, y)
    return figure, axes


def dress(axes: Axes, title: str, x: str, y: str) -> None:
    """Give axes a title, the labels `x` and `y`, a grid and a frame of two sides."""
    axes.set_title(title, loc="left", color=INK, fontsize=12.5, fontweight="bold", pad=10)
    axes.set_xlabel(x, color=INK, fontsize=10.5)
    axes.set_ylabel(y, color=INK, fontsize=10.5)
    axes.grid(color=GRID, linewidth=0.9)
    axes.set_axisbelow(True)
    axes.spines[["top", "right"]].set_visible(False)
    axes.spines[["left", "bottom"]].set_color(FAINT)
    axes.tick_params(colors=FAINT, labelcolor=INK, labelsize=9.5)


def legend(axes: Axes, loc: Corner) -> None:
    """Put the legend at a corner of the axes, or where there is most room."""
    axes.legend(
        loc=loc, fontsize=9.5, labelcolor=INK, facecolor="white", framealpha=0.9, edgecolor="none"
    )


def png_of(figure: Figure) -> bytes:
    """Return the bytes of a figure as PNG, without the name of the software."""
    buffer = io.BytesIO()
    FigureCanvasAgg(figure)
    figure.savefig(buffer, format="png", metadata={"Software": None})
    return buffer.getvalue()
