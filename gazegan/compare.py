"""How far populations of images are from photographs, by measures that need no labels."""

from collections.abc import Callable
from dataclasses import asdict, dataclass
from typing import Any

import torch
from torch import Tensor

from gazegan import rng
from gazegan.losses.transport import kernel_distance, sliced_wasserstein

_RIDGE = 1e-2
"""Weight of a squared coefficient of the classifier, a share of the features' own."""
_BLOCK = 500
"""Samples of a block of the kernel distance; blocks give its standard error."""


@dataclass(frozen=True)
class Likeness:
    """How like photographs some images are; two halves of photographs are near 0, 0 and 0.5."""

    count: int
    sliced_wasserstein: float
    """In spreads of the photographs' features."""
    kernel_distance: float
    """Squared, times 1000; the mean over blocks."""
    kernel_se: float | None
    """Its standard error over blocks; None of a single block."""
    auc: float
    """Of a linear classifier of images and photographs that it did not see; 0.5 is chance."""

    def to_dict(self) -> dict[str, Any]:
        return asdict(self)


def likeness(features: Tensor, real: Tensor, seed: int) -> Likeness:
    """Compare features `[N, D]` of images with those of photographs `[M, D]`.

    Features are measured in units in which the photographs have mean 0 and spread 1. Raises
    ValueError where there are fewer than eight of either.
    """
    if min(len(features), len(real)) < 8:
        raise ValueError("at least eight images of each are needed")
    mean, spread = real.mean(0), real.std(0).clamp_min(1e-6)
    a, b = (features - mean) / spread, (real - mean) / spread
    blocks = _blocks(a, b, seed)
    values = torch.stack([1000 * kernel_distance(x, y) for x, y in blocks])
    return Likeness(
        len(features),
        float(sliced_wasserstein(a, b, rng.stream(seed, "compare", "slices"))),
        float(values.mean()),
        float(values.std() / len(values) ** 0.5) if len(values) > 1 else None,
        held_out_auc(a, b, seed),
    )


def halves(real: Tensor, seed: int) -> tuple[Tensor, Tensor]:
    """Return two random halves of photographs' features `[M, D]`: what chance alone sets apart."""
    order = torch.randperm(len(real), generator=rng.stream(seed, "compare", "halves"))
    cut = len(real) // 2
    return real[order[:cut]], real[order[cut:]]


def held_out_auc(a: Tensor, b: Tensor, seed: int) -> float:
    """Return how well a linear classifier tells samples `[N, D]` from `[M, D]` it did not see.

    Least squares with a ridge, both kinds of equal weight, learned on half of each and applied to
    the other half, both ways round; the area under the ROC curve, the mean of the two ways.
    """
    parts = (halves(a, seed), halves(b, seed))
    areas = []
    for learn, test in ((0, 1), (1, 0)):
        direction = _discriminant(parts[0][learn], parts[1][learn])
        areas.append(area_under_roc(parts[1][test] @ direction, parts[0][test] @ direction))
    return sum(areas) / 2


def area_under_roc(positive: Tensor, negative: Tensor) -> float:
    """Return the chance that a positive score `[N]` exceeds a negative one `[M]`; a tie is half.

    The Mann-Whitney statistic, normalised (Hanley & McNeil, Radiology 1982).
    """
    from scipy.stats import rankdata  # half a second that trainings should not wait for

    n, m = len(positive), len(negative)
    ranks = rankdata(torch.cat((positive, negative)).double().numpy())
    return float((ranks[:n].sum() - n * (n + 1) / 2) / (n * m))


def _discriminant(negative: Tensor, positive: Tensor) -> Tensor:
    """Return the direction `[D]` of Fisher's linear discriminant, with a ridge."""
    both = torch.stack([torch.cov(x.double().mT) for x in (negative, positive)]).mean(0)
    ridge = _RIDGE * both.diagonal().mean() * torch.eye(len(both), dtype=both.dtype)
    apart = positive.double().mean(0) - negative.double().mean(0)
    direction: Tensor = torch.linalg.solve(both + ridge, apart)
    return direction.to(positive.dtype)


def _blocks(a: Tensor, b: Tensor, seed: int) -> list[tuple[Tensor, Tensor]]:
    count = max(1, min(len(a), len(b)) // _BLOCK)
    shuffled: list[tuple[Tensor, ...]] = []
    for name, x in (("a", a), ("b", b)):
        order = torch.randperm(len(x), generator=rng.stream(seed, "compare", "blocks", name))
        shuffled.append(x[order].tensor_split(count))
    return list(zip(*shuffled, strict=True))


def features_of(
    network: Callable[[Tensor], Tensor], image: Tensor, advance: Callable[[int], object]
) -> Tensor:
    """Return `network`'s features `[N, D]` of images `[N, C, H, W]`, some at a time."""
    parts = []
    with torch.no_grad():
        for some in torch.split(image, 256):
            parts.append(network(some))
            advance(len(some))
    return torch.cat(parts)
