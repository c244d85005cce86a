"""Distances between samples, differentiable in their values: Wasserstein's, and a kernel's."""

import torch
import torch.nn.functional as F
from torch import Generator, Tensor


def wasserstein_1d(
    a: Tensor, b: Tensor, a_weights: Tensor | None = None, b_weights: Tensor | None = None
) -> Tensor:
    """Return the exact 1-Wasserstein distance `[...]` between samples `[N, ...]` and `[M, ...]`.

    Weights `[N]` and `[M]` are normalised; all equal unless given. The area between the two
    cumulative distributions (Vallender, Theory of Probability and its Applications 1974).
    """
    signed = torch.cat((_shares(a, a_weights), -_shares(b, b_weights)))
    values, order = torch.cat((a, b)).sort(dim=0)
    apart = signed[order].cumsum(0)[:-1].abs()
    return (apart * (values[1:] - values[:-1])).sum(0)


def sliced_wasserstein(
    a: Tensor,
    b: Tensor,
    generator: Generator,
    directions: int = 200,
    a_weights: Tensor | None = None,
) -> Tensor:
    """Return the mean 1-Wasserstein distance `[]` of samples `[N, D]`, `[M, D]` along directions.

    Directions are drawn evenly over the sphere by `generator`, a CPU one; `a_weights` `[N]` weigh
    the first samples (Rabin et al., SSVM 2011).
    """
    drawn = torch.randn(a.shape[1], directions, generator=generator).to(a)
    along = F.normalize(drawn, dim=0)
    return wasserstein_1d(a @ along, b @ along, a_weights).mean()


def _shares(samples: Tensor, weights: Tensor | None) -> Tensor:
    if weights is None:
        return samples.new_full((len(samples),), 1 / len(samples))
    return (weights / weights.sum()).to(samples)


def kernel_distance(a: Tensor, b: Tensor) -> Tensor:
    """Return the squared maximum mean discrepancy `[]` of samples `[N, D]` and `[M, D]`.

    Unbiased, so that it may fall below 0, with the kernel (x.y / D + 1)^3 of the Kernel Inception
    Distance (Binkowski et al., ICLR 2018, section 3). Raises ValueError with fewer than two
    samples.
    """
    if min(len(a), len(b)) < 2:
        raise ValueError("a distance needs at least two samples of each")

    def kernel(x: Tensor, y: Tensor) -> Tensor:
        return (x @ y.mT / x.shape[1] + 1) ** 3

    def within(x: Tensor) -> Tensor:
        same = kernel(x, x)
        return (same.sum() - same.diagonal().sum()) / (len(x) * (len(x) - 1))

    return within(a) + within(b) - 2 * kernel(a, b).mean()
