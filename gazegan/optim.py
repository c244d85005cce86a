"""Optimisers, the learning-rate schedule and the running average of weights."""

from collections.abc import Iterable, Mapping
from math import cos, floor, pi
from typing import Any, Literal

import torch
from pydantic import Field, model_validator
from torch import Tensor, nn
from torch.optim import Optimizer

from gazegan.config import Config


class OptimiserConfig(Config):
    """An optimiser and its settings; those of the other kinds are not used."""

    kind: Literal["rmsprop", "rmsprop_norm", "sgd", "adam"] = "rmsprop"
    """rmsprop averages every squared gradient by itself, rmsprop_norm their sum."""
    lr: float | None = Field(None, gt=0, le=100)
    """Initial learning rate; None takes the kind's usual one."""
    momentum: float = Field(0.9, ge=0, lt=1)
    """sgd only."""
    smoothing: float = Field(0.99, ge=0, lt=1)
    """rmsprop and rmsprop_norm: decay of the mean square."""
    epsilon: float = Field(1e-6, gt=0)
    """rmsprop adds it to the root of the mean square, rmsprop_norm to the mean square itself."""
    nesterov: bool = False
    """sgd only: the gradient counts where the momentum leads (Sutskever et al., ICML 2013)."""
    beta1: float = Field(0.0, ge=0, lt=1)
    beta2: float = Field(0.9, ge=0, lt=1)
    """adam only; 0.0 and 0.9 are the choice of WGAN-GP."""
    weight_decay: float = Field(0.0, ge=0, le=1)

    @model_validator(mode="after")
    def _consistent(self) -> "OptimiserConfig":
        if self.nesterov and not self.momentum:
            raise ValueError("nesterov needs a momentum above 0")
        return self

    @property
    def idle(self) -> Mapping[str, str]:
        """The settings of other kinds, each with the reason."""
        of = {"rmsprop_norm": "rmsprop"}.get(self.kind, self.kind)
        unused = [name for kind, names in _OF.items() if kind != of for name in names]
        return dict.fromkeys(unused, f"does nothing in an optimiser of kind {self.kind!r}")

    @property
    def initial_lr(self) -> float:
        """The learning rate before any cut."""
        usual = {"rmsprop": 1e-3, "rmsprop_norm": 0.02, "sgd": 0.05, "adam": 1e-3}
        return usual[self.kind] if self.lr is None else self.lr


_OF = {
    "rmsprop": ("smoothing", "epsilon"),
    "sgd": ("momentum", "nesterov"),
    "adam": ("beta1", "beta2"),
}
"""The settings of one kind of optimiser alone, or of two that are alike."""


class ScheduleConfig(Config):
    """How the learning rate falls: in cuts by a constant factor, or along half a cosine."""

    kind: Literal["step", "cosine"] = "step"
    cut: float = Field(0.3, gt=0, le=1)
    every: float | None = Field(None, ge=1e-6)
    """Epochs between cuts, an epoch being as many images as the training data hold; None: a quarter
    of the training, which then has three cuts however few images it sees how often."""
    warm_up: float = Field(0.0, ge=0)
    """Epochs over which the learning rate rises from 0, whatever the kind."""


class NormRMSprop(Optimizer):
    """RMSprop on the norm of the whole gradient: all weights share one step length.

    v <- smoothing * v + (1 - smoothing) * |g|^2, with |g|^2 the sum of all squared gradients, and
    w <- w - lr * g / sqrt(v + epsilon). `torch.optim.RMSprop` averages every weight's square by
    itself and adds epsilon outside the root, so that each weight has a step length of its own.
    """

    def __init__(
        self,
        params: Iterable[Tensor] | Iterable[dict[str, Any]],
        lr: float,
        smoothing: float = 0.99,
        epsilon: float = 1e-6,
        weight_decay: float = 0.0,
    ) -> None:
        settings = {"lr": lr, "smoothing": smoothing, "epsilon": epsilon}
        super().__init__(params, {**settings, "weight_decay": weight_decay})

    @torch.no_grad()
    def step(self, closure: None = None) -> None:  # type: ignore[override]
        """Update the weights of every group from their gradients."""
        for group in self.param_groups:
            weights = [weight for weight in group["params"] if weight.grad is not None]
            if not weights:
                continue
            gradients = [w.grad.add(w, alpha=group["weight_decay"]) for w in weights]
            square = torch.stack([gradient.square().sum() for gradient in gradients]).sum()
            state = self.state[group["params"][0]]
            mean = state.setdefault("mean_square", torch.zeros_like(square))
            mean.mul_(group["smoothing"]).add_(square, alpha=1 - group["smoothing"])
            length = group["lr"] / (mean + group["epsilon"]).sqrt()
            for weight, gradient in zip(weights, gradients, strict=True):
                weight.sub_(length * gradient)


def make_optimiser(
    config: OptimiserConfig, parameters: Iterable[Tensor] | Iterable[dict[str, Any]]
) -> Optimizer:
    """Return the configured optimiser over `parameters`, or over PyTorch's groups of them."""
    c, lr, decay = config, config.initial_lr, config.weight_decay
    match config.kind:
        case "rmsprop":
            return torch.optim.RMSprop(
                parameters, lr, c.smoothing, eps=c.epsilon, weight_decay=decay
            )
        case "rmsprop_norm":
            return NormRMSprop(parameters, lr, c.smoothing, c.epsilon, decay)
        case "sgd":
            return torch.optim.SGD(
                parameters, lr, c.momentum, weight_decay=decay, nesterov=c.nesterov
            )
        case "adam":
            return torch.optim.Adam(parameters, lr, (c.beta1, c.beta2), weight_decay=decay)


def learning_rate(
    initial: float, schedule: ScheduleConfig, epochs: float, done: float = 0.0
) -> float:
    """Return the learning rate after `epochs`, when the share `done` of all steps is behind.

    step: initial * cut ** floor(epochs / every), floor(4 * done) without `every`. cosine: initial *
    (1 + cos(pi * done)) / 2 (Loshchilov & Hutter, ICLR 2017, equation 5, without restarts).
    Either times min(1, epochs / warm_up).
    """
    risen = min(1.0, epochs / schedule.warm_up) if schedule.warm_up else 1.0
    if schedule.kind == "cosine":
        return risen * initial * (1 + cos(pi * done)) / 2
    cuts = epochs / schedule.every if schedule.every else 4 * done
    return risen * initial * schedule.cut ** floor(cuts + 1e-9)  # 0.3 / 0.1 lies below 3


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


def clip_gradients(parameters: Iterable[Tensor], largest: float) -> Tensor:
    """Scale all gradients together down to norm `largest`, 0 for as they are; returns their norm.

    The norm `[]` is that before (Pascanu et al., ICML 2013, algorithm 1).
    """
    if not largest:
        return gradient_norm(parameters)
    return torch.nn.utils.clip_grad_norm_(parameters, largest)


@torch.no_grad()
def clip_weights(parameters: Iterable[Tensor], size: float) -> None:
    """Cut weights to -size..size, in place (Arjovsky et al., ICML 2017, algorithm 1)."""
    for weight in parameters:
        weight.clamp_(-size, size)


@torch.no_grad()
def clip_adaptively(
    network: nn.Module, share: float, but: nn.Module | None = None, epsilon: float = 1e-3
) -> None:
    """Scale each unit's gradient down to `share` of the norm of its weights, 0 for as it is.

    A unit is what feeds one output: a row of a matrix, a kernel of a convolution; a bias is one as
    a whole. Norms of weights count as `epsilon` at least, so that what begins at 0 can move. The
    last layer of a network is best left out, as `but` (Brock et al., arXiv 2102.06171, equation 3).
    """
    left_out = set(but.modules()) if but else set()
    for module in network.modules() if share else ():
        if module in left_out:
            continue
        output = 1 if isinstance(module, nn.ConvTranspose2d) else 0
        for weight in module.parameters(recurse=False):
            if weight.grad is not None:
                largest = share * _unit_norms(weight, output).clamp(min=epsilon)
                norms = _unit_norms(weight.grad, output).clamp(min=1e-6)
                weight.grad.mul_((largest / norms).clamp(max=1))


def _unit_norms(weight: Tensor, output: int) -> Tensor:
    """Return the norms of units, whose number in a weight of several axes is axis `output`."""
    along = [axis for axis in range(weight.dim()) if axis != output] or [0]
    norms: Tensor = torch.linalg.vector_norm(weight, dim=along, keepdim=True)
    return norms


def gradient_norm(parameters: Iterable[Tensor]) -> Tensor:
    """Return the Euclidean norm `[]` of all gradients together."""
    gradients = [p.grad for p in parameters if p.grad is not None]
    return torch.nn.utils.get_total_norm(gradients)
