"""Equalisation and blur against scipy and against what they are for."""

import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import ndimage, stats

from gazegan.nets.layers import equalise, gaussian_blur
from gazegan.nets.refiner import Refiner, RefinerConfig


def image(seed: int = 0, *shape: int) -> torch.Tensor:
    return torch.rand(*(shape or (2, 1, 18, 30)), generator=torch.Generator().manual_seed(seed))


def test_equalised_values_are_the_ranks():
    """With a knot for every pixel the map is the empirical distribution function."""
    x = image(0, 1, 1, 9, 11)
    ranks = stats.rankdata(x.flatten().numpy(), method="ordinal") - 1
    expected = (torch.from_numpy(ranks).float() / (x.numel() - 1) - 0.5) * 12**0.5
    # Neighbours closer than the floor of equalise share a slope, so a rank may be missed by one.
    torch.testing.assert_close(equalise(x, 99).flatten(), expected, atol=0.04, rtol=0)


@settings(deadline=None, max_examples=30)
@given(gamma=st.floats(0.5, 2), gain=st.floats(0.5, 1), bias=st.floats(0, 0.2))
def test_equalising_undoes_any_rising_curve(gamma, gain, bias):
    x = 0.2 + 0.8 * image()
    bent = gain * x**gamma + bias
    torch.testing.assert_close(equalise(bent, 129), equalise(x, 129), atol=0.12, rtol=0)


def test_equalised_images_have_mean_0_and_spread_1():
    even = equalise(image() ** 3, 17)
    assert even.mean((1, 2, 3)).abs().max() < 0.05
    assert (even.std((1, 2, 3)) - 1).abs().max() < 0.05


def test_equalising_passes_gradients():
    x = image(1, 2, 1, 6, 8).double().requires_grad_()
    assert torch.autograd.gradcheck(lambda z: equalise(z, 5), x, eps=1e-7)


def test_a_flat_image_becomes_constant_and_finite():
    even = equalise(torch.full((1, 1, 4, 4), 0.5), 17)
    assert torch.isfinite(even).all() and even.unique().numel() == 1


def test_each_image_is_blurred_as_by_scipy():
    x = image(2, 6, 3, 20, 31)
    sigma = torch.tensor([0.3, 0.8, 1.5, 0.5, 1.0, 2.0])
    for one, blurred, s in zip(x, gaussian_blur(x, sigma), sigma.tolist(), strict=True):
        expected = ndimage.gaussian_filter(one.numpy(), (0, s, s), mode="nearest", radius=6)
        torch.testing.assert_close(blurred, torch.from_numpy(expected), atol=1e-5, rtol=0)


def test_the_change_of_a_smoothed_refiner_is_the_blurred_change():
    torch.manual_seed(0)
    rough, smooth = (Refiner(RefinerConfig(smooth=s), 1) for s in (0, 1.5))
    torch.nn.init.normal_(rough.head.weight)
    smooth.load_state_dict(rough.state_dict())
    x = image(3, 1, 1, 16, 24)
    expected = ndimage.gaussian_filter(
        rough.change(x).detach().numpy(), (0, 0, 1.5, 1.5), mode="nearest", radius=5
    )
    torch.testing.assert_close(smooth.change(x).detach(), torch.from_numpy(expected))


def test_a_refiner_of_detail_leaves_what_is_broader():
    torch.manual_seed(0)
    whole, detail = (Refiner(RefinerConfig(detail=d), 1) for d in (0, 3.0))
    torch.nn.init.normal_(whole.head.weight)
    detail.load_state_dict(whole.state_dict())
    x = image(3, 2, 1, 24, 30)
    change = whole.change(x).detach().numpy()
    broad = ndimage.gaussian_filter(change, (0, 0, 3.0, 3.0), mode="nearest", radius=9)
    torch.testing.assert_close(
        detail.change(x).detach(), torch.from_numpy(change - broad), atol=1e-4, rtol=1e-4
    )
