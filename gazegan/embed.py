"""Maps of samples by t-SNE, and how far such a map may be believed."""

from collections.abc import Callable
from dataclasses import asdict, dataclass
from itertools import combinations
from statistics import fmean
from typing import Any, Literal

import numpy as np
import torch
from torch import Tensor

from gazegan import rng

NEIGHBOURS = 10
"""Nearest samples by which maps are judged."""
LEAST = 4 * NEIGHBOURS
"""Samples below which there is nothing to judge by."""


@dataclass(frozen=True)
class Kept:
    """Which neighbourhoods a map keeps, 1 where it keeps all; Venna and Kaski (ICANN 2001)."""

    trustworthiness: float
    """Falls where neighbours on the map are no neighbours in the original space."""
    continuity: float
    """Falls where neighbours in the original space are none on the map."""


@dataclass(frozen=True)
class Embedding:
    """A map and what stands beside it, so that it need not be taken on trust."""

    map: Tensor
    """[N, 2] float64; only who is near whom has a meaning."""
    tsne: Kept
    principal: Kept
    """Of the first two principal axes, a map that invents nothing."""
    shuffled: Kept
    """Of the t-SNE map with its samples exchanged at random: chance."""
    seeds_agree: float
    """Mean share of a sample's nearest neighbours that maps of two seeds have in common."""
    perplexities_agree: float
    """The same of the map and those with half and with double the perplexity."""
    chance_agree: float
    """The same of two maps that have nothing to do with each other."""

    def to_dict(self) -> dict[str, Any]:
        """Return plain values for JSON, without the map."""
        values = asdict(self)
        del values["map"]
        return {"neighbours": NEIGHBOURS, **values}


MAPS = 5
"""Maps that `embed` makes: its own, two from random starts, two of other perplexities."""


def embed(
    features: Tensor,
    perplexity: float,
    seed: int,
    advance: Callable[[int], object] = lambda count: None,
) -> Embedding:
    """Map features `[N, D]` to the plane by t-SNE and judge the map; `advance` hears of each map.

    The map starts from the first two principal axes, which keep the whole in place (Kobak and
    Berens, Nature Communications 2019); maps of other seeds start at random. Raises ValueError
    where there are fewer than LEAST samples, or fewer than three for each unit of perplexity.
    """
    if len(features) < max(LEAST, 3 * perplexity):
        raise ValueError(
            f"a map of perplexity {perplexity:g} needs at least"
            f" {max(LEAST, int(np.ceil(3 * perplexity)))} samples, not {len(features)}"
        )
    points = fewest_axes(features.double())

    def drawn(perplexity: float, start: Start, seed: int) -> Tensor:
        made = tsne(points, perplexity, start, seed)
        advance(1)
        return made

    own = drawn(perplexity, "pca", seed)
    seeds = [own, *(drawn(perplexity, "random", rng.mix(seed, "embed", k)) for k in range(2))]
    others = [drawn(factor * perplexity, "pca", seed) for factor in (0.5, 2)]
    order = torch.randperm(len(own), generator=rng.stream(seed, "embed", "shuffle"))
    return Embedding(
        own,
        kept(points, own),
        kept(points, principal_axes(points)),
        kept(points, own[order]),
        fmean(neighbour_agreement(a, b) for a, b in combinations(seeds, 2)),
        fmean(neighbour_agreement(own, other) for other in others),
        NEIGHBOURS / (len(own) - 1),
    )


Start = Literal["pca", "random"]


def tsne(points: Tensor, perplexity: float, start: Start, seed: int) -> Tensor:
    """Return the t-SNE map `[N, 2]` float64 of points `[N, D]`, the same for the same seed.

    Van der Maaten and Hinton, Journal of Machine Learning Research 2008, by Barnes and Hut's tree;
    N must exceed the perplexity.
    """
    from sklearn.manifold import TSNE
    from threadpoolctl import threadpool_limits

    method = TSNE(perplexity=perplexity, init=start, random_state=seed % 2**32, n_jobs=1)
    with threadpool_limits(1):  # the order of sums, and so their last bit, must not vary
        return torch.from_numpy(method.fit_transform(points.numpy())).double()


def fewest_axes(features: Tensor) -> Tensor:
    """Return points `[N, min(N, D)]` that lie as far from each other as features `[N, D]` do."""
    if features.shape[1] <= len(features):
        return features
    points: Tensor = torch.linalg.qr(features.mT, mode="r").R.mT
    return points


def principal_axes(points: Tensor, count: int = 2) -> Tensor:
    """Return points `[N, D]` along their axes of most variance, `[N, min(count, D)]`."""
    centred = points - points.mean(0)
    left, spread, _ = torch.linalg.svd(centred, full_matrices=False)
    along: Tensor = left[:, :count] * spread[:count]
    return along


def kept(points: Tensor, mapped: Tensor, neighbours: int = NEIGHBOURS) -> Kept:
    """Judge a map `[N, 2]` of points `[N, D]` by so many nearest neighbours, fewer than N / 2.

    Continuity is trustworthiness with the two spaces exchanged.
    """
    from sklearn.manifold import trustworthiness

    a, b = points.numpy(), mapped.numpy()
    return Kept(
        float(trustworthiness(a, b, n_neighbors=neighbours)),
        float(trustworthiness(b, a, n_neighbors=neighbours)),
    )


def neighbour_agreement(a: Tensor, b: Tensor, neighbours: int = NEIGHBOURS) -> float:
    """Return the mean share in 0..1 of nearest neighbours common to maps `[N, 2]` of N samples."""
    near = [_nearest(each, neighbours) for each in (a, b)]
    return float((near[0] & near[1]).sum()) / (neighbours * len(a))


def _nearest(points: Tensor, neighbours: int) -> Tensor:
    """Return `[N, N]` bool: whether the second sample is among the first's nearest."""
    apart = torch.cdist(points, points)
    apart.fill_diagonal_(torch.inf)
    near = torch.zeros_like(apart, dtype=torch.bool)
    return near.scatter_(1, apart.topk(neighbours, largest=False).indices, True)
