"""Optimisers and schedule against PyTorch's own and against the formulas."""

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn
from torch.optim.lr_scheduler import StepLR

from gazegan.optim import (
    OptimiserConfig,
    ScheduleConfig,
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


@pytest.mark.parametrize("kind", ["rmsprop", "sgd", "adam"])
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
