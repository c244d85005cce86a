"""How far the smallest changes of an image turn a network's gaze: FGSM and PGD on the angle error.

Regression has no wrong class to reach, so the attacks raise the error in degrees itself, inside
an L-infinity ball around the image and within 0..1. Networks are only ever read: gradients are
taken by the image alone, and modules run in evaluation mode.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from gazegan.geometry import angular_error_deg
from gazegan.modes import evaluating

Fn = Callable[[Tensor], Tensor]
ErrorDeg = Callable[[Tensor, Tensor], Tensor]
"""(output [B, 2], truth) -> degrees [B]."""


@dataclass(frozen=True)
class Ball:
    """All images in 0..1 that differ from `centre` `[B, C, H, W]` by at most `radius` anywhere."""

    centre: Tensor
    radius: float

    def __post_init__(self) -> None:
        if not 0 <= self.radius <= 1:
            raise ValueError(f"radius must lie in 0..1, got {self.radius}")

    def project(self, image: Tensor) -> Tensor:
        """Return the nearest image inside the ball."""
        change = (image - self.centre).clamp(-self.radius, self.radius)
        return (self.centre + change).clamp(0, 1)

    def draw(self, generator: torch.Generator) -> Tensor:
        """Draw an image evenly from the ball; every value by itself, then clipped to 0..1."""
        unit = _rand_like(self.centre, generator)
        return self.project(self.centre + self.radius * (2 * unit - 1))


@dataclass(frozen=True)
class Adversarial:
    """Images changed within a ball, and the error before and after."""

    image: Tensor
    """[B, C, H, W] in 0..1."""
    epsilon: float
    """Radius of the L-infinity ball."""
    clean_deg: Tensor
    """[B] error of the unchanged image."""
    error_deg: Tensor
    """[B] error of the changed image."""


@dataclass(frozen=True)
class Sweep:
    """Errors in degrees of N images at E radii."""

    epsilons: tuple[float, ...]
    clean_deg: Tensor
    """[N]."""
    noise_deg: Tensor
    """[E, N] with random noise of the same size."""
    fgsm_deg: Tensor
    """[E, N]."""
    pgd_deg: Tensor
    """[E, N]."""
    blind: Tensor
    """[N] bool: the gradient vanishes at the clean image, so that attacks see no way."""

    @classmethod
    def cat(cls, parts: Sequence["Sweep"]) -> "Sweep":
        """Join sweeps of different images at the same radii."""
        names = ("clean_deg", "noise_deg", "fgsm_deg", "pgd_deg", "blind")
        joined = {name: torch.cat([getattr(p, name) for p in parts], dim=-1) for name in names}
        return cls(parts[0].epsilons, **joined)


def angle_error_deg(output: Tensor, truth: Tensor) -> Tensor:
    """Return the 3-D angle `[B]` in degrees between gazes `[B, 2]` (pitch, yaw) rad."""
    return angular_error_deg(output, truth)


def direction_error_deg(output: Tensor, truth: Tensor) -> Tensor:
    """Return the circular error `[B]`, 0..180 degrees, of (cos, sin) `[B, 2]`; `truth` likewise."""
    across = output[:, 0] * truth[:, 1] - output[:, 1] * truth[:, 0]
    return torch.rad2deg(torch.atan2(across, (output * truth).sum(1)).abs())


def fgsm(
    fn: Fn, image: Tensor, truth: Tensor, epsilon: float, error: ErrorDeg = angle_error_deg
) -> Adversarial:
    """Step once by `epsilon` along the sign of the error's gradient.

    `image` is `[B, C, H, W]` in 0..1. Raises ValueError where `epsilon` is outside 0..1. Source:
    Goodfellow et al., arXiv 1412.6572, section 4, with the angle error in the loss's place.
    """
    ball = Ball(image.detach(), epsilon)
    with evaluating(fn):
        clean, gradient = _error_and_gradient(fn, ball.centre, truth, error)
        changed = ball.project(ball.centre + epsilon * gradient.sign())
        return Adversarial(changed, epsilon, clean, _error(fn, changed, truth, error))


def pgd(
    fn: Fn,
    image: Tensor,
    truth: Tensor,
    epsilon: float,
    generator: torch.Generator | None,
    steps: int = 20,
    step_size: float | None = None,
    error: ErrorDeg = angle_error_deg,
) -> Adversarial:
    """Climb the error by signed gradient steps inside the ball; keep each image's worst point.

    Starts from a random point drawn with `generator`, or from the image itself where that is
    None. Without `step_size` the steps shrink by `step_sizes`. Raises ValueError where `epsilon`
    is outside 0..1 or `steps` below 1. Source: Madry et al., arXiv 1706.06083, section 2.1.
    """
    ball = Ball(image.detach(), epsilon)
    sizes = step_sizes(epsilon, steps) if step_size is None else [step_size] * steps
    with evaluating(fn):
        clean = worst_error = _error(fn, ball.centre, truth, error)
        worst = ball.centre
        here = ball.centre if generator is None else ball.draw(generator)
        for size in sizes:
            here_error, gradient = _error_and_gradient(fn, here, truth, error)
            worst, worst_error = _worse(worst, worst_error, here, here_error)
            here = ball.project(here + size * gradient.sign())
        last_error = _error(fn, here, truth, error)
        worst, worst_error = _worse(worst, worst_error, here, last_error)
    return Adversarial(worst, epsilon, clean, worst_error)


def step_sizes(epsilon: float, steps: int) -> list[float]:
    """Return `steps` sizes that fall evenly from 2 epsilon; their sum crosses the whole ball.

    The first size is that of Croce and Hein, arXiv 2003.01690, section 3.
    """
    if steps < 1:
        raise ValueError(f"steps must be at least 1, got {steps}")
    return [2 * epsilon * (1 - step / steps) for step in range(steps)]


def random_noise(
    fn: Fn,
    image: Tensor,
    truth: Tensor,
    epsilon: float,
    generator: torch.Generator,
    error: ErrorDeg = angle_error_deg,
) -> Adversarial:
    """Change every value by plus or minus `epsilon` at random: the baseline of an attack's size."""
    ball = Ball(image.detach(), epsilon)
    up = _rand_like(ball.centre, generator) < 0.5
    changed = ball.project(ball.centre + torch.where(up, epsilon, -epsilon))
    with evaluating(fn):
        clean = _error(fn, ball.centre, truth, error)
        return Adversarial(changed, epsilon, clean, _error(fn, changed, truth, error))


def sweep(
    fn: Fn,
    image: Tensor,
    truth: Tensor,
    epsilons: Sequence[float],
    generator: torch.Generator,
    steps: int = 20,
    error: ErrorDeg = angle_error_deg,
    advance: Callable[[int], object] = lambda count: None,
) -> Sweep:
    """Attack the same images at each radius by noise, FGSM and PGD.

    `image` is `[N, C, H, W]`; `advance` hears of each finished radius.
    """
    noise, single, steepest = [], [], []
    for epsilon in epsilons:
        noise.append(random_noise(fn, image, truth, epsilon, generator, error).error_deg)
        single.append(fgsm(fn, image, truth, epsilon, error).error_deg)
        steepest.append(pgd(fn, image, truth, epsilon, generator, steps, error=error).error_deg)
        advance(1)
    with evaluating(fn):
        clean, gradient = _error_and_gradient(fn, image.detach(), truth, error)
    blind = gradient.flatten(1).abs().amax(1) == 0
    return Sweep(
        tuple(epsilons),
        clean,
        torch.stack(noise),
        torch.stack(single),
        torch.stack(steepest),
        blind,
    )


def _error(fn: Fn, image: Tensor, truth: Tensor, error: ErrorDeg) -> Tensor:
    with torch.no_grad():
        return error(fn(image), truth)


def _error_and_gradient(
    fn: Fn, image: Tensor, truth: Tensor, error: ErrorDeg
) -> tuple[Tensor, Tensor]:
    with torch.inference_mode(False), torch.enable_grad():
        x = image.detach().clone().requires_grad_()
        value = error(fn(x), truth)
        (gradient,) = torch.autograd.grad(value.sum(), x)
    return value.detach(), gradient


def _worse(a: Tensor, a_error: Tensor, b: Tensor, b_error: Tensor) -> tuple[Tensor, Tensor]:
    """Choose, image by image, whichever of two has the larger error."""
    chosen = b_error > a_error
    return torch.where(chosen[:, None, None, None], b, a), torch.maximum(a_error, b_error)


def _rand_like(image: Tensor, generator: torch.Generator) -> Tensor:
    """Draw in 0..1 where the generator lives, so that every device sees the same numbers."""
    drawn = torch.rand(image.shape, generator=generator, dtype=image.dtype, device=generator.device)
    return drawn.to(image.device)
