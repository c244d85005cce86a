"""Networks: identity at the start, any size, statistics that move only in training."""

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from learning import images, stirred
from torch import nn

from gazegan.modes import evaluating
from gazegan.nets.critic import Critic, CriticConfig
from gazegan.nets.layers import pad_to, standardise
from gazegan.nets.refiner import Refiner, RefinerConfig, add_soft
from gazegan.nets.regressor import Regressor, RegressorConfig

SMALL = RefinerConfig(widths=(4, 8, 8), blocks=1)
SIZES = st.tuples(st.integers(8, 45), st.integers(8, 45))


@settings(deadline=None, max_examples=15)
@given(
    size=SIZES,
    channels=st.sampled_from([1, 3]),
    norm=st.sampled_from(["instance", "group", "batch", "none", "free"]),
    clamp=st.sampled_from(["hard", "soft"]),
    skips=st.booleans(),
)
def test_untrained_refiner_is_the_identity(size, channels, norm, clamp, skips):
    config = RefinerConfig(widths=(4, 8, 8), blocks=1, norm=norm, clamp=clamp, skips=skips)
    image = images(2, channels, *size)
    assert torch.equal(Refiner(config, channels)(image), image)


@settings(deadline=None, max_examples=15)
@given(size=SIZES, clamp=st.sampled_from(["hard", "soft"]))
def test_refined_images_keep_shape_and_range(size, clamp):
    refiner = stirred(Refiner(SMALL.model_copy(update={"clamp": clamp}), 1))
    image = images(2, 1, *size)
    refined = refiner(image)
    assert refined.shape == image.shape
    assert refined.min() >= 0
    assert refined.max() <= 1
    assert not torch.equal(refined, image)


def test_refiner_treats_each_image_alone():
    refiner, image = stirred(Refiner(SMALL, 3)).double(), images(4, 3, 20, 30).double()
    one_by_one = torch.cat([refiner(image[i : i + 1]) for i in range(4)])
    torch.testing.assert_close(refiner(image), one_by_one)


def test_decoder_is_made_of_transposed_convolutions():
    ups = [m for m in Refiner(SMALL, 1).modules() if isinstance(m, nn.ConvTranspose2d)]
    assert len(ups) == len(SMALL.widths) - 1


def test_skips_carry_detail():
    with_skips = stirred(Refiner(SMALL.model_copy(update={"skips": True}), 1))
    without = stirred(Refiner(SMALL, 1))
    image = images(1, 1, 16, 16)
    assert not torch.allclose(with_skips.change(image), without.change(image))


@settings(deadline=None, max_examples=10)
@given(size=SIZES, channels=st.sampled_from([1, 3]), latent=st.sampled_from([0, 5]))
def test_direct_output_is_an_image_of_the_same_shape(size, channels, latent):
    config = RefinerConfig(widths=(4, 8, 8), blocks=1, output="direct", latent=latent)
    image, refiner = images(2, channels, *size), Refiner(config, channels)
    made = refiner(image)
    assert made.shape == image.shape and not torch.equal(made, image)
    assert made.min() > 0 and made.max() < 1
    torch.testing.assert_close(torch.logit(made), refiner.decoded(image))


def test_all_of_an_image_passes_through_the_latent_vector():
    """The slope of the output by the input has no more independent directions than numbers."""
    config = RefinerConfig(widths=(4, 8), blocks=1, latent=3, skips=False, smooth=0)
    refiner = stirred(Refiner(config, 1)).double()
    slopes = torch.autograd.functional.jacobian(refiner.change, images(1, 1, 8, 12).double())
    assert torch.linalg.matrix_rank(slopes.reshape(96, 96)) == 3
    wide = stirred(Refiner(config.model_copy(update={"latent": 0}), 1)).double()
    slopes = torch.autograd.functional.jacobian(wide.change, images(1, 1, 8, 12).double())
    assert torch.linalg.matrix_rank(slopes.reshape(96, 96)) > 20


def test_soft_limit_has_gradient_where_the_hard_one_has_none():
    image = torch.tensor([0.2, 0.9], dtype=torch.float64)
    change = torch.tensor([-3.0, 3.0], dtype=torch.float64, requires_grad=True)
    moved = add_soft(image, change)
    moved.sum().backward()
    assert change.grad is not None
    assert (change.grad > 0).all()
    expected = torch.tensor([0.2 - 0.2 * torch.tanh(torch.tensor(3.0)), 0.9 + 0.1 * 0.995055])
    torch.testing.assert_close(moved.detach().float(), expected)


@settings(deadline=None, max_examples=15)
@given(
    size=st.tuples(st.integers(1, 45), st.integers(1, 45)),
    channels=st.sampled_from([1, 3]),
    heads=st.sampled_from(["both", "whole", "patch"]),
    norm=st.sampled_from(["none", "instance", "group", "spectral"]),
)
def test_critic_scores_any_size(size, channels, heads, norm):
    critic = Critic(CriticConfig(widths=(4, 8, 8), heads=heads, norm=norm), channels).eval()
    image = images(3, channels, *size)
    scores = critic(image)
    assert set(scores) == ({"whole", "patch"} if heads == "both" else {heads})
    assert all(score.shape[0] == 3 for score in scores.values())
    assert scores.get("whole", torch.empty(3, 1)).shape == (3, 1)
    expected = sum(score.mean(1) for score in scores.values())
    torch.testing.assert_close(critic.value(image), expected)


def test_critic_scores_do_not_depend_on_the_other_images():
    """What the gradient penalty needs, and what batch normalisation would break."""
    critic, image = stirred(Critic(CriticConfig(widths=(4, 8)), 1)), images(5, 1, 24, 30)
    alone = torch.cat([critic.value(image[i : i + 1]) for i in range(5)])
    torch.testing.assert_close(critic.value(image), alone)
    assert not any(isinstance(m, nn.BatchNorm2d) for m in critic.modules())


def test_patch_scores_are_local():
    critic = stirred(Critic(CriticConfig(widths=(4, 8)), 1))
    image = images(1, 1, 32, 32)
    changed = image.clone()
    changed[..., :4, :4] = 0
    same = critic(image)["patch"].view(8, 8) == critic(changed)["patch"].view(8, 8)
    assert same[4:, 4:].all()
    assert not same[:2, :2].any()


def test_spectral_normalisation_gives_every_layer_the_largest_singular_value_one():
    critic = Critic(CriticConfig(widths=(4, 8), heads="both", norm="spectral"), 1).train()
    with torch.no_grad():
        for _ in range(200):  # a step of the power iteration each
            critic(images(1, 1, 8, 8))
    layers = [m for m in critic.modules() if isinstance(m, nn.Conv2d | nn.Linear)]
    assert len(layers) == 4
    for layer in layers:
        values = torch.linalg.svdvals(layer.weight.detach().flatten(1).double())
        assert values[0].item() == pytest.approx(1, abs=1e-3)


def test_regressor_size_and_shapes():
    regressor = Regressor(RegressorConfig(), 1)
    count = sum(p.numel() for p in regressor.parameters())
    assert 250_000 <= count <= 500_000
    for size in ((8, 8), (36, 60), (50, 31)):
        assert regressor(images(3, 1, *size)).shape == (3, 2)
    assert sum(isinstance(m, nn.Conv2d) for m in regressor.modules()) == 5


def test_direction_is_a_unit_vector():
    regressor = stirred(Regressor(RegressorConfig(target="direction"), 3)).eval()
    assert regressor.target == "direction"
    norm = regressor(images(6, 3, 20, 30)).norm(dim=1)
    torch.testing.assert_close(norm, torch.ones(6))


NORMALISED = {
    **{k: lambda k=k: Regressor(RegressorConfig(kind=k), 1) for k in ("small", "resnet")},
    "resnet18": lambda: Regressor(RegressorConfig(kind="resnet18"), 1),
    "refiner": lambda: Refiner(SMALL.model_copy(update={"norm": "batch"}), 1),
}


@pytest.mark.parametrize("name", NORMALISED)
def test_batch_statistics_move_in_training_and_not_in_evaluation(name):
    network, image = NORMALISED[name](), images(4, 1, 16, 20)
    buffers = {n: b.clone() for n, b in network.named_buffers() if "running" in n}
    assert buffers
    network.eval()(image)
    assert all(torch.equal(b, network.get_buffer(n)) for n, b in buffers.items())
    with evaluating(network.train()):
        network(image)
    assert all(torch.equal(b, network.get_buffer(n)) for n, b in buffers.items())
    network(image)
    assert not any(torch.equal(b, network.get_buffer(n)) for n, b in buffers.items())


def test_evaluation_does_not_depend_on_the_other_images():
    regressor, image = stirred(Regressor(RegressorConfig(), 1)).eval(), images(4, 1, 16, 20)
    alone = torch.cat([regressor(image[i : i + 1]) for i in range(4)])
    torch.testing.assert_close(regressor(image), alone, rtol=1e-4, atol=1e-4)


@settings(deadline=None, max_examples=20)
@given(gain=st.floats(0.3, 3), bias=st.floats(-0.5, 0.5))
def test_standardising_undoes_brightness_and_contrast(gain, bias):
    image = images(2, 3, 12, 15).double()
    before, after = standardise(image, 1e-4), standardise(gain * image + bias, 1e-4)
    torch.testing.assert_close(before, after, rtol=1e-4, atol=1e-5)
    torch.testing.assert_close(before.var((1, 2, 3), correction=0), torch.ones(2).double())


def test_flat_images_stay_finite():
    flat = torch.full((2, 1, 8, 8), 0.3, requires_grad=True)
    standardise(flat, 0.02).square().sum().backward()
    assert flat.grad is not None
    assert flat.grad.isfinite().all()


@pytest.mark.parametrize(("multiple", "least"), [(4, 8), (8, 8), (1, 16), (3, 1)])
def test_padding_crops_back(multiple, least):
    image = images(1, 2, 9, 14)
    padded, (rows, columns) = pad_to(image, multiple, least)
    assert torch.equal(padded[..., rows, columns], image)
    assert all(s % multiple == 0 and s >= least for s in padded.shape[-2:])
