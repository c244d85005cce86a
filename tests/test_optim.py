"""Optimisers and schedule against PyTorch's own and against the formulas."""

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import ValidationError
from torch import nn
from torch.optim.lr_scheduler import CosineAnnealingLR, StepLR

from gazegan.optim import (
    OptimiserConfig,
    ScheduleConfig,
    clip_gradients,
    gradient_norm,
    learning_rate,
    make_optimiser,
    set_learning_rate,
    update_average,
)


@settings(deadline=None, max_examples=25)
@given(cut=st.floats(0.1, 1), every=st.integers(1, 7), lr=st.floats(1e-4, 1))
def test_schedule_equals_step_lr(cut, every, lr):
    weight = nn.Parameter(torch.zeros(1))
    optimiser = torch.optim.SGD([weight], lr)
    scheduler = StepLR(optimiser, every, cut)
    for epoch in range(20):
        rate = learning_rate(lr, ScheduleConfig(cut=cut, every=every), epoch + 0.999)
        assert rate == pytest.approx(scheduler.get_last_lr()[0])
        optimiser.step()
        scheduler.step()


@pytest.mark.parametrize("cuts", range(1, 12))
def test_a_cut_comes_where_rounding_puts_the_quotient_just_below_it(cuts):
    schedule = ScheduleConfig(kind="step", every=0.1, cut=0.5, warm_up=0)
    assert learning_rate(1.0, schedule, cuts / 10) == 0.5**cuts


@pytest.mark.parametrize("epochs", [0.5, 8, 300])
def test_without_a_distance_there_are_three_cuts_however_long_the_training(epochs):
    weight = nn.Parameter(torch.zeros(1))
    optimiser = torch.optim.SGD([weight], 0.1)
    scheduler = StepLR(optimiser, 5, 0.3)
    for step in range(20):
        rate = learning_rate(0.1, ScheduleConfig(), epochs * step / 20, step / 20)
        assert rate == pytest.approx(scheduler.get_last_lr()[0])
        optimiser.step()
        scheduler.step()
    assert rate == pytest.approx(0.1 * 0.3**3)


def test_cosine_equals_cosine_annealing():
    weight = nn.Parameter(torch.zeros(1))
    optimiser = torch.optim.SGD([weight], 0.3)
    scheduler = CosineAnnealingLR(optimiser, 20)
    for step in range(20):
        rate = learning_rate(0.3, ScheduleConfig(kind="cosine"), 99, step / 20)
        assert rate == pytest.approx(scheduler.get_last_lr()[0])
        optimiser.step()
        scheduler.step()


@pytest.mark.parametrize("kind", ["step", "cosine"])
def test_warm_up_rises_in_a_line_and_then_changes_nothing(kind):
    plain, warm = ScheduleConfig(kind=kind), ScheduleConfig(kind=kind, warm_up=0.5)
    rates = [learning_rate(0.2, warm, epochs) for epochs in (0, 0.125, 0.25)]
    assert rates == pytest.approx([0, 0.05, 0.1])
    assert learning_rate(0.2, warm, 3, 0.7) == learning_rate(0.2, plain, 3, 0.7)


def test_norm_rmsprop_by_the_book():
    """Gradients (-6, 4), (2, sqrt 6), (-sqrt 40, sqrt 14): the mean square of norms ends at 36."""
    weight = nn.Parameter(torch.zeros(2, dtype=torch.float64))
    how = OptimiserConfig(kind="rmsprop_norm", lr=1, smoothing=0.5, epsilon=0.006)
    optimiser = make_optimiser(how, [weight])
    for gradient in ((-6, 4), (2, 6**0.5), (-(40**0.5), 14**0.5)):
        before = weight.detach().clone()
        weight.grad = torch.tensor(gradient, dtype=torch.float64)
        optimiser.step()
    expected = torch.tensor([40**0.5, -(14**0.5)]).double() / 36.006**0.5
    assert torch.allclose(weight.detach() - before, expected, rtol=1e-6)
    assert float(optimiser.state[weight]["mean_square"]) == pytest.approx(36)


def test_norm_rmsprop_gives_all_weights_one_step_length_and_resumes():
    def made():
        weights = [nn.Parameter(torch.tensor([2.0, -1.0])), nn.Parameter(torch.tensor([0.5]))]
        return weights, make_optimiser(OptimiserConfig(kind="rmsprop_norm", lr=0.1), weights)

    def go(weights, optimiser, steps):
        for _ in range(steps):
            optimiser.zero_grad()
            sum((w**3).sum() for w in weights).backward()
            optimiser.step()

    weights, optimiser = made()
    before = [w.detach().clone() for w in weights]
    go(weights, optimiser, 1)
    ratios = [(b - w.detach()) / (3 * b**2) for w, b in zip(weights, before, strict=True)]
    assert torch.allclose(torch.cat(ratios), ratios[1].expand(3))
    go(weights, optimiser, 2)
    others, resumed = made()
    go(others, resumed, 2)
    again, last = made()
    for w, o in zip(again, others, strict=True):
        w.data.copy_(o.detach())
    last.load_state_dict(resumed.state_dict())
    go(again, last, 1)
    assert all(torch.equal(w, a) for w, a in zip(weights, again, strict=True))


def test_nesterov_follows_its_formula_and_needs_a_momentum():
    weight = nn.Parameter(torch.tensor([2.0], dtype=torch.float64))
    how = OptimiserConfig(kind="sgd", lr=0.1, momentum=0.5, nesterov=True)
    optimiser = make_optimiser(how, [weight])
    slow, speed = 2.0, 0.0
    for _ in range(5):
        (weight**2 / 2).sum().backward()
        optimiser.step()
        optimiser.zero_grad()
        speed = 0.5 * speed + slow
        slow -= 0.1 * (slow + 0.5 * speed)
        assert weight.item() == pytest.approx(slow, rel=1e-9)
    with pytest.raises(ValidationError, match="momentum"):
        OptimiserConfig(kind="sgd", momentum=0, nesterov=True)


def test_clipping_keeps_the_direction_and_tells_the_norm_before():
    weights = [nn.Parameter(torch.zeros(2)), nn.Parameter(torch.zeros(1))]
    for w, g in zip(weights, ([3.0, 0.0], [4.0]), strict=True):
        w.grad = torch.tensor(g)
    assert clip_gradients(weights, 0) == pytest.approx(5)
    assert gradient_norm(weights) == pytest.approx(5)
    assert clip_gradients(weights, 2) == pytest.approx(5)
    assert gradient_norm(weights) == pytest.approx(2, rel=1e-5)
    assert weights[0].grad[0] / weights[1].grad[0] == pytest.approx(0.75)


def test_rmsprop_follows_its_formula():
    weight = nn.Parameter(torch.tensor([2.0], dtype=torch.float64))
    optimiser = make_optimiser(OptimiserConfig(kind="rmsprop", lr=0.1, smoothing=0.9), [weight])
    slow, mean = 2.0, 0.0
    for _ in range(5):
        (weight**2 / 2).sum().backward()
        optimiser.step()
        optimiser.zero_grad()
        mean = 0.9 * mean + 0.1 * slow**2
        slow -= 0.1 * slow / (mean**0.5 + 1e-6)
        assert weight.item() == pytest.approx(slow, rel=1e-9)


def test_for_one_weight_both_kinds_of_rmsprop_are_one():
    """There the norm is the weight's own gradient; epsilon, which stands elsewhere, is tiny."""
    weights = [nn.Parameter(torch.tensor([2.0], dtype=torch.float64)) for _ in range(2)]
    ours = make_optimiser(OptimiserConfig(kind="rmsprop_norm", lr=0.1, epsilon=1e-30), weights[:1])
    theirs = torch.optim.RMSprop(weights[1:], 0.1, alpha=0.99, eps=1e-15)
    for _ in range(6):
        for weight, optimiser in zip(weights, (ours, theirs), strict=True):
            optimiser.zero_grad()
            (weight**2 / 2).sum().backward()
            optimiser.step()
        assert weights[0].item() == pytest.approx(weights[1].item(), rel=1e-12)


def test_the_elementwise_kind_is_torchs_and_differs_from_the_norms():
    gradients = torch.randn(5, 3, generator=torch.Generator().manual_seed(0))
    ends = []
    for kind in ("rmsprop", "rmsprop_norm"):
        weight = nn.Parameter(torch.zeros(3))
        optimiser = make_optimiser(OptimiserConfig(kind=kind, lr=0.1, smoothing=0.8), [weight])
        for gradient in gradients:
            weight.grad = gradient.clone()
            optimiser.step()
        ends.append(weight.detach())
    other = nn.Parameter(torch.zeros(3))
    oracle = torch.optim.RMSprop([other], 0.1, 0.8, eps=1e-6)
    for gradient in gradients:
        other.grad = gradient.clone()
        oracle.step()
    assert torch.equal(ends[0], other.detach())
    assert not torch.allclose(*ends, rtol=0.1)


@pytest.mark.parametrize("momentum", [0.0, 0.5, 0.9])
def test_the_newest_gradient_weighs_one_less_momentum(momentum):
    """Of all that a gradient will ever move, 1 - momentum comes in its own step."""
    weight = nn.Parameter(torch.zeros(1, dtype=torch.float64))
    how = OptimiserConfig(kind="sgd", lr=1, momentum=momentum)
    optimiser = make_optimiser(how, [weight])
    places = []
    for gradient in (1.0, *[0.0] * 400):
        weight.grad = torch.tensor([gradient], dtype=torch.float64)
        optimiser.step()
        places.append(weight.item())
    # Torch does not scale gradients by 1 - momentum: the first step is whole, the sum is larger.
    assert places[0] == -1 and places[-1] == pytest.approx(-1 / (1 - momentum))
    assert places[0] / places[-1] == pytest.approx(1 - momentum)


@pytest.mark.parametrize("momentum", [0.5, 0.9])
def test_torchs_momentum_is_an_average_with_a_larger_rate(momentum):
    gradients = torch.randn(20, generator=torch.Generator().manual_seed(0)).double()
    weight, average, expected = nn.Parameter(torch.zeros(1).double()), 0.0, 0.0
    optimiser = make_optimiser(OptimiserConfig(kind="sgd", lr=0.1, momentum=momentum), [weight])
    for gradient in gradients.tolist():
        weight.grad = torch.tensor([gradient], dtype=torch.float64)
        optimiser.step()
        average = momentum * average + (1 - momentum) * gradient
        expected -= 0.1 / (1 - momentum) * average
    assert weight.item() == pytest.approx(expected)


def test_sgd_with_momentum_follows_its_formula():
    weight = nn.Parameter(torch.tensor([2.0], dtype=torch.float64))
    optimiser = make_optimiser(OptimiserConfig(kind="sgd", lr=0.1, momentum=0.5), [weight])
    slow, speed = 2.0, 0.0
    for _ in range(5):
        (weight**2 / 2).sum().backward()
        optimiser.step()
        optimiser.zero_grad()
        speed = 0.5 * speed + slow
        slow -= 0.1 * speed
        assert weight.item() == pytest.approx(slow, rel=1e-9)


@pytest.mark.parametrize("kind", ["rmsprop", "rmsprop_norm", "sgd", "adam"])
def test_every_kind_has_a_usual_rate_that_can_be_replaced(kind):
    optimiser = make_optimiser(OptimiserConfig(kind=kind), [nn.Parameter(torch.zeros(2))])
    assert optimiser.param_groups[0]["lr"] > 0
    set_learning_rate(optimiser, 0.125)
    assert optimiser.param_groups[0]["lr"] == 0.125


def test_average_follows_a_slow_loop_and_copies_counters():
    model, average = nn.BatchNorm1d(3), nn.BatchNorm1d(3)
    expected = average.weight.detach().clone()
    for step in range(30):
        with torch.no_grad():
            model.weight.fill_(float(step))
        model(torch.rand(4, 3))
        update_average(average, model, 0.6, step)
        decay = min(0.6, (1 + step) / (10 + step))
        expected = decay * expected + (1 - decay) * model.weight.detach()
    torch.testing.assert_close(average.weight.detach(), expected)
    assert average.num_batches_tracked == 30
    assert not torch.equal(average.running_mean, torch.zeros(3))


def test_gradient_norm_is_that_of_all_gradients_in_a_row():
    model = nn.Linear(3, 2)
    assert gradient_norm(model.parameters()) == 0
    model(torch.rand(5, 3)).square().sum().backward()
    row = torch.cat([p.grad.flatten() for p in model.parameters()])
    assert gradient_norm(model.parameters()) == pytest.approx(row.norm().item())
