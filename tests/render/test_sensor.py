"""The camera's parts: blur against scipy, noise, transfer curve, metering, grey."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from kornia.color import CFA, raw_to_rgb
from scenes import SMALL, draw
from scipy import ndimage, stats
from torchvision.transforms.functional import adjust_saturation

from gazegan.render import effects, sensor
from gazegan.render.params import mirrored
from gazegan.render.prior import Image, load_recipe
from gazegan.render.scene import render, render_indices


def sigmas(*values):
    return torch.tensor(values, dtype=torch.float64)[:, None, None]


def test_blur_keeps_constant_images():
    image = torch.full((3, 4, 11, 9), 0.37, dtype=torch.float64)
    torch.testing.assert_close(sensor.blur(image, sigmas(0, 0.3, 1.1, 4), 10), image)


@pytest.mark.parametrize("sigma", [0.3, 0.7, 1.2, 3.9])
def test_blur_against_scipy(sigma):
    image = torch.rand(2, 1, 21, 34, dtype=torch.float64, generator=torch.Generator())
    found = sensor.blur(image, sigmas(sigma), effects.reach_of(sigma))[:, 0]
    for plane, blurred in zip(image[:, 0].numpy(), found.numpy(), strict=True):
        cut = ndimage.gaussian_filter(
            plane, sigma, mode="nearest", radius=int(np.ceil(2.5 * sigma))
        )
        np.testing.assert_allclose(blurred, cut, atol=1e-12)
        assert np.abs(blurred - ndimage.gaussian_filter(plane, sigma, mode="nearest")).mean() < 5e-3


def test_no_blur_at_zero_sigma_and_no_mixing_of_eyes():
    image = torch.rand(1, 2, 12, 12, dtype=torch.float64, generator=torch.Generator())
    found = sensor.blur(image, sigmas(0, 3), effects.reach_of(3))
    assert torch.equal(found[:, 0], image[:, 0])
    assert torch.equal(found[:, 1:], sensor.blur(image[:, 1:], sigmas(3), 12))


def test_noise_is_standard_normal_and_a_function_of_the_seed():
    seeds = torch.tensor([1, 2, -7], dtype=torch.int32)
    noise = sensor.gaussian(seeds, torch.zeros(3, 1, 100, 100), "noise")
    for plane in noise:
        assert stats.kstest(plane.flatten().numpy(), "norm").pvalue > 0.001
        beside = np.corrcoef(plane[0, :, :-1].flatten(), plane[0, :, 1:].flatten())[0, 1]
        assert abs(beside) < 0.04
    assert torch.equal(sensor.gaussian(seeds[2:], torch.zeros(1, 1, 100, 100), "noise"), noise[2:])
    mixed = np.corrcoef(noise.flatten(1).numpy()) - np.eye(3)
    assert np.abs(mixed).max() < 0.04


def test_noise_has_the_strength_asked_for():
    params, textures = draw(6, noise=0, contrast=0.3)
    clean = render(params, textures, SMALL).image
    louder = replace(params, noise=torch.full((6,), 0.03))
    noisy = render(louder, textures, SMALL).image
    inner = (clean > 0.15) & (clean < 0.85)
    assert float((noisy - clean)[inner].std()) == pytest.approx(0.03, rel=0.05)


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


@pytest.mark.parametrize("full_well", [40, 2500])
def test_counted_photons_spread_as_poisson_counts_do(full_well):
    levels = torch.tensor([0.9, 0.5, 0.1], dtype=torch.float64)
    flat = levels[:, None, None, None].expand(3, 2, 150, 150)
    seeds = torch.tensor([3, 8], dtype=torch.int32)
    found = sensor.counted(seeds, flat, torch.full((2, 1, 1), full_well**-0.5))
    for plane, level in zip(found, levels.tolist(), strict=True):
        counts = stats.poisson(level * full_well)
        assert float(plane.mean()) == pytest.approx(counts.mean() / full_well, rel=0.01)
        assert float(plane.var()) == pytest.approx(counts.var() / full_well**2, rel=0.03)
    mixed = np.corrcoef(found.transpose(0, 1).flatten(0, 1).flatten(1).numpy()) - np.eye(6)
    assert np.abs(mixed).max() < 0.03  # colours and eyes have noise of their own


def test_photon_noise_is_not_the_read_noise():
    params, textures = draw(4, noise=0.02, shot_noise=0)
    read = (
        render(params, textures, SMALL).image
        - render(replace(params, noise=torch.zeros(4)), textures, SMALL).image
    )
    dark = replace(params, noise=torch.zeros(4), shot_noise=torch.full((4,), 0.05))
    shot = (
        render(dark, textures, SMALL).image
        - render(replace(params, noise=torch.zeros(4)), textures, SMALL).image
    )
    assert float(shot.std()) > 0.005
    assert abs(np.corrcoef(read.flatten(), shot.flatten())[0, 1]) < 0.05


@given(length=st.floats(0, 7), angle=st.floats(-90, 90))
@settings(deadline=None, max_examples=25)
def test_motion_is_the_mean_of_shifted_images(length, angle):
    image = torch.rand(2, 1, 24, 31, dtype=torch.float64, generator=torch.Generator())
    one = torch.ones(1, 1, 1, dtype=torch.float64)
    found = sensor.smear(image, length * one, angle * one, 4)[:, 0]
    along = length * (np.arange(400) + 0.5 - 200) / 400
    down, right = -np.sin(np.deg2rad(angle)) * along, np.cos(np.deg2rad(angle)) * along
    for plane, smeared in zip(image[:, 0].numpy(), found.numpy(), strict=True):
        shifts = [
            ndimage.shift(plane, at, order=1, mode="nearest")
            for at in zip(down, right, strict=True)
        ]
        off = np.abs(np.mean(shifts, 0) - smeared)
        assert off.max() < 0.03  # 16 shifts for 400


def test_motion_at_45_degrees_runs_from_lower_left_to_upper_right():
    point = torch.zeros(1, 1, 9, 9)
    point[..., 4, 4] = 1
    found = sensor.smear(point, sigmas(4.0).float(), sigmas(45.0).float(), 2)[0, 0]
    assert found[3, 5] > 0.1 and found[5, 3] > 0.1 and found[3, 3] < 0.01
    assert float(found.sum()) == pytest.approx(1, abs=1e-6)


def test_no_motion_at_zero_length_and_a_wider_reach_changes_no_bit():
    image = torch.rand(1, 2, 12, 12, generator=torch.Generator())
    length, angle = torch.tensor([0.0, 3.0])[:, None, None], torch.tensor([30.0, 30])[:, None, None]
    found = sensor.smear(image, length, angle, 2)
    assert torch.equal(found[:, 0], image[:, 0])
    assert torch.equal(sensor.smear(image, length, angle, 5), found)


def test_demosaicing_is_kornias():
    light = torch.rand(3, 2, 12, 18, generator=torch.Generator())
    raw = sensor.mosaic(light)
    known = raw_to_rgb(raw[0][:, None], CFA.BG)
    torch.testing.assert_close(sensor.demosaic(raw).transpose(0, 1), known)


def test_a_mosaic_is_red_green_green_blue_and_keeps_its_samples():
    light = torch.rand(3, 1, 7, 9, generator=torch.Generator())
    (raw,) = sensor.mosaic(light)
    rgb = sensor.demosaic(raw[None])
    for row, column, colour in ((0, 0, 0), (0, 1, 1), (1, 0, 1), (1, 1, 2)):
        here = np.s_[0, row::2, column::2]
        assert torch.equal(raw[here], light[colour][here])
        assert torch.equal(rgb[colour][here], raw[here])
    flat = torch.full((3, 1, 7, 9), 0.4)
    torch.testing.assert_close(sensor.demosaic(sensor.mosaic(flat)), flat)


def test_a_white_balance_that_errs_scales_red_and_blue_light():
    params, textures = draw(4, noise=0, contrast=1, exposure=-2)
    colour = Image(height=24, width=40, channels=3)
    plain = render(params, textures, colour).image
    held = replace(params, balance_red=torch.full((4,), 1.3), balance_blue=torch.full((4,), 0.8))
    off = render(held, textures, colour).image
    below = ((plain > 0.2) & (plain < 0.6)).all(1)  # the transfer curve's plain power
    ratio = (off / plain) ** 2.2
    for channel, gain in enumerate((1.3, 1.0, 0.8)):
        found = ratio[:, channel][below]
        torch.testing.assert_close(found, torch.full_like(found, gain), rtol=2e-3, atol=0)


@pytest.mark.parametrize("saturation", [0.0, 0.6, 1.4])
def test_saturation_agrees_with_torchvision(saturation):
    params, textures = draw(4, noise=0)
    colour = Image(height=24, width=40, channels=3)
    held = replace(params, saturation=torch.full((4,), saturation))
    wanted = adjust_saturation(render(params, textures, colour).image, saturation)
    found = render(held, textures, colour).image
    torch.testing.assert_close(found, wanted, atol=2e-4, rtol=0)
    if saturation:
        assert (wanted - render(params, textures, colour).image).abs().max() > 0.02


def test_saturation_leaves_grey_images_as_they_are():
    params, textures = draw(4)
    held = replace(params, saturation=torch.full((4,), 0.3))
    grey = Image(height=24, width=40, channels=1)
    assert torch.equal(render(held, textures, grey).image, render(params, textures, grey).image)


ALL = {"shot_noise": 0.04, "motion": 2.5, "balance_red": 1.2, "balance_blue": 0.9}
ALL |= {"saturation": 0.8, "hue_kept": 0.7, "jpeg": 60}
AT_ONE = {"balance_red", "balance_blue", "saturation"}
"""What does nothing at one, where the others do nothing at zero."""


@pytest.mark.parametrize("channels", [1, 3])
def test_effects_have_the_same_bits_in_any_batch(channels):
    spread = tuple(f"eyes.{name}={{choice=[{value}, {float(name in AT_ONE)}]}}"
                   for name, value in ALL.items())  # fmt: skip
    sides = ("image.height=21", "image.width=35", "image.bayer=true")
    recipe = load_recipe("webcam", (f"image.channels={channels}", *sides, *spread))
    batch = render_indices(recipe, 1, torch.arange(20)).image
    for i in (0, 7, 19):
        assert torch.equal(render_indices(recipe, 1, torch.tensor([i])).image[0], batch[i])


@pytest.mark.parametrize("channels", [1, 3])
def test_effects_that_are_not_needed_change_no_bit(channels):
    params, textures = draw(4)
    image = SMALL.model_copy(update={"channels": channels})
    needs = effects.of_params(params)
    assert not (needs.motion_reach or needs.shot_noise or needs.balance or needs.jpeg)
    assert not (needs.saturation or needs.hues)
    on = {"shot_noise": True, "balance": True, "saturation": True, "hues": True, "jpeg": True}
    every = replace(needs, motion_reach=3, **on)
    plain = render(params, textures, image, needs).image
    assert torch.equal(render(params, textures, image, every).image, plain)
    assert effects.of_params(draw(4, **ALL)[0]) == replace(every, motion_reach=2)


def test_mirrored_motion_gives_the_mirror_image():
    params, textures = draw(6, noise=0, motion=3, balance_red=1.3)
    plain, other = (render(q, textures, SMALL).image for q in (params, mirrored(params)))
    torch.testing.assert_close(other.flip(-1), plain, atol=2e-4, rtol=0)
