"""Shadows that the relief of the face throws: brow, nose and the lids' dome before a low light."""

import torch
from torch import Tensor

from gazegan.render import shape
from gazegan.render.elementary import sigmoid
from gazegan.render.params import EyeParams
from gazegan.render.shape import FaceHit

_STEPS = (4.0, 10.0, 19.0)
"""Distances, mm, at which the way to the light is compared with the face's height."""
_SHARP, _SPREAD = 0.5, 0.14
"""Softness, mm, of a shadow at its origin, and what it gains per mm away from it: the tangent of
the lamp's radius and of what skin scatters sideways."""


def cast(p: EyeParams, head: Tensor, toward: Tensor, face: FaceHit) -> Tensor:
    """Return the share `[B, H, W]` of a far light that the face lets through to its own points.

    `toward` `[3, B, 1, 1]` is the light's direction along the camera's axes. The way to the
    light is met with the height field at a few distances, and what stands highest above it counts.
    """
    x, y, z = shape.to_frame(head, toward)
    across, up, out = p.side * x, -y, -z
    clear = None
    for step in _STEPS:
        ground = shape.face_height(p, face.u + step * across, face.v + step * up)
        above = (face.height + step * out - ground) / (_SHARP + _SPREAD * step)
        clear = above if clear is None else torch.minimum(clear, above)
    assert clear is not None
    return sigmoid(2.5 * clear + 1)
