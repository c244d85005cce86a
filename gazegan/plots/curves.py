"""Figures with axes: error curves, errors under attack, scatter, the course of training."""

import textwrap
from collections.abc import Mapping
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.layout_engine import ConstrainedLayoutEngine
from numpy.typing import ArrayLike

from gazegan.plots.axes import dress, legend, new_figure, png_of, styles
from gazegan.plots.palette import FAINT, GRID, INK, SERIES, Floats, floats

_MOST_PANELS, _TITLE = 3, 24
"""Side by side, and letters in a line of the title of one."""


def error_curve(
    errors: Mapping[str, ArrayLike], constant: ArrayLike, title: str = "Cumulative gaze error"
) -> bytes:
    """Draw which share of eyes stays within each error, beside the constant predictor, as PNG.

    `errors` maps a name to the errors `[N]` in degrees of one predictor; `constant` holds those
    of the constant predictor.
    """
    figure, axes = new_figure(title, "angular error (degrees)", "share of eyes (%)")
    named = {name: floats(values) for name, values in errors.items()}
    named["constant predictor"] = floats(constant)
    for (name, values), style in zip(named.items(), styles(len(errors)), strict=True):
        share = np.r_[0, 100 * np.arange(1, len(values) + 1) / len(values), 100]
        label = f"{name}: median {np.median(values):.1f}°, mean {values.mean():.1f}°"
        axes.step(np.r_[0, np.sort(values), 180], share, where="post", label=label, **style)
    farthest = max(1.0, *(float(np.quantile(values, 0.98)) for values in named.values()))
    axes.axhline(50, color=GRID, linewidth=1.6, zorder=0)
    axes.set(xlim=(0, 1.04 * farthest), ylim=(0, 101))
    legend(axes, loc="lower right")
    return png_of(figure)


def epsilon_curve(
    epsilons: ArrayLike,
    clean_deg: float,
    errors: Mapping[str, ArrayLike],
    constant_deg: float | None = None,
    title: str = "Gaze error under attack",
    size: str = "largest change of a pixel (1/255)",
    value: str = "mean error (degrees)",
    unit: float = 255.0,
) -> bytes:
    """Draw mean errors in degrees against the size of the change of the image, as PNG.

    `epsilons` `[E]` times `unit` are `size`, fractions of the range 0..1 unless told otherwise;
    `errors` maps a name to `[E]` degrees of `value`. `constant_deg` is the error of the constant
    predictor, which no attack can reach.
    """
    figure, axes = new_figure(title, size, value)
    x = np.r_[0, unit * floats(epsilons)]
    order = np.argsort(x, kind="stable")
    for (name, values), style in zip(errors.items(), styles(len(errors)), strict=False):
        y = np.r_[clean_deg, floats(values)]
        axes.plot(x[order], y[order], marker="o", markersize=4.5, label=name, **style)
    axes.axhline(clean_deg, color=FAINT, linestyle=(0, (1, 2)), linewidth=1.6, label="unchanged")
    if constant_deg is not None:
        axes.axhline(constant_deg, label="constant predictor", **styles(0)[-1])
    axes.set(xlim=(0, 1.03 * float(x.max()) or 1.0), ylim=(0, None))
    legend(axes, loc="best")
    return png_of(figure)


def bars(values: Mapping[str, float], lines: Mapping[str, float], x: str, title: str) -> bytes:
    """Draw named values as bars, the first at the top, and named levels across them, as PNG."""
    figure = Figure(figsize=(7.2, 1.4 + 0.24 * len(values)), dpi=110, layout="constrained")
    axes = figure.add_subplot()
    dress(axes, title, x, "")
    axes.barh(range(len(values)), list(values.values()), color=SERIES[0], height=0.66)
    axes.set_yticks(range(len(values)), list(values))
    axes.invert_yaxis()
    axes.grid(visible=False, axis="y")
    for place, (name, level) in enumerate(lines.items()):
        colour = SERIES[1 + place % (len(SERIES) - 1)]
        dashes: Any = (0, (4, 3))
        label = f"{name}: {level:.1f}"
        axes.axvline(level, color=colour, linewidth=1.8, linestyle=dashes, label=label)
    axes.set(xlim=(0, None))
    figure.legend(loc="outside lower center", ncols=len(lines), fontsize=9.5, frameon=False)
    return png_of(figure)


def shots_curve(
    shots: ArrayLike, mean_deg: ArrayLike, se_deg: ArrayLike, constant_deg: float, samples: str
) -> bytes:
    """Draw mean errors `[K]` in degrees, with bars of `se_deg` `[K]`, against numbers of samples.

    `constant_deg` is the error of the constant predictor; `samples` says what they are of.
    """
    figure, axes = new_figure("Gaze error after calibration", samples, "mean error (degrees)")
    x, (line, baseline) = floats(shots), styles(1)
    axes.errorbar(x, floats(mean_deg), floats(se_deg), marker="o", capsize=3, label="mean", **line)
    axes.axhline(constant_deg, label="constant predictor", **baseline)
    axes.set(xticks=x, ylim=(0, None))
    legend(axes, loc="lower right")
    return png_of(figure)


def reliability_diagram(nominal: ArrayLike, inside: Mapping[str, ArrayLike]) -> bytes:
    """Draw which share of truths lies inside central intervals of `nominal` `[L]` shares, as PNG.

    `inside` maps an angle to its shares `[L]`; all are in 0..1. Below the diagonal, predicted
    spreads are too narrow.
    """
    figure = Figure(figsize=(5.4, 5.2), dpi=110, layout="constrained")
    axes = figure.add_subplot()
    x, y = "nominal share of the central interval (%)", "truths inside (%)"
    dress(axes, "Reliability of predicted spreads", x, y)
    *lines, diagonal = styles(len(inside))
    for (name, shares), style in zip(inside.items(), lines, strict=True):
        across, up = 100 * floats(nominal), 100 * floats(shares)
        axes.plot(across, up, marker="o", markersize=4.5, label=name, **style)
    axes.plot((0, 100), (0, 100), label="calibrated", **diagonal)
    axes.set(xlim=(0, 101), ylim=(0, 101), aspect="equal")
    legend(axes, loc="upper left")
    return png_of(figure)


def truth_scatter(predicted_deg: ArrayLike, true_deg: ArrayLike) -> bytes:
    """Draw predicted on true pitch and yaw, both `[N, 2]` degrees, with the fitted line, as PNG."""
    figure = Figure(figsize=(9, 4.6), dpi=110, layout="constrained")
    names = ("vertical (pitch)", "horizontal (yaw)")
    columns = zip(names, floats(true_deg).T, floats(predicted_deg).T, strict=True)
    for place, (name, x, y) in enumerate(columns, start=1):
        axes = figure.add_subplot(1, 2, place)
        dress(axes, name, "true (degrees)", "predicted (degrees)")
        _scatter(axes, x, y)
    return png_of(figure)


def training_curves(panels: Mapping[str, Mapping[str, tuple[ArrayLike, ArrayLike]]]) -> bytes:
    """Draw how values went over the steps of training, one small figure a panel, three in a row.

    `panels` maps a title to named lines, each a pair of steps `[N]` and values `[N]`.
    """
    columns = min(len(panels), _MOST_PANELS)
    rows = -(-len(panels) // _MOST_PANELS)
    figure = Figure(figsize=(3.5 * columns, 3.0 * rows), dpi=110, layout="constrained")
    for place, (title, lines) in enumerate(panels.items(), start=1):
        axes = figure.add_subplot(rows, columns, place)
        dress(axes, textwrap.fill(title, _TITLE), "step", "")
        for (name, (steps, values)), style in zip(lines.items(), styles(len(lines)), strict=False):
            axes.plot(floats(steps), floats(values), label=name, **{**style, "linewidth": 1.5})
        if len(lines) > 1:
            legend(axes, loc="best")
    return png_of(figure)


def schedule_curve(
    epochs: ArrayLike, rates: ArrayLike, title: str = "Learning rate, as planned"
) -> bytes:
    """Draw learning rates `[N]` at ascending `epochs` `[N]` of a training, as PNG."""
    figure, axes = new_figure(title, "epoch", "learning rate")
    axes.plot(floats(epochs), floats(rates), **styles(1)[0])
    axes.set(xlim=(0, None), ylim=(0, None))
    return png_of(figure)


def receptive_fields(
    image: ArrayLike,
    boxes: Mapping[str, tuple[int, int, int, int]],
    title: str,
    seen: tuple[int, int, int, int] | None = None,
) -> bytes:
    """Draw (top, left, bottom, right) px boxes on an image `[C, H, W]` in 0..1, as PNG.

    Boxes may reach beyond the image, or the part of it that is `seen`; what they see there is
    padding.
    """
    values = np.clip(floats(image), 0, 1)
    pixels = np.repeat(values, 4 - len(values), 0)[:3].transpose(1, 2, 0)
    height, width = pixels.shape[:2]
    edges = np.array([(0, 0, height, width), *boxes.values()])
    low, high = edges[:, :2].min(0), edges[:, 2:].max(0)
    drawn = boxes if seen is None else {**boxes, "what lies beyond is padding": seen}
    # Room for the name of the rows, which the layout forgets where images are broad.
    room = ConstrainedLayoutEngine(w_pad=0.2, compress=True)
    figure = Figure(figsize=(8.6, 5.0), dpi=110, layout=room)
    axes = figure.add_subplot()
    dress(axes, title, "column (px)", "row (px)")
    axes.grid(visible=False)
    axes.set_facecolor(GRID)
    axes.imshow(pixels, extent=(0, width, height, 0), interpolation="nearest")
    for (name, (top, left, bottom, right)), style in zip(
        drawn.items(), styles(len(boxes)), strict=False
    ):
        across, down = (left, right, right, left, left), (top, top, bottom, bottom, top)
        axes.plot(across, down, label=name, **style)
    margin = 0.03 * float((high - low).max())
    axes.set(xlim=(low[1] - margin, high[1] + margin), ylim=(high[0] + margin, low[0] - margin))
    figure.legend(
        loc="outside right upper", fontsize=9.5, labelcolor=INK, edgecolor="none", frameon=False
    )
    return png_of(figure)


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
    legend(axes, loc="upper left")
