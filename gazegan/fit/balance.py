"""Weights that give samples wanted moments and otherwise differ as little as they can."""

import numpy as np
import torch
from scipy.optimize import minimize
from torch import Tensor

_RIDGE = 1e-3
"""How much a squared multiplier counts: moments that cannot be had are given up on."""
_CONSTANT = 1e-6
"""Spread, as a share of the size, that rounding alone may give."""
_HALVINGS = 10


def balance(moments: Tensor, target: Tensor, ridge: float = _RIDGE) -> Tensor:
    """Return weights `[N]` float64, summing to one, whose mean of `moments` `[N, M]` is `target`.

    Of all such weights those of the largest entropy (entropy balancing: Hainmueller, Political
    Analysis 2012, equation 8): a softmax of the moments, found through the convex dual. Moments
    are taken in units of their spread; one that is the same for all samples does not count.
    """
    apart, spread = moments.double() - target.double(), moments.double().std(0)
    varies = spread > _CONSTANT * moments.double().abs().mean(0)
    x = torch.where(varies, apart / spread.where(varies, 1.0), 0.0)

    def dual(multipliers: np.ndarray) -> tuple[float, np.ndarray]:
        by = torch.from_numpy(multipliers)
        scores = x @ by
        total = scores.logsumexp(0)
        slope = x.mT @ (scores - total).exp() + ridge * by
        return float(total + 0.5 * ridge * by @ by), slope.numpy()

    found = minimize(dual, np.zeros(x.shape[1]), jac=True, method="L-BFGS-B")
    return (x @ torch.from_numpy(found.x)).softmax(0)


def effective(weights: Tensor) -> float:
    """Return how many equal samples are worth as much as `weights` `[N]` (Kish's size)."""
    return float(weights.sum() ** 2 / weights.square().sum())


def balance_partly(moments: Tensor, target: Tensor, least: float) -> tuple[Tensor, float]:
    """Go from the moments' mean toward `target` as far as `least` effective samples remain.

    Returns the weights `[N]` and the share of the way, 1 where the target itself is reached.
    """
    weights = balance(moments, target)
    if effective(weights) >= least:
        return weights, 1.0
    begin, near, far = moments.mean(0), 0.0, 1.0
    weights = torch.full_like(weights, 1 / len(weights))
    for _ in range(_HALVINGS):
        middle = (near + far) / 2
        tried = balance(moments, begin + middle * (target - begin))
        if effective(tried) >= least:
            near, weights = middle, tried
        else:
            far = middle
    return weights, near
