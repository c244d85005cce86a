"""Whether an attack's failure can be trusted: signs that gradients are hidden, not harmless."""

import math
from dataclasses import dataclass
from functools import partial

import torch
from torch import Tensor

from gazegan.attack.balls import Ball, MakeBall
from gazegan.attack.gradient import fgsm, goal_of, pgd, value_and_gradient
from gazegan.attack.outcome import ErrorDeg, Fn, angle_error_deg
from gazegan.attack.search import square
from gazegan.attack.sweep import random_noise, vanishes
from gazegan.modes import evaluating

_UNSTEADY_DEG = 1e-3
"""Two answers to one image that differ by more are no matter of rounding."""
_CLEARLY_DEG = 0.1
"""Differences of mean errors below this are not reported, however sure they are."""


@dataclass(frozen=True)
class Audit:
    """Errors of N images under attacks of one radius, and how the network behaves on them."""

    blind: Tensor
    """[N] bool: the gradient vanishes at the clean image."""
    jitter_deg: Tensor
    """[N] between two answers to the very same image."""
    noise_deg: Tensor
    """[N]."""
    fgsm_deg: Tensor
    """[N] after one step along the gradient."""
    pgd_deg: Tensor
    """[N] after many."""
    search_deg: Tensor
    """[N] after a search without gradients."""

    @property
    def findings(self) -> dict[str, str]:
        """What speaks against trusting the gradient, by name, in words; empty where nothing does.

        The first, second and fourth sign of Athalye et al., ICML 2018, section 3.1, and two causes.
        """
        found = {}
        if blind := float(self.blind.double().mean()):
            found["zero_gradient"] = f"{100 * blind:.0f}% of the eyes gave no gradient to follow"
        if (jitter := float(self.jitter_deg.max())) > _UNSTEADY_DEG:
            found["random"] = (
                f"answers to one and the same eye differ by up to {jitter:.2g} degrees"
            )
        stronger = {
            "one_step": ("one step along the gradient", self.fgsm_deg),
            "masked": ("a search without gradients", self.search_deg),
            "noise": ("random noise", self.noise_deg),
        }
        for name, (words, degrees) in stronger.items():
            if (more := _lead(degrees, self.pgd_deg)) > 0:
                found[name] = f"{words} does {more:.1f} degrees more harm than PGD"
        return found


def audit(
    fn: Fn,
    image: Tensor,
    truth: Tensor,
    epsilon: float,
    generator: torch.Generator,
    steps: int = 20,
    queries: int = 300,
    error: ErrorDeg = angle_error_deg,
    *,
    ball: MakeBall = Ball,
) -> Audit:
    """Attack `image` `[N, C, H, W]` with and without gradients, and ask everything twice.

    `truth` is the true gaze; the attacks are untargeted. Raises ValueError as they do.
    """
    here = (fn, image, truth, epsilon)
    with evaluating(fn), torch.no_grad():
        first, second = fn(image), fn(image)
    with evaluating(fn):
        _, slope = value_and_gradient(goal_of(fn, truth, error, False), image)
    climbed = partial(pgd, *here, generator, steps, error=error, ball=ball)
    return Audit(
        vanishes(slope),
        error(first, second),
        random_noise(*here, generator, error, ball=ball).error_deg,
        fgsm(*here, error, ball=ball).error_deg,
        climbed().error_deg,
        square(*here, generator, queries, error, ball=ball).error_deg,
    )


def _lead(a: Tensor, b: Tensor) -> float:
    """Return how far the mean of `a` lies above that of `b`; 0 where chance can explain it."""
    apart = (a - b).double()
    mean, count = float(apart.mean()), len(apart)
    error = float(apart.std()) / math.sqrt(count) if count > 1 else 0.0
    return mean if mean > max(_CLEARLY_DEG, 2 * error) else 0.0
