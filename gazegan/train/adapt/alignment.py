"""Give answers on photographs the mean and the spread that the labels have.

Answers that a network learns from itself else shrink toward a constant.
"""

import torch
from torch import Tensor

from gazegan.geometry import mirror_angles
from gazegan.train import processes


def remember(
    moments: Tensor,
    angles: Tensor,
    count: int,
    decay: float,
    mirror: bool,
    known: Tensor | None = None,
) -> None:
    """Move running `moments` `[2, 2]` (mean, mean square; by angle) toward those of `angles`.

    `count` is how often that was done before; the first time they are replaced. With `mirror`,
    mirror images count as well, so that left and right are alike. Of `angles` `[B, 2]` only those
    `known` `[B, 2]` bool count; of an angle of which there is none, nothing moves.
    """
    counted = torch.ones_like(angles) if known is None else known.to(angles.dtype)
    if mirror:
        angles, counted = torch.cat((angles, mirror_angles(angles))), counted.repeat(2, 1)
    sums = torch.stack(((counted * angles).sum(0), (counted * angles.square()).sum(0)))
    fresh, of = processes.averaged(sums), processes.averaged(counted.sum(0))
    fresh = torch.where(of > 0, fresh / of.clamp(min=1e-6), moments)
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
