"""Agreement of an ensemble: networks that began differently answer on photographs together.

After Liu et al., "Generalizing gaze estimation with outlier-guided collaborative adaptation" (ICCV
2021, PnP-GA), in whose group of networks the weight averages' mean answer is the target, and
outliers among the members tell where it says little. Taken over are the group, its averages and
their mean. Differently from there, members are trained together from the start instead of being
snapshots of one training, all learn the target, and their spread weighs whole photographs.
"""

import torch
from torch import Tensor

from gazegan.train import processes


def agreement(answers: Tensor) -> tuple[Tensor, Tensor]:
    """Return the mean `[B, 2]` of K members' answers `[K, B, 2]`, and how much each counts `[B]`.

    s^2 is the members' mean squared distance from the mean answer. A photograph counts as
    exp(-s^2 / m) with m the batch's mean of s^2, times what makes the weights' mean 1.
    """
    mean = answers.mean(0)
    square = (answers - mean).square().sum(-1).mean(0)
    # The floor, a ten-thousandth of a degree, lets members that all agree count alike.
    weight = torch.exp(-square / processes.averaged(square.mean()).clamp(min=3e-12))
    return mean, weight / processes.averaged(weight.mean())
