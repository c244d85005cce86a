"""Strips: both eyes of a face, seen by one camera; halves that meet without a seam."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from hypothesis import example, given, settings
from hypothesis import strategies as st
from scenes import swapped
from scipy.optimize import least_squares

from gazegan.config import validate
from gazegan.errors import UserError
from gazegan.render import effects, faces
from gazegan.render.params import PARAM_NAMES, EyeParams
from gazegan.render.prior import Recipe, load_recipe, sample
from gazegan.render.scene import look, render, render_indices
from gazegan.schema import LANDMARKS, check_batch

NAMES = ("image", "masks", "depth", "normals", "landmarks", "visible", "boxes", "params")
CAMERA = ("eyes.camera_azimuth=[-25, 25]", "eyes.camera_elevation=[-20, 20]",
    "eyes.eye_x=[-80, 80]", "eyes.eye_y=[-50, 50]", "eyes.distortion_k1=-0.2")  # fmt: skip


def portrait(*changes, size=(24, 72)):
    sides = (f"image.height={size[0]}", f"image.width={size[1]}")
    return load_recipe("portrait", (*sides, *changes))


def drawn(recipe, seed, count, **constants):
    index = torch.arange(count)
    params = sample(recipe, seed, index)
    held = {name: torch.full((count,), float(value)) for name, value in constants.items()}
    return replace(params, **held), (index // 2).to(torch.int32)


def test_a_strip_is_the_same_alone_in_a_batch_and_shuffled():
    recipe = portrait("image.depth=true", *CAMERA)
    index = torch.tensor([7, 6, 0, 100_001, 3, 14])
    batch = render_indices(recipe, 5, index)
    check_batch(batch)
    assert batch.id.tolist() == index.tolist()
    assert batch.side.tolist() == [1, 0, 0, 1, 1, 0]
    for k in range(6):
        alone = render_indices(recipe, 5, index[k : k + 1])
        for name in NAMES:
            assert torch.equal(getattr(alone, name)[0], getattr(batch, name)[k]), name
    # Both eyes of a face share image and camera, not labels.
    assert torch.equal(batch.image[0], batch.image[1])
    assert torch.equal(batch.masks[0], batch.masks[1])
    assert torch.equal(batch.intrinsics[0], batch.intrinsics[1])
    assert not torch.equal(batch.landmarks[0], batch.landmarks[1])


@given(seed=st.integers(0, 2**40), turn=st.floats(-25, 25))
@example(seed=6959, turn=-22.953744949063758)  # the paint of a lid ended in an edge beside the nose
@settings(deadline=None, max_examples=8)
def test_mirroring_a_strip_swaps_the_eyes(seed, turn):
    recipe = portrait(*CAMERA)
    params, textures = drawn(recipe, seed, 4, noise=0, head_yaw=turn)
    plain = render(params, textures, recipe.image)
    other = render(swapped(params), textures, recipe.image)
    order = torch.tensor([1, 0, 3, 2])
    torch.testing.assert_close(other.image.flip(-1), plain.image, atol=5e-4, rtol=0)
    torch.testing.assert_close(other.masks.flip(-1), plain.masks, atol=1e-3, rtol=0)
    flipped = torch.stack((72 - other.landmarks[..., 0], other.landmarks[..., 1]), -1)
    torch.testing.assert_close(flipped[order], plain.landmarks, atol=2e-3, rtol=0)
    torch.testing.assert_close(
        other.gaze[order] * torch.tensor([1, -1]), plain.gaze, atol=1e-6, rtol=0
    )


def test_the_halves_agree_where_they_meet(monkeypatch):
    """Each eye's own render of the whole image, near the middle of the face."""
    recipe = portrait("image.depth=true", size=(60, 180))
    params, textures = drawn(
        recipe, 2, 24, noise=0, blur=0, head_pitch=0, glasses=0, skin_texture=0.08
    )
    sight = look(params, textures, recipe.image, effects.of_params(params))
    share = faces.right_share(sight)
    right, left = sight.face.point[:, 0::2], sight.face.point[:, 1::2]
    apart = (sight.view.eye[0::2] - sight.view.eye[1::2]).T[:, :, None, None]
    near = (sight.face.u[0::2] - 0.5 * params.ipd[0::2, None, None]).abs() < 4
    assert near.sum() > 1000 and ((share > 0) & (share < 1) & ~near).sum() == 0
    off = (right + apart - left).norm(dim=0)
    assert off[near].max() < 1e-3  # mm
    halves = []
    for whole in (torch.ones_like(share), torch.zeros_like(share)):
        monkeypatch.setattr(faces, "right_share", lambda s, whole=whole: whole)
        halves.append(render(params, textures, recipe.image).image[0::2])
    step = (halves[0] - halves[1]).abs().mean(1)
    middle = (share > 0) & (share < 1)
    # Half a pixel apart, in texture of one grain: no edge runs down the face.
    assert step[middle].max() < 8 / 255 and step[middle].mean() < 1 / 255


def test_both_axes_meet_in_the_target_in_the_camera_frame():
    recipe = portrait(*CAMERA)
    params, textures = drawn(recipe, 3, 24)
    batch = render(params, textures, recipe.image)
    eyes = batch.centres[:, 0].double().numpy().reshape(-1, 2, 3)
    pitch, yaw = batch.gaze.double().numpy().T
    axes = np.stack(
        (-np.cos(pitch) * np.sin(yaw), -np.sin(pitch), -np.cos(pitch) * np.cos(yaw)), -1
    )
    for k, (pair, ways) in enumerate(zip(eyes, axes.reshape(-1, 2, 3), strict=True)):

        def misses(point, pair=pair, ways=ways):
            return np.cross(point - pair, ways).ravel()

        met = least_squares(misses, pair.mean(0) + 500 * ways[0], xtol=1e-15, ftol=1e-15)
        assert np.abs(met.fun).max() < 2e-3
        reach = np.linalg.norm(met.x - pair.mean(0))
        assert reach == pytest.approx(float(params.target_distance[2 * k]), rel=2e-4)
        assert np.linalg.norm(pair[0] - pair[1]) == pytest.approx(float(params.ipd[2 * k]), 1e-5)
        placed = [float(getattr(params, name)[2 * k]) for name in ("eye_x", "eye_y", "distance")]
        np.testing.assert_allclose(pair.mean(0), placed, atol=1e-3)


def test_strips_are_centred_on_the_lids_of_both_eyes():
    recipe = portrait("eyes.shift_nasal=0", "eyes.shift_down=0", "eyes.fill=0.7",
        "eyes.head_roll=0")  # fmt: skip
    points = render_indices(recipe, 0, torch.arange(20)).landmarks
    outer = points[:, LANDMARKS.index("lid_08")]
    torch.testing.assert_close(outer[1::2, 0] - outer[0::2, 0], torch.full((10,), 0.7 * 72))
    lids = points[:, 2:18].unflatten(0, (-1, 2)).mean((1, 2))
    assert (lids - torch.tensor((36.0, 12.0))).abs().max() < 2.5


def test_masks_of_a_strip_hold_both_eyes():
    recipe = portrait("eyes.glasses=0", size=(48, 144))
    batch = render_indices(recipe, 1, torch.arange(40))
    torch.testing.assert_close(batch.masks.sum(1), torch.ones(40, 48, 144), atol=1e-6, rtol=0)
    iris = batch.masks[:, 2:4].sum(1) > 0.9
    checked = 0
    for mask, box in zip(iris, batch.boxes[:, 1], strict=True):
        x0, y0, x1, y1 = box.round().int().clamp(0, 144).tolist()
        if (x1 - x0) * (y1 - y0) > 40:
            assert mask[y0:y1, x0:x1].any()
            checked += 1
    assert checked > 30


def test_strips_need_pairs():
    with pytest.raises(UserError, match=r"shows both eyes of a face; add pairs = true"):
        validate(Recipe, {"image": {"framing": "strip"}}, "my.toml")


def test_gradients_through_a_strip_are_finite_and_reach_both_eyes():
    recipe = portrait("eyes.camera_elevation=[2, 5]", "eyes.head_yaw=[-40, 40]")
    params, textures = drawn(recipe, 3, 12)
    flat = params.flat().requires_grad_()
    batch = render(EyeParams.from_flat(flat), textures, recipe.image)
    (slope,) = torch.autograd.grad(batch.image[0::2].square().sum(), flat, retain_graph=True)
    assert torch.isfinite(slope).all()
    for name in ("gaze_yaw", "pupil_radius", "upper_lid", "ipd"):
        column = slope[:, PARAM_NAMES.index(name)].unflatten(0, (-1, 2))
        assert (column != 0).any(0).all(), name
    (slope,) = torch.autograd.grad(batch.landmarks.sum() + batch.boxes.sum(), flat)
    assert torch.isfinite(slope).all()
