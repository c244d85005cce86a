"""Measures of likeness against slow loops, NumPy and populations that are known to differ."""

import numpy as np
import pytest
import torch
from scipy.spatial.distance import pdist
from scipy.stats import kstest
from sklearn.metrics import roc_auc_score
from sklearn.metrics.pairwise import rbf_kernel
from sklearn.neighbors import KNeighborsClassifier

from gazegan import compare, rng
from gazegan.compare import (
    alike,
    area_under_roc,
    beside_halves,
    features_of,
    halves,
    halves_by_people,
    held_out_auc,
    kernel_test,
    likeness,
    neighbour_auc,
    told_apart,
)
from gazegan.losses.transport import kernel_distance
from gazegan.nets.features import FEATURES, RandomFeatures


def normal(count: int, seed: int, shift: float = 0.0, size: int = 6) -> torch.Tensor:
    drawn = torch.Generator().manual_seed(seed)
    return torch.randn(count, size, generator=drawn, dtype=torch.float64) + shift


def test_kernel_distance_equals_a_slow_loop() -> None:
    a, b = normal(7, 0).numpy(), normal(5, 1, 0.5).numpy()

    def k(x: np.ndarray, y: np.ndarray) -> float:
        return float((np.dot(x, y) / 6 + 1) ** 3)

    slow = sum(k(x, y) for i, x in enumerate(a) for j, y in enumerate(a) if i != j) / 42
    slow += sum(k(x, y) for i, x in enumerate(b) for j, y in enumerate(b) if i != j) / 20
    slow -= 2 * sum(k(x, y) for x in a for y in b) / 35
    assert float(kernel_distance(torch.tensor(a), torch.tensor(b))) == pytest.approx(slow)


def test_kernel_distance_is_unbiased_and_needs_two_samples() -> None:
    same = [float(kernel_distance(normal(30, s), normal(30, 1000 + s))) for s in range(200)]
    assert abs(np.mean(same)) < 3 * np.std(same) / 200**0.5
    with pytest.raises(ValueError, match="two samples"):
        kernel_distance(normal(1, 0), normal(5, 1))


def test_area_under_roc_counts_pairs() -> None:
    a, b = torch.tensor([0.1, 0.5, 0.5, 0.9]), torch.tensor([0.5, 0.2, 0.0])
    pairs = [1.0 if x > y else 0.5 if x == y else 0.0 for x in a for y in b]
    assert area_under_roc(a, b) == pytest.approx(sum(pairs) / 12)


def test_auc_is_that_of_the_best_linear_score() -> None:
    # Two normals a distance d apart along one axis: AUC = Phi(d / sqrt 2).
    far = torch.zeros(6, dtype=torch.float64)
    far[2] = 1.5
    found = held_out_auc(normal(4000, 0), normal(4000, 1) + far, 0)
    expected = float(torch.special.ndtr(torch.tensor(1.5 / 2**0.5)))
    assert found == pytest.approx(expected, abs=0.012)
    assert held_out_auc(normal(4000, 2), normal(4000, 3), 0) == pytest.approx(0.5, abs=0.02)


def test_neighbour_auc_is_scikit_learns() -> None:
    a, b = normal(60, 0), normal(70, 1, 0.4)
    parts, areas = (halves(a, 5), halves(b, 5)), []
    for learn, test in ((0, 1), (1, 0)):
        known = torch.cat([part[learn] for part in parts]).numpy()
        truth = [np.repeat([0, 1], [len(part[k]) for part in parts]) for k in (learn, test)]
        classifier = KNeighborsClassifier(7).fit(known, truth[0])
        scores = classifier.predict_proba(torch.cat([part[test] for part in parts]).numpy())[:, 1]
        areas.append(roc_auc_score(truth[1], scores))
    assert neighbour_auc(a, b, 5, neighbours=7) == pytest.approx(np.mean(areas))


def test_neighbours_tell_what_no_line_can() -> None:
    a, b = normal(300, 0, size=2), normal(300, 1, size=2)
    around = 4 * b / b.norm(dim=1, keepdim=True)
    assert neighbour_auc(a, around, 0) > 0.95
    assert held_out_auc(a, around, 0) < 0.65
    assert neighbour_auc(a, b, 0) == pytest.approx(0.5, abs=0.06)


def test_kernel_test_measures_what_its_definition_says() -> None:
    a, b = normal(6, 0), normal(5, 1, 0.5)
    both = torch.cat((a, b)).numpy()
    gram = rbf_kernel(both, gamma=1 / (2 * np.median(pdist(both, "sqeuclidean"))))
    expected = gram[:6, :6].mean() + gram[6:, 6:].mean() - 2 * gram[:6, 6:].mean()
    assert kernel_test(a, b, 0).squared_mmd == pytest.approx(expected)


def test_p_values_are_even_where_there_is_one_population() -> None:
    values = np.array(
        [kernel_test(normal(15, s), normal(20, 999 + s), s, 99).p_value for s in range(200)]
    )
    # They are multiples of 1/100; lowered by an even share of that, they are even on 0..1.
    lowered = values - np.random.default_rng(0).random(200) / 100
    assert kstest(lowered, "uniform").pvalue > 0.01
    assert 0.01 <= values.min() < 0.05
    real = normal(60, 7)
    split = [kernel_test(*halves(real, s), s, 99).p_value for s in range(60)]
    assert kstest(split, "uniform").pvalue > 0.01


@pytest.mark.parametrize(("shift", "spread"), [(0.6, 1.0), (0.0, 2.0)])
def test_p_values_are_small_where_there_are_two(shift: float, spread: float) -> None:
    found = kernel_test(normal(80, 0), spread * normal(80, 1) + shift, 0)
    assert found.p_value == 1 / 1000
    assert kernel_test(normal(80, 0), normal(80, 0), 0).p_value == 1


def test_people_are_not_split() -> None:
    people = torch.arange(60) % 7 - 1
    both = halves_by_people(people[:, None].double(), people, 3)
    assert both is not None
    first, second = ({int(x) for x in part.flatten()} for part in both)
    assert first | second == set(range(6))
    assert not first & second
    assert len(first) == len(second) == 3
    assert halves_by_people(normal(60, 0), people.clamp(max=2), 3) is None
    assert halves_by_people(normal(14, 0), people[:14], 3) is None


def test_told_apart_gathers_all_measures() -> None:
    a, b = normal(40, 0), normal(30, 1, 0.7)
    found = told_apart(a, b, 2)
    assert found.to_dict() == {
        "counts": (40, 30),
        "linear_auc": held_out_auc(a, b, 2),
        "neighbour_auc": neighbour_auc(a, b, 2),
        "squared_mmd": kernel_test(a, b, 2).squared_mmd,
        "p_value": kernel_test(a, b, 2).p_value,
    }


def test_likeness_grows_with_the_distance_and_names_chance() -> None:
    real = normal(1200, 0).float()
    near, far = (likeness(normal(1200, 1, shift).float(), real, 0) for shift in (0.1, 0.6))
    chance = likeness(*halves(real, 0), 0)
    for name in ("sliced_wasserstein", "kernel_distance", "auc"):
        assert getattr(chance, name) < getattr(near, name) < getattr(far, name), name
    assert abs(chance.kernel_distance) < 30
    assert chance.kernel_se is None
    assert near.kernel_se is not None
    assert near.to_dict()["count"] == 1200
    with pytest.raises(ValueError, match="at least eight"):
        likeness(real[:7], real, 0)


def test_chance_counts_alike_for_halves_and_for_larger_samples_of_one_population() -> None:
    """The sliced Wasserstein distance of two small samples is far from 0."""
    found = [
        beside_halves([normal(4000, 50 + seed), normal(150, 90 + seed)], normal(208, seed), seed)
        for seed in range(8)
    ]
    chance, many, few = (np.mean([rows[k].sliced_wasserstein for rows in found]) for k in range(3))
    assert many == pytest.approx(chance, rel=0.1)
    assert few == pytest.approx(chance, rel=0.1)
    assert all(row.count == 104 for row in found[0])


def test_beside_halves_each_source_is_told_by_the_mean_of_both() -> None:
    real, other = normal(300, 0), normal(300, 1, 0.3)
    chance, same = beside_halves([other], real, 0)
    orders = torch.randperm(300, generator=rng.stream(0, "compare", "halves")).chunk(2)
    mean, spread = real.mean(0), real.std(0)
    parts = [[(some[order] - mean) / spread for order in orders] for some in (real, other)]
    apart = [float(kernel_distance(a, b)) for a, b in zip(parts[0], parts[1][::-1], strict=True)]
    assert same.kernel_distance == pytest.approx(1000 * sum(apart) / 2)
    assert chance.kernel_distance == pytest.approx(1000 * float(kernel_distance(*parts[0])))
    with pytest.raises(ValueError, match="at least eight"):
        beside_halves([other[:7]], real, 0)


def test_two_comparisons_of_the_same_images_are_no_surer_than_one() -> None:
    """Those of two halves hold the same photographs, if in other places."""
    once = likeness(normal(1200, 1, 0.3), normal(1200, 0), 0)
    again = compare._mean(once, once)
    assert once.kernel_se and again.kernel_se == pytest.approx(once.kernel_se)
    assert again == once


def test_photographs_are_as_far_from_themselves_as_their_halves_are() -> None:
    """Else a source that shares photographs in their order would seem nearer than chance allows."""
    real = normal(301, 0)
    chance, same, noisy = beside_halves([real, real + 1e-6 * normal(301, 1)], real, 0)
    assert same == chance and chance.sliced_wasserstein > 0.05
    assert noisy.sliced_wasserstein == pytest.approx(chance.sliced_wasserstein, rel=1e-3)


def test_a_feature_that_three_photographs_have_does_not_outweigh_all_others() -> None:
    """Whichever half they lie in."""
    real, images = normal(400, 0), normal(400, 1)
    rare = torch.zeros(400, 1, dtype=torch.float64)
    rare[:3] = 1e-3
    for seed in range(4):
        with_it = beside_halves([torch.cat((images, rare), 1)], torch.cat((real, rare), 1), seed)
        without = beside_halves([images], real, seed)
        for one, other in zip(with_it, without, strict=True):
            assert one.sliced_wasserstein == pytest.approx(other.sliced_wasserstein, abs=0.05)


def test_photographs_that_are_all_alike_measure_nothing_and_halves_of_them_do() -> None:
    """Of one other among them, half of the halves are all alike."""
    same, images = normal(1, 0).expand(20, -1), normal(20, 1)
    for real in (same, same + 1e-9 * images, torch.zeros(20, 6)):
        assert alike(real)
        with pytest.raises(ValueError, match="all alike"):
            likeness(images, real, 0)
    real = torch.cat((same[1:], images[:1]))
    assert not alike(real)
    chance, found = beside_halves([images], real, 0)
    assert np.isfinite([chance.kernel_distance, found.kernel_distance, found.auc]).all()
    assert chance.auc == 0.5


def test_units_do_not_count() -> None:
    real, other = normal(400, 0), normal(400, 1, 0.3)
    scaled = likeness(100 * other - 7, 100 * real - 7, 0)
    assert scaled.sliced_wasserstein == pytest.approx(likeness(other, real, 0).sliced_wasserstein)


def test_random_features_are_the_same_for_everyone_and_see_texture() -> None:
    network = RandomFeatures(1)
    drawn = torch.Generator().manual_seed(0)
    image = torch.rand(300, 1, 16, 24, generator=drawn)
    seen: list[int] = []
    found = features_of(network, image, seen.append)
    assert found.shape == (300, FEATURES)
    assert sum(seen) == 300
    torch.manual_seed(99)
    assert torch.equal(found, features_of(RandomFeatures(1), image, seen.append))
    soft = torch.nn.functional.avg_pool2d(image, 3, 1, 1)
    assert held_out_auc(found, features_of(network, soft, seen.append), 0) > 0.95
    assert RandomFeatures(3)(image.repeat(1, 3, 1, 1)).shape == (300, FEATURES)


def test_the_smallest_images_have_features() -> None:
    image = torch.rand(20, 1, 8, 8, generator=torch.Generator().manual_seed(0))
    found = RandomFeatures(1)(image)
    assert found.isfinite().all()
    assert 0 <= likeness(found[:10], found[10:], 0).auc <= 1
