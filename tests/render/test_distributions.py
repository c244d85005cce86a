"""Distributions against scipy and closed forms, and their bounds."""

import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.testing import assert_allclose
from scipy import stats

from gazegan import rng
from gazegan.render.distributions import Distribution, read
from gazegan.render.population import Prior

U = rng.uniform(torch.arange(4096), 0, "test")
V = rng.uniform(torch.arange(4096), 0, "other")


@pytest.mark.parametrize(
    ("mean", "sd", "low", "high"),
    [
        (0, 1, -1, 2),
        (3.2, 1.2, 0.5, 6),
        (5, 0.1, 4, 7),
        (0, 1, 6, 8),
        (0, 1, -9, -7),
        (2, 0.5, 14, 15),
        (2, 0.5, -12, -11),
        (0, 100, -1, 1),
    ],
)
def test_cut_normal_has_the_quantiles_of_scipy(mean, sd, low, high):
    drawn = Distribution(mean=mean, sd=sd, low=low, high=high).quantile(U, {})
    known = stats.truncnorm((low - mean) / sd, (high - mean) / sd, mean, sd).ppf(U.double())
    assert drawn.dtype == torch.float32
    assert_allclose(drawn, known, rtol=1e-6, atol=1e-6 * sd)


def test_uniform_has_the_quantiles_of_scipy():
    drawn = Distribution(low=-3.5, high=7).quantile(U, {})
    assert_allclose(drawn, stats.uniform(-3.5, 10.5).ppf(U.double()), rtol=1e-6, atol=1e-6)


def test_choice_follows_its_weights():
    drawn = Distribution(choice=(1, 2, 5, 7), weights=(1, 0, 2, 1)).quantile(U, {})
    counts = [int((drawn == value).sum()) for value in (1, 5, 7)]
    assert sum(counts) == len(U) and not (drawn == 2).any()
    assert stats.chisquare(counts, [len(U) / 4, len(U) / 2, len(U) / 4]).pvalue > 0.01
    even = Distribution(choice=(-1, 1)).quantile(U, {})
    assert abs(float(even.mean())) < 4 / math.sqrt(len(U))


@given(
    mean=st.floats(-50, 50),
    sd=st.floats(0.01, 50),
    ends=st.tuples(st.floats(-60, 60), st.floats(-60, 60)),
)
@settings(deadline=None, max_examples=60)
def test_draws_stay_within_their_bounds_and_rise(mean, sd, ends):
    low, high = sorted(ends)
    for spread in ({"low": low, "high": high}, {"low": low, "high": high, "mean": mean, "sd": sd}):
        far = max(low - mean, mean - high) > 29 * sd
        if "mean" in spread and far:
            continue
        drawn = Distribution(**spread).quantile(U.sort().values, {})
        edges = torch.tensor([low, high])
        assert edges[0] <= drawn.min() and drawn.max() <= edges[1]
        assert (drawn.diff() >= 0).all()


def test_a_mixture_has_the_cdf_of_its_parts():
    """Kolmogorov-Smirnov against the weighted sum of scipy's CDFs, a nested mixture among them."""
    inner = {"mixture": [[6, 7], {"mean": 8, "sd": 0.5, "low": 7, "high": 9}], "weights": [1, 3]}
    drawn = read({"mixture": [[-2, 1], inner], "weights": [2, 3]}).quantile(U, {})
    known = [
        (0.4, stats.uniform(-2, 3)),
        (0.15, stats.uniform(6, 1)),
        (0.45, stats.truncnorm(-2, 2, 8, 0.5)),
    ]
    assert drawn.dtype == torch.float32
    found = stats.kstest(drawn.double(), lambda x: sum(w * d.cdf(x) for w, d in known))
    assert found.pvalue > 0.01


def test_a_mixture_without_choice_in_it_is_that_part():
    for part in ([0.5, 3], {"mean": 1, "sd": 2, "low": -1, "high": 9}, {"choice": [4, 5]}):
        plain, mixed = (read(form).quantile(U, {}) for form in (part, {"mixture": [part]}))
        assert_allclose(mixed, plain, rtol=1e-6)
        zero = read({"mixture": [7, part, 7], "weights": [0, 1, 0]})
        assert torch.equal(zero.quantile(U, {}), mixed) and zero.bounds == read(part).bounds


def test_a_mixture_of_numbers_is_a_choice():
    numbers = read({"mixture": [3, 1, 2], "weights": [1, 2, 5]})
    choice = read({"choice": [3, 1, 2], "weights": [1, 2, 5]})
    assert torch.equal(numbers.quantile(U, {}), choice.quantile(U, {}))
    assert numbers.values == choice.values == {1, 2, 3}


def test_a_parameter_follows_another_with_the_spread_of_a_cut_off_normal():
    """Given the other's value, its CDF is that of scipy; so the CDF's values are uniform."""
    x = -5 + 15 * V
    line = read({"of": "x", "slope": 0.4, "offset": 1, "sd": 1.5, "low": 0, "high": 4})
    drawn, mean = line.quantile(U, {"x": x}).double(), 1 + 0.4 * x.double()
    known = stats.truncnorm((0 - mean) / 1.5, (4 - mean) / 1.5, mean, 1.5)
    assert_allclose(drawn, known.ppf(U.double()), rtol=1e-6, atol=1e-6)
    assert stats.kstest(known.cdf(drawn), "uniform").pvalue > 0.01
    assert drawn.min() >= 0 and drawn.max() <= 4


def test_its_correlation_is_that_of_a_line_with_noise():
    x = read({"mean": 0, "sd": 2, "low": -60, "high": 60}).quantile(V, {})
    line = read({"of": "x", "slope": -1.5, "sd": 4, "low": -99, "high": 99})
    found = stats.pearsonr(x, line.quantile(U, {"x": x}))
    low, high = found.confidence_interval(0.999)
    assert low < -3 / math.hypot(3, 4) < high


def test_without_spread_it_is_the_line_cut_off():
    x = torch.tensor([-3.0, 0.0, 1.0, 9.0])
    line = read({"of": "x", "slope": 2, "offset": 1, "low": 0, "high": 5})
    assert line.quantile(U[:4], {"x": x}).tolist() == [0, 1, 3, 5]


def test_far_off_its_range_it_stays_at_the_nearer_end():
    line = read({"of": "x", "slope": 1, "sd": 0.01, "low": 0, "high": 1})
    drawn = line.quantile(U[:2], {"x": torch.tensor([-50.0, 50.0])})
    assert_allclose(drawn, [0, 1], atol=0.01)


RANGES = st.tuples(st.floats(-60, 60), st.floats(-60, 60)).map(sorted)
NUMBERS = st.floats(-60, 60)
SIMPLE = (
    NUMBERS
    | RANGES
    | st.builds(
        lambda ends, mean, sd: {"low": ends[0], "high": ends[1], "mean": mean, "sd": sd},
        RANGES, NUMBERS, st.floats(4, 50),
    )
    | st.builds(lambda some: {"choice": some}, st.lists(NUMBERS, min_size=1, max_size=4))
    | st.builds(
        lambda ends, slope, offset, sd: {
            "of": "x", "slope": slope, "offset": offset, "low": ends[0], "high": ends[1], "sd": sd
        },
        RANGES, st.floats(-9, 9), NUMBERS, st.none() | st.floats(0.01, 50),
    )
)  # fmt: skip


def forms(least):
    """Every form, mixtures of mixtures among them, with weights from `least` to 9."""
    return st.recursive(
        SIMPLE,
        lambda part: st.lists(part, min_size=1, max_size=3).flatmap(
            lambda parts: st.builds(
                lambda weights: {"mixture": parts, "weights": weights},
                st.lists(st.floats(least, 9), min_size=len(parts), max_size=len(parts)),
            )
        ),
        max_leaves=5,
    )


ANY = forms(0.01)


@given(ANY)
@settings(deadline=None, max_examples=150)
def test_draws_of_any_form_stay_within_its_bounds_and_alone_have_the_same_bits(form):
    spread = read(form)
    x = 20 * V - 10
    drawn = spread.quantile(U, {"x": x})
    low, high = torch.tensor(spread.bounds)
    assert low <= drawn.min() and drawn.max() <= high
    if spread.values is not None:
        assert set(drawn.tolist()) <= set(torch.tensor(sorted(spread.values)).tolist())
    for i in (0, 4093, 4095):
        assert torch.equal(spread.quantile(U[i : i + 1], {"x": x[i : i + 1]})[0], drawn[i])
    assert spread == read(spread.model_dump(mode="json"))
    assert {line.of for line in spread.lines} <= {"x"}


@pytest.mark.parametrize(
    "form",
    [
        {"mixture": [[0, 4], [0, 0.4]]},
        {"mixture": [[2.9, 3.6], [2.2, 2.4]], "weights": [0.55, 0.45]},
        {"mixture": [{"mean": 3, "sd": 1, "low": 2, "high": 4}, 2.2], "weights": [0.7, 0.3]},
        {"choice": [3, 1, 2]},
    ],
)
def test_the_median_of_parts_in_any_order_is_that_of_what_is_drawn(form):
    drawn = read(form).quantile((torch.arange(2**17) + 0.5) / 2**17, {})
    found = Prior(blur=form).extent("blur").middle
    assert found == pytest.approx(float(drawn.median()), abs=0.01)


@given(forms(2))
@settings(deadline=None, max_examples=50)
def test_bounds_are_reached(form):
    """The extreme draws come to the ends of what has no line in it; no part is too rare."""
    spread = read(form)
    if spread.lines or "sd" in str(form):
        return
    drawn = spread.quantile((torch.arange(2**18) + 0.5) / 2**18, {})
    width = spread.bounds[1] - spread.bounds[0] + 1e-3
    assert_allclose((drawn.min(), drawn.max()), spread.bounds, atol=0.05 * width)
