"""Corrections for a person: against least squares, and on people whose faults are known."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from gazegan.calibrate import Beliefs, by_shots, correct, fit


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
    output, gaze = angles(count, seed), angles(count, seed + 1)
    line = fit(output, gaze, Beliefs(offset, slope, noise)).numpy()
    for angle in range(2):
        x, y = output[:, angle].numpy(), (gaze - output)[:, angle].numpy()
        sd = np.deg2rad(noise)
        seen = np.c_[np.ones(count), x] / sd
        believed = np.diag([1 / np.deg2rad(offset), 1 / slope])
        rows, right = np.r_[seen, believed], np.r_[y / sd, 0, 0]
        np.testing.assert_allclose(
            line[:, angle], np.linalg.lstsq(rows, right, rcond=None)[0], atol=1e-9
        )


def test_many_samples_reveal_a_timid_and_biased_network():
    gaze = angles(4000, 0)
    output = 0.5 * gaze + torch.tensor([0.1, -0.05])
    torch.testing.assert_close(
        correct(output, fit(output, gaze, Beliefs(100, 100, 1))), gaze, atol=1e-3, rtol=0
    )


def test_errors_of_people_fall_with_the_samples_that_show_their_bias():
    """Each person's answers are off by an own constant and nothing else."""
    subject = torch.arange(4).repeat_interleave(30)
    gaze = angles(120, 1)
    bias = torch.tensor([[5.0, 0], [0, -5], [-5, 0], [0, 5]]).double().deg2rad()
    output = gaze - bias[subject]
    none, one, nine = by_shots(output, gaze, subject, (0, 1, 9), beliefs=Beliefs(4, 1e-6, 4))
    assert none.mean_deg == pytest.approx(5, abs=0.15)
    # Of a constant c, K samples leave noise^2 / (noise^2 + K offset^2): 1/2 and 1/10.
    assert one.mean_deg == pytest.approx(5 / 2, abs=0.1)
    assert nine.mean_deg == pytest.approx(5 / 10, abs=0.05)
    assert none.se_deg == pytest.approx(np.std(none.people_deg, ddof=1) / 2)


def test_people_are_counted_alike_and_the_unknown_left_out():
    gaze, output = angles(50, 1), angles(50, 2)
    subject = torch.tensor([0] * 5 + [3] * 30 + [-1] * 15)
    (some,) = by_shots(output, gaze, subject, (2,), draws=3, seed=4)
    assert len(some.people_deg) == 2
    again = by_shots(output, gaze, subject, (2,), draws=3, seed=4)
    assert again == (some,)
    gaze[35:] = 9
    assert by_shots(output, gaze, subject, (2,), draws=3, seed=4) == (some,)


@pytest.mark.parametrize(
    ("subject", "fault"), [([-1, -1, -1], "whose"), ([0, 1, 1], "only 1 samples")]
)
def test_impossible_calibrations_are_refused(subject, fault):
    with pytest.raises(ValueError, match=fault):
        by_shots(angles(3, 0), angles(3, 1), torch.tensor(subject), (1,))
