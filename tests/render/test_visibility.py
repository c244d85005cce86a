"""What hides a landmark: nose and brow against a ray march in float64, rims against their mask."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from oracles import frame
from scenes import LARGE, as_dict, draw, stage
from skins import face_height

from gazegan.render import camera, effects, shape
from gazegan.render.scene import render
from gazegan.schema import LANDMARKS, MASKS

SKIN = slice(LANDMARKS.index("lid_00"), LANDMARKS.index("caruncle_6") + 1)


def first_met(q, camera, px):
    """March from the camera to the face: where (u, v), how deep, and mm of clearance before."""
    head = frame(q["head_pitch"], q["head_yaw"], q["head_roll"])
    way = np.append((px - camera.centre[0].numpy()) / float(camera.focal[0]), 1.0)
    t = q["distance"] + np.arange(-60, 30, 0.02)
    x, y, z = head.T @ (np.outer(way, t) - np.array([[0], [0], [q["distance"]]]))
    u, v, h = q["side"] * x, -y, -z
    gap = h - face_height(q, u, v)
    k = int((gap <= 0).argmax())
    assert gap[k] <= 0
    return u[k], v[k], t[k], gap[: max(1, k - 100)].min()


@pytest.mark.parametrize("turn", [{"head_yaw": 42}, {"head_yaw": -42}, {"head_pitch": -40}])
def test_nose_and_brow_hide_what_a_ray_march_finds_hidden(turn):
    held = {"glasses": 0, "nose_rise": 22, "brow_ridge": 20, "fill": 0.5, "nose_slope": 0.4}
    params, textures = draw(12, **held, **turn)
    batch = render(params, textures, LARGE)
    hidden = shown = 0
    for i in range(12):
        q = as_dict(params, i)
        _, _, camera, _ = stage(params[i : i + 1], LARGE)
        for k in range(SKIN.start, SKIN.stop):
            px = batch.landmarks[i, k].double().numpy()
            if not ((px > 0) & (px < (160, 96))).all():
                continue
            _, _, t, clearance = first_met(q, camera, px)
            sunk = depth_of(params, i, k) - t
            if sunk < 0.5 and clearance > 0.1:
                assert batch.visible[i, k], (i, LANDMARKS[k], sunk)
            elif sunk > 2:
                assert not batch.visible[i, k], (i, LANDMARKS[k], sunk)
            hidden, shown = hidden + int(sunk > 2), shown + int(sunk < 0.5)
        for k in (0, *range(SKIN.stop, len(LANDMARKS))):
            px = batch.landmarks[i, k].double().numpy()
            u, v, *_ = first_met(q, camera, px)
            if u > q["canthus_inner"] + 0.5 or v > 12:
                assert not batch.visible[i, k]
                hidden += 1
    assert shown > 180 and hidden > 20


def depth_of(params, i, k):
    """Depth, mm, of a point of the skin as its (u, v) on the face has it."""
    from gazegan.render import landmarks

    p, where, camera, _ = stage(params[i : i + 1], LARGE)
    points = torch.cat((landmarks.lid_points(p, where), landmarks.caruncle_points(p, where)), -1)
    return float(points[2, 0, 0, k - SKIN.start] + camera.eye[0, 2])


def test_what_the_nose_hides_is_skin_in_the_masks():
    params, textures = draw(12, head_yaw=45, side=1, nose_rise=22, glasses=0, lash_dark=0,
        lower_line=0, noise=0)  # fmt: skip
    batch = render(params, textures, LARGE)
    seen = render(params, textures, LARGE, replace(effects.of_params(params), profile=False))
    lost = seen.masks[:, 1:5].sum(1) - batch.masks[:, 1:5].sum(1)
    assert (lost > 0.9).sum() > 100  # pixels of the eyeball that now lie behind the nose
    assert (lost < -0.9).sum() < 0.02 * (lost > 0.9).sum()
    for i in range(12):
        for k in (0, *range(25, len(LANDMARKS))):
            x, y = batch.landmarks[i, k].int().tolist()
            if 1 <= x < 159 and 1 <= y < 95 and batch.visible[i, k]:
                assert batch.masks[i, 0, y - 1 : y + 2, x - 1 : x + 2].min() < 1


def test_a_rim_hides_landmarks():
    params, textures = draw(60, glasses=1, rim_below=1, lens_drop=9, lens_half_height=10)
    worn = render(params, textures, LARGE)
    bare = render(replace(params, glasses=torch.zeros(60)), textures, LARGE)
    rim = worn.masks[:, MASKS.index("glasses")]
    hidden = 0
    for i in range(60):
        for k in range(len(LANDMARKS)):
            x, y = worn.landmarks[i, k].int().tolist()
            if not (bare.visible[i, k] and 1 <= x < 159 and 1 <= y < 95):
                continue
            around = rim[i, y - 1 : y + 2, x - 1 : x + 2]
            if around.max() == 0:
                assert worn.visible[i, k]
            if around.min() > 0.6:
                assert not worn.visible[i, k]
                hidden += 1
    assert hidden > 50 and not (worn.visible & ~bare.visible).any()


def test_eyes_that_nothing_can_hide_keep_their_bits_beside_those_in_profile():
    params, textures = draw(8, head_pitch=0)
    yaw = torch.tensor([0.0, 10, -20, 26, -27, 40, -45, 30])
    params = replace(params, head_yaw=yaw)
    together = render(params, textures, LARGE)
    assert effects.of_params(params).profile and not effects.of_params(params[:5]).profile
    apart = render(params[:5], textures[:5], LARGE)
    for name in ("image", "masks", "landmarks", "visible"):
        assert torch.equal(getattr(together[:5], name), getattr(apart, name)), name


@given(seed=st.integers(0, 2**40), span=st.floats(0, 40))
@settings(deadline=None, max_examples=25)
def test_a_batch_that_holds_heads_in_profile_says_so(seed, span):
    turned = {name: span * (torch.rand(8, generator=generator(seed, k)) - 0.5)
        for k, name in enumerate(("head_yaw", "head_pitch", "head_roll", "camera_azimuth",
            "camera_elevation", "camera_roll"))}  # fmt: skip
    params = replace(draw(8)[0], **turned)
    needs, p = effects.of_params(params), shape.per_pixel(params)
    where = camera.pose(p, needs)
    found = camera.in_profile(p, where).flatten()
    assert needs.profile or not found.any()
    for i in range(8):
        q = as_dict(params, i)
        # The camera's place is turned about the eye; the head then faces another way from it.
        at = frame(q["camera_elevation"], q["side"] * q["camera_azimuth"], 0)[:, 2]
        facing = frame(q["head_pitch"], q["head_yaw"], q["head_roll"])[:, 2]
        angle = np.degrees(np.arccos(np.clip(at @ facing, -1, 1)))
        if abs(angle - effects.PROFILE) > 0.01:
            assert bool(found[i]) == (angle > effects.PROFILE)


def generator(seed, k):
    return torch.Generator().manual_seed((seed + 7919 * k) % 2**40)
