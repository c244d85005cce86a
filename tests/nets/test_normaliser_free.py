"""Standardised weights against timm, and blocks that keep the spread of signals."""

import pytest
import torch
import torch.nn.functional as F
from hypothesis import given, settings
from hypothesis import strategies as st
from learning import learned
from scipy import integrate
from timm.layers import ScaledStdConv2d
from timm.models.nfnet import _nonlin_gamma
from torch import nn

from gazegan.nets.normaliser_free import (
    ALPHA,
    FreePreActivation,
    FreeResidual,
    StandardisedConv,
    activation_gain,
)
from gazegan.nets.refiner import Refiner, RefinerConfig
from gazegan.nets.regressor import Regressor, RegressorConfig


@settings(deadline=None, max_examples=25)
@given(
    kernel=st.sampled_from([1, 3, 4, 5]),
    stride=st.integers(1, 2),
    gamma=st.floats(0.5, 2),
    seed=st.integers(0, 99),
)
def test_standardised_convolutions_equal_timms(kernel, stride, gamma, seed):
    torch.manual_seed(seed)
    mine = StandardisedConv(3, 5, kernel, stride, kernel // 2, gamma).double()
    theirs = ScaledStdConv2d(3, 5, kernel, stride, kernel // 2, gamma=gamma).double()
    for parameter in mine.parameters():
        nn.init.normal_(parameter)
    theirs.load_state_dict(mine.state_dict())
    image = torch.rand(2, 3, 9, 11, dtype=torch.float64)
    x, y = (image.clone().requires_grad_() for _ in range(2))
    one, other = mine(x), theirs(y)
    torch.testing.assert_close(one, other, rtol=1e-9, atol=1e-9)
    one.square().sum().backward()
    other.square().sum().backward()
    torch.testing.assert_close(x.grad, y.grad, rtol=1e-9, atol=1e-9)
    torch.testing.assert_close(mine.weight.grad, theirs.weight.grad, rtol=1e-6, atol=1e-9)


def test_kernels_have_mean_0_and_the_norm_gamma():
    conv = StandardisedConv(8, 6, 3, gamma=1.7, epsilon=1e-12)
    kernels = conv.standardised().detach()
    assert kernels.mean((1, 2, 3)).abs().max() < 1e-7
    torch.testing.assert_close(kernels.flatten(1).norm(dim=1), torch.full((6,), 1.7))


@pytest.mark.parametrize("slope", [0.0, 0.2, 0.5, 1.0])
def test_gains_undo_what_activations_take(slope):
    """By numerical integration over the normal density; timm drew its numbers from samples."""

    def moment(power):
        def value(x):
            y = x if x > 0 else slope * x
            return y**power * torch.exp(torch.tensor(-x * x / 2)).item() / (2 * torch.pi) ** 0.5

        return integrate.quad(value, -12, 0)[0] + integrate.quad(value, 0, 12)[0]

    assert activation_gain(slope) ** -2 == pytest.approx(moment(2) - moment(1) ** 2, rel=1e-6)
    assert activation_gain() == pytest.approx(_nonlin_gamma["relu"], rel=1e-3)


def test_blocks_have_the_variance_that_they_expect():
    """Of normal noise through wide blocks: it grows by alpha^2, and starts anew at projections."""
    torch.manual_seed(0)
    x, variance = torch.randn(16, 128, 24, 24), 1.0
    for outputs, stride, expected in ((128, 1, 1.04), (128, 1, 1.08), (256, 2, 1.04)):
        block = FreePreActivation(x.shape[1], outputs, stride, variance)
        assert block.variance == pytest.approx(expected)
        with torch.no_grad():
            # Borders see padding, which has no spread.
            x = block(x)
        variance = block.variance
        inner = x[..., 3:-3, 3:-3]
        assert inner.var((0, 2, 3)).mean().item() == pytest.approx(variance, rel=0.08)


def test_residual_blocks_of_a_refiner_keep_the_spread():
    torch.manual_seed(0)
    x = F.leaky_relu(torch.randn(8, 128, 24, 24), 0.2)
    start = x.var((0, 2, 3)).mean().item()
    for number in range(3):
        with torch.no_grad():
            x = FreeResidual(128, number, 0.2)(x)
        expected = start + (number + 1) * ALPHA**2
        assert x[..., 4:-4, 4:-4].var((0, 2, 3)).mean().item() == pytest.approx(expected, rel=0.05)


def test_free_networks_have_no_normalisation_and_treat_each_image_alone():
    torch.manual_seed(0)
    networks = (
        Regressor(RegressorConfig(kind="resnet", norm="free", blocks=2), 1),
        Refiner(RefinerConfig(norm="free"), 1),
    )
    image = torch.rand(4, 1, 36, 60)
    for network in networks:
        assert not any("Norm" in type(m).__name__ for m in network.modules())
        for parameter in network.parameters():
            parameter.data += 0.01
        alone = torch.cat([network.train()(image[i : i + 1]) for i in range(4)])
        torch.testing.assert_close(network(image), alone, rtol=1e-4, atol=1e-5)


def test_a_free_resnet_learns():
    torch.manual_seed(0)
    config = RegressorConfig(kind="resnet", norm="free", widths=(8, 8, 16, 16, 16), hidden=16)
    regressor = Regressor(config, 1)
    image, wanted = torch.rand(8, 1, 16, 24), 0.3 * torch.rand(8, 2) - 0.15
    losses = learned(regressor, image, wanted, 30)
    assert losses[-1] < 0.3 * losses[0]
    assert all(p.grad is not None and p.grad.isfinite().all() for p in regressor.parameters())


@pytest.mark.parametrize(
    "wrong", [{"kind": "small"}, {"kind": "resnet", "widths": (1, 2, 2, 2, 2)}]
)
def test_free_is_refused_where_it_cannot_be(wrong):
    with pytest.raises(ValueError, match="free"):
        RegressorConfig(norm="free", **wrong)
