"""Losses against closed forms, slow loops and numerical gradients."""

import math

import ot
import pytest
import torch
from torch.autograd import gradcheck, gradgradcheck

from gazegan.geometry import angular_error_deg, direction_deg
from gazegan.losses import gaze
from gazegan.losses.adversarial import (
    ADVERSARIAL,
    classic_critic,
    classic_generator,
    gradient_penalty,
    least_squares_critic,
    least_squares_generator,
    wasserstein_critic,
    wasserstein_generator,
)
from gazegan.losses.selfreg import feature_l1, region_weight, weighted_l1

F64 = torch.float64


def normal(*shape: int, seed: int = 0) -> torch.Tensor:
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed), dtype=F64)


def test_penalty_of_a_linear_critic_is_closed_form():
    slope = normal(3, 4, 5)
    penalty, norms = gradient_penalty(
        lambda x: (x * slope).sum((1, 2, 3)), normal(6, 3, 4, 5), normal(6, 3, 4, 5, seed=1),
        torch.rand(6, dtype=F64),
    )  # fmt: skip
    torch.testing.assert_close(norms, slope.norm().expand(6))
    torch.testing.assert_close(penalty, (slope.norm() - 1) ** 2)


def test_penalty_is_taken_on_the_line_between_the_samples():
    """A critic |x|^2 / 2 has the gradient x, so its norm tells where it was evaluated."""
    real, fake = normal(5, 1, 2, 3), normal(5, 1, 2, 3, seed=1)
    mixing = torch.linspace(0, 1, 5, dtype=F64)
    _, norms = gradient_penalty(lambda x: x.square().sum((1, 2, 3)) / 2, real, fake, mixing)
    for i, share in enumerate(mixing):
        assert norms[i].item() == pytest.approx((share * real[i] + (1 - share) * fake[i]).norm())


def test_penalty_teaches_the_critic():
    """Its gradient with respect to the critic's weights, against finite differences."""
    real, fake, mixing = normal(2, 1, 3, 3), normal(2, 1, 3, 3, seed=1), torch.rand(2, dtype=F64)

    def penalty(weight):
        def critic(x):
            return torch.tanh(x.flatten(1) @ weight).sum(1)

        return gradient_penalty(critic, real, fake, mixing)[0]

    assert gradcheck(penalty, normal(9, 2, seed=2).requires_grad_())


def test_best_linear_critic_estimates_the_wasserstein_distance_of_shifted_points():
    """Points moved by d lie |d| apart, which the critic x . d / |d| attains; POT is exact."""
    fake = normal(20, 3)
    shift = torch.tensor([0.3, -0.4, 1.2], dtype=F64)
    real = fake + shift
    direction = shift / shift.norm()
    estimate = -wasserstein_critic(real @ direction, fake @ direction)
    exact = ot.emd2([], [], ot.dist(real.numpy(), fake.numpy(), metric="euclidean"))
    assert estimate.item() == pytest.approx(exact, rel=1e-9)
    torch.testing.assert_close(wasserstein_generator(fake @ direction), -(fake @ direction).mean())


def test_least_squares_against_a_slow_loop():
    real, fake = normal(7, 2), normal(7, 2, seed=1)
    slow = sum((r - 1) ** 2 / 28 for r in real.flatten()) + sum(f**2 / 28 for f in fake.flatten())
    torch.testing.assert_close(least_squares_critic(real, fake), slow)
    slow = sum((f - 1) ** 2 / 28 for f in fake.flatten())
    torch.testing.assert_close(least_squares_generator(fake), slow)
    assert least_squares_critic(torch.ones(3), torch.zeros(3)) == 0


def test_classic_loss_is_the_cross_entropy_of_the_probability_of_being_real():
    real, fake = 3 * normal(7, 2), 3 * normal(9, 2, seed=1)
    entropy = torch.nn.functional.binary_cross_entropy_with_logits
    expected = entropy(real, torch.ones_like(real)) + entropy(fake, torch.zeros_like(fake))
    torch.testing.assert_close(classic_critic(real, fake), expected)
    torch.testing.assert_close(classic_generator(fake), entropy(fake, torch.ones_like(fake)))
    sure = torch.tensor([-800.0, 800.0], dtype=F64)
    assert classic_critic(sure, sure).item() == 800 and classic_generator(sure).item() == 400


def test_the_best_critic_of_the_classic_loss_finds_the_jensen_shannon_distance():
    """Of two known distributions: Goodfellow et al. 2014, theorem 1 and equation 6."""
    p, q = torch.tensor([0.5, 0.3, 0.2], dtype=F64), torch.tensor([0.1, 0.3, 0.6], dtype=F64)
    score = (p / q).log()
    counts = [(1000 * share).round().long() for share in (p, q)]
    real, fake = (score.repeat_interleave(count) for count in counts)
    middle = 0.5 * (p + q)
    distance = 0.5 * ((p * (p / middle).log()).sum() + (q * (q / middle).log()).sum())
    torch.testing.assert_close(classic_critic(real, fake), 2 * math.log(2) - 2 * distance)
    torch.testing.assert_close(ADVERSARIAL["classic"].realness(score), p / (p + q))


def test_change_of_features_against_a_slow_loop():
    refined, raw = normal(3, 1, 4, 5).requires_grad_(), normal(3, 1, 4, 5, seed=1).requires_grad_()

    def features(image):
        return image[..., 1:] - image[..., :-1]

    found = feature_l1(features, refined, raw)
    slow = [
        abs(
            (refined[b, 0, y, x + 1] - refined[b, 0, y, x])
            - (raw[b, 0, y, x + 1] - raw[b, 0, y, x])
        )
        for b in range(3)
        for y in range(4)
        for x in range(4)
    ]
    torch.testing.assert_close(found, sum(slow) / len(slow))
    found.backward()
    assert raw.grad is None and refined.grad is not None


def test_gaze_losses_against_closed_forms():
    a, b = 0.5 * normal(20, 2), 0.5 * normal(20, 2, seed=1)
    torch.testing.assert_close(torch.rad2deg(gaze.angular(a, b)), angular_error_deg(a, b))
    torch.testing.assert_close(gaze.cosine(a, b), 1 - gaze.angular(a, b).cos())
    slow = [
        sum(d**2 / 0.2 if d < 0.1 else d - 0.05 for d in (p - q).abs().tolist())
        for p, q in zip(a, b, strict=True)
    ]
    torch.testing.assert_close(gaze.smooth_l1(a, b), torch.tensor(slow, dtype=F64))


@pytest.mark.parametrize("loss", [gaze.angular, gaze.cosine, gaze.smooth_l1])
def test_gaze_losses_have_right_gradients(loss):
    a, b = (0.5 * normal(4, 2)).requires_grad_(), 0.5 * normal(4, 2, seed=1)
    assert gradcheck(lambda x: loss(x, b), a)
    assert torch.equal(loss(b, b).abs() < 1e-12, torch.ones(4, dtype=torch.bool))


def test_likelihood_without_weights_is_torchs():
    predicted, true = 0.5 * normal(20, 2), 0.5 * normal(20, 2, seed=1)
    spread = 0.01 + normal(20, 2, seed=2).abs()
    theirs = torch.nn.GaussianNLLLoss(reduction="none", eps=1e-12)(predicted, true, spread**2)
    torch.testing.assert_close(gaze.beta_nll(predicted, spread, true, 0.0), theirs.sum(1))


@pytest.mark.parametrize("beta", [0.0, 0.5, 1.0])
def test_weighted_likelihood_has_the_gradient_of_its_definition(beta):
    """The weight passes none: spread^(2 beta) times that of log spread + z^2 / 2."""
    predicted, true = (0.5 * normal(6, 2)).requires_grad_(), 0.5 * normal(6, 2, seed=1)
    spread = (0.05 + normal(6, 2, seed=2).abs()).requires_grad_()
    found = gaze.beta_nll(predicted, spread, true, beta)
    means, spreads = torch.autograd.grad(found.sum(), (predicted, spread))
    for b in range(6):
        slow = 0.0
        for k in range(2):
            m, s, y = (x[b, k].item() for x in (predicted, spread, true))
            weight = s ** (2 * beta)
            slow += weight * (math.log(s) + (y - m) ** 2 / (2 * s**2))
            assert means[b, k].item() == pytest.approx(weight * (m - y) / s**2, rel=1e-9)
            expected = weight * (1 / s - (y - m) ** 2 / s**3)
            assert spreads[b, k].item() == pytest.approx(expected, rel=1e-9)
        assert found[b].item() == pytest.approx(slow, rel=1e-9)


def test_angular_loss_has_a_finite_gradient_at_the_target():
    a = normal(3, 2).requires_grad_()
    gaze.angular(a, a.detach()).sum().backward()
    assert a.grad is not None
    assert a.grad.isfinite().all()


def test_circular_loss_is_one_minus_cosine_of_the_direction_error():
    true = 0.4 * normal(10, 2)
    theta = torch.rand(10, dtype=F64) * 2 * math.pi
    pair = torch.stack((theta.cos(), theta.sin()), dim=1)
    error = theta - torch.deg2rad(direction_deg(true))
    sine = gaze.circular(pair, true) / (1 - error.cos())
    # The weight: sine of the angle to the camera axis, from the vector's own components.
    x, y = true[:, 0].cos() * true[:, 1].sin(), true[:, 0].sin()
    torch.testing.assert_close(sine, torch.hypot(x, y))
    assert gaze.circular(gaze.direction_vector(true), true).abs().max() < 1e-12


def test_circular_loss_is_smooth_across_360_degrees():
    low, high = torch.tensor([[1e-3, -0.3]]), torch.tensor([[-1e-3, -0.3]])
    assert (direction_deg(low) - direction_deg(high)).abs() > 300
    assert gaze.circular(gaze.direction_vector(low), high).item() < 1e-4


def test_weighted_l1_against_a_slow_loop():
    raw, refined = normal(2, 3, 4, 5), normal(2, 3, 4, 5, seed=1)
    masks = torch.rand(2, 4, 4, 5, dtype=F64)
    weight = region_weight(masks, (0.5, 1.0, 3.0, 2.0))
    slow = 0.0
    for b in range(2):
        for y in range(4):
            for x in range(5):
                w = sum(k * masks[b, i, y, x] for i, k in enumerate((0.5, 1.0, 3.0, 2.0)))
                slow += w * (refined[b, :, y, x] - raw[b, :, y, x]).abs().sum() / 120
    torch.testing.assert_close(weighted_l1(refined, raw, weight), slow)
    torch.testing.assert_close(weighted_l1(refined, raw), (refined - raw).abs().mean())


def test_double_backward_of_the_mixture():
    slope, mixing = normal(4, seed=3).requires_grad_(), torch.full((2,), 0.3, dtype=F64)
    real, fake = normal(2, 1, 2, 2), normal(2, 1, 2, 2, seed=1)

    def penalty(weight):
        return gradient_penalty(
            lambda x: (x.flatten(1) * weight).sum(1).square(), real, fake, mixing
        )[0]

    assert gradgradcheck(penalty, slope)
