"""Networks: identity at the start, any size, statistics that move only in training."""

import math

import pytest
import torch
import torch.nn.functional as F
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn

from gazegan.geometry import vector_from_angles
from gazegan.modes import evaluating
from gazegan.nets.critic import Critic, CriticConfig
from gazegan.nets.layers import PreActivation, pad_to, standardise
from gazegan.nets.refiner import Refiner, RefinerConfig, add_soft
from gazegan.nets.regressor import SPREAD_DEG, Regressor, RegressorConfig

SMALL = RefinerConfig(widths=(4, 8, 8), blocks=1)
SIZES = st.tuples(st.integers(8, 45), st.integers(8, 45))


def images(*shape: int, seed: int = 0) -> torch.Tensor:
    return torch.rand(shape, generator=torch.Generator().manual_seed(seed))


def stirred(module: nn.Module) -> nn.Module:
    """Give every parameter a value that is not its initial one."""
    torch.manual_seed(1)
    for parameter in module.parameters():
        nn.init.normal_(parameter, std=0.5)
    return module


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
    with_skips = stirred(Refiner(SMALL, 1))
    without = stirred(Refiner(SMALL.model_copy(update={"skips": False}), 1))
    image = images(1, 1, 16, 16)
    assert not torch.allclose(with_skips.change(image), without.change(image))


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
)
def test_critic_scores_any_size(size, channels, heads):
    critic = Critic(CriticConfig(widths=(4, 8, 8), heads=heads), channels)
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


KINDS = ("small", "lenet", "resnet", "resnet18")


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("channels", [1, 3])
def test_every_kind_answers_every_size_and_learns(kind, channels):
    torch.manual_seed(0)
    config = RegressorConfig(kind=kind, widths=(8, 8, 16, 16, 16), hidden=16)
    regressor = Regressor(config, channels)
    for size in ((16, 24), (36, 60), (40, 40)):
        assert regressor(images(3, channels, *size)).shape == (3, 2)
    image = images(8, channels, 16, 24)
    wanted = 0.3 * torch.rand(8, 2) - 0.15
    optimiser = torch.optim.Adam(regressor.parameters(), 3e-3)
    losses = []
    for _ in range(25):
        loss = (regressor(image) - wanted).square().mean()
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
        losses.append(loss.item())
    assert losses[-1] < 0.5 * losses[0]
    assert all(p.grad is not None and p.grad.isfinite().all() for p in regressor.parameters())


def test_a_head_that_points_gives_angles_of_its_vector_and_learns():
    torch.manual_seed(0)
    regressor = Regressor(RegressorConfig(head="vector", widths=(8, 8, 16, 16, 16)), 1)
    image = images(8, 1, 16, 24)
    seen = []
    regressor.head.register_forward_hook(lambda *args: seen.append(args[-1]))
    angles = regressor(image)
    unit = seen[-1] / seen[-1].norm(dim=1, keepdim=True)
    torch.testing.assert_close(vector_from_angles(angles), unit)
    # Before it has learnt anything it looks about ahead, where angles do not jump.
    assert angles.abs().max() < 1.2 and regressor.head[-1].bias.tolist() == [0, 0, -1]
    wanted = 0.6 * torch.rand(8, 2) - 0.3
    optimiser = torch.optim.Adam(regressor.parameters(), 3e-3)
    losses = []
    for _ in range(25):
        loss = (regressor(image) - wanted).square().mean()
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
        losses.append(loss.item())
    assert losses[-1] < 0.3 * losses[0]
    for wrong in ({"limit_deg": 20}, {"target": "direction"}):
        with pytest.raises(ValueError, match="vector"):
            RegressorConfig(head="vector", **wrong)


@pytest.mark.parametrize(
    "how",
    [*({"kind": kind} for kind in KINDS), {"head": "vector"}, {"limit_deg": 20, "head_yaw": True}],
)
def test_spreads_stand_beside_the_same_angles(how):
    torch.manual_seed(0)
    sizes = {"widths": (8, 8, 16, 16, 16), "hidden": 16, "knots": 0}
    plain = Regressor(RegressorConfig(**sizes, **how), 1).eval()
    unsure = Regressor(RegressorConfig(**sizes, **how, spread=True), 1).eval()
    state, count = plain.state_dict(), plain.head[-1].out_features
    for name in ("head.3.weight", "head.3.bias"):
        more = torch.stack((state[name][0], 50 * state[name][1].abs()))
        state[name] = torch.cat((state[name], more))
    unsure.load_state_dict(state)
    assert unsure.head[-1].out_features == count + 2
    image, turn = images(4, 1, 16, 24), torch.linspace(-0.5, 0.5, 4)
    answer = unsure.answer(image, turn)
    assert plain.answer(image, turn).spread is None
    torch.testing.assert_close(answer.output, plain(image, turn))
    torch.testing.assert_close(unsure(image, turn), answer.output)
    torch.testing.assert_close(answer[1:3].spread, answer.spread[1:3])
    low, high = (math.radians(bound) for bound in SPREAD_DEG)
    assert answer.spread.shape == (4, 2)
    assert bool(((low * 0.999 <= answer.spread) & (answer.spread <= high * 1.001)).all())


def test_the_spread_is_smooth_in_its_logarithm():
    unsure = Regressor(RegressorConfig(spread=True), 1).eval()
    nn.init.zeros_(unsure.head[-1].weight)
    with torch.no_grad():
        unsure.head[-1].bias.copy_(torch.tensor([0.0, 0.0, 0.0, math.log(3)]))
    spread = torch.rad2deg(unsure.answer(images(2, 1, 16, 24)).spread)
    low, high = SPREAD_DEG
    # A sigmoid of 1/2, and of 3/4: geometric means of the bounds.
    expected = torch.tensor([(low * high) ** 0.5, low**0.25 * high**0.75])
    torch.testing.assert_close(spread, expected.expand(2, 2))
    with pytest.raises(ValueError, match="spread is of angles"):
        RegressorConfig(spread=True, target="direction")


def test_parameters_of_known_networks_are_counted_as_in_their_papers():
    def count(module):
        return sum(p.numel() for p in module.parameters())

    lenet = Regressor(RegressorConfig(kind="lenet"), 1).trunk
    assert count(lenet) == (25 + 1) * 20 + (20 * 25 + 1) * 50
    # torchvision's 11,689,512 less its classifier of 1000 classes.
    resnet18 = Regressor(RegressorConfig(kind="resnet18"), 3).trunk
    assert count(resnet18) == 11_689_512 - 1000 * 513
    one = Regressor(RegressorConfig(kind="resnet", blocks=1), 1).trunk
    two = Regressor(RegressorConfig(kind="resnet", blocks=2), 1).trunk
    # A further block of width w: two convolutions of 9 w^2 and two normalisations of 2 w.
    assert count(two) - count(one) == sum(18 * w * w + 4 * w for w in (16, 32, 64, 96))


@pytest.mark.parametrize("norm", ["batch", "free"])
def test_no_convolution_of_one_pixel_has_a_stride(norm):
    """With fewer than 8 channels going backward through one corrupts PyTorch's memory."""
    config = RegressorConfig(kind="resnet", norm=norm, widths=(4, 4, 8, 8, 8))
    ones = [
        m
        for m in Regressor(config, 1).modules()
        if isinstance(m, nn.Conv2d) and m.kernel_size == (1, 1)
    ]
    assert len(ones) == 3 and all(m.stride == (1, 1) for m in ones)


@pytest.mark.parametrize("stride", [1, 2])
def test_a_block_projects_every_other_place(stride):
    block, x = PreActivation(3, 5, stride), images(2, 3, 7, 8)
    expected = F.conv2d(F.relu(block.eval().first(x)), block.project.weight, stride=stride)
    nn.init.zeros_(block.body[-1].weight)
    torch.testing.assert_close(block(x), expected)


def test_resnet18_is_torchvisions():
    from torchvision.models import resnet18

    regressor = Regressor(RegressorConfig(kind="resnet18", grid=(1, 1)), 3).eval()
    theirs = resnet18(weights=None).eval()
    theirs.fc = torch.nn.Identity()
    parts = [part for name, part in theirs.named_children() if name not in ("avgpool", "fc")]
    for mine, part in zip(regressor.trunk, parts, strict=True):
        part.load_state_dict(mine.state_dict())
    image = images(2, 3, 64, 64)
    features = regressor.trunk(image).mean((2, 3))
    torch.testing.assert_close(features, theirs(image), rtol=1e-4, atol=1e-5)


def test_a_limit_bounds_angles_and_leaves_small_ones():
    plain = stirred(Regressor(RegressorConfig(), 1)).eval()
    bounded = Regressor(RegressorConfig(limit_deg=20), 1).eval()
    bounded.load_state_dict(plain.state_dict())
    image = images(6, 1, 16, 24)
    free, held = plain(image), bounded(image)
    limit = math.radians(20)
    torch.testing.assert_close(held, limit * torch.tanh(free / limit))
    assert held.abs().max() <= limit
    with pytest.raises(ValueError, match="limit_deg"):
        RegressorConfig(limit_deg=20, target="direction")
