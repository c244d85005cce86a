"""OpenCV takes every labelled point of eye and lids to its pixel, in every framing.

Seen past any lens: what glasses displace has its own oracle in `test_glasses`.
"""

import cv2
import numpy as np
import pytest
import torch
from oracles import Eye, frame
from scenes import as_dict
from scipy.spatial.transform import Rotation
from skins import landmarks

from gazegan import rng
from gazegan.render.prior import load_recipe, sample
from gazegan.render.scene import render
from gazegan.schema import CENTRES, LANDMARKS

WIDE = ("eyes.camera_azimuth=[-20, 20]", "eyes.camera_elevation=[-15, 15]",
    "eyes.camera_roll=[-10, 10]", "eyes.eye_x=[-60, 60]", "eyes.eye_y=[-40, 40]",
    "eyes.head_yaw=[-25, 25]", "eyes.fill_even=0.5",
    "eyes.distortion_k1=-0.2", "eyes.distortion_k2=0.05",
    "eyes.distortion_p1=0.01", "eyes.distortion_p2=-0.02")  # fmt: skip
SEEN = ("eyes.lens_power=0", "eyes.squint=[0, 2]", "eyes.epicanthus=[0, 1]")
FRAMINGS = {
    "landmarks": ("webcam",),
    "normalised": ("webcam", "image.framing=normalised"),
    "free": ("webcam", "image.framing=free", "eyes.field_of_view=12"),
    "strip": ("portrait",),
    "steep noses": ("studio",),
    "scene": ("crowd", "image.height=45", "image.width=60"),
}


def project(batch, i, points, extrinsics=None):
    """Pixels of points in the camera's frame, or in the head's by `extrinsics`."""
    turn, shift = np.zeros(3), np.zeros(3)
    if extrinsics is not None:
        placed = extrinsics.double().numpy()
        turn, shift = Rotation.from_matrix(placed[:, :3]).as_rotvec(), placed[:, 3]
    fx, fy, cx, cy = batch.intrinsics[i].double().tolist()
    camera = np.array([[fx, 0, cx], [0, fy, cy], [0, 0, 1]])
    found, _ = cv2.projectPoints(points, turn, shift, camera, batch.distortion[i].double().numpy())
    return found[:, 0]


@pytest.mark.parametrize("framing", FRAMINGS)
@pytest.mark.parametrize("camera", [(), WIDE], ids=["plain", "wide"])
def test_every_point_is_where_opencv_sees_it(framing, camera):
    name, *changes = FRAMINGS[framing]
    recipe, index = load_recipe(name, (*changes, *camera, *SEEN)), torch.arange(16)
    params = sample(recipe, 1, index)
    batch = render(params, rng.bits(index, 0), recipe.image)
    for i in range(16):
        q = as_dict(params, i)
        eye, head = Eye(q), frame(q["head_pitch"], q["head_yaw"], q["head_roll"])
        limbus = np.vstack((eye.limbus * eye.axis, eye.limbus_points(32))) @ head
        points = np.vstack((limbus[:1], landmarks(q, eye), limbus[1:]))
        px = project(batch, i, points, batch.extrinsics[i])
        off = np.abs(px - batch.landmarks[i, 1:].numpy())
        assert off.max() < 0.01, LANDMARKS[1 + int(off.max(1).argmax())]
        # Centres lie on the optical axis, but the pupil's.
        apart = np.outer((0, eye.apex - q["cornea_radius"], eye.limbus, eye.iris), eye.axis)
        aside = eye.frame @ (q["side"] * q["pupil_nasal"], -q["pupil_up"], 0)
        apart[CENTRES.index("pupil")] += aside
        px = project(batch, i, apart @ head, batch.extrinsics[i])
        known = project(batch, i, batch.centres[i].double().numpy())
        assert np.abs(px - known).max() < 0.01
