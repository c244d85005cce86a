"""The two eyes of a face: which index is which, and how both turn to one target."""

from dataclasses import replace

import torch
from torch import Tensor

from gazegan import geometry
from gazegan.render.params import EyeParams


def faces(indices: Tensor) -> Tensor:
    """Return the faces `[B]` to which eyes `[B]` belong: 2k and 2k + 1 to face k."""
    return torch.div(indices, 2, rounding_mode="floor")


def both(faces: Tensor) -> Tensor:
    """Return the eyes `[2F]` of faces `[F]`, the right and the left of each by turns."""
    return torch.stack((2 * faces, 2 * faces + 1), 1).flatten()


def converge(params: EyeParams, indices: Tensor) -> EyeParams:
    """Turn parameters `[B]` of faces into those of their eyes `[B]`, right and left by turns.

    Even indices are the subject's right eye (`side` +1). The gaze given is that of a cyclopean eye
    midway between both; the visual axes of the two meet on it `target_distance` mm away. Each eye
    is seen by a camera straight before it; the two cameras are turned alike.
    """
    side = (1 - 2 * (indices % 2)).to(params.side.dtype)
    gaze = _radians(params.gaze_pitch, params.gaze_yaw)
    target = params.target_distance.double()[:, None] * geometry.vector_from_angles(gaze)
    turned = torch.rad2deg(geometry.angles_from_vector(target - offset(params, side)))
    pitch, yaw = turned.to(params.side.dtype).unbind(-1)
    return replace(params, side=side, gaze_pitch=pitch, gaze_yaw=yaw)


def share_camera(params: EyeParams, indices: Tensor) -> EyeParams:
    """Let both eyes of a face be seen by one camera, the right eye's.

    `indices` `[B]` are those of the eyes. What a recipe says toward temple or nose is meant of the
    right eye; toward those of the left it has the other sign.
    """
    sign = (1 - 2 * (indices % 2)).to(params.side.dtype)
    return replace(
        params,
        camera_azimuth=sign * params.camera_azimuth,
        shift_nasal=sign * params.shift_nasal,
    )


def offset(params: EyeParams, side: Tensor) -> Tensor:
    """Return where eyeballs of a side lie from the midpoint of both, `[B, 3]` mm, camera axes."""
    head = geometry.rotation(
        _radians(params.head_pitch, params.head_yaw), torch.deg2rad(params.head_roll.double())
    )
    return -0.5 * (side * params.ipd).double()[:, None] * head[:, :, 0]


def _radians(pitch: Tensor, yaw: Tensor) -> Tensor:
    return torch.deg2rad(torch.stack((pitch, yaw), -1).double())
