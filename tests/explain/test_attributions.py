"""Integrated gradients, SmoothGrad and occlusion against captum, and what they leave alone."""

import captum.attr
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn

from gazegan import explain
from gazegan.rng import stream

OUTPUTS = [explain.pitch_deg, explain.yaw_deg, explain.gaze_direction_deg]


def network(channels=1):
    torch.manual_seed(0)
    net = nn.Sequential(
        nn.Conv2d(channels, 4, 3, stride=2),
        nn.BatchNorm2d(4),
        nn.Tanh(),
        nn.Flatten(),
        nn.LazyLinear(2),
    )
    net(images(6, channels))
    return net.eval()


def images(count, channels=1, seed=1):
    return torch.rand(count, channels, 9, 12, generator=stream(seed))


def plain(net, output):
    return lambda x: output(net(x))


@pytest.mark.parametrize("output", OUTPUTS)
@pytest.mark.parametrize("channels", [1, 3])
def test_integrated_gradients_match_captum(output, channels):
    net, image, baseline = network(channels), images(5, channels), images(5, channels, 2)
    oracle = captum.attr.IntegratedGradients(plain(net, output)).attribute(
        image, baseline, n_steps=20, method="riemann_middle"
    )
    ours = explain.integrated_gradients(net, image, baseline, output, steps=20)
    torch.testing.assert_close(ours.map, oracle.float(), rtol=1e-4, atol=1e-5)
    torch.testing.assert_close(ours.output, output(net(image)).detach())


@pytest.mark.parametrize("output", OUTPUTS)
def test_smoothgrad_matches_captum_under_the_same_noise(output, monkeypatch):
    net, image, samples = network(), images(3), 5
    generator = stream(7)
    noise = torch.stack([torch.randn(image.shape, generator=generator) for _ in range(samples)])
    captums = noise.transpose(0, 1).flatten(0, 1)  # it takes the samples of an image together
    monkeypatch.setattr(torch, "normal", lambda mean, std: mean + std * captums)
    tunnel = captum.attr.NoiseTunnel(captum.attr.Saliency(plain(net, output)))
    oracle = tunnel.attribute(
        image.clone().requires_grad_(), "smoothgrad", nt_samples=samples, stdevs=0.1, abs=False
    )
    ours = explain.smoothgrad(net, image, stream(7), output, samples, sigma=0.1)
    torch.testing.assert_close(ours.map, oracle.detach(), rtol=1e-4, atol=1e-4)


def test_smoothgrad_of_a_cube_by_its_moments():
    """The mean of 3 (x + n)^2 is 3 (x^2 + sigma^2)."""
    image, sigma = images(2), 0.3
    ours = explain.smoothgrad(
        lambda x: (x**3).sum((1, 2, 3))[:, None], image, stream(0), lambda y: y[:, 0], 4000, sigma
    )
    expected = 3 * (image**2 + sigma**2)
    spread = 3 * torch.sqrt(4 * image**2 * sigma**2 + 2 * torch.tensor(sigma**4)) / 4000**0.5
    assert float(((ours.map - expected) / spread).abs().max()) < 5
    assert float((ours.map - 3 * image**2).mean()) > 0.2


@pytest.mark.parametrize(("window", "stride"), [(3, 3), (3, 2), (4, 1), (5, 4)])
@pytest.mark.parametrize("channels", [1, 3])
def test_occlusion_matches_captum(window, stride, channels):
    net, image, baseline = network(channels), images(3, channels), images(3, channels, 2)
    oracle = captum.attr.Occlusion(plain(net, explain.yaw_deg)).attribute(
        image, (channels, window, window), (channels, stride, stride), baseline
    )
    ours = explain.occlusion(net, image, baseline, explain.yaw_deg, window, stride)
    torch.testing.assert_close(channels * ours.map, oracle.float(), rtol=1e-4, atol=1e-4)
    assert ours.gradient is None


def test_occlusion_of_directions_goes_the_shorter_way():
    """Hiding turns the direction from 350 over 0 to 10 degrees."""
    image = torch.ones(1, 1, 8, 8)

    def look(x):
        return torch.where(x.amin((1, 2, 3)) > 0.5, 350.0, 10.0)[:, None]

    def pick(y):
        return y[:, 0]

    hidden = torch.zeros_like(image)
    ours = explain.occlusion(look, image, hidden, pick, 4, 4, period=360)
    torch.testing.assert_close(ours.map, torch.full_like(image, -20))
    assert float(explain.occlusion(look, image, hidden, pick, 4, 4).map[0, 0, 0, 0]) == 340


@pytest.mark.parametrize(("window", "stride"), [(3, 4), (0, 0), (10, 3)])
def test_squares_that_leave_gaps_are_refused(window, stride):
    with pytest.raises(ValueError, match="cannot cover"):
        explain.occlusion(network(), images(1), images(1), window=window, stride=stride)


@given(st.integers(0, 10_000), st.integers(1, 3))
@settings(deadline=None, max_examples=15)
def test_integrated_gradients_and_single_pixels_are_complete_on_linear_models(seed, steps):
    generator = stream(seed)
    weight = torch.randn(2, 108, generator=generator, dtype=torch.float64)
    image, baseline = images(2, seed=seed).double(), images(2, seed=seed + 1).double()

    def fn(x):
        return x.flatten(1) @ weight.T + 0.3

    change = explain.yaw_deg(fn(image)) - explain.yaw_deg(fn(baseline))
    for ours in (
        explain.integrated_gradients(fn, image, baseline, explain.yaw_deg, steps),
        explain.occlusion(fn, image, baseline, explain.yaw_deg, 1, 1),
    ):
        torch.testing.assert_close(ours.map.sum((1, 2, 3)), change)


def test_more_steps_close_the_gap():
    net, image, baseline = network().double(), images(4).double(), images(4, seed=2).double()
    at = explain.pitch_deg(net(baseline)).detach()
    gaps = [
        float(
            explain.completeness_gap(
                explain.integrated_gradients(net, image, baseline, steps=steps), at
            )
            .abs()
            .max()
        )
        for steps in (1, 4, 64)
    ]
    assert gaps[0] > 10 * gaps[1] > 100 * gaps[2]


def run(method, net, image):
    if method == "gradient_x_input":
        return explain.gradient_x_input(net, image)
    if method == "smoothgrad":
        return explain.smoothgrad(net, image, stream(0), samples=3)
    return getattr(explain, method)(net, image, explain.faded(image))


METHODS = ["gradient_x_input", "integrated_gradients", "smoothgrad", "occlusion"]


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("training", [True, False])
def test_the_caller_s_network_and_tensors_are_left_alone(method, training):
    net, image = network().train(training), images(4).requires_grad_()
    net[1].train(not training)
    net(image).sum().backward()
    modes = [module.training for module in net.modules()]
    state = {name: value.clone() for name, value in net.state_dict().items()}
    grads = [parameter.grad.clone() for parameter in net.parameters()]
    image_grad, values = image.grad.clone(), image.detach().clone()
    result = run(method, net, image)
    assert [module.training for module in net.modules()] == modes
    assert all(torch.equal(value, state[name]) for name, value in net.state_dict().items())
    assert all(torch.equal(p.grad, g) for p, g in zip(net.parameters(), grads, strict=True))
    assert torch.equal(image.grad, image_grad) and torch.equal(image, values)
    assert image.requires_grad and not result.map.requires_grad
    assert not result.output.requires_grad


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("surrounding", [torch.no_grad, torch.inference_mode])
def test_works_where_gradients_are_off(method, surrounding):
    net, image = network(), images(2)
    with surrounding():
        inside = run(method, net, image.clone()).map
    torch.testing.assert_close(inside, run(method, net, image).map)


@pytest.mark.parametrize("method", METHODS)
def test_modes_are_restored_after_a_fault(method, monkeypatch):
    net = network().train()
    with monkeypatch.context() as patch, pytest.raises(ValueError, match="output has shape"):
        patch.setattr(net[4], "forward", lambda x: x[:, :1].expand(2, -1)[None])
        run(method, net, images(2))
    assert net.training and net[1].training


def test_faded_images_keep_their_light_and_lose_their_detail():
    image = torch.full((1, 1, 36, 60), 0.5)
    image[..., 15:18, 28:31] = 0
    found = explain.faded(image)
    assert found.shape == image.shape
    assert float(found.min()) > 0.4
    torch.testing.assert_close(found.mean(), image.mean(), rtol=0.02, atol=0)
    flat = torch.full((2, 3, 8, 9), 0.25)
    torch.testing.assert_close(explain.faded(flat), flat)
