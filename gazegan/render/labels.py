"""Every label of a rendered eye that is not an image."""

import torch
from torch import Tensor

from gazegan import geometry
from gazegan.render import eyeball, landmarks, outlines, shape
from gazegan.render.camera import Camera, angles_of, angles_seen, lens_of
from gazegan.render.eyeball import Pose
from gazegan.render.params import EyeParams
from gazegan.render.prior import Image
from gazegan.render.pupil import pupil_points
from gazegan.schema import LANDMARKS

_LIDS = slice(LANDMARKS.index("lid_00"), LANDMARKS.index("lid_15") + 1)
_LIMBUS = slice(LANDMARKS.index("iris_00"), LANDMARKS.index("iris_31") + 1)


def label(p: EyeParams, where: Pose, camera: Camera, image: Image) -> dict[str, Tensor]:
    """Return the labels of EyeBatch by name; parameters are `[B, 1, 1]`."""
    # A rim that crosses the pupil must not break its outline in two.
    behind = camera.held(landmarks.iris_points(p, where)[..., :1])
    pupil = pupil_points(p, where, behind)
    points, seen = landmarks.locate(p, where, camera, image, pupil[:, :1])
    lids, limbus = points[:, _LIDS], points[:, _LIMBUS]
    whole = limbus if behind is camera else _whole_limbus(p, where, behind)
    return {
        **directions(p, where, camera),
        "side": (p.side.flatten() < 0).to(torch.int64),
        "landmarks": points,
        "visible": seen,
        "centres": centres(p, where, camera),
        "ellipses": outlines.fit_ellipse(torch.stack((pupil[:, 1:], whole[:, ::2]), 1)),
        "intrinsics": torch.cat((camera.focal[:, None].expand(-1, 2), camera.centre), 1),
        "distortion": lens_of(p),
        "extrinsics": torch.cat((where.head, camera.eye[:, :, None]), -1),
        "boxes": torch.stack((outlines.box_around(lids), _iris_box(limbus, lids, seen)), 1),
        "params": p.flat().flatten(1),
    }


def _whole_limbus(p: EyeParams, where: Pose, camera: Camera) -> Tensor:
    return camera.project(landmarks.iris_points(p, where)[..., 1:])


def _iris_box(limbus: Tensor, lids: Tensor, seen: Tensor) -> Tensor:
    """Box `[B, 4]` of what is bare of the iris; zero also where no landmark of it is seen."""
    bare = seen[:, :2].any(1) | seen[:, _LIMBUS].any(1)
    return torch.where(bare[:, None], outlines.box_of_overlap(limbus, lids), 0.0)


def directions(p: EyeParams, where: Pose, camera: Camera) -> dict[str, Tensor]:
    """Return gaze, head, gaze_head and optical, all `[B, 2]` (pitch, yaw) rad."""
    gaze = torch.deg2rad(torch.cat((p.gaze_pitch, p.gaze_yaw), -1)[:, 0])
    head = torch.deg2rad(torch.cat((p.head_pitch, p.head_yaw), -1)[:, 0])
    if camera.stand is not None:
        gaze, head = angles_seen(gaze, camera.stand), angles_seen(head, camera.stand)
    visual = geometry.vector_from_angles(gaze).T[:, :, None, None]
    return {
        "gaze": gaze,
        "head": head,
        "gaze_head": angles_of(shape.to_frame(where.head, visual)),
        "optical": angles_of(where.axis),
    }


def centres(p: EyeParams, where: Pose, camera: Camera) -> Tensor:
    """Return the points of schema.CENTRES `[B, 4, 3]` mm from the camera."""
    zero = torch.zeros_like(p.side)
    depths = (zero, eyeball.cornea_offset(p), eyeball.limbus_depth(p), eyeball.iris_depth(p))
    x = torch.cat((zero, zero, zero, p.side * p.pupil_nasal), -1)
    y = torch.cat((zero, zero, zero, -p.pupil_up), -1)
    points = shape.from_frame(where.eye, torch.stack((x, y, -torch.cat(depths, -1))))
    return points[:, :, 0].permute(1, 2, 0) + camera.eye[:, None]
