"""Entropy balancing against closed forms and a general optimiser."""

import numpy as np
import pytest
import torch
from scipy.optimize import minimize

from gazegan.fit.balance import balance, balance_partly, effective


def normal(count: int, seed: int = 0) -> torch.Tensor:
    return torch.randn(count, generator=torch.Generator().manual_seed(seed)).double()


def test_a_normal_is_tilted_to_the_wanted_normal() -> None:
    # Of all densities with a mean and a variance, the nearest to a normal one is normal.
    x = normal(200_000)
    weights = balance(torch.stack((x, x**2), 1), torch.tensor([0.5, 0.64 + 0.25]), ridge=0)
    expected = torch.exp(0.5 * x**2 - 0.5 * ((x - 0.5) / 0.8) ** 2)
    expected /= expected.sum()
    assert float((weights - expected).abs().sum()) < 0.02


def test_weights_equal_those_of_a_general_optimiser() -> None:
    x = torch.stack((normal(8, 1), normal(8, 2)), 1)
    target = torch.tensor([0.2, -0.1])
    begin = np.full(8, 1 / 8)
    found = minimize(
        lambda w: float(np.sum(w * np.log(np.maximum(w, 1e-12)))),
        begin,
        bounds=[(1e-9, 1)] * 8,
        constraints=[
            {"type": "eq", "fun": lambda w: w.sum() - 1},
            {"type": "eq", "fun": lambda w: w @ x.numpy() - target.numpy()},
        ],
        method="SLSQP",
        options={"ftol": 1e-12, "maxiter": 500},
    )
    assert found.success
    assert balance(x, target, ridge=0).numpy() == pytest.approx(found.x, abs=2e-4)


def test_effective_size_counts_equal_weights_and_ignores_scale() -> None:
    assert effective(torch.tensor([2.0, 2, 2, 0])) == pytest.approx(3)
    assert effective(torch.tensor([1.0, 0, 0])) == pytest.approx(1)


def test_partial_balance_stops_where_enough_samples_remain() -> None:
    x = normal(4000)
    moments = torch.stack((x, x**2), 1)
    weights, share = balance_partly(moments, torch.tensor([3.0, 9.1]), 400)
    assert 400 <= effective(weights) < 420
    assert 0.2 < share < 0.9
    near, whole = balance_partly(moments, torch.tensor([0.1, 1.01]), 400)
    assert whole == 1
    assert float(near @ x) == pytest.approx(0.1, abs=2e-3)


def test_an_impossible_target_gives_equal_weights_rather_than_none() -> None:
    weights, share = balance_partly(torch.zeros(50, 1), torch.tensor([5.0]), 10)
    assert float(weights.sum()) == pytest.approx(1)
    assert effective(weights) == pytest.approx(50)
    assert 0 <= share <= 1


def test_what_is_the_same_for_all_samples_does_not_count() -> None:
    x = normal(4000).float()
    still = torch.full((4000,), 4e6 / 7)
    moments = torch.stack((x, still), 1)
    weights = balance(moments, torch.tensor([0.3, float(still.mean()) + 1]))
    assert torch.allclose(weights, balance(x[:, None], torch.tensor([0.3])), rtol=1e-3)
