"""Scenes: the same bits in any batch, mirror images, heads apart, labels in the image's pixels."""

from dataclasses import fields

import numpy as np
import pytest
import torch
from scenes import swapped

from gazegan.config import validate
from gazegan.errors import UserError
from gazegan.render import effects, heads
from gazegan.render.crowd import arrange, backdrop, compose, render_scenes
from gazegan.render.params import ROOM, EyeParams
from gazegan.render.prior import Recipe, load_recipe
from gazegan.render.scene import render_indices
from gazegan.schema import BOXES, LANDMARKS

SMALL = ("image.height=90", "image.width=120")


def crowd(*changes):
    return load_recipe("crowd", (*SMALL, *changes))


def assert_same(a, b):
    for field in fields(a):
        assert torch.equal(getattr(a, field.name), getattr(b, field.name)), field.name


def test_a_scene_is_the_same_alone_in_a_batch_and_with_two_threads():
    recipe = crowd()
    index = torch.tensor([3, 100_003, 0])
    batch = render_scenes(recipe, 2, index)
    assert batch.id.tolist() == index.tolist() and len(batch) == 3
    for k in range(3):
        assert_same(render_scenes(recipe, 2, index[k : k + 1]), batch[k : k + 1])
    before = torch.get_num_threads()
    try:
        torch.set_num_threads(2)
        assert_same(render_scenes(recipe, 2, index), batch)
    finally:
        torch.set_num_threads(before)
    assert not torch.equal(render_scenes(recipe, 3, index[:1]).image, batch.image[:1])


@pytest.mark.parametrize("index", [0, 4, 11])
def test_mirroring_a_scene_swaps_the_eyes_of_each_face(index):
    recipe = crowd("eyes.noise=0")
    params = arrange(recipe, 1, index)
    needs, seeds = effects.of_recipe(recipe), torch.arange(len(params.side)).int() // 2
    drop = backdrop(torch.tensor([5], dtype=torch.int32), recipe.image, torch.float32)
    image, masks = compose(params, seeds, recipe.image, needs, drop)
    other, others = compose(swapped(params), seeds, recipe.image, needs, drop.flip(-1))
    torch.testing.assert_close(other.flip(-1), image, atol=2e-3, rtol=0)
    torch.testing.assert_close(others.flip(-1), masks, atol=2e-3, rtol=0)


def test_heads_lie_apart_within_the_image_in_the_numbers_asked_for():
    recipe = crowd("scene.least=2", "scene.most=4", "eyes.distance=[1000, 2500]")
    batch = render_scenes(recipe, 0, torch.arange(12))
    faces = batch.present.sum(1) // 2
    assert batch.present.shape == (12, 8) and faces.min() >= 1 and faces.max() >= 3
    assert torch.equal(batch.present[:, ::2], batch.present[:, 1::2])
    for here, boxes in zip(batch.present[:, ::2], batch.heads, strict=True):
        assert boxes[~here].abs().sum() == 0
        x0, y0, x1, y1 = boxes[here].unbind(-1)
        assert x0.min() > -6 and y0.min() > -6 and x1.max() < 126 and y1.max() < 96
        for a in range(len(x0)):
            for b in range(a):
                across = min(x1[a], x1[b]) - max(x0[a], x0[b])
                down = min(y1[a], y1[b]) - max(y0[a], y0[b])
                assert min(across, down) < 1.5


def test_sizes_follow_the_distance():
    near, far = (
        render_scenes(crowd(f"eyes.distance={mm}", "eyes.head_roll=0"), 0, torch.arange(6)).heads
        for mm in (800, 1600)
    )
    wide = [(box[:, 0, 2] - box[:, 0, 0]).mean() for box in (near, far)]
    assert float(wide[0] / wide[1]) == pytest.approx(2, rel=0.1)


def test_masks_sum_to_one_and_show_eyes_where_the_labels_are():
    batch = render_scenes(
        load_recipe("crowd", ("eyes.glasses=0", "eyes.distance=[600, 850]")), 0, torch.arange(10)
    )
    torch.testing.assert_close(batch.masks.sum(1), torch.ones(10, 180, 240), atol=1e-6, rtol=0)
    eyeball = batch.masks[:, 1:4].sum(1)
    checked = 0
    for k in range(10):
        outside = torch.ones(180, 240, dtype=torch.bool)
        for e in batch.present[k].nonzero().flatten().tolist():
            x0, y0, x1, y1 = batch.boxes[k, e, BOXES.index("eye")].tolist()
            outside[max(0, int(y0) - 2) : int(y1) + 3, max(0, int(x0) - 2) : int(x1) + 3] = False
            x, y = batch.landmarks[k, e, LANDMARKS.index("pupil_centre")].tolist()
            if batch.visible[k, e, 0] and x1 - x0 > 9 and y1 - y0 > 3.5:
                # Lashes and glints may lie before the pupil.
                assert batch.masks[k, [2, 3, 5, 7], int(y), int(x)].sum() > 0.5
                checked += 1
        assert eyeball[k][outside].max() < 0.05
    assert checked > 8


def test_faces_of_a_scene_share_camera_and_light():
    batch = render_scenes(crowd("scene.least=3", "eyes.distance=1800"), 4, torch.arange(4))
    assert (batch.present.sum(1) > 2).any()
    for k in range(4):
        shared = batch.intrinsics[k][batch.present[k]]
        assert torch.equal(shared, shared[:1].expand_as(shared))
    params = arrange(load_recipe("crowd"), 0, 2)
    rows = {name: getattr(params, name)[::2] for name in ROOM}
    assert all(len(values.unique()) == 1 for values in rows.values())
    assert len(params.iris_pigment[::2].unique()) == len(params.side) // 2


def test_both_eyes_of_every_face_look_at_its_target():
    batch = render_scenes(crowd(), 6, torch.arange(8))
    for k, e in (batch.present[:, ::2]).nonzero().tolist():
        eyes = batch.centres[k, 2 * e : 2 * e + 2, 0].double().numpy()
        pitch, yaw = batch.gaze[k, 2 * e : 2 * e + 2].double().numpy().T
        ways = np.stack(
            (-np.cos(pitch) * np.sin(yaw), -np.sin(pitch), -np.cos(pitch) * np.cos(yaw))
        )
        # The least distance of two lines, and how far along it is from between the eyes.
        normal = np.cross(*ways.T)
        gap = abs((eyes[1] - eyes[0]) @ normal) / np.linalg.norm(normal)
        assert gap < 0.01
        along = np.linalg.lstsq(
            np.stack((ways.T[0], -ways.T[1]), -1), eyes[1] - eyes[0], rcond=None
        )
        met = eyes[0] + along[0][0] * ways.T[0] - eyes.mean(0)
        asked = float(batch.params[k, 2 * e, list(EyeParams.__dataclass_fields__).index(
            "target_distance")])  # fmt: skip
        assert np.linalg.norm(met) == pytest.approx(asked, rel=1e-3)


def test_gradients_through_a_scene_are_finite():
    recipe = crowd()
    params = arrange(recipe, 1, 0)
    flat = params.flat().requires_grad_()
    drop = backdrop(torch.tensor([5], dtype=torch.int32), recipe.image, torch.float32)
    needs, seeds = effects.of_recipe(recipe), torch.arange(len(params.side)).int() // 2
    image, masks = compose(EyeParams.from_flat(flat), seeds, recipe.image, needs, drop)
    (slope,) = torch.autograd.grad(image.square().sum() + masks[:, 3].sum(), flat)
    assert torch.isfinite(slope).all() and (slope != 0).any(0).sum() > 60


def test_head_boxes_are_tight_around_what_is_drawn(monkeypatch):
    """A head in one colour before black."""
    recipe = crowd("eyes.noise=0", "eyes.shot_noise=0", "eyes.blur=0", "scene.most=1")
    seen = []
    original = heads.bust

    def noted(sight, radiance):
        seen.append(original(sight, radiance))
        return seen[-1]

    monkeypatch.setattr(heads, "bust", noted)
    monkeypatch.setattr("gazegan.render.crowd._window", whole)
    for index in range(6):
        batch = render_scenes(recipe, 0, torch.tensor([index]))
        rows, columns = (seen[-1].covered.amax(0) > 0.5).nonzero().T
        found = torch.stack((columns.min(), rows.min(), columns.max() + 1, rows.max() + 1))
        assert (batch.heads[0, 0] - found).abs().max() < 2.5


@pytest.mark.parametrize(
    "change",
    ["shift_nasal=0.25", "shift_down=-0.3", "shift_turn=1", "camera_roll=90", "head_roll=40"],
)
def test_heads_are_drawn_where_their_boxes_are(monkeypatch, change):
    """In their part of the image as in a render of the whole of it."""
    recipe = crowd(f"eyes.{change}", "eyes.distance=[700, 2500]")
    parts = render_scenes(recipe, 0, torch.arange(4))
    monkeypatch.setattr("gazegan.render.crowd._window", whole)
    known = render_scenes(recipe, 0, torch.arange(4))
    assert torch.equal(parts.heads, known.heads)
    for k, boxes in enumerate(parts.heads):
        for x0, y0, x1, y1 in boxes[parts.present[k, ::2]].round().int().tolist():
            assert x0 > -9 and y0 > -9 and x1 < 129 and y1 < 99
            here = slice(max(0, y0), y1), slice(max(0, x0), x1)
            off = (parts.image[k] - known.image[k])[:, *here].abs()
            assert off.max() < 0.02


def whole(params, image):
    from gazegan.render.scene import Window

    return Window(0, 0, image.width, image.height)


def test_scenes_are_asked_for_by_name():
    with pytest.raises(UserError, match="makes scenes"):
        render_indices(load_recipe("crowd"), 0, torch.arange(2))
    with pytest.raises(ValueError, match="needs 'scene'"):
        render_scenes(load_recipe("webcam"), 0, torch.arange(2))
    with pytest.raises(UserError, match="add pairs = true"):
        validate(Recipe, {"image": {"framing": "scene"}}, "my.toml")
    with pytest.raises(UserError, match="swap them"):
        load_recipe("crowd", ("scene.least=5",))
