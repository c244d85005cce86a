"""Both eyes of a face: their axes meet in the target, and they are mirror images of each other."""

import numpy as np
import pytest
import torch
from oracles import frame
from scenes import LARGE, SMALL
from scipy.optimize import least_squares

from gazegan import rng
from gazegan.config import validate
from gazegan.errors import UserError
from gazegan.render.params import MIRRORED, PARAM_NAMES, mirrored
from gazegan.render.prior import Recipe, load_recipe, sample
from gazegan.render.scene import render, render_indices
from gazegan.schema import SIDES, check_batch

WIDE = ("pairs=true", "eyes.gaze_yaw=[-40,40]", "eyes.head_yaw=[-30,30]", "eyes.head_roll=[-20,20]")


def looking(pitch, yaw):
    return -frame(np.rad2deg(pitch), np.rad2deg(yaw), 0)[:, 2]


def test_both_visual_axes_meet_in_the_target():
    recipe, index = load_recipe("webcam", WIDE), torch.arange(80)
    params = sample(recipe, 3, index)
    batch = render(params, rng.bits(index, 3), SMALL)
    alone = sample(load_recipe("webcam", WIDE[1:]), 3, torch.arange(40))
    for k in range(40):
        eyes = np.array([(-0.5, 0, 0), (0.5, 0, 0)]) * float(params.ipd[2 * k])
        axes = [looking(*angles) for angles in batch.gaze_head[2 * k : 2 * k + 2].double().tolist()]

        def misses(point, eyes=eyes, axes=axes):
            return np.concatenate(
                [np.cross(point - eye, axis) for eye, axis in zip(eyes, axes, strict=True)]
            )

        met = least_squares(misses, [0, 0, -500.0], xtol=1e-15, ftol=1e-15, gtol=1e-15)
        assert np.abs(met.fun).max() < 1e-3
        # The same target in the camera's axes: on the cyclopean gaze, as far as the recipe says.
        q = {name: float(getattr(alone, name)[k]) for name in PARAM_NAMES}
        head = frame(q["head_pitch"], q["head_yaw"], q["head_roll"])
        gaze = looking(np.deg2rad(q["gaze_pitch"]), np.deg2rad(q["gaze_yaw"]))
        known = head.T @ gaze * q["target_distance"]
        # Along the axes, which differ by few degrees, float32's rounding weighs more.
        np.testing.assert_allclose(met.x, known, atol=0.02)
        for eye, axis in zip(eyes, axes, strict=True):
            assert np.linalg.norm(np.cross(known - eye, axis)) < 1e-3


def test_a_target_straight_ahead_turns_both_eyes_inward():
    recipe = load_recipe("webcam", ("pairs=true", "eyes.gaze_pitch=0", "eyes.gaze_yaw=0",
        "eyes.head_pitch=0", "eyes.head_yaw=0", "eyes.head_roll=0", "eyes.ipd=60",
        "eyes.target_distance=300"))  # fmt: skip
    drawn = sample(recipe, 0, torch.arange(4))
    inward = np.rad2deg(np.arctan2(30, 300))
    np.testing.assert_allclose(drawn.gaze_yaw, [-inward, inward, -inward, inward], rtol=1e-6)
    np.testing.assert_allclose(drawn.gaze_pitch, 0, atol=1e-6)
    assert drawn.side.tolist() == [1, -1, 1, -1]


def test_the_eyes_of_a_face_share_all_but_side_and_gaze():
    drawn = sample(load_recipe("webcam", WIDE), 0, torch.arange(60)).flat()
    right, left = drawn[::2], drawn[1::2]
    differs = {PARAM_NAMES[j] for j in (right != left).any(0).nonzero().flatten().tolist()}
    assert differs == {"side", "gaze_pitch", "gaze_yaw"}
    assert len(right.unique(dim=0)) == 30


def test_an_eye_of_a_pair_is_the_same_in_any_batch():
    recipe = load_recipe("webcam", WIDE)
    index = torch.tensor([5, 1_000_003, 4, 0, 12])
    batch = render_indices(recipe, 9, index)
    check_batch(batch)
    assert [SIDES[s] for s in batch.side.tolist()] == ["R", "R", "L", "L", "L"]
    for k in range(5):
        alone = render_indices(recipe, 9, index[k : k + 1])
        assert torch.equal(alone.image[0], batch.image[k])
        assert torch.equal(alone.params[0], batch.params[k])


def test_right_and_left_eye_of_a_face_straight_ahead_are_mirror_images():
    level = [f"eyes.{name}=0" for name in MIRRORED if name not in ("side", "torsion")]
    recipe = load_recipe("webcam", ("pairs=true", "eyes.noise=0", *level))
    index = torch.arange(12)
    params, textures = sample(recipe, 1, index), rng.bits(index // 2, 1)
    right, left = params[::2], params[1::2]
    torch.testing.assert_close(mirrored(right).flat(), left.flat(), atol=1e-5, rtol=0)
    images = render(params, textures, LARGE).image
    torch.testing.assert_close(images[::2].flip(-1), images[1::2], atol=5e-4, rtol=0)


def test_pairs_need_both_sides():
    with pytest.raises(UserError, match=r"pairs have an eye on either side; leave eyes.side out"):
        validate(Recipe, {"pairs": True, "eyes": {"side": 1}}, "my.toml")
