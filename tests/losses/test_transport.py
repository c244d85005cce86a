"""Transport distances against SciPy and POT."""

import ot
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import wasserstein_distance

from gazegan.losses.transport import sliced_wasserstein, wasserstein_1d

NUMBERS = st.lists(st.integers(-50, 50).map(lambda n: n / 7), min_size=1, max_size=12)


@given(NUMBERS, NUMBERS, st.integers(0, 2**31))
@settings(deadline=None)
def test_one_dimensional_distance_equals_scipys(a: list[float], b: list[float], seed: int) -> None:
    by = torch.rand(len(a), generator=torch.Generator().manual_seed(seed)).double() + 0.01
    x, y = (torch.tensor(v, dtype=torch.float64) for v in (a, b))
    assert abs(float(wasserstein_1d(x, y)) - wasserstein_distance(a, b)) < 1e-12
    weighted = wasserstein_distance(a, b, u_weights=by.numpy())
    assert abs(float(wasserstein_1d(x, y, by)) - weighted) < 1e-12
    assert abs(float(wasserstein_1d(y, x, None, by)) - weighted) < 1e-12


def test_sliced_distance_equals_pots_along_the_same_directions() -> None:
    drawn = torch.Generator().manual_seed(1)
    a = torch.randn(40, 5, generator=drawn, dtype=torch.float64)
    b = 1.5 * torch.randn(30, 5, generator=drawn, dtype=torch.float64) + 0.3
    found = sliced_wasserstein(a, b, torch.Generator().manual_seed(7), directions=64)
    along = torch.randn(5, 64, generator=torch.Generator().manual_seed(7)).double()
    along = along / along.norm(dim=0)
    # POT takes the p-th root of the mean over directions; at p = 1 that is the mean.
    theirs = ot.sliced_wasserstein_distance(a.numpy(), b.numpy(), projections=along.numpy(), p=1)
    assert abs(float(found) - theirs) < 1e-9


def test_gradients_are_those_of_finite_differences() -> None:
    drawn = torch.Generator().manual_seed(3)
    a = torch.randn(6, 2, generator=drawn, dtype=torch.float64, requires_grad=True)
    b = torch.randn(5, 2, generator=drawn, dtype=torch.float64)
    assert torch.autograd.gradcheck(lambda x: wasserstein_1d(x, b), (a,))
