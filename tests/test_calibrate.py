"""Corrections for an eye: against least squares, and on eyes whose faults are known."""

from functools import partial

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from gazegan.calibrate import Beliefs, by_shots, constant_deg, correct, fit


def angles(count: int, seed: int) -> torch.Tensor:
    generator = torch.Generator().manual_seed(seed)
    return 0.2 * torch.randn(count, 2, generator=generator, dtype=torch.float64)


@settings(deadline=None, max_examples=25)
@given(
    count=st.integers(0, 12),
    seed=st.integers(0, 999),
    offset=st.floats(0.5, 10),
    slope=st.floats(0.05, 1),
    noise=st.floats(0.5, 8),
)
def test_the_correction_is_that_of_least_squares_with_beliefs_as_rows(
    count, seed, offset, slope, noise
):
    output, gaze, head = (angles(count, seed + i) for i in range(3))
    found = fit(output, gaze, head, Beliefs(offset, slope, 0.07, 0.3, noise)).numpy()
    for angle in range(2):
        y = (gaze - output)[:, angle].numpy()
        own, other = (slope, 0.07) if angle == 0 else (0.07, slope)
        x = np.c_[np.ones(count), output.numpy(), head.numpy()[:, 1]]
        sd = np.deg2rad(noise)
        believed = np.diag([1 / np.deg2rad(offset), 1 / own, 1 / other, 1 / 0.3])
        rows, right = np.r_[x / sd, believed], np.r_[y / sd, 0, 0, 0, 0]
        np.testing.assert_allclose(
            found[:, angle], np.linalg.lstsq(rows, right, rcond=None)[0], atol=1e-9
        )


def test_many_samples_reveal_a_timid_biased_network_that_head_and_other_angle_mislead():
    gaze, head = angles(4000, 0), angles(4000, 1)
    wrong = torch.stack((0.1 * gaze[:, 1] + 0.2 * head[:, 1], -0.3 * head[:, 1]), 1)
    output = 0.5 * gaze + wrong + torch.tensor([0.1, -0.05])
    vague = Beliefs(100, 100, 100, 100, 1)
    found = correct(output, fit(output, gaze, head, vague), head)
    torch.testing.assert_close(found, gaze, atol=1e-3, rtol=0)


def test_an_unknown_head_is_as_none():
    output, gaze = angles(9, 0), angles(9, 1)
    unknown = torch.full_like(gaze, torch.nan)
    plain = fit(output, gaze)
    assert torch.equal(fit(output, gaze, head=unknown), plain)
    assert torch.equal(correct(output, plain, unknown), correct(output, plain))


def test_errors_of_people_fall_with_the_samples_that_show_their_bias():
    """Each person's answers are off by an own constant and nothing else."""
    subject = torch.arange(4).repeat_interleave(30)
    gaze = angles(120, 1)
    bias = torch.tensor([[5.0, 0], [0, -5], [-5, 0], [0, 5]]).double().deg2rad()
    output = gaze - bias[subject]
    sure = Beliefs(4, 1e-6, 1e-6, 1e-6, 4)
    none, one, nine = by_shots(output, gaze, subject, (0, 1, 9), learn=partial(fit, beliefs=sure))
    assert none.mean_deg == pytest.approx(5, abs=0.15)
    # Of a constant c, K samples leave noise^2 / (noise^2 + K offset^2): 1/2 and 1/10.
    assert one.mean_deg == pytest.approx(5 / 2, abs=0.1)
    assert nine.mean_deg == pytest.approx(5 / 10, abs=0.05)
    assert none.se_deg == pytest.approx(np.std(none.people_deg, ddof=1) / 2)


def test_each_eye_of_a_person_has_its_own_correction():
    """Both eyes err toward the nose, so that one correction for both would be none."""
    side = torch.arange(80) % 2
    gaze, subject = angles(80, 1), torch.zeros(80, dtype=torch.int64)
    output = gaze + torch.stack((0 * side, 0.1 - 0.2 * side), 1)
    sure = Beliefs(6, 1e-6, 1e-6, 1e-6, 1)
    (both,) = by_shots(output, gaze, subject, (9,), learn=partial(fit, beliefs=sure))
    (each,) = by_shots(output, gaze, subject, (9,), learn=partial(fit, beliefs=sure), side=side)
    assert len(each.people_deg) == 1
    assert each.mean_deg < 0.1
    assert both.mean_deg > 4


def test_people_are_counted_alike_and_the_unknown_left_out():
    gaze, output = angles(50, 1), angles(50, 2)
    subject = torch.tensor([0] * 5 + [3] * 30 + [-1] * 15)
    (some,) = by_shots(output, gaze, subject, (2,), draws=3, seed=4)
    assert len(some.people_deg) == 2
    again = by_shots(output, gaze, subject, (2,), draws=3, seed=4)
    assert again == (some,)
    gaze[35:] = 9
    assert by_shots(output, gaze, subject, (2,), draws=3, seed=4) == (some,)


def test_the_constant_is_averaged_over_people():
    gaze = torch.tensor([[0.0, 0.1], [0.0, 0.1], [0.0, 0.1], [0.0, -0.1], [9.0, 9.0]])
    subject = torch.tensor([0, 0, 0, 1, -1])
    # The mean yaw is 0.05: one person is 0.05 rad off, the other 0.15.
    assert constant_deg(gaze, subject) == pytest.approx(np.rad2deg(0.1), rel=1e-5)


@pytest.mark.parametrize(
    ("subject", "fault"), [([-1, -1, -1], "whose"), ([0, 1, 1], "only 1 samples")]
)
def test_impossible_calibrations_are_refused(subject, fault):
    with pytest.raises(ValueError, match=fault):
        by_shots(angles(3, 0), angles(3, 1), torch.tensor(subject), (1,))
