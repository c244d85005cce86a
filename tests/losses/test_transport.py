"""Transport distances against SciPy and POT."""

import numpy as np
import ot
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import wasserstein_distance, wasserstein_distance_nd

from gazegan.losses.transport import (
    entropic_transport,
    exact_transport,
    sinkhorn_divergence,
    sliced_wasserstein,
    wasserstein,
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


def distances(a: torch.Tensor, b: torch.Tensor) -> np.ndarray:
    return np.linalg.norm(a.numpy()[:, None] - b.numpy()[None], axis=-1)


@given(NUMBERS, NUMBERS, SEEDS)
@settings(deadline=None)
def test_one_dimensional_distance_equals_scipys(a: list[float], b: list[float], seed: int) -> None:
    by = weights(len(a), seed)
    x, y = doubles(a), doubles(b)
    assert abs(float(wasserstein_1d(x, y)) - wasserstein_distance(a, b)) < 1e-12
    weighted = wasserstein_distance(a, b, u_weights=by.numpy())
    assert abs(float(wasserstein_1d(x, y, by)) - weighted) < 1e-12
    assert abs(float(wasserstein_1d(y, x, None, by)) - weighted) < 1e-12


@given(SIZES, SIZES, SEEDS)
@few
def test_exact_distance_equals_scipys_and_pots(n: int, m: int, seed: int) -> None:
    a, b, by = points(n, seed), points(m, seed + 1), weights(n, seed)
    assert float(wasserstein(a, b)) == pytest.approx(wasserstein_distance_nd(a, b), abs=1e-9)
    theirs = ot.emd2((by / by.sum()).numpy(), np.full(m, 1 / m), distances(a, b))
    assert float(wasserstein(a, b, by)) == pytest.approx(float(theirs), abs=1e-9)
    line, other = a[:, :1], b[:, :1]
    sorting = wasserstein_1d(line, other, by)
    assert float(wasserstein(line, other, by)) == pytest.approx(float(sorting), abs=1e-9)


@given(SIZES, SIZES, SEEDS)
@few
def test_the_plan_is_one_and_costs_what_it_says(n: int, m: int, seed: int) -> None:
    cost = torch.from_numpy(distances(points(n, seed), points(m, seed + 1)))
    a, b = weights(n, seed), weights(m, seed + 2)
    for distance, plan in (exact_transport(cost, a, b), entropic_transport(cost, 0.3, a, b)):
        assert float(plan.min()) >= -1e-12
        torch.testing.assert_close(plan.sum(1), a / a.sum(), atol=2e-6, rtol=0)
        torch.testing.assert_close(plan.sum(0), b / b.sum(), atol=2e-6, rtol=0)
        assert float(distance) >= float((plan * cost).sum()) - 1e-9


@given(st.floats(0, 1), st.floats(0, 1), st.floats(0.1, 9))
@few
def test_on_two_points_what_moves_is_the_difference(p: float, q: float, apart: float) -> None:
    places = doubles([0, apart])[:, None]
    before, after = doubles([p, 1 - p]), doubles([q, 1 - q])
    distance, plan = exact_transport((places - places.mT).abs(), before, after)
    assert float(plan[0, 1] + plan[1, 0]) == pytest.approx(abs(p - q), abs=1e-9)
    assert float(distance) == pytest.approx(apart * abs(p - q), abs=1e-9)


@given(ANGLES, ANGLES, SEEDS)
@few
def test_distance_on_the_circle_equals_pots_and_the_programmes(
    a: list[float], b: list[float], seed: int
) -> None:
    x, y, by = doubles(a), doubles(b), weights(len(a), seed)
    found = float(wasserstein_circle(x, y, 360, by))
    apart = (x[:, None] - y + 180).remainder(360) - 180
    assert found == pytest.approx(float(exact_transport(apart.abs(), by)[0]), abs=1e-9)
    turns = ((x / 360) % 1).numpy(), ((y / 360) % 1).numpy()
    theirs = 360 * ot.wasserstein_circle(*turns, u_weights=(by / by.sum()).numpy(), p=1)
    # POT takes angles nearer to each other than about 1e-7 of a turn for one.
    assert found == pytest.approx(theirs.item(), abs=1e-4)
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

    for distance in (wasserstein, sliced, circle):
        ab, bc, ac = distance(a, b, p, q), distance(b, c, q, r), distance(a, c, p, r)
        assert float(distance(b, a, q, p)) == pytest.approx(float(ab), abs=1e-9)
        assert float(distance(a, a, p, p)) == pytest.approx(0, abs=1e-9)
        assert float(ac) <= float(ab + bc) + 1e-9


@pytest.mark.parametrize("epsilon", [0.05, 0.5, 5.0])
def test_entropic_value_and_plan_equal_pots(epsilon: float) -> None:
    a, b, by = points(8, 0), points(6, 1) + 0.5, weights(8, 2)
    cost, rows = distances(a, b), (by / by.sum()).numpy()
    value, plan = entropic_transport(torch.from_numpy(cost), epsilon, by, tolerance=1e-13)
    theirs = ot.solve(cost, rows, reg=epsilon, reg_type="KL", max_iter=100_000, tol=1e-13)
    assert float(value) == pytest.approx(float(theirs.value), abs=1e-9)
    linear = ot.sinkhorn2(
        rows, np.full(6, 1 / 6), cost, epsilon, "sinkhorn_log", 100_000, stopThr=1e-13
    )
    assert float((plan.numpy() * cost).sum()) == pytest.approx(float(linear), abs=1e-9)
    np.testing.assert_allclose(plan.numpy(), theirs.plan, atol=1e-9)


def test_divergence_is_made_of_pots_values_and_its_plans_give_pots_divergence() -> None:
    a, b, epsilon = points(7, 0), points(5, 1) + 0.5, 0.4
    pairs = ((a, b), (a, a), (b, b))
    costs = [distances(x, y) for x, y in pairs]
    values = [ot.solve(c, reg=epsilon, reg_type="KL", max_iter=9999, tol=1e-13) for c in costs]
    expected = values[0].value - values[1].value / 2 - values[2].value / 2
    found = sinkhorn_divergence(a, b, epsilon, tolerance=1e-13)
    assert float(found) == pytest.approx(float(expected), abs=1e-9)
    plans = [entropic_transport(torch.from_numpy(c), epsilon, tolerance=1e-13)[1] for c in costs]
    cross, *within = [float((p.numpy() * c).sum()) for p, c in zip(plans, costs, strict=True)]
    sharp = ot.bregman.empirical_sinkhorn_divergence(
        a.numpy(), b.numpy(), epsilon, metric="euclidean", numIterMax=100_000, stopThr=1e-13
    )
    assert cross - sum(within) / 2 == pytest.approx(float(sharp), abs=1e-9)


@given(SIZES, SIZES, SEEDS)
@few
def test_divergence_is_symmetric_positive_and_zero_on_self(n: int, m: int, seed: int) -> None:
    a, b, p, q = points(n, seed), points(m, seed + 1), weights(n, seed), weights(m, seed + 1)
    found = float(sinkhorn_divergence(a, b, 0.5, p, q))
    assert found == pytest.approx(float(sinkhorn_divergence(b, a, 0.5, q, p)), abs=1e-6)
    assert found > 0
    assert float(sinkhorn_divergence(a, a, 0.5, p, p)) == pytest.approx(0, abs=1e-6)
    order = torch.randperm(n, generator=torch.Generator().manual_seed(seed))
    assert float(sinkhorn_divergence(a, a[order], 0.5, p, p[order])) == pytest.approx(0, abs=1e-6)


def test_divergence_nears_the_exact_distance_and_the_energy_distance() -> None:
    a, b = points(12, 0), points(9, 1) + 1
    exact = float(wasserstein(a, b))
    assert float(sinkhorn_divergence(a, b, 0.01)) == pytest.approx(exact, rel=0.01)
    means = [distances(x, y).mean() for x, y in ((a, b), (a, a), (b, b))]
    energy = means[0] - means[1] / 2 - means[2] / 2
    assert float(sinkhorn_divergence(a, b, 1e4)) == pytest.approx(energy, rel=0.001)


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
    by = weights(6, 5).requires_grad_()
    check = torch.autograd.gradcheck
    assert check(lambda x: wasserstein_1d(x, b), (a,))
    assert check(lambda x: wasserstein_circle(x, b, 1.5), (a,))
    assert check(lambda x: wasserstein(x, b), (a,))
    drawn = torch.Generator
    assert check(lambda x: sliced_wasserstein(x, b, drawn().manual_seed(1), 9), (a,))
    assert check(lambda x, w: sinkhorn_divergence(x, b, 0.3, w, tolerance=1e-11), (a, by))


def test_faults_are_named() -> None:
    cost = torch.zeros(2, 2)
    with pytest.raises(ValueError, match="finite"):
        exact_transport(cost / 0)
    with pytest.raises(ValueError, match="negative"):
        exact_transport(cost, torch.tensor([2.0, -1.0]))
    with pytest.raises(ValueError, match="positive"):
        entropic_transport(cost, 0)
