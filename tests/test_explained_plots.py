"""Curves and bars that explain networks: what is drawn, and that equal input gives equal bytes."""

import io

import numpy as np
import pytest
from PIL import Image

from gazegan.plots import Moves, Panel, curve_panels, explained, move_bars

NAMES = [f"p{k}" for k in range(20)]


def opened(data):
    with Image.open(io.BytesIO(data)) as picture:
        picture.load()
        return picture.size


def panel(last=1.0):
    return Panel("t", "x", "y", {"a": ([0, 100], [0, last]), "r": ([0, 100], [0, 0.5])}, "r")


def test_curves_stand_side_by_side():
    one, two = curve_panels([panel()]), curve_panels([panel(), panel(-1.0)])
    assert opened(two)[0] == pytest.approx(2 * opened(one)[0], abs=2)
    assert one == curve_panels([panel()]) != curve_panels([panel(0.7)])


@pytest.mark.parametrize("count", [1, 4])
@pytest.mark.parametrize("channels", [1, 3])
def test_bars_of_every_panel_are_drawn(count, channels):
    values = np.linspace(-1, 1, 20)
    eye = np.full((channels, 6, 10), 0.4)
    panels = [Moves("t", values * k, values, 0 * values, eye) for k in range(count)]
    width, height = opened(move_bars(panels, NAMES, ["p9"]))
    assert width == min(count, 3) * 460 and height == -(-count // 3) * 460


def test_the_strongest_bars_and_the_marked_ones_are_chosen():
    values = np.array([0.1, -5, 0, 3, 0.2, *np.linspace(1, 2, 15)])
    chosen = explained._strongest(values, [0, 2])
    assert chosen[:2] == [1, 3] and chosen[-2:] == [0, 2] and len(chosen) == 12
    assert [abs(values[k]) for k in chosen] == sorted(np.abs(values[chosen]), reverse=True)
