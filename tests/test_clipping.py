"""Clipping of single units and of weights against timm's, and what it leaves alone."""

import copy

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from timm.utils.agc import adaptive_clip_grad
from torch import nn

from gazegan.optim import clip_adaptively, clip_weights


@settings(deadline=None, max_examples=25)
@given(share=st.floats(1e-3, 0.5), scale=st.floats(1e-6, 10), seed=st.integers(0, 99))
def test_adaptive_clipping_equals_timms(share, scale, seed):
    torch.manual_seed(seed)
    model = nn.Sequential(nn.Conv2d(2, 3, 3), nn.Flatten(), nn.Linear(12, 2))
    nn.init.zeros_(model[0].bias)
    twin = copy.deepcopy(model)
    x = scale * torch.rand(5, 2, 4, 4)
    for net in (model, twin):
        net(x).square().sum().backward()
    clip_adaptively(model, share)
    adaptive_clip_grad(twin.parameters(), share)
    for mine, theirs in zip(model.parameters(), twin.parameters(), strict=True):
        torch.testing.assert_close(mine.grad, theirs.grad, rtol=1e-6, atol=1e-9)


def test_clipped_gradients_hold_on_to_no_graph():
    model = nn.Linear(3, 2)
    model(torch.ones(4, 3)).square().sum().backward()
    before = [p.grad.clone() for p in model.parameters()]
    clip_adaptively(model, 1e-3)
    for weight, old in zip(model.parameters(), before, strict=True):
        assert not weight.grad.requires_grad and not torch.equal(weight.grad, old)
    clip_weights(model.parameters(), 0.01)
    assert all(
        p.requires_grad and float(p.detach().abs().max()) <= 0.01 for p in model.parameters()
    )


def test_adaptive_clipping_bounds_each_unit_and_can_be_off():
    model = nn.Sequential(nn.Linear(4, 3), nn.Linear(3, 2))
    model(100 * torch.rand(6, 4)).square().sum().backward()
    before = [p.grad.clone() for p in model.parameters()]
    clip_adaptively(model, 0)
    assert all(torch.equal(p.grad, g) for p, g in zip(model.parameters(), before, strict=True))
    clip_adaptively(model, 0.01, model[1])
    ratio = model[0].weight.grad.norm(dim=1) / model[0].weight.norm(dim=1)
    assert ratio.max() <= 0.01 * (1 + 1e-5) and ratio.min() > 0.0099
    assert torch.equal(model[1].weight.grad, before[2])


def test_units_of_a_transposed_convolution_are_its_output_maps():
    """Each output map is bound as that of the convolution with the same kernels."""
    torch.manual_seed(0)
    up, twin = nn.ConvTranspose2d(3, 5, 4, bias=False), nn.Conv2d(3, 5, 4, bias=False)
    gradient = torch.randn(3, 5, 4, 4) * torch.tensor([0, 1e-3, 0.1, 1, 10]).view(1, 5, 1, 1)
    with torch.no_grad():
        twin.weight.copy_(up.weight.transpose(0, 1))
    up.weight.grad, twin.weight.grad = gradient.clone(), gradient.transpose(0, 1).clone()
    clip_adaptively(up, 0.01)
    adaptive_clip_grad(twin.parameters(), 0.01)
    torch.testing.assert_close(up.weight.grad.transpose(0, 1), twin.weight.grad)
    sizes = (x.square().sum((0, 2, 3)).sqrt() for x in (up.weight.grad, up.weight.detach()))
    ratio = next(sizes) / next(sizes)
    assert float(ratio.max()) == pytest.approx(0.01, rel=1e-4)
