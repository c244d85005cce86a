"""Distances between samples, differentiable in their values: Wasserstein's, and a kernel's."""

from gazegan.losses.transport.discrete import exact_transport, wasserstein
from gazegan.losses.transport.entropic import entropic_transport, sinkhorn_divergence
from gazegan.losses.transport.kernel import kernel_distance
from gazegan.losses.transport.line import sliced_wasserstein, wasserstein_1d, wasserstein_circle

__all__ = [
    "entropic_transport",
    "exact_transport",
    "kernel_distance",
    "sinkhorn_divergence",
    "sliced_wasserstein",
    "wasserstein",
    "wasserstein_1d",
    "wasserstein_circle",
]
