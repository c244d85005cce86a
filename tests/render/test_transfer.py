"""The camera's transfer curve: rising, and with hues kept where it bends."""

import numpy as np
import pytest
import torch

from gazegan.render import sensor


@pytest.mark.parametrize("contrast", [0.2, 1.0, 3.0])
def test_transfer_rises_and_keeps_mid_grey(contrast):
    light = torch.logspace(-6, 5, 2001, dtype=torch.float64)
    out = sensor.transfer(light, torch.tensor(contrast))
    assert (out.diff() >= 0).all() and out.max() < 1.001
    middle = torch.tensor(0.45).double() ** 2.2
    assert float(sensor.transfer(middle, torch.tensor(contrast))) == pytest.approx(0.45, abs=1e-6)
    inside = (light > 0.05) & (out > 0.05) & (out < 0.95)
    assert (out[inside].diff() > 0).all()


COLOURS = np.random.default_rng(0).uniform(0.03, 1, (3, 1, 40, 40)) ** 3 * 8


@pytest.mark.parametrize("contrast", [0.6, 1.0, 2.2])
def test_a_curve_that_keeps_hues_bends_luma_alone_toward_white(contrast):
    held = torch.full((1, 1, 1), contrast, dtype=torch.float64)
    light, one = torch.from_numpy(COLOURS), torch.ones(1, 1, 1, dtype=torch.float64)
    out = sensor.transfer(light, held, one).numpy()
    plain = 0.45 + contrast * (COLOURS ** (1 / 2.2) - 0.45)
    low = np.minimum(plain - 0.16, 0)  # each channel's soft toe
    plain = np.maximum(plain, 0.16) + low / (1 - low / 0.16)
    weights = np.array([0.299, 0.587, 0.114])
    luma = np.tensordot(weights, plain, 1)
    high = np.maximum(luma - 0.8, 0)
    bent = np.minimum(luma, 0.8) + high / (1 + high / 0.2)
    np.testing.assert_allclose(np.tensordot(weights, out, 1), bent, atol=1e-9)
    apart, found = plain - luma, out - bent
    share = (found * apart).sum(0) / (apart * apart).sum(0)
    np.testing.assert_allclose(found, share * apart, atol=1e-9)  # the same hue, nearer to grey
    assert out.min() >= 0 and out.max() <= 1 and share.max() <= 1
    roomy = (np.abs(apart).max(0) < 0.3 * bent) & (np.abs(apart).max(0) < 0.3 * (1 - bent))
    assert roomy.any() and share[roomy].min() > 0.99


def test_how_far_hues_are_kept_changes_no_grey_and_nothing_where_curves_are_straight():
    one = torch.ones(1, 1, 1, dtype=torch.float64)
    grey = torch.logspace(-4, 2, 200, dtype=torch.float64).expand(3, 1, 1, 200)
    plain = sensor.transfer(grey, one[0])
    torch.testing.assert_close(sensor.transfer(grey, one[0], one), plain)
    straight = torch.tensor([0.5, 0.45, 0.4], dtype=torch.float64)[:, None, None, None] ** 2.2
    kept = sensor.transfer(straight, one[0], one)
    torch.testing.assert_close(kept, sensor.transfer(straight, one[0]), atol=1e-3, rtol=0)
    assert torch.equal(sensor.transfer(straight, one[0], 0 * one), sensor.transfer(straight, one))


def test_bright_skin_stays_as_red_as_it_was():
    """Channels that end one after the other turn it yellow."""
    skin = torch.tensor([1.9, 0.9, 0.6], dtype=torch.float64)[:, None, None, None]
    one = torch.ones(1, 1, 1, dtype=torch.float64)

    def hue(light):
        red, green, blue = sensor.transfer(light, one[0] * 1.9, one).flatten().tolist()
        return (green - blue) / (red - blue)

    each = sensor.transfer(skin, one[0] * 1.9).flatten()
    encoded = skin.flatten() ** (1 / 2.2)
    known = float((encoded[1] - encoded[2]) / (encoded[0] - encoded[2]))
    assert hue(skin) == pytest.approx(known)
    assert float((each[1] - each[2]) / (each[0] - each[2])) > known + 0.1
