"""Mean teacher: the average of a network's weights answers on photographs, for it to learn from.

Tarvainen & Valpola, "Mean teachers are better role models", NeurIPS 2017; the network sees varied
copies.
"""

import torch
from torch import Tensor, nn

from gazegan.modes import evaluating
from gazegan.predict import mirror_average


def teach(teacher: nn.Module, image: Tensor, turn: Tensor, mirror: bool) -> Tensor:
    """Return a gaze network's (pitch, yaw) `[B, 2]` rad on images `[B, C, H, W]`.

    `turn` `[B]` rad is the heads' yaw, NaN where unknown. With `mirror`, the mean of the answers
    on the image and on its mirror image.
    """
    with evaluating(teacher), torch.no_grad():
        fn = mirror_average(teacher) if mirror else teacher
        answers: Tensor = fn(image, turn)
    return answers
