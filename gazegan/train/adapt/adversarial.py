"""Domain-adversarial features: what the last layer reads is not to tell where an eye comes from.

Ganin et al., "Domain-adversarial training of neural networks", JMLR 17 (2016).
"""

import math
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn


class _Reversal(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, value: Tensor, strength: float) -> Tensor:
        ctx.strength = strength
        return value.view_as(value)

    @staticmethod
    def backward(ctx: Any, *gradient: Tensor) -> tuple[Tensor, None]:
        return -ctx.strength * gradient[0], None


def reverse(value: Tensor, strength: float) -> Tensor:
    """Return `value` `[...]`; going back, gradients are turned round and times `strength`."""
    reversed_: Tensor = _Reversal.apply(value, strength)
    return reversed_


def ramp(done: float) -> float:
    """Return the strength after a share `done` in 0..1 of the adaptation, from 0 to nearly 1.

    2 / (1 + exp(-10 done)) - 1: there section 5.2.2.
    """
    return 2 / (1 + math.exp(-10 * done)) - 1


def domain_classifier(features: int, units: int) -> nn.Sequential:
    """Return a network of one hidden layer: features `[B, features]` to logits `[B, 1]`.

    Above 0 for photographs.
    """
    return nn.Sequential(nn.Linear(features, units), nn.ReLU(), nn.Linear(units, 1))


def domain_loss(
    classifier: nn.Module, labelled: Tensor, strange: Tensor, strength: float
) -> tuple[Tensor, Tensor]:
    """Return the classifier's loss and accuracy `[]`: the mean of both domains', in 0..1.

    `labelled` `[N, F]` and `strange` `[P, F]` are features of labelled eyes and of photographs;
    both domains count alike. The loss teaches the classifier to tell them apart, and through the
    reversal, `strength` times as strongly, whoever made the features to prevent it.
    """
    logits = [classifier(reverse(x, strength)).squeeze(1) for x in (labelled, strange)]
    losses = [
        F.binary_cross_entropy_with_logits(x, torch.full_like(x, truth))
        for x, truth in zip(logits, (0.0, 1.0), strict=True)
    ]
    right = (logits[0] <= 0).float().mean() + (logits[1] > 0).float().mean()
    return (losses[0] + losses[1]) / 2, right / 2
