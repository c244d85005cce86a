"""The exact distance between two finite sets of weighted points, and the plan that attains it."""

from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from gazegan.losses.transport.costs import euclidean, shares

_PRECISION = {"primal_feasibility_tolerance": 1e-10, "dual_feasibility_tolerance": 1e-10}


def wasserstein(
    a: Tensor, b: Tensor, a_weights: Tensor | None = None, b_weights: Tensor | None = None
) -> Tensor:
    """Return the exact 1-Wasserstein distance `[]` between points `[N, D]` and `[M, D]`.

    Weights `[N]` and `[M]` are normalised; all equal unless given. Differentiable in the points,
    but not in the weights. The programme has N times M variables: 500 points of each take seconds.
    """
    distance, _ = exact_transport(euclidean(a, b), a_weights, b_weights)
    return distance


def exact_transport(
    cost: Tensor, a_weights: Tensor | None = None, b_weights: Tensor | None = None
) -> tuple[Tensor, Tensor]:
    """Return the least mean cost `[]` of turning one distribution into another, and its plan.

    `cost` `[N, M]` is that of each move, and the plan `[N, M]` the share that makes it: its rows
    sum to the weights `[N]`, its columns to `[M]`. On two points a and b what moves is
    |P(a) - Q(a)|. An assignment where all weights are equal, else Kantorovich's linear programme
    (Peyré and Cuturi, "Computational Optimal Transport", 2019, equation 2.11). The gradient in
    `cost` is the plan. Raises ValueError where a cost or a weight is not finite, or a weight
    negative.
    """
    a, b = shares(cost, a_weights), shares(cost.mT, b_weights)
    values, rows, columns = (_array(tensor) for tensor in (cost, a, b))
    if not all(np.isfinite(x).all() for x in (values, rows, columns)):
        raise ValueError("costs and weights must be finite, and weights not all zero")
    if min(rows.min(), columns.min()) < 0:
        raise ValueError("weights must not be negative")
    equal = len(rows) == len(columns) and not (np.ptp(rows) or np.ptp(columns))
    plan = torch.from_numpy(_assignment(values) if equal else _programme(values, rows, columns))
    plan = plan.to(cost)
    return (plan * cost).sum(), plan


def _array(values: Tensor) -> NDArray[np.float64]:
    return values.detach().cpu().double().numpy()


def _assignment(cost: NDArray[np.float64]) -> NDArray[np.float64]:
    from scipy.optimize import linear_sum_assignment  # slow to import, like linprog

    plan = np.zeros_like(cost)
    plan[linear_sum_assignment(cost)] = 1 / len(cost)
    return plan


def _programme(
    cost: NDArray[np.float64], rows: NDArray[np.float64], columns: NDArray[np.float64]
) -> NDArray[np.float64]:
    from scipy.optimize import linprog
    from scipy.sparse import eye_array, kron, vstack

    n, m = cost.shape
    sums: Any = vstack((kron(eye_array(n), np.ones((1, m))), kron(np.ones((1, n)), eye_array(m))))
    # The last column's sum follows from the others, but for rounding, which must not count.
    wanted = np.concatenate((rows / rows.sum(), columns / columns.sum()))[:-1]
    found = linprog(
        cost.ravel(), A_eq=sums.tocsr()[:-1], b_eq=wanted, method="highs", options=_PRECISION
    )
    if not found.success:
        raise RuntimeError(f"the linear programme was not solved: {found.message}")
    plan: NDArray[np.float64] = found.x.reshape(n, m).clip(0)
    return plan
