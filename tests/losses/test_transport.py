"""Transport distances against SciPy and POT."""

import numpy as np
import ot
import pytest
import torch
from hypothesis import example, given, settings
from hypothesis import strategies as st
from scipy.stats import wasserstein_distance

from gazegan.losses.transport import (
    sliced_wasserstein,
    wasserstein_1d,
    wasserstein_circle,
)

NUMBERS = st.lists(st.integers(-50, 50).map(lambda n: n / 7), min_size=1, max_size=12)
ANGLES = st.lists(st.integers(-800, 800).map(lambda n: n / 3), min_size=1, max_size=9)
SEEDS = st.integers(0, 2**31)
SIZES = st.integers(1, 7)
few = settings(deadline=None, max_examples=15)


def doubles(values: list[float]) -> torch.Tensor:
    return torch.tensor(values, dtype=torch.float64)


def points(count: int, seed: int, size: int = 3) -> torch.Tensor:
    drawn = torch.Generator().manual_seed(seed)
    return torch.randn(count, size, generator=drawn, dtype=torch.float64)


def weights(count: int, seed: int) -> torch.Tensor:
    drawn = torch.Generator().manual_seed(seed)
    return torch.rand(count, generator=drawn, dtype=torch.float64) + 0.01


@given(NUMBERS, NUMBERS, SEEDS)
@settings(deadline=None)
def test_one_dimensional_distance_equals_scipys(a: list[float], b: list[float], seed: int) -> None:
    by = weights(len(a), seed)
    x, y = doubles(a), doubles(b)
    assert abs(float(wasserstein_1d(x, y)) - wasserstein_distance(a, b)) < 1e-12
    weighted = wasserstein_distance(a, b, u_weights=by.numpy())
    assert abs(float(wasserstein_1d(x, y, by)) - weighted) < 1e-12
    assert abs(float(wasserstein_1d(y, x, None, by)) - weighted) < 1e-12


def slow_circle(x: np.ndarray, y: np.ndarray, by: np.ndarray) -> float:
    """The least area between both distribution functions, one of them lifted (Werman et al. 1985).

    In degrees. POT's own solver is off in 3 of 1,000 small draws, beyond 180 degrees in some.
    """
    ends = sorted({0.0, 360.0, *x, *y})
    arcs, lifts = np.diff(ends), [by[x <= at].sum() - (y <= at).mean() for at in ends[:-1]]
    return min(float((arcs * np.abs(np.array(lifts) - lift)).sum()) for lift in lifts)


@given(ANGLES, ANGLES, SEEDS)
@example([0.0] * 5 + [1 / 3, 137.0], [0.0] * 6 + [-130 / 3], 1)  # POT's solver says 371 degrees
@few
def test_distance_on_the_circle_equals_the_programmes_and_a_slow_loop(
    a: list[float], b: list[float], seed: int
) -> None:
    x, y, by = doubles(a), doubles(b), weights(len(a), seed)
    found, share = float(wasserstein_circle(x, y, 360, by)), (by / by.sum()).numpy()
    apart = (x[:, None] - y + 180).remainder(360) - 180
    exact = ot.emd2(share, np.full(len(b), 1 / len(b)), apart.abs().numpy())
    assert found == pytest.approx(float(exact), abs=1e-9)
    slow = slow_circle(x.remainder(360).numpy(), y.remainder(360).numpy(), share)
    assert found == pytest.approx(slow, abs=1e-9)
    shifted = wasserstein_circle(x + 123.4, y - 236.6, 360, by)
    assert found == pytest.approx(float(shifted), abs=1e-9)


def test_batches_of_angles_are_measured_one_by_one() -> None:
    a, b = 400 * points(9, 0), 400 * points(5, 1)
    found = wasserstein_circle(a, b, 360)
    alone = [wasserstein_circle(a[:, k], b[:, k], 360) for k in range(3)]
    torch.testing.assert_close(found, torch.stack(alone))
    small = wasserstein_circle(doubles([1, 2]), doubles([359]), 360)
    assert float(small) == pytest.approx(2.5)


@given(SEEDS, SIZES, SIZES, SIZES)
@few
def test_distances_are_metrics(seed: int, n: int, m: int, k: int) -> None:
    a, b, c = points(n, seed), points(m, seed + 1), points(k, seed + 2)
    p, q, r = weights(n, seed + 3), weights(m, seed + 4), weights(k, seed + 5)

    def sliced(x, y, x_weights, y_weights):  # weights the first sample only
        return sliced_wasserstein(x, y, torch.Generator().manual_seed(5), 20)

    def circle(x, y, x_weights, y_weights):
        return wasserstein_circle(x[:, 0], y[:, 0], 1.5, x_weights, y_weights)

    for distance in (sliced, circle):
        ab, bc, ac = distance(a, b, p, q), distance(b, c, q, r), distance(a, c, p, r)
        assert float(distance(b, a, q, p)) == pytest.approx(float(ab), abs=1e-9)
        assert float(distance(a, a, p, p)) == pytest.approx(0, abs=1e-9)
        assert float(ac) <= float(ab + bc) + 1e-9


def test_sliced_distance_equals_pots_along_the_same_directions() -> None:
    a, b = points(40, 1, 5), 1.5 * points(30, 2, 5) + 0.3
    found = sliced_wasserstein(a, b, torch.Generator().manual_seed(7), directions=64)
    along = torch.randn(5, 64, generator=torch.Generator().manual_seed(7)).double()
    along = along / along.norm(dim=0)
    # POT takes the p-th root of the mean over directions; at p = 1 that is the mean.
    theirs = ot.sliced_wasserstein_distance(a.numpy(), b.numpy(), projections=along.numpy(), p=1)
    assert abs(float(found) - theirs) < 1e-9


def test_gradients_are_those_of_finite_differences() -> None:
    a, b = points(6, 3, 2).requires_grad_(), points(5, 4, 2)
    check = torch.autograd.gradcheck
    assert check(lambda x: wasserstein_1d(x, b), (a,))
    assert check(lambda x: wasserstein_circle(x, b, 1.5), (a,))
    drawn = torch.Generator
    assert check(lambda x: sliced_wasserstein(x, b, drawn().manual_seed(1), 9), (a,))
