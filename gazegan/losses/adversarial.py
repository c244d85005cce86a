"""Adversarial losses of critic and generator, and the Wasserstein critic's gradient penalty."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

import torch
import torch.nn.functional as F
from torch import Tensor


def wasserstein_critic(real: Tensor, fake: Tensor) -> Tensor:
    """Return E[D(fake)] - E[D(real)], minus the Wasserstein estimate; scores of any shape.

    Arjovsky et al., "Wasserstein GAN" (ICML 2017), equation 2.
    """
    return fake.mean() - real.mean()


def wasserstein_generator(fake: Tensor) -> Tensor:
    """Return -E[D(fake)]; scores of any shape."""
    return -fake.mean()


def gradient_penalty(
    critic: Callable[[Tensor], Tensor], real: Tensor, fake: Tensor, mixing: Tensor
) -> tuple[Tensor, Tensor]:
    """Return E[(||grad D(x)|| - 1)^2] on lines between real and fake, and the norms `[B]`.

    `critic` maps images `[B, C, H, W]` to one score `[B]` each; `mixing` `[B]` in 0..1 is the
    share of real in each sample. Gulrajani et al., "Improved Training of Wasserstein GANs"
    (NeurIPS 2017), equation 3 without its weight.
    """
    share = mixing.view(-1, *[1] * (real.dim() - 1))
    between = (share * real + (1 - share) * fake).detach().requires_grad_(True)
    (gradient,) = torch.autograd.grad(critic(between).sum(), between, create_graph=True)
    # The constant keeps the square root's own gradient finite where the critic is flat.
    norm = (gradient.flatten(1).square().sum(1) + 1e-12).sqrt()
    return (norm - 1).square().mean(), norm.detach()


def least_squares_critic(real: Tensor, fake: Tensor) -> Tensor:
    """Return E[(D(real) - 1)^2] / 2 + E[D(fake)^2] / 2; scores of any shape.

    Mao et al., "Least Squares Generative Adversarial Networks" (ICCV 2017), equation 9.
    """
    return 0.5 * ((real - 1).square().mean() + fake.square().mean())


def least_squares_generator(fake: Tensor) -> Tensor:
    """Return E[(D(fake) - 1)^2] / 2; Mao et al. 2017, equation 9."""
    return 0.5 * (fake - 1).square().mean()


def classic_critic(real: Tensor, fake: Tensor) -> Tensor:
    """Return -E[log P(real)] - E[log(1 - P(fake))]; scores of any shape.

    P, the sigmoid of a score, is the probability of being real. Goodfellow et al., "Generative
    Adversarial Nets" (NeurIPS 2014), equation 1.
    """
    return F.softplus(-real).mean() + F.softplus(fake).mean()


def classic_generator(fake: Tensor) -> Tensor:
    """Return -E[log P(fake)], which does not flatten out where the critic is sure.

    Goodfellow et al. 2014, section 3.
    """
    return F.softplus(-fake).mean()


@dataclass(frozen=True)
class Adversarial:
    """A pair of losses on scores of any shape."""

    critic: Callable[[Tensor, Tensor], Tensor]
    """Of the scores of real and of fake images."""
    generator: Callable[[Tensor], Tensor]
    """Of the scores of fake images."""
    realness: Callable[[Tensor], Tensor] | None
    """Scores as 0 fake .. 1 real; None where they are unbounded."""


Loss = Literal["wasserstein", "least_squares", "classic"]
ADVERSARIAL: dict[Loss, Adversarial] = {
    "wasserstein": Adversarial(wasserstein_critic, wasserstein_generator, None),
    "least_squares": Adversarial(least_squares_critic, least_squares_generator, Tensor.detach),
    "classic": Adversarial(classic_critic, classic_generator, torch.sigmoid),
}
