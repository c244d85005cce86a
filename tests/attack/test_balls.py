"""Balls against their definitions, dual norms and slow loops."""

from functools import partial

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch.testing import assert_close
from victims import images, ready, seeded, truths

from gazegan import attack

MASK = torch.zeros(1, 1, 8, 12, dtype=torch.bool)
MASK[..., 2:5, 3:6] = True
BALLS = {"linf": attack.Ball, "l2": attack.L2Ball, "patch": partial(attack.Patch, mask=MASK)}
MAKES = st.sampled_from(sorted(BALLS))


def size_of(name: str, change: torch.Tensor) -> np.ndarray:
    """Norms by NumPy; infinite where a patch was left."""
    rows = change.numpy().reshape(len(change), -1)
    if name == "l2":
        return np.linalg.norm(rows, axis=1)
    outside = np.abs(change.numpy()[:, :, ~MASK[0, 0].numpy()]).max(initial=0)
    return np.abs(rows).max(1) + (np.inf if name == "patch" and outside else 0)


@given(MAKES, st.floats(0, 1), st.integers(0, 999))
@settings(deadline=None, max_examples=60)
def test_all_images_of_a_ball_lie_within_it_and_in_range(name, radius, seed):
    centre = images(3, seed=seed)
    centre[0, 0, 0] = torch.tensor([0.0, 1.0] * 6)
    ball, generator = BALLS[name](centre, radius), seeded(seed)
    anything = 3 * torch.randn(centre.shape, generator=generator, dtype=centre.dtype)
    for image in (ball.project(anything), ball.draw(generator), ball.noise(generator)):
        assert (size_of(name, image - centre) <= radius + 1e-9).all()
        assert float(image.min()) >= 0 and float(image.max()) <= 1
    assert_close(ball.project(centre), centre, rtol=0, atol=1e-15)


@given(st.floats(0.01, 5), st.integers(0, 999))
@settings(deadline=None, max_examples=30)
def test_long_changes_are_shortened_as_renorm_does(radius, seed):
    change = torch.randn(4, 3, 5, 6, generator=seeded(seed), dtype=torch.float64)
    ball = attack.L2Ball(torch.full_like(change, 0.5), radius)
    assert_close(ball.shrink(change), torch.renorm(change, 2, 0, radius), rtol=1e-6, atol=1e-9)


@given(MAKES, st.integers(0, 999))
@settings(deadline=None, max_examples=30)
def test_the_steepest_step_gains_the_dual_norm(name, seed):
    gradient = torch.randn(2, 1, 8, 12, generator=seeded(seed), dtype=torch.float64)
    step = BALLS[name](torch.full_like(gradient, 0.5), 0.1).steepest(gradient)
    inside = gradient * MASK if name == "patch" else gradient
    dual = np.linalg.norm(inside.numpy().reshape(2, -1), ord=2 if name == "l2" else 1, axis=1)
    assert_close((step * gradient).sum((1, 2, 3)).numpy(), dual)
    assert (size_of(name, step) <= 1 + 1e-12).all()


def test_draws_fill_the_l2_ball_evenly():
    """Half of the volume of a ball in 4 dimensions lies beyond 0.5 ** (1 / 4) of its radius."""
    centre = torch.full((4000, 1, 2, 2), 0.5, dtype=torch.float64)
    length = (attack.L2Ball(centre, 0.4).draw(seeded()) - centre).flatten(1).norm(dim=1)
    assert float((length > 0.4 * 0.5**0.25).double().mean()) == pytest.approx(0.5, abs=0.03)


def test_l2_noise_is_as_long_as_the_attack():
    centre = torch.full((5, 1, 8, 12), 0.5, dtype=torch.float64)
    length = (attack.L2Ball(centre, 0.3).noise(seeded()) - centre).flatten(1).norm(dim=1)
    assert_close(length, torch.full_like(length, 0.3))


@given(st.integers(1, 8), st.integers(0, 99))
@settings(deadline=None, max_examples=25)
def test_the_heaviest_square_against_a_slow_loop(side, seed):
    weight = torch.rand(2, 3, 8, 12, generator=seeded(seed), dtype=torch.float64)
    mask = attack.heaviest_square(weight, side)
    assert mask.shape == (2, 1, 8, 12) and (mask.sum((1, 2, 3)) == side**2).all()
    for row in range(2):
        sums = [
            float(weight[row, :, t : t + side, s : s + side].sum())
            for t in range(9 - side)
            for s in range(13 - side)
        ]
        assert float((weight[row] * mask[row]).sum()) == pytest.approx(max(sums))


def test_patches_lie_where_the_gradient_is_and_may_be_shared():
    net, image, truth = ready(), images(5), truths(5)
    own, shared = (attack.place_patch(net, image, truth, 3, common=c) for c in (False, True))
    assert own(image, 1.0).mask.shape == (5, 1, 8, 12)
    assert shared(image, 1.0).mask.shape == (1, 1, 8, 12)
    with pytest.raises(ValueError, match="no patch of 9 px"):
        attack.place_patch(net, image, truth, 9)


@pytest.mark.parametrize("radius", [-0.1, float("nan"), float("inf")])
def test_impossible_radii_are_refused(radius):
    for make in BALLS.values():
        with pytest.raises(ValueError, match="radius"):
            make(images(1), radius)
