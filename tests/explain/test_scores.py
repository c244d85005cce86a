"""Scores of maps by hand, against SciPy and matplotlib, and of maps known to be good or bad."""

from itertools import pairwise

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from matplotlib.path import Path
from scipy import integrate, stats
from scipy.spatial import distance

from gazegan import explain
from gazegan.render.prior import load_recipe
from gazegan.render.scene import render_indices
from gazegan.rng import stream
from gazegan.schema import LANDMARKS

CENTRES = np.stack(np.meshgrid(np.arange(60), np.arange(36)), -1).reshape(-1, 2) + 0.5
LIDS = slice(LANDMARKS.index("lid_00"), LANDMARKS.index("lid_15") + 1)


def attributed(values):
    return explain.Attribution(values, values, values.sum((1, 2, 3)))


def drawn(*shape, seed=0):
    return torch.randn(shape, generator=stream(seed))


def test_lid_band_holds_what_is_near_the_outline():
    eyes = render_indices(load_recipe("webcam"), 0, torch.arange(4))
    band = explain.lid_band(eyes.landmarks, eyes.size)
    assert band.shape == (4, 36, 60)
    for points, found in zip(eyes.landmarks[:, LIDS].double().numpy(), band, strict=True):
        reach = explain.LID_BAND * np.hypot(*(points[8] - points[0]))
        # Points so dense along the line that the nearest of them stands for the line itself.
        ways = [np.linspace(a, b, 60) for a, b in pairwise(np.r_[points, points[:1]])]
        away = distance.cdist(CENTRES, np.concatenate(ways)).min(1)
        sure, told = np.abs(away - reach) > 0.02, found.flatten().numpy() > 0
        assert np.array_equal(told[sure], (away <= reach)[sure])
        inside = Path(points).contains_points(CENTRES)
        assert 0 < (inside & told).sum() < inside.sum()


def test_pointing_by_hand():
    values, regions = torch.zeros(3, 2, 4, 5), torch.zeros(3, 2, 4, 5)
    values[0, 0, 1, 2], values[0, 1, 3, 3] = -2, 1
    values[1, :, 3, 3] = 1
    regions[:, 0, 1, 2], regions[:, 1, 3, 2:] = 0.6, 0.4
    regions[:, 1, 3, 3] = 0.5
    found = explain.pointing_game(attributed(values), regions)
    assert found.hit[:2].tolist() == [[1, 0], [0, 1]]
    assert found.hit[2].isnan().all()
    assert found.chance.tolist() == [[0.05, 0.05]] * 3


def test_random_maps_point_by_chance():
    regions = (drawn(1, 1, 6, 8) > 0).float().expand(4000, -1, -1, -1)
    found = explain.pointing_game(attributed(drawn(4000, 1, 6, 8, seed=1)), regions)
    chance = float(found.chance[0, 0])
    error = (chance * (1 - chance) / 4000) ** 0.5
    assert abs(float(found.hit.mean()) - chance) < 4 * error


def linear(weight):
    return lambda x: (x * weight).sum((1, 2, 3))[:, None]


def first(y):
    return y[:, 0]


def test_removal_of_a_linear_model_by_hand():
    weight = torch.tensor([[[4.0, 1.0], [2.0, 3.0]]])
    image = torch.ones(1, 1, 2, 2)
    found = explain.removal(linear(weight), image, 0 * image, weight, first, steps=4)
    assert found.share.tolist() == [0, 0.25, 0.5, 0.75, 1]
    assert found.deletion.tolist() == [[0, 4, 7, 9, 10]]
    assert found.insertion.tolist() == [[10, 6, 3, 1, 0]]
    areas = [float(explain.area_under(c)) for c in (found.deletion, found.insertion)]
    oracle = [
        integrate.trapezoid(c[0].numpy(), found.share.numpy())
        for c in (found.deletion, found.insertion)
    ]
    assert areas == pytest.approx(oracle) == [6.25, 3.75]


@given(st.integers(0, 10_000))
@settings(deadline=None, max_examples=20)
def test_the_true_order_of_a_positive_model_beats_every_other(seed):
    weight, order = drawn(1, 1, 5, 6, seed=seed).abs(), drawn(1, 5, 6, seed=seed + 1)
    image = torch.ones(1, 1, 5, 6)
    good, bad = (
        explain.removal(linear(weight), image, 0 * image, by, first) for by in (weight[:, 0], order)
    )
    assert (good.deletion >= bad.deletion - 1e-4).all()
    assert (good.insertion <= bad.insertion + 1e-4).all()


def test_pixels_of_no_weight_are_not_moved():
    image, weight = torch.ones(1, 1, 1, 4), torch.tensor([[[8.0, 4.0, 2.0, 1.0]]])
    order = torch.tensor([[[-torch.inf, 1.0, 2.0, -torch.inf]]])
    found = explain.removal(linear(weight), image, 0 * image, order, first, steps=2)
    assert found.deletion.tolist() == [[0, 2, 6]] and found.insertion.tolist() == [[15, 13, 9]]


def test_removal_of_directions_goes_the_shorter_way():
    image = torch.full((1, 1, 2, 2), 2.5)

    def turn(x):
        return ((350 + 2 * x.sum((1, 2, 3))) % 360)[:, None]  # 350 without, 10 with all pixels

    found = explain.removal(turn, image, 0 * image, image[:, 0], first, 2, period=360)
    assert found.deletion.tolist() == [[0, 10, 20]]


def test_completeness_gap_by_hand():
    values = torch.full((2, 1, 2, 2), 1.0)
    maps = explain.Attribution(values, None, torch.tensor([5.0, 2.0]))
    gap = explain.completeness_gap(maps, torch.tensor([2.0, 358.0]))
    assert gap.tolist() == [1, 360]
    gap = explain.completeness_gap(maps, torch.tensor([2.0, 358.0]), period=360)
    assert gap.tolist() == [1, 0]


@given(st.integers(0, 10_000), st.booleans())
@settings(deadline=None, max_examples=20)
def test_rank_correlation_is_scipy_s(seed, ties):
    a, b = drawn(3, 2, 4, 5, seed=seed), drawn(3, 2, 4, 5, seed=seed + 1)
    b = b + a
    if ties:
        a, b = a.round(), b.round()
    found = explain.rank_correlation(a, b)
    for one, x, y in zip(found, a.abs().sum(1), b.abs().sum(1), strict=True):
        expected = stats.spearmanr(x.flatten().numpy(), y.flatten().numpy()).statistic
        assert float(one) == pytest.approx(expected)


def test_flat_maps_have_no_rank_correlation():
    found = explain.rank_correlation(torch.ones(1, 1, 3, 3), drawn(1, 1, 3, 3))
    assert found.isnan().all()
