"""Measures of predicted spreads against scipy, closed forms and samples that are calibrated."""

import math

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from gazegan import uncertainty
from gazegan.geometry import angular_error_deg
from gazegan.uncertainty import NOMINAL, REJECTED

COUNT = 20_000


def sample(factor=1.0, seed=0):
    """Errors of known spreads `[N]`, and spreads that are `factor` times those."""
    generator = torch.Generator().manual_seed(seed)
    spread = 1 + 9 * torch.rand(COUNT, generator=generator, dtype=torch.float64)
    error = spread * torch.randn(COUNT, generator=generator, dtype=torch.float64)
    return error, factor * spread


def test_shares_inside_are_those_of_scipys_intervals():
    error, spread = (x[:300] for x in sample(0.7))
    for share, found in zip(NOMINAL, uncertainty.coverage(error, spread), strict=True):
        low, high = stats.norm.interval(share, scale=spread.numpy())
        inside = (low <= error.numpy()) & (error.numpy() <= high)
        assert float(found) == pytest.approx(inside.mean(), abs=1e-12)


@pytest.mark.parametrize("factor", [0.5, 1.0, 2.0])
def test_wrong_spreads_give_the_known_curve(factor):
    """An interval that is `factor` times too wide holds 2 Phi(factor z) - 1."""
    z = stats.norm.ppf((1 + np.array(NOMINAL)) / 2)
    expected = 2 * stats.norm.cdf(factor * z) - 1
    inside = uncertainty.coverage(*sample(factor))
    np.testing.assert_allclose(inside, expected, atol=4 * 0.5 / math.sqrt(COUNT))
    apart = np.abs(expected - NOMINAL).mean()
    assert uncertainty.calibration_error(inside) == pytest.approx(apart, abs=0.01)
    if factor == 1:
        assert uncertainty.calibration_error(inside) < 0.01


def test_likelihood_is_scipys():
    error, spread = (x[:50] for x in sample(1.3))
    found = uncertainty.negative_log_likelihood(error, spread)
    np.testing.assert_allclose(found, -stats.norm.logpdf(error, scale=spread), rtol=1e-12)


@settings(deadline=None, max_examples=40)
@given(st.lists(st.tuples(st.integers(0, 5), st.integers(0, 5)), min_size=3, max_size=30))
def test_rank_correlation_is_scipys(pairs):
    a, b = (torch.tensor(x, dtype=torch.float64) for x in zip(*pairs, strict=True))
    found = uncertainty.rank_correlation(a, b)
    if len(a.unique()) == 1 or len(b.unique()) == 1:
        assert found is None
    else:
        assert found == pytest.approx(stats.spearmanr(a, b).statistic, abs=1e-12)


@settings(deadline=None, max_examples=30)
@given(st.integers(1, 60), st.floats(0, 1), st.integers(0, 99))
def test_what_is_left_are_the_most_certain(count, share, seed):
    drawn = np.random.default_rng(seed)
    error, doubt = drawn.random(count), drawn.permutation(count)
    left = max(1, count - round(share * count))
    expected = np.mean([e for _, e in sorted(zip(doubt, error, strict=True))[:left]])
    found = uncertainty.mean_left(torch.tensor(error), torch.tensor(doubt), share)
    assert found == pytest.approx(expected)


def gazes():
    """Predicted and true gazes of known spreads, rad."""
    generator = torch.Generator().manual_seed(3)
    shape = (2000, 2)
    true = 0.2 * torch.randn(shape, generator=generator)
    spread = 0.02 + 0.1 * torch.rand(shape, generator=generator)
    return true + spread * torch.randn(shape, generator=generator), spread, true


def test_the_report_is_of_degrees_and_favours_the_constant():
    predicted, spread, true = gazes()
    found = uncertainty.uncertainty_report(predicted, spread, true)
    off, wide = (np.rad2deg(x.double().numpy()) for x in (predicted - true, spread))
    for k, (name, axis) in enumerate(found.axes.items()):
        assert name == ("vertical", "horizontal")[k]
        assert axis.spread_deg == pytest.approx(wide[:, k].mean(), rel=1e-5)
        assert axis.nll == pytest.approx(
            -stats.norm.logpdf(off[:, k], scale=wide[:, k]).mean(), rel=1e-4
        )
        # scipy's own best fit of a normal about 0, and the closed form of its likelihood.
        _, best = stats.norm.fit(off[:, k], floc=0)
        assert axis.constant_spread_deg == pytest.approx(best, rel=1e-4)
        assert axis.constant_nll == pytest.approx(
            math.log(2 * math.pi * math.e * best**2) / 2, rel=1e-4
        )
        assert axis.nll < axis.constant_nll and axis.calibration_error < 0.03
        expected = stats.spearmanr(wide[:, k], np.abs(off[:, k])).statistic
        assert axis.correlation == pytest.approx(expected, abs=1e-3)
    error = angular_error_deg(predicted, true)
    assert found.mean_deg == pytest.approx(float(error.mean()), rel=1e-4)
    expected = stats.spearmanr(np.hypot(*wide.T), error).statistic
    assert found.correlation == pytest.approx(expected, abs=1e-3)
    means = [some.mean_deg for some in found.rejected]
    assert [some.share for some in found.rejected] == list(REJECTED)
    assert means == sorted(means, reverse=True) and means[0] < found.mean_deg
    assert all(some.best_deg < some.mean_deg for some in found.rejected)


def test_one_eye_without_error_has_finite_figures():
    gaze = torch.tensor([[0.1, 0.2]])
    values = uncertainty.uncertainty_report(gaze, torch.full((1, 2), 0.1), gaze).to_dict()
    assert values["correlation"] is None and values["mean_deg"] == pytest.approx(0, abs=1e-4)
    assert math.isfinite(values["vertical"]["constant_nll"])
    assert values["horizontal"]["coverage"] == [1.0] * len(NOMINAL)
