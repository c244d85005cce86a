"""Adapt a gaze network to unlabelled photographs while it learns from labelled eyes.

A mean teacher (Tarvainen & Valpola, "Mean teachers are better role models", NeurIPS 2017): the
average of the network's weights answers on photographs, and the network learns to answer alike on
varied copies of them. Left alone, such answers shrink toward a constant; so they are first given
the mean and the spread that the labels have.
"""

import torch
from pydantic import Field
from torch import Tensor, nn

from gazegan.config import Config
from gazegan.geometry import mirror_angles
from gazegan.modes import evaluating
from gazegan.predict import mirror_average
from gazegan.train import processes
from gazegan.train.augment import AugmentConfig


class AdaptConfig(Config):
    """How a network is adapted to photographs; without any it is not used."""

    batch: int = Field(32, ge=2, le=65536)
    """Photographs a step."""
    weight: float = Field(1.0, ge=0, le=100)
    """Weight of the loss on photographs beside that on labelled eyes."""
    begin: float = Field(0.4, ge=0, lt=1)
    """Share of the steps before photographs take part: a teacher must first know something."""
    spread: float = Field(0.8, gt=0, le=2)
    """Spread of what is taught, as a share of the labels' spread."""
    decay: float = Field(0.99, ge=0, lt=1)
    """Of the running mean and spread of the teacher's answers and of the labels."""
    augment: AugmentConfig = AugmentConfig(
        shift=0.04, scale=0.05, brightness=0.15, contrast=0.3, gamma=0.3, blur=0.8, noise=0.03
    )
    """How the network's copies are varied; the teacher sees photographs as they are."""


def teach(teacher: nn.Module, image: Tensor, mirror: bool) -> Tensor:
    """Return a gaze network's (pitch, yaw) `[B, 2]` rad on images `[B, C, H, W]`.

    With `mirror`, the mean of those on the image and on its mirror image.
    """
    with evaluating(teacher), torch.no_grad():
        answers: Tensor = mirror_average(teacher)(image) if mirror else teacher(image)
    return answers


def remember(moments: Tensor, angles: Tensor, count: int, decay: float, mirror: bool) -> None:
    """Move running `moments` `[2, 2]` (mean, mean square; by angle) toward those of `angles`.

    `count` is how often that was done before; the first time they are replaced. With `mirror`,
    mirror images count as well, so that left and right are alike.
    """
    if mirror:
        angles = torch.cat((angles, mirror_angles(angles)))
    fresh = processes.averaged(torch.stack((angles.mean(0), angles.square().mean(0))))
    moments.lerp_(fresh, 1 - min(decay, count / (count + 1)))


def align(answers: Tensor, seen: Tensor, wanted: Tensor, spread: float) -> Tensor:
    """Shift and stretch answers `[B, 2]` of moments `seen` to the mean of `wanted`.

    Their spread becomes `spread` times that of `wanted`, for each angle.
    """
    (mean, width), (goal, goal_width) = _mean_and_spread(seen), _mean_and_spread(wanted)
    return goal + (answers - mean) * (spread * goal_width / width)


def _mean_and_spread(moments: Tensor) -> tuple[Tensor, Tensor]:
    mean, square = moments.unbind()
    # The floor, a hundredth of a degree, keeps a constant network's answers finite.
    return mean, (square - mean * mean).clamp(min=3e-8).sqrt()
