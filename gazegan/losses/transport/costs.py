"""What every distance starts from: weights that sum to 1, and costs."""

import torch
from torch import Tensor


def shares(samples: Tensor, weights: Tensor | None) -> Tensor:
    """Return weights `[N]` of samples `[N, ...]` with a sum of 1; all equal where None is given."""
    if weights is None:
        return samples.new_full((len(samples),), 1 / len(samples))
    return (weights / weights.sum()).to(samples)


def euclidean(a: Tensor, b: Tensor) -> Tensor:
    """Return the distances `[N, M]` between points `[N, D]` and `[M, D]`."""
    # By differences: products of matrices would lose half of the digits of near points.
    return torch.cdist(a, b, compute_mode="donot_use_mm_for_euclid_dist")
