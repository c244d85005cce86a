"""How far populations of images are from photographs, by measures that need no labels."""

from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import torch
from torch import Tensor

from gazegan import rng
from gazegan.losses.transport import kernel_distance, sliced_wasserstein

_RIDGE = 1e-2
"""Weight of a squared coefficient of the classifier, a share of the features' own."""
_ALIKE = 1e-4
"""Spread of features, as a share of their size, below which images count as one: noise of a level
makes ten times as much. In units still smaller, other images would be too far away to be told."""
_BLOCK = 500
"""Samples of a block of the kernel distance; blocks give its standard error."""


@dataclass(frozen=True)
class Likeness:
    """How like photographs some images are; two halves of photographs are near 0, 0 and 0.5."""

    count: int
    """Images that are compared with as many photographs, or with all."""
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

    Features are measured in units in which the photographs have mean 0 and spread 1, or less where
    they hardly vary. Raises ValueError where there are fewer than eight of either, or the
    photographs are all alike.
    """
    a, b = in_spreads(real, features, real)
    return _likeness(a, b, seed)


def alike(features: Tensor) -> bool:
    """Whether features `[N, D]` hardly vary, so that there is no spread to measure in."""
    spread, size = (some.square().mean().sqrt() for some in (features.std(0), features))
    return bool(spread <= _ALIKE * size)


def in_spreads(real: Tensor, *features: Tensor) -> list[Tensor]:
    """Return features `[N, D]` in units in which photographs `[M, D]` have mean 0 and spread 1.

    No unit is below a hundredth of the mean one: a feature that a few photographs have would else
    outweigh all others. Raises ValueError where the photographs are all alike.
    """
    if alike(real):
        raise ValueError("the photographs are all alike, and how they vary is the measure")
    mean, spread = real.mean(0), real.std(0)
    least = 0.01 * spread.square().mean().sqrt()
    return [(some - mean) / spread.clamp_min(least) for some in features]


def beside_halves(images: Sequence[Tensor], real: Tensor, seed: int) -> list[Likeness]:
    """Compare features `[N, D]` of sources of images with those of photographs `[M, D]`.

    What comes first are two halves of the photographs. The fewer images are compared, the farther
    apart chance sets them; so each source lends each half as many as that half holds, or, where a
    source has fewer, as many as it has, and is told by the mean of both. Raises ValueError as
    `likeness` does.
    """
    count = min(len(real) // 2, *map(len, images))
    pairs = [_twice(some, count, seed) for some in in_spreads(real, real, *images)]
    near, far = pairs[0]
    # All are drawn by one order: crosswise, a source that holds the photographs does not meet each
    # of them again in the same half.
    return [
        _mean(_likeness(second, near, seed), _likeness(first, far, seed)) for first, second in pairs
    ]


def _twice(samples: Tensor, count: int, seed: int) -> tuple[Tensor, Tensor]:
    """Return twice `count` of the samples, drawn at random; others, where there are enough."""
    order = torch.randperm(len(samples), generator=rng.stream(seed, "compare", "halves"))
    return samples[order[:count]], samples[order[-count:]]


def _mean(a: Likeness, b: Likeness) -> Likeness:
    """The mean of two comparisons, which share images: its error is at most the mean error."""
    errors = None if a.kernel_se is None or b.kernel_se is None else (a.kernel_se + b.kernel_se) / 2
    return Likeness(
        a.count,
        (a.sliced_wasserstein + b.sliced_wasserstein) / 2,
        (a.kernel_distance + b.kernel_distance) / 2,
        errors,
        (a.auc + b.auc) / 2,
    )


def _likeness(a: Tensor, b: Tensor, seed: int) -> Likeness:
    if min(len(a), len(b)) < 8:
        raise ValueError("at least eight images of each are needed")
    blocks = _blocks(a, b, seed)
    values = torch.stack([1000 * kernel_distance(x, y) for x, y in blocks])
    return Likeness(
        len(a),
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

    def score(negative: Tensor, positive: Tensor, tested: Tensor) -> Tensor:
        return tested @ _discriminant(negative, positive)

    return _both_ways(a, b, seed, score)


def neighbour_auc(a: Tensor, b: Tensor, seed: int, neighbours: int = 5) -> float:
    """Return how well nearest neighbours tell samples `[N, D]` from `[M, D]`, as `held_out_auc`.

    The score is the share of the second kind among the nearest in the halves that are known.
    """

    def score(negative: Tensor, positive: Tensor, tested: Tensor) -> Tensor:
        apart = torch.cdist(tested, torch.cat((negative, positive)))
        nearest = apart.topk(min(neighbours, apart.shape[1]), largest=False).indices
        return (nearest >= len(negative)).double().mean(1)

    return _both_ways(a, b, seed, score)


def _both_ways(
    a: Tensor, b: Tensor, seed: int, score: Callable[[Tensor, Tensor, Tensor], Tensor]
) -> float:
    """Return the mean area under the ROC curve, each half scored by what the other taught."""
    parts = (halves(a, seed), halves(b, seed))
    areas = []
    for learn, test in ((0, 1), (1, 0)):
        known = parts[0][learn], parts[1][learn]
        scores = [score(*known, part[test]) for part in parts]
        areas.append(area_under_roc(scores[1], scores[0]))
    return sum(areas) / 2


@dataclass(frozen=True)
class KernelTest:
    """A kernel two-sample test."""

    squared_mmd: float
    """Squared maximum mean discrepancy, 0..2; biased, so never below 0."""
    p_value: float
    """How often exchanging samples at random sets them as far apart; evenly spread over 0..1 where
    both samples come from one population, and never below 1 / (permutations + 1)."""


def kernel_test(a: Tensor, b: Tensor, seed: int, permutations: int = 999) -> KernelTest:
    """Test whether samples `[N, D]` and `[M, D]` come from one population.

    Gretton et al., "A Kernel Two-Sample Test" (JMLR 2012), equation 5, with a Gaussian kernel as
    wide as the median distance; the p-value by permutation, the samples as they are being one of
    the permutations (Phipson and Smyth, SAGMB 2010). Every sample counts as drawn by itself:
    several of one person, in one of the two alone, make p too small.
    """
    both = torch.cat((a, b)).double()
    squares = torch.cdist(both, both).square()
    rows, columns = torch.triu_indices(len(both), len(both), 1)
    width = squares[rows, columns].median().clamp_min(1e-30)
    kernel = (-squares / (2 * width)).exp()
    weight = torch.cat((a.new_full((len(a),), 1 / len(a)), b.new_full((len(b),), -1 / len(b))))
    drawn = rng.stream(seed, "compare", "permutations")
    orders = [torch.randperm(len(both), generator=drawn) for _ in range(permutations)]
    weights = weight.double()[torch.stack([torch.arange(len(both)), *orders])]
    values = ((weights @ kernel) * weights).sum(1)
    # Orders that exchange nothing must not lose to the samples themselves by a last bit.
    reached = int((values >= values[0] * (1 - 1e-9)).sum())
    return KernelTest(float(values[0]), reached / (permutations + 1))


@dataclass(frozen=True)
class Apart:
    """How well two samples are told apart in their own space; by chance 0.5, 0.5 and any p."""

    counts: tuple[int, int]
    linear_auc: float
    neighbour_auc: float
    squared_mmd: float
    p_value: float

    def to_dict(self) -> dict[str, Any]:
        return asdict(self)


def told_apart(a: Tensor, b: Tensor, seed: int) -> Apart:
    """Tell samples `[N, D]` from `[M, D]` by two classifiers and a kernel test; N, M >= 8."""
    test = kernel_test(a, b, seed)
    aucs = held_out_auc(a, b, seed), neighbour_auc(a, b, seed)
    return Apart((len(a), len(b)), *aucs, test.squared_mmd, test.p_value)


def halves_by_people(features: Tensor, people: Tensor, seed: int) -> tuple[Tensor, Tensor] | None:
    """Return the features `[N, D]` of one half of the people and those of the other.

    `people` `[N]` int64 are negative where unknown, and then left out. None where there are fewer
    than four people, or fewer than eight samples in a half.
    """
    known = torch.unique_consecutive(people[people >= 0].sort().values)
    if len(known) < 4:
        return None
    order = torch.randperm(len(known), generator=rng.stream(seed, "compare", "people"))
    sides = known[order].tensor_split(2)
    first, second = (features[torch.isin(people, side)] for side in sides)
    return (first, second) if min(len(first), len(second)) >= 8 else None


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
    # Of a half in which nothing varies and nothing is apart, the direction is 0: no error.
    ridge = (
        _RIDGE * both.diagonal().mean().clamp_min(1e-12) * torch.eye(len(both), dtype=both.dtype)
    )
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
