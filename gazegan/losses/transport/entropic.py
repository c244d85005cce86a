"""Transport blurred by entropy: smooth and quick, at the price of a bias that can be taken off."""

import torch
from torch import Tensor

from gazegan.losses.transport.costs import euclidean, shares


def sinkhorn_divergence(
    a: Tensor,
    b: Tensor,
    epsilon: float,
    a_weights: Tensor | None = None,
    b_weights: Tensor | None = None,
    tolerance: float = 1e-6,
) -> Tensor:
    """Return the debiased entropic distance `[]` between points `[N, D]` and `[M, D]`.

    Zero between equal distributions, and positive otherwise; near the 1-Wasserstein distance for
    small `epsilon` and near the energy distance for large ones. Differentiable in points and
    weights. S(a, b) = V(a, b) - V(a, a) / 2 - V(b, b) / 2, with V the first value of
    `entropic_transport` over Euclidean distances (Feydy et al., "Interpolating between Optimal
    Transport and MMD using Sinkhorn Divergences", AISTATS 2019).
    """
    cross, _ = entropic_transport(euclidean(a, b), epsilon, a_weights, b_weights, tolerance)
    within = [_within(x, w, epsilon, tolerance) for x, w in ((a, a_weights), (b, b_weights))]
    return cross - sum(within) / 2


def entropic_transport(
    cost: Tensor,
    epsilon: float,
    a_weights: Tensor | None = None,
    b_weights: Tensor | None = None,
    tolerance: float = 1e-6,
    iterations: int = 10_000,
) -> tuple[Tensor, Tensor]:
    """Return the least cost `[]` of transport blurred by `epsilon`, and its plan `[N, M]`.

    The plan minimises its mean of `cost` `[N, M]` plus `epsilon`, in units of the cost, times its
    divergence from independence, KL(plan | a x b) (Cuturi, NeurIPS 2013); the value is the sum of
    both. Weights as in `exact_transport`. Sinkhorn's rounds, in the logarithm, end when the plan's
    rows miss their weights by `tolerance` in all, or after `iterations`; the value is a lower
    bound at any time. Its first derivatives in cost and weights are exact at convergence, and need
    no memory of the rounds. Raises ValueError unless `epsilon` is positive.
    """
    if not epsilon > 0:
        raise ValueError("epsilon must be positive")
    a, b = shares(cost, a_weights), shares(cost.mT, b_weights)
    with torch.no_grad():
        f, g = _potentials(cost, a, b, epsilon, tolerance, iterations)
    return _dual(cost, a, b, f, g, epsilon)


def _within(points: Tensor, weights: Tensor | None, epsilon: float, tolerance: float) -> Tensor:
    """Return the entropic cost `[]` of turning points `[N, D]` into themselves."""
    cost, a = euclidean(points, points), shares(points, weights)
    with torch.no_grad():
        f = _own_potential(cost, a, epsilon, tolerance)
    return _dual(cost, a, a, f, f, epsilon)[0]


def _dual(
    cost: Tensor, a: Tensor, b: Tensor, f: Tensor, g: Tensor, epsilon: float
) -> tuple[Tensor, Tensor]:
    """Return the dual value `[]` and the plan `[N, M]` of potentials f `[N]` and g `[M]`."""
    plan = a[:, None] * b * ((f[:, None] + g - cost) / epsilon).exp()
    # At its maximum the dual does not depend on f and g, so that its gradient is that of the rest.
    return a @ f + b @ g - epsilon * (plan.sum() - 1), plan.detach()


def _potentials(
    cost: Tensor, a: Tensor, b: Tensor, epsilon: float, tolerance: float, iterations: int
) -> tuple[Tensor, Tensor]:
    """Return the potentials f `[N]` and g `[M]`.

    Peyré and Cuturi, "Computational Optimal Transport" (2019), section 4.4.
    """
    log_a, log_b = a.log()[:, None], b.log()
    f = torch.zeros_like(a)
    for _ in range(iterations):
        g = -epsilon * ((f[:, None] - cost) / epsilon + log_a).logsumexp(0)
        before, f = f, -epsilon * ((g - cost) / epsilon + log_b).logsumexp(1)
        if _missed(a, before - f, epsilon) < tolerance:
            break
    return before, g


def _own_potential(
    cost: Tensor, a: Tensor, epsilon: float, tolerance: float, iterations: int = 1000
) -> Tensor:
    """Return the potential f = g `[N]` between a distribution and itself.

    Averaging with the last one at least halves what is missing in each round, where rounds by
    turns may take thousands (Feydy et al. 2019, section 3).
    """
    f = torch.zeros_like(a)
    for _ in range(iterations):
        new = -epsilon * ((f - cost) / epsilon + a.log()).logsumexp(1)
        if _missed(a, f - new, epsilon) < tolerance:
            break
        f = (f + new) / 2
    return f


def _missed(a: Tensor, change: Tensor, epsilon: float) -> Tensor:
    """Return by how much the plan's rows miss their weights, from the potential's next change."""
    return a @ (change / epsilon).expm1().abs()
