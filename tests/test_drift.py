"""Pupil shift against shifts that are known."""

import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import ndimage

from gazegan.drift import pupil_shift, summary
from gazegan.schema import MASKS

H, W = 24, 40


def disc(x: float, y: float, radius: float) -> torch.Tensor:
    """Coverage of an antialiased disc."""
    ys, xs = torch.meshgrid(torch.arange(H) + 0.5, torch.arange(W) + 0.5, indexing="ij")
    return (radius + 0.5 - torch.hypot(xs - x, ys - y)).clamp(0, 1)


def eye(x: float, y: float, gain: float = 1.0, bias: float = 0.0) -> torch.Tensor:
    """An eye of sclera 0.8, iris 0.4 and pupil 0.1."""
    grey = 0.8 - 0.4 * disc(x, y, 6) - 0.3 * disc(x, y, 2.5)
    return (gain * grey + bias)[None, None]


def masks(x: float, y: float) -> torch.Tensor:
    iris, pupil = disc(x, y, 6), disc(x, y, 2.5)
    sclera = 1 - iris
    parts = {"sclera": sclera, "iris": iris - pupil, "pupil": pupil}
    return torch.stack([parts.get(name, torch.zeros(H, W)) for name in MASKS])[None]


@settings(deadline=None, max_examples=40)
@given(
    dx=st.floats(-1, 1), dy=st.floats(-1, 1), gain=st.floats(0.5, 1.2), bias=st.floats(-0.05, 0.05)
)
def test_known_shift_is_found_whatever_brightness_and_contrast(dx, dy, gain, bias):
    shift = pupil_shift(eye(20, 12), eye(20 + dx, 12 + dy, gain, bias), masks(20, 12), margin=2)
    torch.testing.assert_close(shift, torch.tensor([[dx, dy]]), atol=0.12, rtol=0.1)


def test_unchanged_images_do_not_move():
    raw = eye(18.3, 11.2)
    shift = pupil_shift(raw, raw, masks(18.3, 11.2))
    torch.testing.assert_close(shift, torch.zeros(1, 2), atol=1e-6, rtol=0)


def test_a_pupil_of_which_nothing_is_left_has_not_stayed_in_place():
    raw, closed = eye(20, 12), torch.zeros(1, len(MASKS), H, W)
    for left in (torch.zeros_like(raw), torch.full_like(raw, 0.5)):
        assert pupil_shift(raw, left, masks(20, 12)).isinf().all()
        assert pupil_shift(raw, left, closed).isnan().all()
        assert summary(pupil_shift(raw, left, masks(20, 12)).norm(dim=1)) == {"located": 0.0}


def test_light_from_one_side_is_not_taken_for_movement():
    raw = eye(20, 12)
    slope = torch.linspace(-0.25, 0.25, W) + torch.linspace(-0.1, 0.1, H)[:, None]
    shift = pupil_shift(raw, 0.7 * raw + slope, masks(20, 12))
    torch.testing.assert_close(shift, torch.zeros(1, 2), atol=1e-3, rtol=0)


def test_shifted_renders_agree_with_scipys_spline_shift():
    generator = torch.Generator().manual_seed(0)
    smooth = ndimage.gaussian_filter(
        torch.rand(1, 1, H, W, generator=generator).numpy(), (0, 0, 2, 2)
    )
    raw = eye(20, 12) + 0.3 * torch.from_numpy(smooth)
    moved = torch.from_numpy(ndimage.shift(raw.numpy(), (0, 0, -0.4, 0.7), mode="nearest"))
    shift = pupil_shift(raw, moved, masks(20, 12))
    torch.testing.assert_close(shift, torch.tensor([[0.7, -0.4]]), atol=0.03, rtol=0)


def test_colour_is_as_good_as_grey():
    raw, moved = eye(20, 12).expand(1, 3, H, W), eye(20.5, 12).expand(1, 3, H, W)
    shift = pupil_shift(raw, moved, masks(20, 12), margin=2)
    torch.testing.assert_close(shift, torch.tensor([[0.5, 0.0]]), atol=0.06, rtol=0)


def test_closed_and_flat_eyes_give_nan():
    closed = torch.zeros(1, len(MASKS), H, W)
    closed[:, 0] = 1
    assert pupil_shift(eye(20, 12), eye(20, 12), closed).isnan().all()
    flat = torch.full((1, 1, H, W), 0.5)
    assert pupil_shift(flat, flat, masks(20, 12)).isnan().all()


def test_summary_leaves_out_what_could_not_be_located():
    found = summary(torch.tensor([1.0, 2.0, 3.0, math.nan]))
    assert found == {"median_px": 2.0, "p95_px": pytest.approx(2.9), "located": 0.75}
    assert summary(torch.tensor([math.nan])) == {"located": 0.0}
