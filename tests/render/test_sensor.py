"""The camera's parts: blur against scipy, noise, transfer curve, metering, grey."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from scenes import SMALL, draw
from scipy import ndimage, stats

from gazegan.render import sensor
from gazegan.render.scene import render


def sigmas(*values):
    return torch.tensor(values, dtype=torch.float64)[:, None, None]


def test_blur_keeps_constant_images():
    image = torch.full((3, 4, 11, 9), 0.37, dtype=torch.float64)
    torch.testing.assert_close(sensor.blur(image, sigmas(0, 0.3, 1.1, 4), 10), image)


@pytest.mark.parametrize("sigma", [0.3, 0.7, 1.2, 3.9])
def test_blur_against_scipy(sigma):
    image = torch.rand(2, 1, 21, 34, dtype=torch.float64, generator=torch.Generator())
    found = sensor.blur(image, sigmas(sigma), sensor.reach_of(sigma))[:, 0]
    for plane, blurred in zip(image[:, 0].numpy(), found.numpy(), strict=True):
        cut = ndimage.gaussian_filter(
            plane, sigma, mode="nearest", radius=int(np.ceil(2.5 * sigma))
        )
        np.testing.assert_allclose(blurred, cut, atol=1e-12)
        assert np.abs(blurred - ndimage.gaussian_filter(plane, sigma, mode="nearest")).mean() < 5e-3


def test_no_blur_at_zero_sigma_and_no_mixing_of_eyes():
    image = torch.rand(1, 2, 12, 12, dtype=torch.float64, generator=torch.Generator())
    found = sensor.blur(image, sigmas(0, 3), sensor.reach_of(3))
    assert torch.equal(found[:, 0], image[:, 0])
    assert torch.equal(found[:, 1:], sensor.blur(image[:, 1:], sigmas(3), 12))


def test_noise_is_standard_normal_and_a_function_of_the_seed():
    seeds = torch.tensor([1, 2, -7], dtype=torch.int32)
    noise = sensor.gaussian(seeds, torch.zeros(3, 1, 100, 100))
    for plane in noise:
        assert stats.kstest(plane.flatten().numpy(), "norm").pvalue > 0.001
        beside = np.corrcoef(plane[0, :, :-1].flatten(), plane[0, :, 1:].flatten())[0, 1]
        assert abs(beside) < 0.04
    assert torch.equal(sensor.gaussian(seeds[2:], torch.zeros(1, 1, 100, 100)), noise[2:])
    mixed = np.corrcoef(noise.flatten(1).numpy()) - np.eye(3)
    assert np.abs(mixed).max() < 0.04


def test_noise_has_the_strength_asked_for():
    params, textures = draw(6, noise=0, contrast=0.3)
    clean = render(params, textures, SMALL).image
    louder = replace(params, noise=torch.full((6,), 0.03))
    noisy = render(louder, textures, SMALL).image
    inner = (clean > 0.15) & (clean < 0.85)
    assert float((noisy - clean)[inner].std()) == pytest.approx(0.03, rel=0.05)


@pytest.mark.parametrize("contrast", [0.2, 1.0, 3.0])
def test_transfer_rises_and_keeps_mid_grey(contrast):
    light = torch.logspace(-6, 5, 2001, dtype=torch.float64)
    out = sensor.transfer(light, torch.tensor(contrast))
    assert (out.diff() >= 0).all() and out.max() < 1.001
    middle = torch.tensor(0.45).double() ** 2.2
    assert float(sensor.transfer(middle, torch.tensor(contrast))) == pytest.approx(0.45, abs=1e-6)
    inside = (light > 0.05) & (out > 0.05) & (out < 0.95)
    assert (out[inside].diff() > 0).all()


def test_metering_evens_out_as_much_as_asked():
    metering, exposure = torch.tensor([0.0, 0.5, 1.0]), torch.tensor([1.0, 0.0, 0.0])
    p = replace(draw(3)[0], metering=metering, exposure=exposure)
    dark, bright = (sensor.metered(p, torch.full((3,), v)) * v for v in (0.1, 0.4))
    torch.testing.assert_close(bright / dark, torch.tensor([4.0, 2.0, 1.0]))
    torch.testing.assert_close(dark[0], torch.tensor(0.2))


def test_grey_of_grey_is_the_same():
    plane = torch.rand(2, 1, 5, 6, generator=torch.Generator())
    torch.testing.assert_close(sensor.grey(plane.expand(2, 3, 5, 6)), plane)


def test_a_grey_image_is_the_luma_of_the_colour_image():
    params, textures = draw(4, noise=0)
    grey, colour = (
        render(params, textures, SMALL.model_copy(update={"channels": c})).image for c in (1, 3)
    )
    weights = torch.tensor([0.299, 0.587, 0.114])[:, None, None]
    luma = (colour * weights).sum(1, keepdim=True)
    whole = ((colour > 0) & (colour < 1)).all(1, keepdim=True)  # no channel cut off
    torch.testing.assert_close(luma[whole], grey[whole])
