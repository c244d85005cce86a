"""Errors against the size of the change: attacks beside random noise, radius by radius."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, fields

import torch
from torch import Tensor

from gazegan.attack.balls import Ball, MakeBall
from gazegan.attack.gradient import fgsm, goal_of, pgd, value_and_gradient
from gazegan.attack.outcome import Adversarial, ErrorDeg, Fn, angle_error_deg, judge
from gazegan.modes import evaluating

Attack = Callable[[float, torch.Generator], Adversarial]
"""(radius, generator) -> what one attack finds for the images of a sweep."""


@dataclass(frozen=True)
class Curve:
    """What one attack found for N images at E radii; fields are those of Adversarial."""

    error_deg: Tensor
    """[E, N]."""
    moved_deg: Tensor
    """[E, N]."""
    sensitivity: Tensor
    """[E, N]."""
    output: Tensor
    """[E, N, 2]."""

    @classmethod
    def of(cls, found: Sequence[Adversarial]) -> "Curve":
        """Stack what was found at E radii."""
        names = [f.name for f in fields(cls)]
        return cls(**{name: torch.stack([getattr(a, name) for a in found]) for name in names})

    @classmethod
    def cat(cls, parts: Sequence["Curve"]) -> "Curve":
        """Join curves of different images at the same radii."""
        names = [f.name for f in fields(cls)]
        return cls(**{name: torch.cat([getattr(p, name) for p in parts], 1) for name in names})


@dataclass(frozen=True)
class Sweep:
    """Errors in degrees of N images at E radii."""

    epsilons: tuple[float, ...]
    clean_deg: Tensor
    """[N]."""
    clean_output: Tensor
    """[N, 2]."""
    blind: Tensor
    """[N] bool: the gradient vanishes at the clean image, so that attacks see no way."""
    curves: Mapping[str, Curve]
    """By attack; "noise" is random noise of the same size."""

    @property
    def noise_deg(self) -> Tensor:
        """[E, N] with random noise of the same size."""
        return self.curves["noise"].error_deg

    @property
    def fgsm_deg(self) -> Tensor:
        """[E, N]."""
        return self.curves["fgsm"].error_deg

    @property
    def pgd_deg(self) -> Tensor:
        """[E, N]."""
        return self.curves["pgd"].error_deg

    @classmethod
    def cat(cls, parts: Sequence["Sweep"]) -> "Sweep":
        """Join sweeps of different images at the same radii."""
        first = parts[0]
        names = ("clean_deg", "clean_output", "blind")
        joined = {name: torch.cat([getattr(p, name) for p in parts]) for name in names}
        curves = {name: Curve.cat([p.curves[name] for p in parts]) for name in first.curves}
        return cls(first.epsilons, **joined, curves=curves)


def random_noise(
    fn: Fn,
    image: Tensor,
    truth: Tensor,
    epsilon: float,
    generator: torch.Generator,
    error: ErrorDeg = angle_error_deg,
    *,
    ball: MakeBall = Ball,
) -> Adversarial:
    """Change an image at random as far as the ball lets: the baseline of an attack's size.

    `image` is `[B, C, H, W]` in 0..1. In an L-infinity ball every value changes by plus or minus
    `epsilon`. Raises ValueError where that is outside the ball's range.
    """
    region = ball(image.detach(), epsilon)
    with evaluating(fn):
        return judge(fn, region, region.noise(generator), truth, error)


def sweep(
    fn: Fn,
    image: Tensor,
    truth: Tensor,
    epsilons: Sequence[float],
    generator: torch.Generator,
    steps: int = 20,
    error: ErrorDeg = angle_error_deg,
    advance: Callable[[int], object] = lambda count: None,
    attacks: Mapping[str, Attack] | None = None,
) -> Sweep:
    """Attack the same images at each radius: by noise, FGSM and PGD, or by `attacks` given.

    `image` is `[N, C, H, W]`; `advance` hears of each finished radius.
    """
    attacks = attacks or {
        "noise": lambda radius, g: random_noise(fn, image, truth, radius, g, error),
        "fgsm": lambda radius, g: fgsm(fn, image, truth, radius, error),
        "pgd": lambda radius, g: pgd(fn, image, truth, radius, g, steps, error=error),
    }
    found: dict[str, list[Adversarial]] = {name: [] for name in attacks}
    for epsilon in epsilons:
        for name, attack in attacks.items():
            found[name].append(attack(epsilon, generator))
        advance(1)
    with evaluating(fn):
        clean, slope = value_and_gradient(goal_of(fn, truth, error, False), image)
        with torch.no_grad():
            said = fn(image.detach())
    curves = {name: Curve.of(parts) for name, parts in found.items()}
    return Sweep(tuple(epsilons), clean, said, vanishes(slope), curves)


def vanishes(slope: Tensor) -> Tensor:
    """Return which `[N]` of gradients `[N, ...]` are zero everywhere."""
    return slope.flatten(1).abs().amax(1) == 0
