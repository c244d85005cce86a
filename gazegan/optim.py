"""Optimisers, the learning-rate schedule and the running average of weights."""

from collections.abc import Iterable
from math import floor
from typing import Literal

import torch
from pydantic import Field
from torch import Tensor, nn
from torch.optim import Optimizer

from gazegan.config import Config


class OptimiserConfig(Config):
    """An optimiser and its settings; those of the other kinds are not used."""

    kind: Literal["rmsprop", "sgd", "adam"] = "rmsprop"
    lr: float | None = Field(None, gt=0, le=100)
    """Initial learning rate; None takes the kind's usual one."""
    momentum: float = Field(0.9, ge=0, lt=1)
    """sgd only."""
    smoothing: float = Field(0.99, ge=0, lt=1)
    """rmsprop only: decay of its mean square."""
    beta1: float = Field(0.0, ge=0, lt=1)
    beta2: float = Field(0.9, ge=0, lt=1)
    """adam only; 0.0 and 0.9 are the choice of WGAN-GP."""
    weight_decay: float = Field(0.0, ge=0, le=1)

    @property
    def initial_lr(self) -> float:
        """The learning rate before any cut."""
        usual = {"rmsprop": 1e-3, "sgd": 0.05, "adam": 1e-3}
        return usual[self.kind] if self.lr is None else self.lr


class ScheduleConfig(Config):
    """Cut the learning rate by a constant factor every so many epochs."""

    cut: float = Field(0.3, gt=0, le=1)
    every: float = Field(2.0, gt=0)
    """Epochs between cuts; an epoch is as many images as the training data hold."""


def make_optimiser(config: OptimiserConfig, parameters: Iterable[Tensor]) -> Optimizer:
    """Return the configured optimiser over `parameters`."""
    c, lr, decay = config, config.initial_lr, config.weight_decay
    match config.kind:
        case "rmsprop":
            return torch.optim.RMSprop(parameters, lr, c.smoothing, eps=1e-6, weight_decay=decay)
        case "sgd":
            return torch.optim.SGD(parameters, lr, c.momentum, weight_decay=decay)
        case "adam":
            return torch.optim.Adam(parameters, lr, (c.beta1, c.beta2), weight_decay=decay)


def learning_rate(initial: float, schedule: ScheduleConfig, epochs: float) -> float:
    """Return initial * cut ** floor(epochs / every)."""
    return initial * schedule.cut ** floor(epochs / schedule.every)


def set_learning_rate(optimiser: Optimizer, rate: float) -> None:
    """Give every parameter group the learning rate `rate`."""
    for group in optimiser.param_groups:
        group["lr"] = rate


@torch.no_grad()
def update_average(average: nn.Module, model: nn.Module, decay: float, step: int) -> None:
    """Move `average` towards `model`: weights and floating buffers; counters are copied.

    The decay rises as (1 + step) / (10 + step) up to `decay`, so a young average forgets its
    start. Both modules must have the same structure.
    """
    decay = min(decay, (1 + step) / (10 + step))
    source = model.state_dict()
    for name, value in average.state_dict().items():
        if value.is_floating_point():
            value.lerp_(source[name], 1 - decay)
        else:
            value.copy_(source[name])


def gradient_norm(parameters: Iterable[Tensor]) -> float:
    """Return the Euclidean norm of all gradients together."""
    norms = [p.grad.norm() for p in parameters if p.grad is not None]
    return float(torch.stack(norms).norm()) if norms else 0.0
