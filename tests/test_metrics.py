"""Reports against numpy, scipy and closed forms."""

import json
import math

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import optimize, stats
from scipy.spatial.transform import Rotation

from gazegan import geometry, metrics

SEEDS = st.integers(0, 2**31 - 1)


def gazes(count: int, seed: int, widest_deg: float = 30.0) -> torch.Tensor:
    generator = torch.Generator().manual_seed(seed)
    unit = torch.rand(count, 2, generator=generator, dtype=torch.float64)
    return torch.deg2rad((2 * unit - 1) * widest_deg)


def noisy(true: torch.Tensor, seed: int, deg: float = 5.0) -> torch.Tensor:
    generator = torch.Generator().manual_seed(seed)
    noise = torch.randn(true.shape, generator=generator, dtype=true.dtype)
    return 0.7 * true + math.radians(deg) * noise + 0.02


def pairs(directions_deg: torch.Tensor) -> torch.Tensor:
    radians = torch.deg2rad(directions_deg)
    return torch.stack((radians.cos(), radians.sin()), dim=-1)


def test_summary_matches_numpy():
    true = gazes(101, 0)
    predicted = noisy(true, 1)
    degrees = geometry.angular_error_deg(predicted, true).numpy()
    report = metrics.gaze_report(predicted, true).to_dict()
    assert report["count"] == 101
    assert report["mean_deg"] == pytest.approx(np.mean(degrees))
    assert report["median_deg"] == pytest.approx(np.median(degrees))
    assert report["p95_deg"] == pytest.approx(np.percentile(degrees, 95))
    for limit in (5, 7, 10):
        assert report[f"within_{limit}_deg"] == pytest.approx(np.mean(degrees <= limit))


def test_axes_match_scipy_s_regression():
    true = gazes(80, 2)
    predicted = noisy(true, 3)
    report = metrics.gaze_report(predicted, true).to_dict()
    for column, name in enumerate(("vertical", "horizontal")):
        truth, guess = (np.degrees(x[:, column].numpy()) for x in (true, predicted))
        assert report[f"{name}_slope"] == pytest.approx(stats.linregress(truth, guess).slope)
        assert report[f"{name}_bias_deg"] == pytest.approx(np.mean(guess - truth))
        assert report[f"{name}_deg"] == pytest.approx(np.mean(np.abs(guess - truth)))


def test_perfect_predictions():
    true = gazes(20, 4)
    report = metrics.gaze_report(true, true).to_dict()
    assert report["mean_deg"] == pytest.approx(0, abs=1e-9)
    assert report["within_5_deg"] == 1
    assert report["vertical_slope"] == pytest.approx(1)
    assert report["constant_deg"] > 5


def test_slope_is_unknown_where_the_truth_stands_still():
    true = torch.deg2rad(torch.tensor([[7.0, 1.0], [7.0, 2.0], [7.0, 3.0]]))
    report = metrics.gaze_report(noisy(true, 5), true).to_dict()
    assert report["vertical_slope"] is None
    assert report["horizontal_slope"] is not None


def test_constants_by_hand():
    true = torch.deg2rad(torch.tensor([[0.0, 20.0], [0.0, -20.0], [0.0, 15.0], [0.0, -15.0]]))
    report = metrics.gaze_report(torch.zeros(4, 2), true).to_dict()
    assert report["zero_deg"] == pytest.approx(17.5)
    assert report["constant_deg"] == pytest.approx(17.5), "the mean gaze is straight ahead"
    shifted = true + torch.deg2rad(torch.tensor([0.0, 30.0]))
    report = metrics.gaze_report(torch.zeros(4, 2), shifted).to_dict()
    assert report["zero_deg"] == pytest.approx(30.0)
    assert report["constant_deg"] == pytest.approx(17.5, abs=1e-5)


def test_mean_gaze_is_scipy_s_chordal_mean_direction():
    true = gazes(50, 6)
    vectors = geometry.vector_from_angles(true)

    def chords(angles: np.ndarray) -> float:
        vector = geometry.vector_from_angles(torch.from_numpy(angles))
        return float(((vectors - vector) ** 2).sum())

    best = optimize.minimize(chords, np.zeros(2), tol=1e-12).x
    np.testing.assert_allclose(metrics.mean_gaze(true), best, atol=1e-5)


@given(SEEDS)
@settings(deadline=None, max_examples=25)
def test_a_common_rotation_changes_neither_error_nor_constant(seed):
    true = gazes(12, seed)
    predicted = noisy(true, seed + 1)
    turn = Rotation.random(rng=np.random.default_rng(seed))

    def turned(angles: torch.Tensor) -> torch.Tensor:
        vectors = turn.apply(geometry.vector_from_angles(angles).numpy())
        return geometry.angles_from_vector(torch.from_numpy(vectors))

    before = metrics.gaze_report(predicted, true).to_dict()
    after = metrics.gaze_report(turned(predicted), turned(true)).to_dict()
    for key in ("mean_deg", "median_deg", "p95_deg", "constant_deg", "constant_p95_deg"):
        assert after[key] == pytest.approx(before[key], abs=1e-6)


@given(SEEDS, st.integers(1, 40))
@settings(deadline=None, max_examples=25)
def test_numbers_stay_in_their_bounds_and_order(seed, count):
    true = gazes(count, seed)
    predicted = noisy(true, seed + 1, 20.0)
    report = metrics.gaze_report(predicted, true)
    worst = float(report.errors.degrees.max())
    assert 0 <= report.errors.median_deg <= report.errors.p95_deg <= worst <= 180
    assert float(report.errors.degrees.min()) <= report.errors.mean_deg <= worst + 1e-12
    shares = [report.errors.within(limit) for limit in metrics.LIMITS_DEG]
    assert 0 <= shares[0] <= shares[1] <= shares[2] <= 1
    json.dumps(report.to_dict(), allow_nan=False)


@given(SEEDS)
@settings(deadline=None, max_examples=20)
def test_mirroring_the_world_flips_the_horizontal_bias_alone(seed):
    true = gazes(15, seed)
    predicted = noisy(true, seed + 1)
    there = metrics.gaze_report(predicted, true).axes
    back = metrics.gaze_report(geometry.mirror_angles(predicted), geometry.mirror_angles(true)).axes
    assert back["horizontal"].bias_deg == pytest.approx(-there["horizontal"].bias_deg)
    assert back["horizontal"].slope == pytest.approx(there["horizontal"].slope)
    assert back["vertical"] == there["vertical"]


@given(st.lists(st.floats(0, 180), min_size=1, max_size=30))
@settings(deadline=None, max_examples=50)
def test_curve_matches_scipy_s_empirical_distribution(degrees):
    limits = torch.linspace(0, 180, 37, dtype=torch.float64)
    ours = metrics.Errors(torch.tensor(degrees, dtype=torch.float64)).curve(limits)
    np.testing.assert_allclose(ours, stats.ecdf(degrees).cdf.evaluate(limits.numpy()), atol=1e-12)


def test_many_head_poses_are_gathered_by_tens_of_degrees():
    true = gazes(200, 7)
    head = torch.deg2rad(
        torch.stack((torch.linspace(-14, 14, 200), torch.linspace(-44, 44, 200)), 1)
    )
    report = metrics.gaze_report(noisy(true, 8), true, head)
    poses = [(g.labels["head_yaw_deg"], g.labels["head_pitch_deg"]) for g in report.heads]
    assert {yaw for yaw, _ in poses} == set(range(-40, 50, 10))
    assert {pitch for _, pitch in poses} == {-10, 0, 10}
    assert sum(len(group.errors) for group in report.heads) == 200


def test_groups_hold_the_samples_of_their_label():
    true, subject = gazes(30, 7), torch.arange(30) % 3 - 1
    predicted = noisy(true, 8)
    head = torch.deg2rad(torch.tensor([[0.2, -15.1], [0.0, 30.0]])).repeat(15, 1)
    head[4] = torch.nan
    report = metrics.gaze_report(predicted, true, head, subject, ["ann", "bob"])
    assert [group.labels["subject"] for group in report.subjects] == ["ann", "bob"]
    poses = [(g.labels["head_yaw_deg"], g.labels["head_pitch_deg"]) for g in report.heads]
    assert poses == [(-15, 0), (30, 0)]
    assert [len(group.errors) for group in report.heads] == [14, 15]
    ann = report.subjects[0].to_dict()
    alone = metrics.gaze_report(predicted[subject == 0], true[subject == 0]).to_dict()
    assert ann["subject"] == "ann"
    for key in ("count", "mean_deg", "p95_deg", "vertical_bias_deg", "horizontal_slope"):
        assert ann[key] == pytest.approx(alone[key])
    assert ann["constant_deg"] == pytest.approx(
        float(report.constant.degrees[subject == 0].mean())
    ), "a group is measured against the constant of the whole set"


def test_nobody_known_gives_no_groups():
    true = gazes(4, 9)
    unknown = torch.full((4,), -1)
    report = metrics.gaze_report(true, true, torch.full((4, 2), torch.nan), unknown)
    assert report.subjects == report.heads == ()


@pytest.mark.parametrize(
    ("predicted", "true", "said"),
    [
        (torch.zeros(0, 2), torch.zeros(0, 2), "N >= 1"),
        (torch.zeros(3, 2), torch.zeros(4, 2), "N, 2"),
        (torch.zeros(3, 3), torch.zeros(3, 3), "N, 2"),
        (torch.full((3, 2), torch.nan), torch.zeros(3, 2), "predicted gaze .* not finite"),
        (torch.zeros(3, 2), torch.full((3, 2), torch.inf), "true gaze .* not finite"),
    ],
)
@pytest.mark.parametrize("score", [metrics.gaze_report, metrics.direction_report])
def test_what_cannot_be_scored_is_refused(score, predicted, true, said):
    with pytest.raises(ValueError, match=said):
        score(predicted, true)


def test_directions_wrap_around():
    truth = torch.tensor([350.0, 10.0, 100.0], dtype=torch.float64)
    true = geometry.angles_from_direction(truth, torch.full_like(truth, 12.0))
    report = metrics.direction_report(pairs(truth + torch.tensor([20.0, -20.0, 5.0])), true)
    np.testing.assert_allclose(report.errors.degrees, [20, 20, 5], atol=1e-9)
    assert report.axes["direction"].bias_deg == pytest.approx(5 / 3)
    assert report.to_dict()["zero_deg"] is None


@given(SEEDS)
@settings(deadline=None, max_examples=20)
def test_mean_direction_matches_scipy(seed):
    degrees = np.random.default_rng(seed).uniform(0, 360, 9)
    ours = float(metrics.mean_direction_deg(torch.from_numpy(degrees)))
    assert math.isclose((ours - stats.circmean(degrees, high=360) + 180) % 360, 180, abs_tol=1e-6)


def test_direction_constant_is_the_circular_mean():
    truth = torch.tensor([340.0, 20.0, 0.0], dtype=torch.float64)
    true = geometry.angles_from_direction(truth, torch.full_like(truth, 12.0))
    report = metrics.direction_report(pairs(truth), true)
    assert report.constant.mean_deg == pytest.approx(40 / 3)


def test_gazes_without_a_direction_are_left_out_and_counted():
    true = torch.deg2rad(torch.tensor([[0.0, 0.0], [0.5, 0.0], [0.0, -10.0], [10.0, 0.0]]))
    subject, head = torch.tensor([0, 0, 1, 1]), torch.zeros(4, 2)
    predicted = pairs(torch.tensor([0.0, 0.0, 0.0, 90.0]))
    report = metrics.direction_report(predicted, true, head, subject, ["ann", "bob"])
    assert (report.left_out, len(report.errors)) == (2, 2)
    assert [group.labels["subject"] for group in report.subjects] == ["bob"]
    assert len(report.heads[0].errors) == 2
    with pytest.raises(ValueError, match="camera axis"):
        metrics.direction_report(predicted[:2], true[:2])
