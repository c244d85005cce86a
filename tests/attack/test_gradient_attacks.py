"""Gradient attacks against captum, slow loops of the papers' formulas and closed forms."""

from functools import partial

import captum.robust
import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch.testing import assert_close
from victims import images, linear, ready, seeded, truths

from gazegan import attack
from gazegan.attack import L2Ball, angle_error_deg

pytestmark = pytest.mark.filterwarnings("ignore:Input Tensor 0 did not already require")
MASK = torch.zeros(1, 1, 8, 12, dtype=torch.bool)
MASK[..., 1:5, 2:6] = True


@pytest.mark.parametrize("targeted", [False, True])
@pytest.mark.parametrize(("norm", "ball"), [("Linf", attack.Ball), ("L2", L2Ball)])
def test_pgd_takes_captums_steps(norm, ball, targeted):
    """Where every step gains, the worst point is the last, which is what captum returns."""
    net, image, truth = ready(), images(6), truths(6)
    radius, size = (0.03, 0.004) if norm == "Linf" else (0.25, 0.004)
    oracle = captum.robust.PGD(net, angle_error_deg, 0.0, 1.0).perturb(
        image, radius, size, 8, truth, targeted=targeted, norm=norm
    )
    ours = attack.pgd(
        net, image, truth, radius, None, 8, size, ball=ball, targeted=targeted, uphill=torch.sign
    )
    reached = angle_error_deg(net(oracle), truth).detach()
    gain = -1 if targeted else 1
    assert bool((gain * (ours.error_deg - reached) >= -1e-9).all())
    same = (ours.image - oracle).abs().flatten(1).amax(1) < 1e-6
    assert int(same.sum()) >= 4


def test_targeted_fgsm_matches_captum():
    net, image, truth = ready(), images(6), truths(6)
    oracle = captum.robust.FGSM(net, angle_error_deg, 0.0, 1.0)
    there = oracle.perturb(image, 0.02, truth, targeted=True)
    assert_close(attack.fgsm(net, image, truth, 0.02, targeted=True).image, there)


@given(st.integers(0, 999), st.sampled_from([0.05, 0.2, 0.5]))
@settings(deadline=None, max_examples=10)
def test_l2_attacks_reach_the_closed_form_on_a_linear_model(seed, radius):
    weight, model = linear(seed)
    image, truth = 0.3 + 0.4 * images(3, seed=seed), torch.zeros(3, 2, dtype=torch.float64)
    pitch = model(image)[:, 0]
    worst = torch.rad2deg(pitch.abs() + radius * weight.norm())
    for made in (
        attack.fgsm(model, image, truth, radius, ball=L2Ball),
        attack.pgd(model, image, truth, radius, None, ball=L2Ball),
        attack.mi_fgsm(model, image, truth, radius, ball=L2Ball),
    ):
        assert_close(made.error_deg, worst)
        moved = torch.full_like(pitch, torch.rad2deg(radius * weight.norm()))
        assert_close(made.moved_deg, moved)
        assert_close(made.sensitivity, torch.full_like(pitch, float(weight.norm()) ** 2))


def test_no_change_is_steeper_than_the_gradients_own_way():
    """The squared ratio of a linear model is at most the squared norm of its weights."""
    weight, model = linear()
    image, truth = 0.3 + 0.4 * images(4), torch.zeros(4, 2, dtype=torch.float64)
    flat = attack.fgsm(model, image, truth, 0.02).sensitivity
    noise = attack.random_noise(model, image, truth, 0.02, seeded()).sensitivity
    assert_close(flat, torch.full_like(flat, float(weight.abs().sum()) ** 2 / 96))
    assert bool((noise < flat).all()) and bool((flat < float(weight.norm()) ** 2).all())
    still = attack.fgsm(model, image, truth, 0.0)
    assert not still.sensitivity.any() and float(still.moved_deg.max()) < 1e-9


def test_momentum_against_a_slow_loop_of_the_papers_equations():
    net, image, truth = ready(), images(5), truths(5)
    epsilon, steps, decay = 0.04, 6, 0.9
    here, g = image.clone(), torch.zeros_like(image)
    best, at = angle_error_deg(net(image), truth).detach(), image.clone()
    for _ in range(steps):
        x = here.clone().requires_grad_()
        angle_error_deg(net(x), truth).sum().backward()
        for row in range(len(image)):
            g[row] = decay * g[row] + x.grad[row] / x.grad[row].abs().sum()
        here = image + (here + epsilon / steps * g.sign() - image).clamp(-epsilon, epsilon)
        here = here.clamp(0, 1)
        error = angle_error_deg(net(here), truth).detach()
        for row in (error > best).nonzero().flatten().tolist():
            best[row], at[row] = error[row], here[row]
    ours = attack.mi_fgsm(net, image, truth, epsilon, steps, momentum=decay)
    assert_close(ours.image, at)
    assert_close(ours.error_deg, best)


def test_more_restarts_are_never_weaker():
    net, image, truth = ready(), images(8), truths(8)
    one, four = (
        attack.pgd(net, image, truth, 0.08, seeded(3), 4, restarts=r).error_deg for r in (1, 4)
    )
    assert bool((four >= one - 1e-9).all()) and float(four.sum()) > float(one.sum())
    with pytest.raises(ValueError, match="restarts"):
        attack.pgd(net, image, truth, 0.08, seeded(), restarts=0)


@pytest.mark.parametrize("ball", [attack.Ball, L2Ball, partial(attack.Patch, mask=MASK)])
def test_targets_are_approached_by_every_attack(ball):
    net, image = ready(), images(6)
    target = torch.tensor([[0.0, 0.2]]).double().expand(6, 2)
    clean = angle_error_deg(net(image), target).detach()
    aim = {"ball": ball, "targeted": True}
    for made in (
        attack.pgd(net, image, target, 0.3, seeded(), **aim),
        attack.mi_fgsm(net, image, target, 0.3, **aim),
        attack.square(net, image, target, 0.3, seeded(), 150, **aim),
    ):
        assert_close(made.clean_deg, clean)
        assert bool((made.error_deg <= clean + 1e-9).all())
        assert float(made.error_deg.mean()) < 0.8 * float(clean.mean())


def test_a_patch_changes_nothing_else():
    net, image, truth = ready(), images(4), truths(4)
    made = attack.pgd(net, image, truth, 1.0, seeded(), ball=partial(attack.Patch, mask=MASK))
    change = (made.image - image).abs().numpy()
    assert change[:, :, ~MASK[0, 0].numpy()].max() == 0 and change.max() > 0.05


@given(st.integers(0, 99))
@settings(deadline=None, max_examples=6)
def test_one_change_for_all_reaches_the_closed_form(seed):
    weight, model = linear(seed)
    image, truth = 0.3 + 0.4 * images(5, seed=seed), torch.zeros(5, 2, dtype=torch.float64)
    change = attack.universal(model, image, truth, 0.02)
    sign = np.sign(model(image)[:, 0].numpy())
    assert (sign > 0).all(), "else no change suits all"
    assert_close(change[0, 0], 0.02 * weight.sign())
    made = attack.apply_change(model, change, image, truth, 0.02)
    assert_close(made.error_deg, made.clean_deg + torch.rad2deg(0.02 * weight.abs().sum()))


@pytest.mark.parametrize("ball", [attack.Ball, L2Ball, partial(attack.Patch, mask=MASK)])
def test_one_change_for_all_is_in_the_ball_and_helps_on_the_mean(ball):
    net, image, truth = ready(), images(8), truths(8)
    change = attack.universal(net, image, truth, 0.2, ball=ball)
    assert change.shape == (1, 1, 8, 12)
    made = attack.apply_change(net, change, image, truth, 0.2, ball=ball)
    assert float(made.error_deg.mean()) > float(made.clean_deg.mean())
    assert_close(ball(image[:1], 0.2).shrink(change), change)


ATTACKS = {
    "fgsm": lambda net, *a: attack.fgsm(net, *a, 0.05),
    "pgd": lambda net, *a: attack.pgd(net, *a, 0.05, seeded(), 3, restarts=2, momentum=0.5),
    "l2": lambda net, *a: attack.pgd(net, *a, 0.4, seeded(), 3, ball=L2Ball),
    "momentum": lambda net, *a: attack.mi_fgsm(net, *a, 0.05, 3),
    "search": lambda net, *a: attack.square(net, *a, 0.05, seeded(), 5),
    "universal": lambda net, *a: attack.universal(net, *a, 0.05, 3),
    "audit": lambda net, *a: attack.audit(net, *a, 0.05, seeded(), 2, 5),
    "patch": lambda net, *a: attack.place_patch(net, *a, 3),
}


@pytest.mark.parametrize("name", ATTACKS)
def test_only_the_image_changes(name):
    """Weights, buffers, gradients, modes and the caller's images keep every bit."""
    net, image, truth = ready(), images(4).requires_grad_(), truths(4)
    net.train()
    net[0].eval()
    net(image).sum().backward()
    state = {key: value.clone() for key, value in net.state_dict().items()}
    grads = [parameter.grad.clone() for parameter in net.parameters()]
    before, slope = image.detach().clone(), image.grad.clone()
    ATTACKS[name](net, image, truth)
    assert all(torch.equal(value, state[key]) for key, value in net.state_dict().items())
    assert all(torch.equal(p.grad, g) for p, g in zip(net.parameters(), grads, strict=True))
    assert torch.equal(image, before) and torch.equal(image.grad, slope)
    assert [module.training for module in net] == [False, True, True, True, True]


def test_no_step_is_refused():
    image = torch.rand(1, 1, 4, 4)
    given = (lambda x: x.flatten(1)[:, :2], image, torch.zeros(1, 2), 0.1)
    with pytest.raises(ValueError, match="steps must be at least 1"):
        attack.mi_fgsm(*given, steps=0)
    with pytest.raises(ValueError, match="steps must be at least 1"):
        attack.pgd(*given, None, steps=0)
