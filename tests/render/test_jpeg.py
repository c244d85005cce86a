"""JPEG against libjpeg, as PIL has it."""

import io

import numpy as np
import pytest
import torch
from PIL import Image as Pillow

from gazegan.render import jpeg
from gazegan.render.prior import load_recipe
from gazegan.render.scene import render_indices


def eyes(channels, height=37, width=61):
    """Renders on whole grey levels."""
    sides = (f"image.channels={channels}", f"image.height={height}", f"image.width={width}")
    return (render_indices(load_recipe("webcam", sides), 0, torch.arange(8)).image * 255).round()


def by_pillow(levels, quality):
    pixels = levels.permute(1, 2, 0).to(torch.uint8).numpy()
    file = io.BytesIO()
    Pillow.fromarray(pixels.squeeze()).save(file, "JPEG", quality=quality, subsampling="4:2:0")
    return np.asarray(Pillow.open(file), dtype=float).reshape(pixels.shape).transpose(2, 0, 1)


@pytest.mark.parametrize("quality", [10, 40, 75, 90, 100])
# libjpeg rounds to whole levels after each step: one of luma, three of colour.
@pytest.mark.parametrize(("channels", "allowed"), [(1, 0.45), (3, 1.2)])
def test_images_are_those_of_libjpeg(channels, quality, allowed):
    plain = eyes(channels)
    found = 255 * jpeg.compress(plain / 255, torch.full((8, 1, 1), float(quality)))
    known = np.stack([by_pillow(image, quality) for image in plain])
    off, change = np.abs(found.numpy() - known), np.abs(plain.numpy() - known)
    assert off.mean() < allowed
    if quality < 75:
        assert off.mean() < 0.3 * change.mean()


@pytest.mark.parametrize("quality", [5, 50, 95])
def test_a_plane_coded_on_whole_levels_is_libjpegs_within_one(quality):
    """Of a flat block nothing but the mean is coded, so that no rounding can tip."""
    plain = torch.arange(0, 256, 8.0)[:, None, None, None].expand(32, 1, 16, 24)
    found = 255 * jpeg.compress(plain / 255, torch.full((32, 1, 1), float(quality)))
    known = np.stack([by_pillow(image, quality) for image in plain])
    assert np.abs(found.numpy() - known).max() <= 1


def test_quality_zero_leaves_an_image_as_it_is_and_eyes_do_not_mix():
    image = eyes(3) / 255
    quality = torch.tensor([0.0, 30, 80, 0, 1, 55.5, 100, 30])[:, None, None]
    found = jpeg.compress(image, quality)
    assert torch.equal(found[0], image[0]) and torch.equal(found[3], image[3])
    for i in range(8):
        assert torch.equal(jpeg.compress(image[i : i + 1], quality[i : i + 1])[0], found[i])


def test_a_lower_quality_is_further_from_the_image():
    image = eyes(1) / 255
    away = [
        float((jpeg.compress(image, torch.full((8, 1, 1), q)) - image).abs().mean())
        for q in (95.0, 70.0, 40.0, 10.0, 2.0)
    ]
    assert away == sorted(away) and away[-1] > 5 * away[0]


def test_gradients_pass_through_the_rounding():
    image = (eyes(3) / 255).clamp(0.2, 0.8).requires_grad_()
    quality = torch.linspace(1, 100, 8)[:, None, None].requires_grad_()
    total = jpeg.compress(image, quality).mean()
    slope, by_quality = torch.autograd.grad(total, (image, quality))
    assert torch.isfinite(slope).all() and torch.isfinite(by_quality).all()
    assert (by_quality != 0).any()
    # The mean of an image is coded as well as anything: its slope is that of no compression.
    assert float(slope.sum()) == pytest.approx(1, abs=0.05)
