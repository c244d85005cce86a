"""Axes, units and angles: the one page on which every sign convention of gazegan is decided.

Camera frame: x to the image's right, y down, z forward, millimetres. A gaze is (pitch, yaw) in
radians as in MPIIGaze (Zhang et al., CVPR 2015): pitch is positive upward, yaw positive toward
the image's left, and (0, 0) looks straight into the camera along -z.
"""

import torch
from torch import Tensor


def vector_from_angles(angles: Tensor) -> Tensor:
    """Turn (pitch, yaw) `[..., 2]` rad into unit vectors `[..., 3]` in the camera frame."""
    pitch, yaw = angles.unbind(-1)
    return torch.stack((-pitch.cos() * yaw.sin(), -pitch.sin(), -pitch.cos() * yaw.cos()), dim=-1)


def angles_from_vector(vector: Tensor) -> Tensor:
    """Turn vectors `[..., 3]` of any length into (pitch, yaw) `[..., 2]` rad."""
    x, y, z = vector.unbind(-1)
    return torch.stack((torch.atan2(-y, torch.hypot(x, z)), torch.atan2(-x, -z)), dim=-1)


def direction_deg(angles: Tensor) -> Tensor:
    """Return the direction `[...]` in 0..360 degrees in which a gaze leaves the camera axis.

    0 is the image's right, 90 up, 180 left, 270 down. Undefined (0) for a gaze into the camera.
    """
    x, y, _ = vector_from_angles(angles).unbind(-1)
    return direction_from_cos_sin(torch.stack((x, -y), dim=-1))


def direction_from_cos_sin(pair: Tensor) -> Tensor:
    """Turn (cos, sin) `[..., 2]` of any length into the direction `[...]`, 0 <= degrees < 360."""
    cos, sin = (pair + 0.0).unbind(-1)  # turns -0.0 into 0.0, so that (0, 0) gives 0, not 180
    degrees = torch.rad2deg(torch.atan2(sin, cos))
    return degrees.remainder(360.0).remainder(360.0)  # the first rounds -1e-9 to 360


def eccentricity_deg(angles: Tensor) -> Tensor:
    """Return the angle `[...]` in 0..180 degrees between a gaze and the camera axis."""
    x, y, z = vector_from_angles(angles).unbind(-1)
    return torch.rad2deg(torch.atan2(torch.hypot(x, y), -z))


def angles_from_direction(direction: Tensor, eccentricity: Tensor) -> Tensor:
    """Turn a direction and an eccentricity `[...]`, both degrees, into (pitch, yaw) rad."""
    theta, ecc = torch.deg2rad(direction), torch.deg2rad(eccentricity)
    return angles_from_vector(
        torch.stack((ecc.sin() * theta.cos(), -ecc.sin() * theta.sin(), -ecc.cos()), dim=-1)
    )


def circular_difference_deg(a: Tensor, b: Tensor) -> Tensor:
    """Return a - b `[...]` wrapped into -180..180 degrees."""
    return (a - b + 180.0).remainder(360.0) - 180.0


def angle_between(a: Tensor, b: Tensor) -> Tensor:
    """Return the angle `[...]` rad between vectors `[..., 3]`, exact also for tiny angles."""
    return torch.atan2(torch.linalg.cross(a, b).norm(dim=-1), (a * b).sum(-1))


def angular_error_deg(predicted: Tensor, true: Tensor) -> Tensor:
    """Return the 3-D angle `[...]` in degrees between two gazes `[..., 2]` (pitch, yaw) rad."""
    a, b = vector_from_angles(predicted.double()), vector_from_angles(true.double())
    return torch.rad2deg(angle_between(a, b)).to(predicted.dtype)


def rotation(angles: Tensor, roll: Tensor) -> Tensor:
    """Return `[..., 3, 3]` turning the frame of a head (or eye) into the camera frame.

    `angles` is the (pitch, yaw) `[..., 2]` rad of its facing direction -z; `roll` `[...]` rad is
    positive clockwise as the camera sees it. R = Ry(yaw) Rx(-pitch) Rz(roll).
    """
    (sp, sy), (cp, cy) = angles.sin().unbind(-1), angles.cos().unbind(-1)
    sr, cr = roll.sin(), roll.cos()
    rows = (
        (cy * cr - sy * sp * sr, -cy * sr - sy * sp * cr, sy * cp),
        (cp * sr, cp * cr, sp),
        (-sy * cr - cy * sp * sr, sy * sr - cy * sp * cr, cy * cp),
    )
    return torch.stack([torch.stack(row, dim=-1) for row in rows], dim=-2)


def project(points: Tensor, focal_px: Tensor, centre_px: Tensor) -> Tensor:
    """Project camera-frame points `[..., 3]` mm to pixels `[..., 2]`; pixel centres are at .5.

    `focal_px` `[...]` and `centre_px` `[..., 2]` are the pinhole's focal length and principal
    point.
    """
    return focal_px[..., None] * points[..., :2] / points[..., 2:] + centre_px


def mirror_angles(angles: Tensor) -> Tensor:
    """Return the (pitch, yaw) `[..., 2]` of the left-right mirrored image."""
    return angles * angles.new_tensor((1.0, -1.0))
