"""Attacks against captum, closed forms and their own promises."""

import captum.robust
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn

from gazegan import attack

EPSILONS = st.floats(0, 0.3)
SEEDS = st.integers(0, 10_000)
TOLERANCE = 1e-6


def ready(channels: int = 1) -> nn.Sequential:
    torch.manual_seed(0)
    net = nn.Sequential(
        nn.Conv2d(channels, 4, 3, stride=2),
        nn.BatchNorm2d(4),
        nn.Tanh(),
        nn.Flatten(),
        nn.Linear(60, 2),
    )
    net(images(4, channels))
    return net.eval()


def images(count: int, channels: int = 1, seed: int = 1, height: int = 8) -> torch.Tensor:
    generator = torch.Generator().manual_seed(seed)
    return torch.rand(count, channels, height, 12, generator=generator)


def truths(count: int) -> torch.Tensor:
    return torch.linspace(-0.4, 0.4, 2 * count).reshape(count, 2)


def seeded(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


ERRORS = [attack.angle_error_deg, attack.direction_error_deg]


captums_warning = pytest.mark.filterwarnings("ignore:Input Tensor 0 did not already require")


@captums_warning
@pytest.mark.parametrize("error", ERRORS)
def test_fgsm_matches_captum(error):
    net, image, truth = ready(), images(6), truths(6)
    oracle = captum.robust.FGSM(net, error, 0.0, 1.0).perturb(image, 0.03, truth)
    ours = attack.fgsm(net, image, truth, 0.03, error)
    torch.testing.assert_close(ours.image, oracle)
    torch.testing.assert_close(ours.error_deg, error(net(oracle), truth).detach())


@captums_warning
@pytest.mark.parametrize("error", ERRORS)
def test_pgd_matches_captum_where_every_step_climbs(error):
    net, image, truth = ready().double(), images(6).double(), truths(6).double()
    oracle = captum.robust.PGD(net, error, 0.0, 1.0).perturb(image, 0.03, 0.004, 10, truth)
    ours = attack.pgd(net, image, truth, 0.03, None, 10, 0.004, error)
    reached = error(net(oracle), truth).detach()
    assert bool((ours.error_deg >= reached - 1e-9).all()), "the worst point, not the last"
    same = (ours.image - oracle).abs().flatten(1).amax(1) < 1e-9
    assert int(same.sum()) >= 5
    torch.testing.assert_close(ours.error_deg[same], reached[same])


@given(SEEDS, EPSILONS, st.sampled_from(ERRORS))
@settings(deadline=None, max_examples=30)
def test_attacks_stay_in_their_ball_and_in_range(seed, epsilon, error):
    net, image, truth = ready(), images(2, seed=seed), truths(2)
    image[0, 0, 0] = torch.tensor([0.0, 1.0] * 6)
    for made in (
        attack.fgsm(net, image, truth, epsilon, error),
        attack.pgd(net, image, truth, epsilon, seeded(seed), 3, error=error),
        attack.random_noise(net, image, truth, epsilon, seeded(seed), error),
    ):
        assert float((made.image - image).abs().max()) <= epsilon + TOLERANCE
        assert float(made.image.min()) >= 0 and float(made.image.max()) <= 1
        torch.testing.assert_close(made.error_deg, error(net(made.image), truth).detach())
        torch.testing.assert_close(made.clean_deg, error(net(image), truth).detach())


def linear_pitch(seed: int) -> tuple[torch.Tensor, attack.Fn]:
    """A model whose pitch is linear in the image and whose yaw is the truth's."""
    weight = torch.randn(96, generator=seeded(seed), dtype=torch.float64) / 200

    def model(image: torch.Tensor) -> torch.Tensor:
        pitch = (image - 0.5).flatten(1) @ weight + 0.1
        return torch.stack((pitch, torch.zeros_like(pitch)), dim=1)

    return weight, model


@given(SEEDS, st.sampled_from([0.01, 0.05, 0.1]))
@settings(deadline=None, max_examples=20)
def test_pgd_reaches_the_closed_form_on_a_linear_model(seed, epsilon):
    weight, model = linear_pitch(seed)
    image = (0.2 + 0.6 * images(3, seed=seed)).double()
    truth = torch.full((3, 2), 0.0, dtype=torch.float64)
    pitch = model(image)[:, 0]
    worst = torch.rad2deg(pitch.abs() + epsilon * weight.abs().sum())
    start = attack.Ball(image, epsilon).draw(seeded(seed))
    crossed = model(start)[:, 0].sign() != pitch.sign()
    other = torch.rad2deg(epsilon * weight.abs().sum() - pitch.abs())
    reached = attack.pgd(model, image, truth, epsilon, seeded(seed)).error_deg
    torch.testing.assert_close(reached, torch.where(crossed, other, worst))
    from_clean = attack.pgd(model, image, truth, epsilon, None).error_deg
    torch.testing.assert_close(from_clean, worst)
    torch.testing.assert_close(attack.fgsm(model, image, truth, epsilon).error_deg, worst)


@given(EPSILONS, st.integers(1, 50))
@settings(deadline=None, max_examples=50)
def test_steps_shrink_and_cross_the_ball(epsilon, steps):
    sizes = attack.step_sizes(epsilon, steps)
    assert len(sizes) == steps and sizes == sorted(sizes, reverse=True)
    assert all(size >= 0 for size in sizes) and sum(sizes) >= 2 * epsilon - 1e-12


def test_pgd_is_never_below_the_clean_error_and_beats_fgsm():
    net, image, truth = ready(), images(16), truths(16)
    single = attack.fgsm(net, image, truth, 0.1)
    climbed = attack.pgd(net, image, truth, 0.1, seeded(), 30)
    assert bool((climbed.error_deg >= climbed.clean_deg).all())
    assert float(climbed.error_deg.mean()) >= float(single.error_deg.mean())


def test_only_the_image_changes():
    net, image, truth = ready(), images(4).requires_grad_(), truths(4)
    net.train()
    net[0].eval()
    net(image).sum().backward()
    state = {name: value.clone() for name, value in net.state_dict().items()}
    grads = [parameter.grad.clone() for parameter in net.parameters()]
    given_image, given_grad = image.detach().clone(), image.grad.clone()
    attack.sweep(net, image, truth, [0.02], seeded(), 3)
    assert all(torch.equal(value, state[name]) for name, value in net.state_dict().items())
    assert all(torch.equal(p.grad, g) for p, g in zip(net.parameters(), grads, strict=True))
    assert torch.equal(image, given_image) and torch.equal(image.grad, given_grad)
    assert [module.training for module in net] == [False, True, True, True, True]


def test_attacks_repeat_by_their_generator_and_leave_the_global_one_alone():
    net, image, truth = ready(), images(4), truths(4)
    before = torch.get_rng_state()
    first, second, other = (
        attack.sweep(net, image, truth, [0.05], seeded(seed), 3) for seed in (1, 1, 2)
    )
    assert torch.equal(first.pgd_deg, second.pgd_deg)
    assert torch.equal(first.noise_deg, second.noise_deg)
    assert not torch.equal(first.noise_deg, other.noise_deg)
    assert torch.equal(before, torch.get_rng_state())


def test_nothing_moves_in_a_ball_of_radius_zero():
    net, image, truth = ready(), images(3), truths(3)
    result = attack.sweep(net, image, truth, [0.0], seeded(), 3)
    for degrees in (result.noise_deg, result.fgsm_deg, result.pgd_deg):
        torch.testing.assert_close(degrees[0], result.clean_deg)


def test_noise_has_the_size_of_the_attack():
    net, image = ready(), torch.full((2, 1, 8, 12), 0.5)
    noise = attack.random_noise(net, image, truths(2), 0.1, seeded())
    torch.testing.assert_close((noise.image - image).abs(), torch.full_like(image, 0.1))
    assert 0.3 < float((noise.image > image).float().mean()) < 0.7


def test_sweep_holds_every_radius_and_tells_of_blind_gradients():
    heard = []
    result = attack.sweep(
        lambda x: torch.zeros(len(x), 2) * x.sum(),
        images(3),
        truths(3),
        [0.01, 0.02],
        seeded(),
        steps=2,
        advance=heard.append,
    )
    assert result.epsilons == (0.01, 0.02) and heard == [1, 1]
    assert result.pgd_deg.shape == result.fgsm_deg.shape == result.noise_deg.shape == (2, 3)
    assert bool(result.blind.all())
    assert not bool(attack.sweep(ready(), images(3), truths(3), [0.1], seeded()).blind.any())


@pytest.mark.parametrize("epsilon", [-0.1, 1.1, float("nan")])
def test_radii_outside_the_range_are_refused(epsilon):
    with pytest.raises(ValueError, match=r"0\.\.1"):
        attack.fgsm(ready(), images(1), truths(1), epsilon)


def test_no_steps_are_refused():
    with pytest.raises(ValueError, match="at least 1"):
        attack.pgd(ready(), images(1), truths(1), 0.1, seeded(), 0)


@given(st.floats(0, 359), st.floats(0, 359), st.floats(0.1, 5))
@settings(deadline=None, max_examples=50)
def test_direction_error_is_circular_and_ignores_length(a, b, length):
    first, second = torch.deg2rad(torch.tensor([a, b], dtype=torch.float64))
    pair = length * torch.stack((first.cos(), first.sin()))[None]
    truth = torch.stack((second.cos(), second.sin()))[None]
    circular = min(abs(a - b), 360 - abs(a - b))
    assert float(attack.direction_error_deg(pair, truth)) == pytest.approx(circular, abs=1e-6)
