"""Equalised histograms against OpenCV, and their gradients against slow sums."""

import cv2
import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from gazegan.errors import UserError
from gazegan.render.crowd import render_scenes
from gazegan.render.histogram import equalise
from gazegan.render.prior import load_recipe
from gazegan.render.scene import render_indices

SIDES = st.integers(1, 12)


def by_opencv(levels):
    return cv2.equalizeHist(np.ascontiguousarray(levels))


def levels_of(levels):
    """What becomes of bytes `[B, H, W]`."""
    image = torch.from_numpy(levels)[:, None].float() / 255
    return (equalise(image)[:, 0] * 255).round().numpy()


@given(st.data())
@settings(deadline=None, max_examples=200)
def test_bytes_become_those_of_opencv(data):
    shape = data.draw(st.tuples(st.just(2), SIDES, SIDES))
    most = data.draw(st.sampled_from([0, 1, 5, 255]))
    levels = data.draw(arrays(np.uint8, shape, elements=st.integers(0, most)))
    levels += data.draw(st.integers(0, 255 - most))
    np.testing.assert_array_equal(levels_of(levels), [by_opencv(one) for one in levels])


@pytest.mark.parametrize("size", [(36, 60), (97, 161), (600, 800)])
def test_large_images_become_those_of_opencv(size):
    draw = np.random.default_rng(0)
    levels = draw.normal(90, 25, (3, *size)).clip(0, 255).astype(np.uint8)
    np.testing.assert_array_equal(levels_of(levels), [by_opencv(one) for one in levels])


@given(st.integers(2, 3000), st.integers(1, 255))
@settings(deadline=None, max_examples=100)
def test_ties_are_rounded_as_opencv_rounds_them(pixels, step):
    """Every pixel its own share: of many of them, 255 times that ends in one half."""
    levels = (np.arange(pixels) * step % 256).astype(np.uint8).reshape(1, 1, -1)
    np.testing.assert_array_equal(levels_of(levels)[0], by_opencv(levels[0]))


@given(st.integers(0, 255))
@settings(deadline=None, max_examples=20)
def test_a_flat_image_stays_as_it_is(level):
    flat = torch.full((1, 1, 5, 7), level / 255)
    torch.testing.assert_close(equalise(flat), flat)


def smoothed(x):
    """The histogram's sum of `[P]` values, smoothed by a Gaussian of 4 levels."""
    width = 4 / 255
    apart = (x[:, None] - x[None, :]) / width
    return (0.5 * (1 + torch.erf(apart / 2**0.5))).mean(1)


def test_gradients_are_those_of_the_smoothed_sum():
    generator = torch.Generator().manual_seed(0)
    levels = torch.randint(40, 90, (2, 1, 6, 8), generator=generator)
    weight = torch.randn(2, 1, 6, 8, generator=generator, dtype=torch.float64)
    found = (levels / 255).double().requires_grad_()
    (equalise(found) * weight).sum().backward()
    for image, one, expected in zip((levels / 255).double(), weight, found.grad, strict=True):
        known = image.flatten().requires_grad_()
        (smoothed(known) * one.flatten()).sum().backward()
        torch.testing.assert_close(expected.flatten(), known.grad, rtol=1e-3, atol=1e-3)


def test_brightness_has_no_gradient_and_values_do_not_change_with_gradients():
    image = torch.rand(3, 1, 9, 11, generator=torch.Generator().manual_seed(1)).requires_grad_()
    even = equalise(image)
    torch.testing.assert_close(even, equalise(image.detach()), rtol=0, atol=1e-6)
    even.square().sum().backward()
    steepest = image.grad.abs().amax()
    assert steepest > 0.1
    assert float(image.grad.sum((1, 2, 3)).abs().amax()) < 1e-4 * float(steepest)


@pytest.mark.parametrize("name", ["laptop", "portrait", "crowd"])
def test_recipes_render_equalised_images_and_nothing_else_changes(name):
    """Of eyes, of both eyes of a face, and of whole scenes."""
    draw = render_scenes if name == "crowd" else render_indices
    small = ("image.channels=1", "image.height=36", "image.width=60")
    plain, even = (
        draw(load_recipe(name, (*small, *more)), 3, torch.arange(2))
        for more in ((), ("image.equalised=true",))
    )
    levels = (plain.image[:, 0] * 255).round().byte().numpy()
    found = (even.image[:, 0] * 255).numpy()
    np.testing.assert_allclose(found, [by_opencv(one) for one in levels], atol=1e-4)
    assert torch.equal(plain.gaze, even.gaze) and torch.equal(plain.masks, even.masks)


def test_colour_cannot_be_equalised():
    with pytest.raises(UserError, match="equalised images are grey; set channels = 1"):
        load_recipe("laptop", ("image.equalised=true", "image.channels=3"))
