"""The camera against OpenCV's projection and scipy's rotations: lens, place, framing, labels."""

from dataclasses import replace

import cv2
import numpy as np
import pytest
import torch
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from oracles import Eye, frame
from scenes import LARGE, SMALL, as_dict, draw
from scipy.spatial.transform import Rotation

from gazegan.config import validate
from gazegan.errors import UserError
from gazegan.render import distortion, effects
from gazegan.render.params import mirrored
from gazegan.render.prior import Image, Recipe, load_recipe
from gazegan.render.scene import render, render_indices
from gazegan.schema import CENTRES, LANDMARKS

LENS = {"distortion_k1": -0.25, "distortion_k2": 0.06}
SKEW = {"distortion_p1": 0.01, "distortion_p2": -0.02}
FREE = Image(height=96, width=160, framing="free")
HEADSET = {
    **{"distance": 35, "camera_azimuth": 25, "camera_elevation": -30, "camera_roll": 12},
    **{"field_of_view": 60, "eye_x": 2, "eye_y": -1.5, "shift_nasal": 0.03, "shift_down": -0.02},
    **{"head_pitch": 2, "head_yaw": -3, "head_roll": 1, "glasses": 0},
    **{"gaze_pitch": 0, "gaze_yaw": 3, **LENS, **SKEW},
}


def matrix(intrinsics):
    fx, fy, cx, cy = intrinsics.double().tolist()
    return np.array([[fx, 0, cx], [0, fy, cy], [0, 0, 1]])


def project(batch, i, points, extrinsics=None):
    """Pixels of points in the camera's frame, or in that which `extrinsics` turns into it."""
    turn, shift = np.zeros(3), np.zeros(3)
    if extrinsics is not None:
        placed = extrinsics.double().numpy()
        turn, shift = Rotation.from_matrix(placed[:, :3]).as_rotvec(), placed[:, 3]
    lens = batch.distortion[i].double().numpy()
    found, _ = cv2.projectPoints(points, turn, shift, matrix(batch.intrinsics[i]), lens)
    return found[:, 0]


def stood(q):
    """Rotation from the recipe's frame into that of a camera moved around the eye."""
    around = Rotation.from_euler(
        "YX", [q["side"] * q["camera_azimuth"], -q["camera_elevation"]], degrees=True
    )
    return Rotation.from_euler("Z", q["camera_roll"], degrees=True) * around.inv()


def looking(angles):
    pitch, yaw = np.asarray(angles, dtype=float)
    return np.array((-np.cos(pitch) * np.sin(yaw), -np.sin(pitch), -np.cos(pitch) * np.cos(yaw)))


lenses = st.tuples(
    st.floats(-0.3, 0.3), st.floats(0, 0.1), st.floats(-0.02, 0.02), st.floats(-0.02, 0.02)
)


@given(lens=lenses, x=st.floats(-0.7, 0.7), y=st.floats(-0.7, 0.7))
@settings(deadline=None, max_examples=60)
def test_the_lens_bends_as_opencvs_does_and_back(lens, x, y):
    given_ = torch.tensor(lens, dtype=torch.float64)
    u, v = distortion.distort(*torch.tensor((x, y), dtype=torch.float64), given_)
    point = np.array([[x, y, 1.0]])
    known, _ = cv2.projectPoints(point, np.zeros(3), np.zeros(3), np.eye(3), np.array(lens))
    np.testing.assert_allclose((u, v), known[0, 0], atol=1e-12)
    back = distortion.undistort(u.float(), v.float(), given_.float())
    np.testing.assert_allclose(back, (x, y), atol=2e-6)


@pytest.mark.parametrize("image", [FREE, LARGE, LARGE.model_copy(update={"framing": "normalised"})])
@pytest.mark.parametrize("changes", [HEADSET, {**LENS, **SKEW, "eye_x": 150, "eye_y": -90}])
def test_opencv_projects_every_label_from_head_frame_to_pixels(image, changes):
    params, textures = draw(12, **changes)
    batch = render(params, textures, image)
    for i in range(12):
        q = as_dict(params, i)
        eye, head = Eye(q), frame(q["head_pitch"], q["head_yaw"], q["head_roll"])
        rim = np.vstack((eye.limbus * eye.axis, eye.limbus_points(32))) @ head
        px = project(batch, i, rim, batch.extrinsics[i])
        found = torch.cat((batch.landmarks[i, 1:2], batch.landmarks[i, -32:])).numpy()
        assert np.abs(px - found).max() < 0.01
        centres = project(batch, i, batch.centres[i].double().numpy())
        assert np.abs(centres[CENTRES.index("iris")] - found[0]).max() < 0.01


def test_rays_through_the_pupils_landmarks_land_on_it_also_near_the_eye():
    params, textures = draw(12, **{**HEADSET, "kappa_horizontal": 4})
    batch = render(params, textures, FREE)
    for i in range(12):
        q = as_dict(params, i)
        eye, back = Eye(q), stood(q).inv()
        px = batch.landmarks[i, :1].double().numpy()
        lens = batch.distortion[i].double().numpy()
        (slope,) = cv2.undistortPoints(px, matrix(batch.intrinsics[i]), lens)[0]
        start = -back.apply([q["eye_x"], q["eye_y"], q["distance"]])
        landed = eye.landing_from(start, back.apply([*slope, 1.0]), cone=False)
        # 1 px is 0.2 mm here; OpenCV straightens rays to a few thousandths of a pixel.
        np.testing.assert_allclose(landed, (q["pupil_nasal"], q["pupil_up"]), atol=0.004)


def test_pixels_bend_with_the_labels():
    """A distorted render is the straight one, warped by OpenCV."""
    held = {"field_of_view": 50, "distance": 45, "noise": 0, "glasses": 0, "blur": 0}
    held |= {"lash_dark": 0, "lower_line": 0, "glint": 0, "fill_glint": 0}  # finer than a pixel
    params, textures = draw(4, **held, shift_nasal=0, shift_down=0)
    bent, _ = draw(4, **held, **LENS, **SKEW, shift_nasal=0, shift_down=0)
    wide = Image(height=960, width=1600, framing="free")
    straight, found = render(params, textures, wide), render(bent, textures, FREE)
    y, x = np.mgrid[:96, :160] + 0.5
    for i in range(4):
        px = np.stack((x.ravel(), y.ravel()), -1)
        lens = found.distortion[i].double().numpy()
        slopes = cv2.undistortPoints(px, matrix(found.intrinsics[i]), lens)[:, 0]
        fx, fy, cx, cy = straight.intrinsics[i].tolist()
        at = (slopes * (fx, fy) + (cx, cy) - 0.5).astype(np.float32).reshape(96, 160, 2)
        planes = cv2.blur(straight.masks[i].permute(1, 2, 0).numpy(), (10, 10))
        known = cv2.remap(planes, at, None, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)
        off = np.abs(known.transpose(2, 0, 1) - found.masks[i].numpy())
        assert off.mean() < 2e-3 and (off > 0.3).mean() < 1e-3


@pytest.mark.parametrize("side", [-1, 1])
def test_a_camera_elsewhere_sees_gaze_and_head_turned_and_the_head_the_same_gaze(side):
    params, textures = draw(12, camera_azimuth=30, camera_elevation=-25, camera_roll=20, side=side)
    ahead, _ = draw(12, side=side)
    batch, plain = render(params, textures, SMALL), render(ahead, textures, SMALL)
    torch.testing.assert_close(batch.gaze_head, plain.gaze_head, atol=2e-6, rtol=0)
    for i in range(12):
        turn = stood(as_dict(params, i))
        for name in ("gaze", "head", "optical"):
            known = turn.apply(looking(getattr(plain, name)[i]))
            np.testing.assert_allclose(looking(getattr(batch, name)[i]), known, atol=2e-6)
        placed = turn.as_matrix() @ plain.extrinsics[i, :, :3].double().numpy()
        np.testing.assert_allclose(batch.extrinsics[i, :, :3], placed, atol=2e-6)
    torch.testing.assert_close(batch.extrinsics[:, :, 3], batch.centres[:, 0])


@pytest.mark.parametrize("name", ["webcam", "portrait"])
@pytest.mark.parametrize("roll", [90, -37])
def test_a_rolled_camera_shows_eyes_as_large_as_a_level_one(name, roll):
    lens = "eyes.distortion_k1=0"  # bends what lies elsewhere in the image otherwise
    level, rolled = (
        render_indices(load_recipe(name, (lens, f"eyes.camera_roll={turn}")), 0, torch.arange(8))
        for turn in (0, roll)
    )
    torch.testing.assert_close(rolled.intrinsics[:, :2], level.intrinsics[:, :2], rtol=1e-4, atol=0)


@pytest.mark.parametrize("side", [-1, 1])
def test_a_camera_below_the_temple_sees_the_head_face_up_and_toward_the_nose(side):
    params, textures = draw(1, side=side, head_pitch=0, head_yaw=0, camera_azimuth=20)
    assert side * float(render(params, textures, SMALL).head[0, 1]) < -0.3  # image left is +
    params, textures = draw(1, side=side, head_pitch=0, head_yaw=0, camera_elevation=-20)
    assert float(render(params, textures, SMALL).head[0, 0]) > 0.3


@given(
    seed=st.integers(0, 2**40),
    image=st.sampled_from([FREE, SMALL]),
    place=st.tuples(st.floats(-40, 40), st.floats(-40, 40), st.floats(-90, 90)),
    offset=st.tuples(st.floats(-5, 5), st.floats(-5, 5)),
)
@settings(deadline=None, max_examples=10)
def test_mirrored_cameras_see_the_mirror_image(seed, image, place, offset):
    held = dict(zip(("camera_azimuth", "camera_elevation", "camera_roll"), place, strict=True))
    at = dict(zip(("eye_x", "eye_y"), offset, strict=True))
    params, textures = draw(3, seed=seed, noise=0, distance=60, **held, **at, **LENS, **SKEW)
    plain, other = render(params, textures, image), render(mirrored(params), textures, image)
    flipped = torch.stack((image.width - other.landmarks[..., 0], other.landmarks[..., 1]), -1)
    close = (plain.landmarks.abs() < 1e3).all(-1)
    torch.testing.assert_close(flipped[close], plain.landmarks[close], atol=5e-3, rtol=0)
    torch.testing.assert_close(other.gaze * torch.tensor([1, -1]), plain.gaze, atol=1e-6, rtol=0)
    torch.testing.assert_close(other.masks.flip(-1), plain.masks, atol=2e-3, rtol=0)
    flip = torch.tensor((1.0, 1.0, 1.0, -1.0))
    assert torch.equal(other.distortion * flip, plain.distortion)


@pytest.mark.parametrize("framing", ["free", "landmarks", "normalised"])
def test_an_image_of_twice_the_size_shows_the_same_at_twice_the_pixels(framing):
    params, textures = draw(6, **HEADSET)
    small, large = (
        render(params, textures, Image(height=36 * k, width=60 * k, framing=framing)).landmarks
        for k in (1, 2)
    )
    torch.testing.assert_close(2 * small, large, atol=1e-2, rtol=1e-4)


def test_free_framing_has_the_field_of_view_asked_for():
    params, textures = draw(4, field_of_view=90, shift_nasal=0.1, shift_down=-0.05, side=1)
    found = render(params, textures, FREE).intrinsics
    known = torch.tensor((80.0, 80.0, 80 + 16, 48 - 8)).expand(4, 4)
    torch.testing.assert_close(found, known)


@pytest.mark.parametrize("distance", [300, 600, 1500])
def test_normalised_images_have_the_scale_of_mpiigaze_at_any_distance(distance):
    image = Image(height=36, width=60, framing="normalised")
    params, textures = draw(5, distance=distance)
    focal = render(params, textures, image).intrinsics[:, 0]
    torch.testing.assert_close(focal / distance, torch.full((5,), 960 / 600))


def test_the_middle_of_normalised_images_is_that_of_the_canthi():
    params, textures = draw(5, shift_nasal=0, shift_down=0, head_roll=0)
    points = render(params, textures, Image(framing="normalised")).landmarks
    canthi = points[:, [LANDMARKS.index("lid_00"), LANDMARKS.index("lid_08")]]
    torch.testing.assert_close(canthi.mean(1), torch.tensor((30.0, 18.0)).expand(5, 2))


def test_passes_that_are_not_needed_change_no_bit():
    """Eyes seen from straight ahead without a lens, beside one that is not."""
    params, textures = draw(4)
    alone = render(params, textures, SMALL)
    more = replace(effects.of_params(params), stand=True, distortion=True)
    beside = render(params, textures, SMALL, more)
    for name in ("image", "masks", "landmarks", "gaze", "optical", "head", "extrinsics"):
        assert torch.equal(getattr(beside, name), getattr(alone, name)), name


def test_a_recipes_effects_cover_those_of_its_eyes():
    plain = effects.of_recipe(load_recipe("webcam"))
    assert not plain.stand and not plain.distortion
    moved = load_recipe("webcam", ("eyes.camera_roll=[0, 5]", "eyes.distortion_k2=[0, 0.1]"))
    needs = effects.of_recipe(moved)
    assert needs.stand and needs.distortion
    assert effects.of_params(draw(64, moved)[0]) == needs


@given(
    lens=st.tuples(*[st.floats(-0.5, 0.5)] * 2, *[st.floats(-0.05, 0.05)] * 2),
    reach=st.floats(0.2, 3),
    turn=st.floats(0, 2 * np.pi),
    share=st.floats(0, 1),
)
@settings(deadline=None, max_examples=200)
def test_lenses_that_are_not_refused_can_be_followed_back_everywhere(lens, reach, turn, share):
    assume(distortion.straightens([(k, k) for k in lens], reach))
    x, y = share * reach * np.cos(turn), share * reach * np.sin(turn)
    back = distortion.undistort(*torch.tensor((x, y), dtype=torch.float64), torch.tensor(lens))
    known, _ = cv2.projectPoints(
        np.array([[*back, 1.0]]), np.zeros(3), np.zeros(3), np.eye(3), np.array(lens)
    )
    np.testing.assert_allclose(known[0, 0], (x, y), atol=3e-4 * reach)


def test_the_same_bits_in_any_batch():
    held = tuple(f"eyes.{name}={value}" for name, value in HEADSET.items())
    spread = ("eyes.camera_azimuth=[0, 30]", "eyes.distortion_k1={choice=[-0.2, 0]}")
    recipe = load_recipe("webcam", ("image.framing=free", *held, *spread))
    batch = render_indices(recipe, 1, torch.arange(20))
    for i in (0, 7, 19):
        one = render_indices(recipe, 1, torch.tensor([i]))
        for name in ("image", "landmarks", "ellipses", "gaze", "extrinsics", "distortion"):
            assert torch.equal(getattr(one, name)[0], getattr(batch, name)[i]), name


@pytest.mark.parametrize(
    "eyes",
    [
        {"distortion_k1": -0.5, "field_of_view": 100},
        {"distortion_k2": [-0.5, 0], "field_of_view": 90},
        {"distortion_k1": -0.2, "field_of_view": [30, 120]},
        {"distortion_p1": 0.05, "distortion_p2": 0.05, "field_of_view": 120},
        {"distortion_k1": 0.5, "distortion_k2": -0.23, "field_of_view": 92},
    ],
)
def test_a_lens_that_folds_the_image_is_refused(eyes):
    with pytest.raises(UserError, match="fold the image over, or nearly; bring them nearer to 0"):
        validate(Recipe, {"image": {"framing": "free"}, "eyes": eyes}, "my.toml")
    validate(Recipe, {"eyes": eyes}, "my.toml")  # a crop around an eye on the axis shows none of it
