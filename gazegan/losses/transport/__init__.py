"""Distances between samples, differentiable in their values: Wasserstein's, and a kernel's."""

from gazegan.losses.transport.kernel import kernel_distance
from gazegan.losses.transport.line import sliced_wasserstein, wasserstein_1d, wasserstein_circle

__all__ = [
    "kernel_distance",
    "sliced_wasserstein",
    "wasserstein_1d",
    "wasserstein_circle",
]
