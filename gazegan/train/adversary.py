"""Adversarial training: part of each batch is changed, within a little, to mislead the network."""

from collections.abc import Callable, Mapping
from functools import partial

import torch
from pydantic import Field
from torch import Generator, Tensor

from gazegan.attack import Ball, angle_error_deg, direction_error_deg
from gazegan.attack.gradient import Goal, climb, goal_of
from gazegan.config import Config
from gazegan.losses.gaze import direction_vector
from gazegan.modes import evaluating
from gazegan.nets.regressor import Regressor, Target
from gazegan.train import processes


class AdversaryConfig(Config):
    """How hard the training's images are made; with `epsilon_255` at 0 they stay as they are."""

    epsilon_255: float = Field(0.0, ge=0, le=255)
    """Largest change of a pixel, in 1/255."""
    steps: int = Field(1, ge=1, le=100)
    """Gradient steps from a random start: 1 is FGSM after Wong et al., "Fast is better than free",
    ICLR 2020; more are PGD after Madry et al., ICLR 2018."""
    share: float = Field(0.5, gt=0, le=1)
    """Share of each batch that is changed; the rest keeps the network good at unchanged eyes."""

    @property
    def idle(self) -> Mapping[str, str]:
        """The settings that do nothing where the images stay as they are."""
        why = "does nothing without --adversary-epsilon above 0"
        return {} if self.epsilon_255 else {"steps": why, "share": why}

    @property
    def step_255(self) -> float:
        """Size of a step: 1.25 epsilon for one, as there; 2.5 epsilon among more."""
        return self.epsilon_255 * (1.25 if self.steps == 1 else 2.5 / self.steps)


def embitter(
    config: AdversaryConfig,
    network: Regressor,
    image: Tensor,
    gaze: Tensor,
    turn: Tensor,
    generator: Generator,
    taught: Tensor | None = None,
) -> Tensor:
    """Return images `[B, C, H, W]` of which a share is changed to raise the network's error.

    `gaze` `[B, 2]` rad is true, `turn` `[B]` rad the heads' yaw. Every so many-th image is changed,
    so that of each source, whose images follow each other, the same share is. Angles that `taught`
    `[B, 2]` bool leaves out count as right. Draws nothing where the adversary is off.
    """
    if not config.epsilon_255:
        return image
    # Drawn for all processes, whose rows follow each other; which of them are changed is the same.
    count = processes.count() * len(image)
    drawn = torch.rand(count, *image.shape[1:], generator=generator)
    chosen, start = (of[processes.rows(len(image))] for of in (_every(config.share, count), drawn))
    if not chosen.any():
        return image
    rows = chosen.nonzero()[:, 0].to(image.device)
    some, fn = image[rows], partial(network, turn=turn[rows])
    goal = _goal(network.target, fn, gaze[rows], None if taught is None else taught[rows])
    ball, sizes = Ball(some, config.epsilon_255 / 255), [config.step_255 / 255] * config.steps
    first = ball.project(some + ball.radius * (2 * start[chosen].to(image.device) - 1))
    with evaluating(network):
        made = climb(goal, first, ball, sizes)
    return image.index_copy(0, rows, made.point)


def _goal(
    target: Target, fn: Callable[[Tensor], Tensor], gaze: Tensor, taught: Tensor | None
) -> Goal:
    """Return the error that is climbed, of answers of `fn` to images of `gaze` `[N, 2]` rad."""
    if target == "direction":
        return goal_of(fn, direction_vector(gaze), direction_error_deg, False)
    if taught is None:
        return goal_of(fn, gaze, angle_error_deg, False)
    return goal_of(lambda some: torch.where(taught, fn(some), gaze), gaze, angle_error_deg, False)


def _every(share: float, count: int) -> Tensor:
    """Return which `[count]` of a batch belong to a share that is spread evenly over it."""
    passed = (torch.arange(count + 1, dtype=torch.float64) * share + 0.5).floor()
    return passed.diff() > 0
