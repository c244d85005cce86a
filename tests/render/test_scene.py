"""Whole renders: the same bits in any batch, mirror images, masks, float32 against float64."""

from dataclasses import fields, replace

import cv2
import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from scenes import LARGE, SMALL, double, draw, stage

from gazegan.render import effects, hair, paint, sight
from gazegan.render.params import mirrored
from gazegan.render.prior import Image, load_recipe
from gazegan.render.scene import expose, look, render, render_indices
from gazegan.schema import LANDMARKS, MASKS, SIDES, check_batch


@pytest.fixture
def threads():
    before = torch.get_num_threads()
    yield torch.set_num_threads
    torch.set_num_threads(before)


def assert_same(a, b):
    for field in fields(a):
        left, right = getattr(a, field.name), getattr(b, field.name)
        assert (left is None) == (right is None), field.name
        assert left is None or torch.equal(left, right), field.name


def recipe_of(height, width, channels, name="webcam"):
    sizes = (f"image.height={height}", f"image.width={width}", f"image.channels={channels}")
    return load_recipe(name, sizes)


@pytest.mark.parametrize("size", [(36, 60, 1), (17, 23, 3)])
def test_same_bits_alone_in_a_batch_and_shuffled(size):
    recipe = recipe_of(*size)
    index = torch.arange(40)
    batch = render_indices(recipe, 3, index)
    check_batch(batch)
    for i in (0, 11, 39):
        assert_same(render_indices(recipe, 3, index[i : i + 1]), batch[i : i + 1])
    order = torch.randperm(40, generator=torch.Generator().manual_seed(0))
    assert_same(render_indices(recipe, 3, order), batch[order])


@pytest.mark.parametrize("size", [(96, 160, 1), (61, 83, 3)])
def test_same_bits_with_one_and_two_threads(size, threads):
    recipe = recipe_of(*size, "standin")
    threads(1)
    one = render_indices(recipe, 0, torch.arange(5))
    threads(2)
    assert_same(render_indices(recipe, 0, torch.arange(5)), one)


def test_seed_and_index_matter():
    recipe = load_recipe("webcam")
    a, b = (render_indices(recipe, seed, torch.arange(3)).image for seed in (0, 1))
    assert not torch.equal(a, b) and not torch.equal(a[0], a[1])


@given(
    name=st.sampled_from(["webcam", "columbia", "studio", "standin"]),
    seed=st.integers(0, 2**40),
    turn=st.floats(-35, 35),
)
@settings(deadline=None, max_examples=20)
def test_mirrored_parameters_give_the_mirror_image(name, seed, turn):
    params, textures = draw(4, name, seed, noise=0, head_yaw=turn, torsion=turn / 4)
    plain, other = render(params, textures, SMALL), render(mirrored(params), textures, SMALL)
    # Rounding only: steep texture turns 1e-6 of a millimetre into at most 1e-4 of full scale.
    torch.testing.assert_close(other.image.flip(-1), plain.image, atol=2e-4, rtol=0)
    torch.testing.assert_close(other.masks.flip(-1), plain.masks, atol=1e-4, rtol=0)
    flipped = torch.stack((SMALL.width - other.landmarks[..., 0], other.landmarks[..., 1]), -1)
    torch.testing.assert_close(flipped, plain.landmarks, atol=1e-3, rtol=0)
    assert torch.equal(other.gaze, plain.gaze * torch.tensor([1, -1]))
    assert torch.equal(other.head, plain.head * torch.tensor([1, -1]))
    assert torch.equal(other.side, 1 - plain.side)
    assert (other.visible != plain.visible).sum() <= 1  # a point on the very edge may tip


@pytest.mark.parametrize("name", ["webcam", "columbia", "studio", "standin"])
def test_masks_share_every_pixel(name):
    batch = render_indices(load_recipe(name), 1, torch.arange(64))
    assert batch.masks.shape[1] == len(MASKS) and batch.landmarks.shape[1] == len(LANDMARKS)
    assert batch.masks.min() >= 0 and batch.masks.max() <= 1
    torch.testing.assert_close(batch.masks.sum(1), torch.ones(64, 36, 60), atol=1e-6, rtol=0)


@pytest.mark.parametrize("upper", [-3.0, 1.0, 4.0])
def test_no_more_of_an_eye_is_shown_than_its_lids_leave_open(upper):
    """Narrow slits, which share their pixels with both lids."""
    params, textures = draw(64, upper_lid=upper)
    image, needs = Image(), effects.of_params(params)
    opened = paint.opening(look(params, textures, image, needs).lids)
    masks = expose(params, textures, image, needs).masks
    eye = masks[:, [MASKS.index(name) for name in ("sclera", "iris", "pupil", "glint")]].sum(1)
    assert (eye - opened).max() < 1e-6
    assert ((eye > 0) & (opened < 1)).any()


BARE = {"lash_dark": 0, "lower_line": 0, "glint": 0, "fill_glint": 0}
"""Neither lashes nor glints."""


def wide_open(count=24, **constants):
    """Eyes whose lids are clear of iris and pupil, the head upright."""
    held = {"head_roll": 0, "head_yaw": 0, "head_pitch": 0, "glasses": 0, "noise": 0}
    lids = {
        "upper_lid": 13,
        "lower_lid": 8,
        "canthus_drop": 1,
        "fill": 0.7,
        "waterline": 0,
        "caruncle": 0,
    }
    return draw(count, **{**held, **lids, **BARE, **constants})


def test_pupil_mask_is_centred_on_the_pupil_landmark():
    params, textures = wide_open()
    batch = render(params, textures, LARGE)
    pupil = batch.masks[:, 3]
    x, y = torch.arange(160) + 0.5, torch.arange(96) + 0.5
    total = pupil.sum((1, 2))
    centroid = torch.stack(((pupil * x).sum((1, 2)), (pupil * y[:, None]).sum((1, 2))), -1)
    away = (centroid / total[:, None] - batch.landmarks[:, 0]).norm(dim=-1)
    assert batch.visible[:, 0].all() and total.min() > 20
    assert away.max() < 0.3


def test_iris_mask_fills_the_limbus_ellipse_and_no_more():
    params, textures = wide_open()
    batch = render(params, textures, LARGE)
    whole = batch.visible[:, -32:].all(1)
    assert whole.sum() > 12
    for masks, points in zip(batch.masks[whole], batch.landmarks[whole, -32:], strict=True):
        outline = points.numpy().astype(np.float32)[:, None]
        eye = (masks[2] + masks[3]).numpy()
        for y, x in zip(*np.nonzero(eye), strict=True):
            assert cv2.pointPolygonTest(outline, (x + 0.5, y + 0.5), True) > -1.0
        area = cv2.contourArea(outline) / (np.sin(2 * np.pi / 32) / (2 * np.pi / 32))
        assert eye.sum() == pytest.approx(area, rel=0.01)


def test_lid_landmarks_lie_on_the_edge_of_the_skin_mask():
    params, textures = draw(
        24, head_roll=0, head_yaw=0, head_pitch=0, waterline=0, fill=0.75, glasses=0, **BARE
    )
    batch = render(params, textures, LARGE)
    _, _, camera, _ = stage(params, LARGE)
    # The mask begins 0.15 mm below the upper margin; half a pixel is its resolution.
    allowed = 0.15 * camera.focal / camera.distance + 0.5
    for i, k in ((i, k) for i in range(24) for k in (2, 3, 4, 5, 6, 10, 11, 12, 13, 14)):
        x, y = batch.landmarks[i, LANDMARKS.index(f"lid_{k:02d}")].tolist()
        if not (1 < x < 159 and 3 < y < 93):
            continue
        lid = batch.masks[i, 0] + batch.masks[i, MASKS.index("caruncle")]
        column = lid[:, int(x)].numpy() - 0.5
        rows = np.nonzero(column[:-1] * column[1:] <= 0)[0]
        crossings = rows + 0.5 + column[rows] / (column[rows] - column[rows + 1])
        slope = 1.0  # a landmark lies up to half a pixel beside its column
        assert np.abs(crossings - y).min() < allowed[i] + 0.5 * slope


def test_float32_agrees_with_float64():
    params, textures = draw(32, noise=0)
    image = Image(height=36, width=60, channels=3)
    a, b = render(params, textures, image), render(double(params), textures, image)
    assert b.image.dtype == b.masks.dtype == b.landmarks.dtype == torch.float64
    assert (a.image - b.image).abs().mean() < 1e-5
    assert (a.image - b.image).abs().max() < 1e-2
    assert (a.masks - b.masks).abs().max() < 1e-3
    assert (a.landmarks - b.landmarks).abs().max() < 2e-3


def test_labels_repeat_the_parameters():
    params, textures = draw(20)
    batch = render(params, textures, SMALL)
    assert torch.equal(batch.params, params.flat())
    torch.testing.assert_close(torch.rad2deg(batch.gaze[:, 0]), params.gaze_pitch)
    torch.testing.assert_close(torch.rad2deg(batch.head[:, 1]), params.head_yaw)
    left = batch.side == SIDES.index("L")
    assert torch.equal(left, params.side > 0) and left.any() and not left.all()
    # The caruncle lies toward the nose: right of the middle for the eye at the image's left.
    upright = replace(params, head_yaw=torch.zeros(20), head_roll=torch.zeros(20))
    points = render(upright, textures, SMALL).landmarks
    inner, outer = points[:, LANDMARKS.index("lid_00"), 0], points[:, LANDMARKS.index("lid_08"), 0]
    assert torch.equal(inner > outer, left)


def test_a_closed_eye_shows_no_eyeball():
    params, textures = draw(8, upper_lid=0, lower_lid=-1, upper_follow=0, lower_follow=0)
    batch = render(params, textures, SMALL)
    eyeball = [MASKS.index(name) for name in ("sclera", "iris", "pupil", "glint")]
    assert batch.masks[:, eyeball].sum() < 1 and not batch.visible[:, 0].any()


@pytest.mark.parametrize(
    ("held", "least"), [(BARE, [0.98] * 4 + [0.9]), ({}, [0.97] * 4 + [0.9, 0.85, 0.97, 0.7])]
)
def test_masks_agree_with_supersampling(held, least):
    """Intersection over union of each class; glints widen with the pixels that must show them."""
    params, textures = draw(32, noise=0, **held)
    coarse, fine = Image(height=36, width=60), Image(height=36 * 6, width=60 * 6)
    found = render(params, textures, coarse).masks
    known = torch.nn.functional.avg_pool2d(render(params, textures, fine).masks, 6)
    shared = torch.minimum(found, known).sum((0, 2, 3)) / torch.maximum(found, known).sum((0, 2, 3))
    assert (shared[: len(least)] > torch.tensor(least)).all()
    assert (found - known).abs().mean() < 4e-3


@pytest.mark.parametrize("recipe", ["webcam", "hard"])
def test_what_is_left_unpainted_has_no_share_in_the_image(recipe, monkeypatch):
    """Lashes, brow and what lies between the lids are painted in a part of the images only."""

    def whole(shown):
        return sight.Part(0, shown.shape[-2], 0, shown.shape[-1], *shown.shape[-2:])

    size = ["image.height=72", "image.width=120", "image.channels=3"]
    drawn = load_recipe(recipe, size)
    parts = render_indices(drawn, 4, torch.arange(12))
    for module in (paint, hair):
        monkeypatch.setattr(module, "around", whole)
    alike = render_indices(drawn, 4, torch.arange(12))
    assert torch.equal(parts.image, alike.image)
    assert torch.equal(parts.masks, alike.masks)


def test_paint_on_a_lid_ends_at_its_canthi():
    params, textures = draw(6, noise=0, jpeg=0, head_yaw=0, head_roll=0, glasses=0, fill=0.5)
    bare, made_up = (
        render(replace(params, eyeshadow=torch.full((6,), value)), textures, LARGE)
        for value in (0.0, 1.0)
    )
    moved = (bare.image - made_up.image).abs()[:, 0]
    assert moved.amax((1, 2)).min() > 0.02
    x = torch.arange(160) + 0.5
    for eye, known in zip(moved, bare.landmarks[..., 0], strict=True):
        canthi = known[[LANDMARKS.index("lid_00"), LANDMARKS.index("lid_08")]]
        aside = (x < canthi.min() - 6) | (x > canthi.max() + 6)
        assert aside.sum() > 20
        assert eye[:, aside].max() < 2e-3
