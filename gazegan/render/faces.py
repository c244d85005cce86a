"""Whole faces: the two halves that their eyes see, joined where they meet.

Eyes `[B]` are the right and the left of faces by turns. Each is rendered with the whole image
around it; both see one surface, symmetric about the head's mid-sagittal plane, and texture
that is the mirror image, so that the halves agree where they meet.
"""

import torch
from torch import Tensor

from gazegan.render import shape
from gazegan.render.sight import Sight


def right_share(s: Sight) -> Tensor:
    """Share `[F, H, W]` of each pixel that lies on the right eye's side of the face."""
    return shape.coverage(s.face.u[1::2] - s.face.u[0::2])


def join(halves: Tensor, share: Tensor) -> Tensor:
    """Blend planes of eyes `[B, ..., H, W]` into planes of faces `[F, ..., H, W]`."""
    over = share[(slice(None), *[None] * (halves.ndim - share.ndim))]
    return halves[1::2] + (halves[0::2] - halves[1::2]) * over


def nearer(halves: Tensor, share: Tensor) -> Tensor:
    """Pick `[F, C, H, W]` of `[B, C, H, W]`, pixel by pixel, from the half that has more of it."""
    return torch.where(share[:, None] > 0.5, halves[0::2], halves[1::2])
