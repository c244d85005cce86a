"""Gaze losses; on labels they return one value a sample, so that callers may weight them."""

from collections.abc import Callable

import torch
import torch.nn.functional as F
from torch import Tensor

from gazegan.geometry import angle_between, direction_deg, eccentricity_deg, vector_from_angles


def angular(predicted: Tensor, true: Tensor) -> Tensor:
    """Return the 3-D angle `[B]` rad between gazes `[B, 2]` (pitch, yaw) rad."""
    return angle_between(vector_from_angles(predicted), vector_from_angles(true))


def cosine(predicted: Tensor, true: Tensor) -> Tensor:
    """Return 1 - cos of the 3-D angle `[B]` between gazes `[B, 2]` (pitch, yaw) rad.

    Near zero it is half the squared angle, and smooth where the angle itself has a kink.
    """
    return 1 - (vector_from_angles(predicted) * vector_from_angles(true)).sum(-1)


def smooth_l1(predicted: Tensor, true: Tensor, knee: float = 0.1) -> Tensor:
    """Return the Huber-like distance `[B]` of (pitch, yaw) rad, quadratic below `knee` rad.

    Girshick, "Fast R-CNN" (ICCV 2015), equation 3, summed over both angles.
    """
    return F.smooth_l1_loss(predicted, true, reduction="none", beta=knee).sum(-1)


def beta_nll(predicted: Tensor, spread: Tensor, true: Tensor, beta: float = 0.5) -> Tensor:
    """Return the weighted negative log likelihood `[B]` of true gazes, summed over both angles.

    Each angle is normal about `predicted` with standard deviation `spread`, all `[B, 2]` rad; the
    constant of the density is left out. The weight spread^(2 beta), which passes no gradient, is
    to keep eyes that look uncertain from being given up: 0 is the plain likelihood, with 1 the mean
    learns as by the squared error. Seitzer et al., "On the pitfalls of heteroscedastic uncertainty
    estimation with probabilistic neural networks" (ICLR 2022).
    """
    nll = spread.log() + ((true - predicted) / spread).square() / 2
    return (spread.detach() ** (2 * beta) * nll).sum(-1)


def direction_vector(gaze: Tensor) -> Tensor:
    """Return (cos, sin) `[B, 2]` of the direction in which gazes `[B, 2]` rad leave the axis."""
    theta = torch.deg2rad(direction_deg(gaze))
    return torch.stack((theta.cos(), theta.sin()), dim=-1)


def circular(predicted: Tensor, gaze: Tensor) -> Tensor:
    """Return (1 - cos of the error) `[B]` of unit (cos, sin) `[B, 2]`, weighted for certainty.

    The weight is the sine of the eccentricity: a gaze into the camera has no direction.
    """
    weight = torch.deg2rad(eccentricity_deg(gaze)).sin()
    return weight * (1 - (predicted * direction_vector(gaze)).sum(-1))


def gaze_moved_deg(judge: Callable[[Tensor], Tensor], raw: Tensor, refined: Tensor) -> Tensor:
    """Return by how much refining images `[B, C, H, W]` moves the pitch and yaw that `judge` gives.

    A scalar: the absolute changes of both angles, degrees, summed and averaged over the batch.
    """
    with torch.no_grad():
        before = judge(raw)
    return torch.rad2deg((judge(refined) - before).abs().sum(1).mean())
