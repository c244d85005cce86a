"""Maps of samples and what judges them, against scikit-learn, SciPy and slow loops."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.spatial.distance import cdist
from scipy.stats import rankdata
from sklearn.decomposition import PCA
from sklearn.neighbors import NearestNeighbors

from gazegan.embed import (
    LEAST,
    MAPS,
    NEIGHBOURS,
    embed,
    fewest_axes,
    kept,
    neighbour_agreement,
    principal_axes,
    tsne,
)


def normal(count: int, size: int, seed: int = 0) -> torch.Tensor:
    drawn = torch.Generator().manual_seed(seed)
    return torch.randn(count, size, generator=drawn, dtype=torch.float64)


def clusters(each: int = 20, size: int = 60) -> torch.Tensor:
    """Three clusters, far from each other, each a curve of its own."""
    centre = 30 * torch.eye(3, size, dtype=torch.float64).repeat_interleave(each, 0)
    along = torch.linspace(-6, 6, each).double().repeat(3)[:, None] * normal(1, size, 5)
    return centre + along + 0.3 * normal(3 * each, size)


def intruders(space: np.ndarray, other: np.ndarray, k: int) -> float:
    """Venna and Kaski's measure, one pair of samples after the other."""
    ranks = [rankdata(row, method="ordinal") - 1 for row in cdist(space, space)]
    near = [rankdata(row, method="ordinal") - 1 for row in cdist(other, other)]
    count, missed = len(space), 0.0
    for i in range(count):
        for j in range(count):
            if i != j and near[i][j] <= k < ranks[i][j]:
                missed += ranks[i][j] - k
    return 1 - 2 * missed / (count * k * (2 * count - 3 * k - 1))


@given(st.integers(0, 1000), st.integers(1, 9))
@settings(deadline=None, max_examples=10)
def test_trustworthiness_and_continuity_are_those_of_the_definition(seed: int, k: int) -> None:
    points, mapped = normal(25, 5, seed), normal(25, 2, seed + 1)
    mapped = mapped + points[:, :2]
    found = kept(points, mapped, k)
    a, b = points.numpy(), mapped.numpy()
    assert found.trustworthiness == pytest.approx(intruders(a, b, k))
    assert found.continuity == pytest.approx(intruders(b, a, k))
    back = kept(mapped, points, k)
    assert (back.trustworthiness, back.continuity) == (found.continuity, found.trustworthiness)


def test_a_map_that_only_turns_and_scales_keeps_all() -> None:
    points = normal(50, 2)
    turn = torch.linalg.qr(normal(2, 2, 1)).Q
    found = kept(points, 3 * points @ turn + 7)
    assert (found.trustworthiness, found.continuity) == (1, 1)
    assert neighbour_agreement(points, 3 * points @ turn + 7) == 1


def test_agreement_counts_common_neighbours() -> None:
    a, b = normal(60, 2), normal(60, 2, 1) + 2 * normal(60, 2)
    sets = []
    for each in (a, b):
        found = NearestNeighbors(n_neighbors=4).fit(each.numpy()).kneighbors(return_distance=False)
        sets.append([set(row) for row in found.tolist()])
    expected = np.mean([len(x & y) / 4 for x, y in zip(*sets, strict=True)])
    assert neighbour_agreement(a, b, 4) == pytest.approx(expected)


def test_maps_that_have_nothing_in_common_agree_by_chance() -> None:
    found = [neighbour_agreement(normal(80, 2, s), normal(80, 2, 100 + s)) for s in range(20)]
    assert np.mean(found) == pytest.approx(NEIGHBOURS / 79, abs=0.01)


@pytest.mark.parametrize("shape", [(12, 40), (40, 12)])
def test_fewest_axes_keep_every_distance(shape: tuple[int, int]) -> None:
    features = normal(*shape)
    points = fewest_axes(features)
    assert points.shape == (shape[0], min(shape))
    torch.testing.assert_close(torch.cdist(points, points), torch.cdist(features, features))


def test_principal_axes_are_scikit_learns() -> None:
    points = normal(40, 6) * torch.tensor([5.0, 4, 3, 2, 1, 0.5])
    theirs = PCA(2).fit_transform(points.numpy())
    ours = principal_axes(points).numpy()
    np.testing.assert_allclose(np.abs(ours), np.abs(theirs), atol=1e-9)


def test_a_map_is_the_same_for_the_same_seed() -> None:
    points = clusters()
    again = [tsne(points, 10, "random", seed) for seed in (3, 3, 4)]
    assert torch.equal(again[0], again[1])
    assert not torch.equal(again[0], again[2])


def test_clusters_are_mapped_and_the_map_is_judged_above_chance() -> None:
    features, heard = clusters(), list[int]()
    found = embed(features, 10, 0, heard.append)
    assert sum(heard) == MAPS
    assert found.map.shape == (60, 2)
    near = torch.cdist(found.map, found.map).fill_diagonal_(torch.inf).argmin(1)
    assert torch.equal(near // 20, torch.arange(60) // 20)
    assert found.tsne.trustworthiness > 0.95
    assert found.tsne.continuity > 0.9
    assert max(found.shuffled.trustworthiness, found.shuffled.continuity) < 0.6
    for agreed in (found.seeds_agree, found.perplexities_agree):
        assert 0.6 < agreed <= 1
    assert found.chance_agree == pytest.approx(NEIGHBOURS / 59)
    told = found.to_dict()
    assert "map" not in told
    assert told["tsne"]["trustworthiness"] == found.tsne.trustworthiness


def test_a_map_of_nothing_is_not_trusted() -> None:
    found = embed(normal(60, 60), 10, 0)
    assert found.tsne.trustworthiness < 0.8
    assert found.seeds_agree < 0.7


def test_too_few_samples_are_refused() -> None:
    with pytest.raises(ValueError, match=f"at least {LEAST} samples, not 39"):
        embed(normal(39, 3), 5, 0)
    with pytest.raises(ValueError, match="perplexity 30 needs at least 90"):
        embed(normal(80, 3), 30, 0)
