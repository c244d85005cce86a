"""The kernel distance of two samples."""

from torch import Tensor


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
