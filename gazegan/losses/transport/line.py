"""Transport that sorting solves: on a line, on a circle, along directions."""

import torch
import torch.nn.functional as F
from torch import Generator, Tensor


def _shares(samples: Tensor, weights: Tensor | None) -> Tensor:
    """Return weights `[N]` of samples `[N, ...]` with a sum of 1; all equal where None is given."""
    if weights is None:
        return samples.new_full((len(samples),), 1 / len(samples))
    return (weights / weights.sum()).to(samples)


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


def wasserstein_circle(
    a: Tensor,
    b: Tensor,
    period: float,
    a_weights: Tensor | None = None,
    b_weights: Tensor | None = None,
) -> Tensor:
    """Return the exact 1-Wasserstein distance `[...]` between angles `[N, ...]` and `[M, ...]`.

    Angles, of any turn, and the distance are in units of `period`, which is 360 for degrees.
    Weights as in `wasserstein_1d`. The area between the cumulative distributions, one of them
    lowered by the median of their difference: how much goes round the other way (Delon, Salomon
    and Sobolevski, SIAM Journal on Applied Mathematics 2010; Rabin, Delon and Gousseau, Journal of
    Mathematical Imaging and Vision 2011).
    """
    signed = torch.cat((_shares(a, a_weights), -_shares(b, b_weights)))
    values, order = torch.cat((a, b)).remainder(period).sort(dim=0)
    gaps = torch.cat((values[1:], values[:1] + period)) - values
    apart = signed[order].cumsum(0)
    return ((apart - _median(apart, gaps)).abs() * gaps).sum(0)


def _median(values: Tensor, weights: Tensor) -> Tensor:
    """Return the weighted median `[1, ...]` of `[K, ...]` along the first axis."""
    ordered, order = values.sort(dim=0)
    below = weights.gather(0, order).cumsum(0) < weights.sum(0) / 2
    return ordered.gather(0, below.sum(0, keepdim=True).clamp(max=len(values) - 1))


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
