"""Give answers on photographs the mean and the spread that the labels have.

Answers that a network learns from itself else shrink toward a constant.
"""

import torch
from torch import Tensor

from gazegan.geometry import mirror_angles
from gazegan.train import processes


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
