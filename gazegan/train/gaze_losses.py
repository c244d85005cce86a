"""What the gaze stage minimises and how far off it counts answers."""

from collections.abc import Callable
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor

from gazegan.errors import UserError
from gazegan.geometry import (
    angular_error_deg,
    circular_difference_deg,
    direction_deg,
    direction_from_cos_sin,
)
from gazegan.losses import gaze as losses
from gazegan.nets.landmarks import by_image, in_widths
from gazegan.nets.regressor import Answer, Regressor
from gazegan.predict import head_turn
from gazegan.schema import EyeBatch
from gazegan.train import processes
from gazegan.train.calls import Calls
from gazegan.train.gaze_settings import GazeTraining
from gazegan.train.loop import Measured
from gazegan.train.sources import taught as learned


@dataclass(frozen=True)
class Lesson:
    """What P photographs teach beside labelled eyes."""

    eyes: EyeBatch
    """As the network is to see them; `gaze` is what it is to answer, None where nothing is."""
    weight: Tensor | None
    """[P] how much each counts, 1 on average."""


def learn(
    cfg: GazeTraining, network: Regressor, eyes: EyeBatch, taught: Lesson | None, how: Calls
) -> tuple[Tensor, Measured]:
    """Return the loss `[]` of a network on labelled eyes and on a lesson, and what to log.

    All go through it in one batch, so that they share the batch's statistics.
    """
    seen = eyes if taught is None else EyeBatch.cat((eyes, taught.eyes))
    answer = how.once(network.answer, seen.image, head_turn(seen))
    loss, scalars = answer_loss(cfg, answer[: len(eyes)], labels(eyes))
    if answer.points is not None and eyes.landmarks is not None:
        found = answer.points[: len(eyes)]
        loss = loss + landmark_loss(found, eyes)
        scalars["landmarks_px"] = landmark_error_px(found, eyes).mean()
    if taught is not None and taught.eyes.gaze is not None:
        apart = loss_of(cfg)(answer.output[len(eyes) :], taught.eyes.gaze)
        apart = (apart if taught.weight is None else taught.weight * apart).mean()
        loss, scalars["photographs"] = loss + cfg.adapt.weight * apart, apart.detach()
    return loss, scalars


def answer_loss(cfg: GazeTraining, answer: Answer, gaze: Tensor) -> tuple[Tensor, Measured]:
    """Return the loss `[]` of answers on labelled eyes of `gaze` `[B, 2]` rad, and what to log.

    Where spreads are answered, they and the gaze are learned from one likelihood.
    """
    scalars: Measured = {"train_deg": errors_deg(cfg, answer.output.detach(), gaze).mean()}
    if answer.spread is None:
        output, known = answer.output, taught_angles(cfg, gaze)
        if known is not None:
            # What is not taught counts as right.
            output = torch.where(known, output, gaze)
        return loss_of(cfg)(output, gaze).mean(), scalars
    scalars["spread_deg"] = torch.rad2deg(answer.spread.detach().mean())
    return losses.beta_nll(answer.output, answer.spread, gaze, cfg.spread_beta).mean(), scalars


def taught_angles(cfg: GazeTraining, gaze: Tensor) -> Tensor | None:
    """Return which angles of labels `[B, 2]` are learned `[B, 2]` bool; None where all are."""
    if not cfg.axes:
        return None
    return processes.share(learned(cfg.axes, cfg.shares, cfg.batch)).to(gaze.device)


def landmark_loss(points: Tensor, eyes: EyeBatch) -> Tensor:
    """Return the loss `[]` of landmarks found, in widths of the image, `[B, len(READ), 2]`.

    Smooth L1 of every coordinate, a parabola where it is off by less than a hundredth.
    """
    return F.smooth_l1_loss(points, _read(eyes), beta=0.01)


def landmark_error_px(points: Tensor, eyes: EyeBatch) -> Tensor:
    """Return the mean distance `[B]` px of landmarks found, in widths, from those of the eyes."""
    off: Tensor = (points.detach() - _read(eyes)).norm(dim=-1).mean(1)
    return off * eyes.size[1]


def _read(eyes: EyeBatch) -> Tensor:
    assert eyes.landmarks is not None
    return in_widths(by_image(eyes.landmarks), eyes.size)


def labels(batch: EyeBatch) -> Tensor:
    """Return the gazes `[B, 2]` of a batch; raises UserError where it has none."""
    if batch.gaze is None:
        raise UserError("--data: these images have no gaze labels; name a labelled store")
    return batch.gaze


def loss_of(cfg: GazeTraining) -> Callable[[Tensor, Tensor], Tensor]:
    """Return the configured loss: (output, gaze) `[B, 2]` -> `[B]`."""
    if cfg.network.target == "direction":
        return losses.circular
    return {"smooth_l1": losses.smooth_l1, "cosine": losses.cosine, "angular": losses.angular}[
        cfg.loss
    ]


def errors_deg(cfg: GazeTraining, output: Tensor, gaze: Tensor) -> Tensor:
    """Return the errors `[B]` in degrees of outputs `[B, 2]`: 3-D angle, or angle of direction."""
    if cfg.network.target == "angles":
        return angular_error_deg(output, gaze)
    return circular_difference_deg(direction_from_cos_sin(output), direction_deg(gaze)).abs()


def constant_output(cfg: GazeTraining, gaze: Tensor) -> Tensor:
    """Return the output `[1, 2]` that suits the gazes `[N, 2]` best without seeing an image."""
    if cfg.network.target == "angles":
        return gaze.mean(0, keepdim=True)
    return losses.direction_vector(gaze).mean(0, keepdim=True)
