"""Exact labels against scipy's rotations, OpenCV and a float64 ray tracer."""

import cv2
import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from oracles import Eye, frame
from scenes import LARGE, SMALL, as_dict, double, draw, stage
from scipy.spatial.transform import Rotation

from gazegan.render import outlines
from gazegan.render.elementary import angle
from gazegan.render.params import mirrored
from gazegan.render.prior import Image
from gazegan.render.pupil import pupil_points
from gazegan.render.scene import render
from gazegan.schema import CENTRES, LANDMARKS

STEEP = {"gaze_pitch": 30, "gaze_yaw": -45, "head_yaw": 40, "head_roll": 35}
OPEN = {"upper_lid": 13, "lower_lid": 8, "canthus_drop": 1, "waterline": 0, "head_roll": 0}


def looking(angles):
    """Unit vectors from (pitch, yaw) as MPIIGaze defines them."""
    pitch, yaw = np.asarray(angles, dtype=float).T
    return np.stack((-np.cos(pitch) * np.sin(yaw), -np.sin(pitch), -np.cos(pitch) * np.cos(yaw)), 1)


def pinhole(intrinsics):
    fx, fy, cx, cy = intrinsics.double().tolist()
    return np.array([[fx, 0, cx], [0, fy, cy], [0, 0, 1]])


def project(points, intrinsics):
    found, _ = cv2.projectPoints(points, np.zeros(3), np.zeros(3), pinhole(intrinsics), None)
    return found[:, 0]


def in_cv(ellipse):
    """OpenCV's ((cx, cy), (width, height), clockwise degrees) as gazegan writes ellipses."""
    centre, sides, turn = ellipse
    turn = np.deg2rad(-turn - (90 if sides[0] < sides[1] else 0)) % np.pi
    return np.array([*centre, max(sides) / 2, min(sides) / 2, turn])


def outline(ellipse, count=24):
    """Points on an ellipse, y down."""
    cx, cy, major, minor, turn = np.asarray(ellipse, dtype=float)
    t = 2 * np.pi * np.arange(count) / count
    u, v = major * np.cos(t), minor * np.sin(t)
    along, across = (np.cos(turn), -np.sin(turn)), (np.sin(turn), np.cos(turn))
    return np.array((cx, cy)) + np.outer(u, along) + np.outer(v, across)


@pytest.mark.parametrize("changes", [{}, STEEP, {"gaze_yaw": 60, "head_yaw": -45}])
def test_the_heads_rotation_turns_gaze_head_into_gaze(changes):
    params, textures = draw(40, **changes)
    batch = render(params, textures, SMALL)
    for i in range(40):
        q = as_dict(params, i)
        turn = Rotation.from_matrix(frame(q["head_pitch"], q["head_yaw"], q["head_roll"]))
        seen = turn.apply(looking(batch.gaze_head[i : i + 1])[0])
        np.testing.assert_allclose(seen, looking(batch.gaze[i : i + 1])[0], atol=2e-6)


def test_an_eye_that_looks_where_the_head_faces_has_no_gaze_in_the_head():
    params, textures = draw(8, gaze_pitch=12, gaze_yaw=-20, head_pitch=12, head_yaw=-20)
    found = render(params, textures, SMALL).gaze_head
    torch.testing.assert_close(found, torch.zeros(8, 2), atol=1e-6, rtol=0)


@pytest.mark.parametrize("changes", [{}, STEEP])
def test_optical_axis_and_centres_against_the_oracle(changes):
    params, textures = draw(24, **changes)
    batch = render(params, textures, SMALL)
    for i in range(24):
        eye = Eye(as_dict(params, i))
        np.testing.assert_allclose(looking(batch.optical[i : i + 1])[0], eye.axis, atol=2e-6)
        ball, cornea, iris, pupil = batch.centres[i].double().numpy()
        np.testing.assert_allclose(ball, (0, 0, eye.p["distance"]), atol=1e-4)
        np.testing.assert_allclose(cornea - ball, eye.centre, atol=2e-4)
        np.testing.assert_allclose(iris - ball, eye.limbus * eye.axis, atol=2e-4)
        local = (eye.p["side"] * eye.p["pupil_nasal"], -eye.p["pupil_up"], -eye.iris)
        np.testing.assert_allclose(eye.frame.T @ (pupil - ball), local, atol=2e-4)


@pytest.mark.parametrize("recipe", ["webcam", "columbia", "studio", "standin"])
def test_opencv_projects_the_centres_onto_the_landmarks(recipe):
    params, textures = draw(24, recipe)
    batch = render(params, textures, LARGE)
    for i in range(24):
        px = project(batch.centres[i].double().numpy(), batch.intrinsics[i])
        known = batch.landmarks[i, LANDMARKS.index("iris_centre")].numpy()
        assert np.abs(px[CENTRES.index("iris")] - known).max() < 0.01
        assert np.abs(px[CENTRES.index("eyeball")] - batch.intrinsics[i, 2:].numpy()).max() < 1e-4


def misses_px(eye, camera, points):
    """How far from the pupil's edge rays through pixels land in the float64 ray tracer, in px."""
    focal, *middle = camera
    aim = np.array([eye.p["pupil_nasal"], eye.p["pupil_up"]])
    landed = np.array([eye.landing(px, focal, middle) - aim for px in points])
    off = np.linalg.norm(landed, axis=1) - eye.p["pupil_radius"]
    return np.abs(off).max() * focal / eye.p["distance"]


@pytest.mark.parametrize(
    # What a refracted circle differs from an ellipse grows with the slant at which it is seen.
    ("recipe", "changes", "allowed"),
    [("webcam", {}, 0.04), ("columbia", {}, 0.02), ("webcam", STEEP, 0.15)],
)
def test_rays_through_the_pupils_outline_land_on_its_edge(recipe, changes, allowed):
    params, textures = draw(12, recipe, **changes)
    batch = render(params, textures, LARGE)
    p, where, camera, _ = stage(params, LARGE)
    walked = pupil_points(p, where, camera).double().numpy()
    for i in range(12):
        eye, seen = Eye(as_dict(params, i)), batch.intrinsics[i, 1:].double().tolist()
        assert misses_px(eye, seen, walked[i, 1:]) < 1e-3
        assert misses_px(eye, seen, outline(batch.ellipses[i, 0])) < allowed


@pytest.mark.parametrize("turn", [{"gaze_yaw": 60}, {"gaze_yaw": -60}, {"gaze_pitch": -60}])
def test_the_pupils_edge_is_found_to_a_ten_thousandth_of_a_pixel(turn):
    straight = {"head_roll": 0, "kappa_horizontal": 0, "kappa_vertical": 0, "gaze_yaw": 0}
    params, _ = draw(6, **{**straight, "gaze_pitch": 0, "pupil_radius": 3.5, **turn})
    p, where, camera, _ = stage(double(params), LARGE)
    assert torch.rad2deg((-where.axis[2]).acos()).min() > 59
    walked = pupil_points(p, where, camera).numpy()
    for i in range(6):
        seen = (float(camera.focal[i]), *camera.centre[i].tolist())
        assert misses_px(Eye(as_dict(params, i)), seen, walked[i, 1:]) < 1e-4


def test_pupil_ellipse_against_opencv_on_the_contour_of_a_fine_mask():
    params, textures = draw(3, **OPEN, gaze_yaw=28, glasses=0)
    found = render(params, textures, LARGE).ellipses[:, 0].numpy()
    fine = render(params, textures, Image(height=384, width=640)).masks[:, 3]
    for ellipse, mask in zip(found, fine, strict=True):
        inner = (mask > 0.5).to(torch.uint8).numpy()
        (contour,), _ = cv2.findContours(inner, cv2.RETR_EXTERNAL, cv2.CHAIN_APPROX_NONE)
        cx, cy, major, minor, turn = in_cv(cv2.fitEllipse(contour))
        # Contours run through the centres, at .5, of the outermost pixels inside.
        known = np.array([cx + 0.5, cy + 0.5, major + 0.5, minor + 0.5]) / 4
        np.testing.assert_allclose(ellipse[:4], known, atol=0.06)
        assert abs(np.sin(ellipse[4] - turn)) < 0.03


@pytest.mark.parametrize("changes", [{}, STEEP, {"distance": 60}])
def test_limbus_ellipse_against_opencv(changes):
    params, textures = draw(16, **changes)
    batch = render(params, textures, LARGE)
    for i in range(16):
        eye = Eye(as_dict(params, i))
        rim = eye.limbus_points(200) + np.array((0, 0, eye.p["distance"]))
        known = in_cv(cv2.fitEllipse(project(rim, batch.intrinsics[i]).astype(np.float32)))
        found = batch.ellipses[i, 1].numpy()
        np.testing.assert_allclose(found[:4], known[:4], atol=0.01)
        if known[3] < 0.95 * known[2]:
            assert abs(np.sin(found[4] - known[4])) < 2e-3


def bounds_by_drawing(a, b, fine=64):
    """The box around what two polygons share, found by painting both in fine pixels."""
    corner = np.floor(np.vstack((a, b)).min(0)) - 1
    size = np.ceil(fine * (np.vstack((a, b)).max(0) - corner)).astype(int) + fine
    shared = np.ones(size[::-1], np.uint8)
    for polygon in (a, b):
        canvas = np.zeros_like(shared)
        cv2.fillPoly(canvas, [np.rint(fine * (polygon - corner)).astype(np.int32)], 1)
        shared &= canvas
    y, x = np.nonzero(shared)
    return np.array([*corner, *corner]) + np.array([x.min(), y.min(), x.max(), y.max()]) / fine


@pytest.mark.parametrize("changes", [{}, {"upper_lid": 3.5}, STEEP])
def test_boxes_against_polygons_painted_by_opencv(changes):
    params, textures = draw(16, **changes)
    batch = render(params, textures, SMALL)
    for points, (eye, iris) in zip(batch.landmarks.numpy(), batch.boxes.numpy(), strict=True):
        lids, limbus = points[2:18].astype(float), points[-32:].astype(float)
        assert eye.tolist() == [*points[2:18].min(0), *points[2:18].max(0)]
        if iris.any():
            np.testing.assert_allclose(iris, bounds_by_drawing(limbus, lids), atol=0.06)


def test_the_box_of_the_visible_iris_holds_its_mask():
    params, textures = draw(24, glasses=0)
    batch = render(params, textures, LARGE)
    for masks, (_, (x0, y0, x1, y1)) in zip(batch.masks, batch.boxes.tolist(), strict=True):
        y, x = np.nonzero((masks[2] + masks[3]).numpy() > 0.5)
        assert x0 - 1 < x.min() and x.max() + 1 < x1 + 1
        assert y0 - 1 < y.min() and y.max() + 1 < y1 + 1


def test_a_closed_eye_has_no_box_of_the_iris():
    params, textures = draw(8, upper_lid=0, lower_lid=-1, upper_follow=0, lower_follow=0)
    boxes = render(params, textures, SMALL).boxes
    assert not boxes[:, 1].any() and (boxes[:, 0, 2] > boxes[:, 0, 0]).all()


SQUARE = torch.tensor([[0.0, 0], [4, 0], [4, 4], [0, 4]])


@pytest.mark.parametrize(
    ("moved", "box"),
    [
        (SQUARE + 1, (1, 1, 4, 4)),
        (SQUARE / 4 + 2, (2, 2, 3, 3)),
        (3 * SQUARE - 2, (0, 0, 4, 4)),
        (SQUARE * torch.tensor((0.5, 3.0)) + torch.tensor((1.0, -2.0)), (1, 0, 3, 4)),
        (SQUARE + 5, (0, 0, 0, 0)),
    ],
    ids=["corners", "within", "around", "across", "apart"],
)
def test_boxes_of_squares(moved, box):
    assert outlines.box_of_overlap(SQUARE, moved).tolist() == list(box)
    assert outlines.box_of_overlap(moved, SQUARE).tolist() == list(box)


@given(
    ratio=st.floats(0.02, 0.99),
    turn=st.floats(0, 3.14),
    size=st.floats(1e-2, 1e4),
    at=st.tuples(st.floats(-1e3, 1e3), st.floats(-1e3, 1e3)),
)
@settings(deadline=None, max_examples=60)
def test_points_of_an_ellipse_give_it_back(ratio, turn, size, at):
    known = np.array([*(size * np.array(at)), size, ratio * size, turn])
    points = torch.from_numpy(outline(known, 20)[3:19])  # a part of it, unevenly spread
    found = outlines.fit_ellipse(points).numpy()
    np.testing.assert_allclose(found[:4], known[:4], rtol=1e-6, atol=1e-6 * size)
    if ratio < 0.97:
        assert abs(np.sin(found[4] - known[4])) < 1e-4
    assert 0 <= found[4] <= np.pi


def test_degenerate_outlines_stay_finite():
    line = torch.linspace(0, 5, 16)[:, None] * torch.tensor((1.0, 2.0))
    branch = torch.stack((torch.linspace(-2, 2, 16), torch.linspace(-2, 2, 16).cosh()), -1)
    for points in (line, branch, torch.ones(16, 2)):
        assert torch.isfinite(outlines.fit_ellipse(points)).all()


def test_a_fit_has_the_same_bits_in_any_batch():
    g = torch.Generator().manual_seed(0)
    points = torch.stack([torch.from_numpy(outline((9, 7, 5, 3, k), 16)) for k in range(37)])
    points = (points + 0.1 * torch.randn(points.shape, generator=g)).float()
    whole = outlines.fit_ellipse(points)
    for i in range(37):
        assert torch.equal(outlines.fit_ellipse(points[i : i + 1].clone()), whole[i : i + 1])
    order = torch.randperm(37, generator=g)
    assert torch.equal(outlines.fit_ellipse(points[order]), whole[order])


@given(st.floats(-1e3, 1e3), st.floats(-1e3, 1e3))
def test_angle_is_atan2(u, v):
    if u * u + v * v < 1e-5 or (u < 0 and v == 0):
        return
    known = np.arctan2(v, u)
    assert float(angle(*torch.tensor((u, v), dtype=torch.float64))) == pytest.approx(
        known, abs=1e-9
    )


def test_mirrored_scenes_have_mirrored_labels():
    params, textures = draw(12, noise=0)
    plain, other = render(params, textures, SMALL), render(mirrored(params), textures, SMALL)
    width, flip = SMALL.width, torch.tensor((1.0, -1.0))
    close = {"atol": 2e-3, "rtol": 0}
    torch.testing.assert_close(other.gaze_head, plain.gaze_head * flip, atol=1e-6, rtol=0)
    torch.testing.assert_close(other.optical, plain.optical * flip, atol=1e-6, rtol=0)
    torch.testing.assert_close(other.centres * torch.tensor((-1, 1, 1)), plain.centres, **close)
    torch.testing.assert_close(width - other.intrinsics[:, 2], plain.intrinsics[:, 2], **close)
    torch.testing.assert_close(width - other.boxes[..., (2, 0)], plain.boxes[..., (0, 2)], **close)
    torch.testing.assert_close(other.ellipses[..., 1:4], plain.ellipses[..., 1:4], **close)
    torch.testing.assert_close(width - other.ellipses[..., 0], plain.ellipses[..., 0], **close)
    leaning = plain.ellipses[..., 3] < 0.97 * plain.ellipses[..., 2]
    turned = torch.sin(other.ellipses[..., 4] + plain.ellipses[..., 4]).abs()
    assert leaning.any() and turned[leaning].max() < 0.01


@pytest.mark.parametrize("changes", [{}, STEEP])
def test_labels_in_float32_agree_with_float64(changes):
    params, textures = draw(32, **changes)
    a, b = render(params, textures, SMALL), render(double(params), textures, SMALL)
    for name in ("gaze_head", "optical", "centres", "intrinsics", "boxes"):
        found = getattr(a, name).double()
        torch.testing.assert_close(found, getattr(b, name), atol=2e-3, rtol=1e-5)
    assert (a.ellipses - b.ellipses)[..., :4].abs().max() < 2e-3
    assert b.ellipses.dtype == torch.float64
