"""Attribution against captum, hand products and the completeness of linear models."""

import captum.attr
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn

from gazegan import explain, geometry


def network(channels: int = 1, seed: int = 0) -> nn.Sequential:
    torch.manual_seed(seed)
    return nn.Sequential(
        nn.Conv2d(channels, 4, 3, stride=2),
        nn.BatchNorm2d(4),
        nn.Tanh(),
        nn.Flatten(),
        nn.LazyLinear(2),
    )


def ready(channels: int = 1) -> nn.Sequential:
    net = network(channels)
    net(images(4, channels))
    return net.eval()


def images(count: int, channels: int = 1, seed: int = 1) -> torch.Tensor:
    generator = torch.Generator().manual_seed(seed)
    return torch.rand(count, channels, 8, 12, generator=generator)


OUTPUTS = [
    explain.pitch_deg,
    explain.yaw_deg,
    explain.gaze_direction_deg,
    explain.pair_direction_deg,
]


@pytest.mark.parametrize("output", OUTPUTS)
@pytest.mark.parametrize("channels", [1, 3])
def test_maps_match_captum(output, channels):
    net, image = ready(channels), images(5, channels)
    oracle = captum.attr.InputXGradient(lambda x: output(net(x))).attribute(
        image.clone().requires_grad_()
    )
    ours = explain.gradient_x_input(net, image, output)
    torch.testing.assert_close(ours.map, oracle.detach())
    torch.testing.assert_close(ours.output, output(net(image)).detach())


def test_map_of_a_square_by_hand():
    image = images(3)
    ours = explain.gradient_x_input(
        lambda x: (x**2).sum((1, 2, 3), keepdim=True)[..., 0, 0], image, lambda y: y[:, 0]
    )
    torch.testing.assert_close(ours.map, 2 * image**2)
    torch.testing.assert_close(ours.gradient, 2 * image)


@given(st.integers(0, 10_000), st.integers(1, 4))
@settings(deadline=None, max_examples=25)
def test_maps_of_linear_models_are_complete(seed, count):
    generator = torch.Generator().manual_seed(seed)
    weight = torch.randn(2, 96, generator=generator, dtype=torch.float64)
    bias = torch.randn(2, generator=generator, dtype=torch.float64)
    image = images(count, seed=seed).double()
    ours = explain.gradient_x_input(
        lambda x: x.flatten(1) @ weight.T + bias, image, explain.yaw_deg
    )
    torch.testing.assert_close(ours.map.sum((1, 2, 3)) + torch.rad2deg(bias[1]), ours.output)


@pytest.mark.parametrize("training", [True, False])
def test_the_caller_s_network_and_tensors_are_left_alone(training):
    net, image = ready().train(training), images(4).requires_grad_()
    net[1].train(not training)
    net(image).sum().backward()
    modes = [module.training for module in net.modules()]
    state = {name: value.clone() for name, value in net.state_dict().items()}
    grads = [parameter.grad.clone() for parameter in net.parameters()]
    image_grad, values = image.grad.clone(), image.detach().clone()
    result = explain.gradient_x_input(net, image)
    assert [module.training for module in net.modules()] == modes
    assert all(torch.equal(value, state[name]) for name, value in net.state_dict().items())
    assert all(torch.equal(p.grad, g) for p, g in zip(net.parameters(), grads, strict=True))
    assert torch.equal(image.grad, image_grad) and torch.equal(image, values)
    assert image.requires_grad and not result.map.requires_grad


def test_modes_are_restored_after_a_fault():
    net = ready().train()
    with pytest.raises(ValueError, match="output has shape"):
        explain.gradient_x_input(net, images(2), lambda y: y)
    assert net.training and net[1].training


def test_batch_statistics_are_those_of_evaluation():
    net, image = ready().train(), images(4)
    together = explain.gradient_x_input(net, image).map
    alone = explain.gradient_x_input(net, image[:1]).map
    torch.testing.assert_close(together[:1], alone)


@pytest.mark.parametrize("surrounding", [torch.no_grad, torch.inference_mode])
def test_works_where_gradients_are_off(surrounding):
    net, image = ready(), images(2)
    with surrounding():
        inside = explain.gradient_x_input(net, image.clone()).map
    torch.testing.assert_close(inside, explain.gradient_x_input(net, image).map)


def test_frozen_weights_are_no_hindrance():
    net = ready().requires_grad_(False)
    assert float(explain.gradient_x_input(net, images(2)).map.abs().sum()) > 0


def test_direction_output_is_that_of_geometry():
    net, image = ready(), images(3)
    ours = explain.gradient_x_input(net, image, explain.gaze_direction_deg)
    torch.testing.assert_close(ours.output, geometry.direction_deg(net(image)).detach())


def halves(count: int) -> torch.Tensor:
    """Masks of the left quarter and of the rest."""
    masks = torch.zeros(count, 2, 8, 12)
    masks[:, 0, :, :3] = 1
    masks[:, 1, :, 3:] = 1
    return masks


def attributed(values: torch.Tensor) -> explain.Attribution:
    return explain.Attribution(values, values, values.sum((1, 2, 3)))


def test_even_attribution_is_shared_like_the_area():
    signs = torch.ones(2, 3, 8, 12)
    signs[:, :, ::2] = -1
    shares = explain.mask_shares(attributed(signs), halves(2))
    torch.testing.assert_close(shares.attribution, shares.area)
    torch.testing.assert_close(shares.area, torch.tensor([[0.25, 0.75]] * 2).double())


def test_attribution_on_one_mask_alone():
    values = torch.zeros(1, 1, 8, 12)
    values[..., 3, 1] = -2.0
    shares = explain.mask_shares(attributed(values), halves(1))
    assert shares.attribution.tolist() == [[1.0, 0.0]]


@given(st.integers(0, 10_000))
@settings(deadline=None, max_examples=20)
def test_shares_of_masks_that_fill_the_image_sum_to_one(seed):
    masks = torch.softmax(images(3, 4, seed).double() * 5, dim=1)
    shares = explain.mask_shares(attributed(images(3, 3, seed) - 0.5), masks)
    one = torch.ones(3, dtype=torch.float64)
    torch.testing.assert_close(shares.attribution.sum(1), one)
    torch.testing.assert_close(shares.area.sum(1), one)


def test_no_attribution_at_all_has_no_shares():
    shares = explain.mask_shares(attributed(torch.zeros(1, 1, 8, 12)), halves(1))
    assert bool(shares.attribution.isnan().all())
