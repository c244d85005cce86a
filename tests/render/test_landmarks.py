"""Projected points against OpenCV and a float64 ray tracer; the signs of every angle."""

import cv2
import numpy as np
import pytest
import torch
from oracles import Eye
from scenes import LARGE, as_dict, double, draw, stage

from gazegan import geometry
from gazegan.render import eyeball, landmarks, shape
from gazegan.render.prior import Image
from gazegan.render.scene import render
from gazegan.schema import LANDMARKS

STRAIGHT = {
    "gaze_pitch": 0,
    "gaze_yaw": 0,
    "head_pitch": 0,
    "head_yaw": 0,
    "head_roll": 0,
    "kappa_horizontal": 0,
    "kappa_vertical": 0,
    "pupil_nasal": 0,
    "pupil_up": 0,
    "shift_nasal": 0,
    "shift_down": 0,
}


def eyes_of(params):
    """The camera of each eye, as plain numbers, and its float64 oracle."""
    _, _, camera, _ = stage(double(params), LARGE)
    for i in range(len(params.side)):
        yield i, float(camera.focal[i]), camera.centre[i].numpy(), Eye(as_dict(params, i))


@pytest.mark.parametrize("recipe", ["webcam", "columbia"])
def test_pupil_centre_against_a_ray_tracer(recipe):
    params, textures = draw(24, recipe)
    found = render(params, textures, LARGE).landmarks[:, 0].double().numpy()
    for i, focal, middle, eye in eyes_of(params):
        assert np.abs(found[i] - eye.pupil_px(focal, middle)).max() < 0.02


def test_pupil_centre_is_moved_by_refraction_as_seen_from_the_side():
    params, textures = draw(1, **{**STRAIGHT, "gaze_yaw": 25, "side": 1})
    p, where, camera, _ = stage(params, LARGE)
    flat = torch.stack((0 * p.side, 0 * p.side, -eyeball.iris_depth(p)))
    straight = camera.project(shape.from_frame(where.eye, flat))[0, 0, 0]
    seen = render(params, textures, LARGE).landmarks[0, 0, 0]
    per_mm = float(camera.focal / camera.distance)
    assert 0.1 < float(straight - seen) / per_mm < 0.8  # the pupil looks nearer to the viewer


def test_limbus_against_opencv():
    params, textures = draw(16, "standin")
    batch = render(params, textures, LARGE)
    for i, focal, middle, eye in eyes_of(params):
        camera = np.array([[focal, 0, middle[0]], [0, focal, middle[1]], [0, 0, 1]])
        points = np.vstack((eye.limbus * eye.axis, eye.limbus_points(32)))
        away = np.array([0, 0, eye.p["distance"]])
        known, _ = cv2.projectPoints(points, np.zeros(3), away, camera, None)
        found = torch.cat((batch.landmarks[i, 1:2], batch.landmarks[i, -32:]))
        assert np.abs(found.numpy() - known[:, 0]).max() < 0.01


def test_face_points_lie_on_the_face_and_project_back():
    params, _ = draw(10)
    p, where, camera, _ = stage(double(params), LARGE)
    points = landmarks.lid_points(p, where)
    u, v, h = shape.to_frame(where.head, points) * torch.tensor([1.0, -1, -1])[:, None, None, None]
    torch.testing.assert_close(shape.face_height(p, p.side * u, v), h)
    px = camera.project(points)
    centred = geometry.project(
        points[:, :, 0].permute(1, 2, 0)
        + torch.stack((0 * camera.distance, 0 * camera.distance, camera.distance), -1)[:, None],
        camera.focal[:, None],
        camera.centre[:, None],
    )
    torch.testing.assert_close(px, centred)
    face = shape.hit_face(p, where.head, camera.rays_at(px))
    torch.testing.assert_close(face.point, points, atol=0.05, rtol=0)


def pupil_of(**changes):
    params, textures = draw(1, **{**STRAIGHT, "canthus_tilt": 0, **changes})
    return render(params, textures, LARGE).landmarks[0, 0]


@pytest.mark.parametrize("side", [-1, 1])
def test_signs_of_angles(side):
    rest = pupil_of(side=side)
    assert float(pupil_of(side=side, gaze_pitch=10)[1] - rest[1]) < -2  # up
    assert float(pupil_of(side=side, gaze_yaw=10)[0] - rest[0]) < -2  # image left
    # Kappa turns the optical axis toward the temple: image left for the eye at the image's left.
    assert side * float(pupil_of(side=side, kappa_horizontal=5)[0] - rest[0]) < -1
    assert float(pupil_of(side=side, kappa_vertical=5)[1] - rest[1]) > 1  # below the visual axis
    assert side * float(pupil_of(side=side, pupil_nasal=0.5)[0] - rest[0]) > 0.5
    assert float(pupil_of(side=side, pupil_up=0.5)[1] - rest[1]) < -0.5


@pytest.mark.parametrize("side", [-1, 1])
def test_a_straight_gaze_shows_the_pupil_on_the_limbus_axis(side):
    params, textures = draw(1, **STRAIGHT, side=side)
    batch = render(params, textures, LARGE)
    _, _, camera, _ = stage(params, LARGE)
    # The eyeball's centre and the axis project onto the principal point.
    torch.testing.assert_close(
        batch.landmarks[0, :2], camera.centre.expand(2, 2), atol=0.01, rtol=0
    )


def test_head_roll_turns_the_lids_clockwise():
    params, textures = draw(1, **{**STRAIGHT, "head_roll": 20, "canthus_tilt": 0, "side": 1})
    points = render(params, textures, LARGE).landmarks[0]
    inner, outer = points[LANDMARKS.index("lid_00")], points[LANDMARKS.index("lid_08")]
    assert float(inner[1] - outer[1]) > 10  # the image's right end goes down


@pytest.mark.parametrize("size", [(36, 60), (96, 160), (48, 48)])
def test_framing_fills_the_image_as_asked(size):
    image = Image(height=size[0], width=size[1])
    params, textures = draw(20, fill=0.6, shift_nasal=0, shift_down=0, **dict.fromkeys(
        ("shift_turn",), 0))  # fmt: skip
    points = render(params, textures, image).landmarks
    inner, outer = points[:, LANDMARKS.index("lid_00")], points[:, LANDMARKS.index("lid_08")]
    torch.testing.assert_close((inner[:, 0] - outer[:, 0]).abs(), torch.full((20,), 0.6 * size[1]))
    middle = points[:, 2:18].mean(1)
    assert (middle - torch.tensor((size[1] / 2, size[0] / 2))).abs().max() < 0.06 * size[1]


def test_normalised_framing_has_mpiigazes_focal_length():
    image = Image(height=36, width=60, framing="normalised")
    params, _ = draw(5, distance=600)
    _, _, camera, _ = stage(params, image)
    assert torch.equal(camera.focal, torch.full((5,), 960.0))


def test_visible_means_inside_the_image_and_bare_of_lids():
    params, textures = draw(40, upper_lid=5, glasses=0)
    batch = render(params, textures, LARGE)
    x, y = batch.landmarks.unbind(-1)
    inside = (x >= 0) & (x <= 160) & (y >= 0) & (y <= 96)
    assert not (batch.visible & ~inside).any()
    assert torch.equal(batch.visible[:, 2:25], inside[:, 2:25])
    iris = batch.landmarks[:, -32:]
    bare = 1 - batch.masks[:, 0]
    for i in range(40):
        for k in range(32):
            col, row = int(iris[i, k, 0]), int(iris[i, k, 1])
            if not (1 <= col < 159 and 1 <= row < 95):
                continue
            around = bare[i, row - 1 : row + 2, col - 1 : col + 2]
            seen = bool(batch.visible[i, 25 + k])
            assert not (around.min() == 1 and not seen) and not (around.max() == 0 and seen)
