"""Glasses: the lens against Gauss' lens equation, tint and shadow against closed forms."""

from dataclasses import replace

import cv2
import numpy as np
import pytest
import torch
from oracles import frame
from scenes import LARGE, as_dict, double, draw, stage

from gazegan.render import effects, glasses, landmarks, lens, light, shape
from gazegan.render.bands import INFRARED, VISIBLE
from gazegan.render.params import mirrored
from gazegan.render.prior import Image
from gazegan.render.scene import expose, render
from gazegan.schema import MASKS

WIDE = {"glasses": 1, "lens_half_width": 40, "lens_half_height": 35, "lens_round": 6, "noise": 0}
WIDE |= {"lens_nasal": 0, "lens_drop": 0, "lens_taper": 0, "rim_brow": 0}
POWERS = [-10, -4, 5]


def imaged(points, params, i, power):
    """Where a thin lens of `power` dioptres, 26 mm before the eye, shows points [N, 3], mm.

    Gauss: 1 / image = 1 / object - 1 / focal length; the image is larger in that proportion.
    """
    q = as_dict(params, i)
    head = frame(q["head_pitch"], q["head_yaw"], q["head_roll"])
    local = points @ head
    away = local[:, 2:] + 26
    image = 1 / (1 / away - power / 1000)
    seen = np.concatenate((local[:, :2] * image / away, image - 26), 1)
    return seen @ head.T


@pytest.mark.parametrize("power", POWERS)
def test_labels_are_those_of_the_image_that_the_lens_makes(power):
    params, _ = draw(12, lens_power=power, **WIDE)
    params = double(params)
    p, where, view, _ = stage(params, LARGE)
    points = torch.cat((landmarks.lid_points(p, where), landmarks.iris_points(p, where)), -1)
    found = view.project(points).numpy()
    straight = replace(view, glass=None).project(points).numpy()
    for i in range(12):
        true = points[:, i, 0].T.numpy()
        focal, (x, y) = float(view.focal[i]), view.centre[i].tolist()
        known, _ = cv2.projectPoints(
            imaged(true, params, i, power) + view.eye[i].numpy(),
            *(np.zeros(3), np.zeros(3), np.array([[focal, 0, x], [0, focal, y], [0, 0, 1.0]])),
            None,
        )
        np.testing.assert_allclose(found[i], known[:, 0], atol=1e-6)
        assert np.abs(found[i] - straight[i]).max() > 1  # a pixel: it does something


@pytest.mark.parametrize("power", POWERS)
def test_rays_through_a_points_pixel_meet_the_point(power):
    params, _ = draw(12, lens_power=power, head_yaw=25, **WIDE)
    p, where, view, _ = stage(double(params), LARGE)
    points = landmarks.lid_points(p, where)
    rays = view.rays_at(view.project(points))
    gap = torch.linalg.cross(points - rays.at, shape.unit(rays.way), dim=0).norm(dim=0)
    assert gap.max() < 1e-4


def test_pupil_and_iris_are_seen_where_their_labels_say():
    clear = {"upper_lid": 13, "lower_lid": 8, "canthus_drop": 1, "waterline": 0, "fill": 0.7}
    still = {"head_yaw": 10, "head_pitch": 0, "head_roll": 0, "epicanthus": 0, "rim_width": 0.3}
    look = {"gaze_pitch": 0, "gaze_yaw": 0, "glint": 0, "fill_glint": 0}
    params, textures = draw(12, lens_power=-8, **WIDE | clear | still | look)
    batch = render(params, textures, LARGE)
    x, y = torch.arange(160) + 0.5, torch.arange(96) + 0.5
    pupil = batch.masks[:, 3]
    total = pupil.sum((1, 2))
    centroid = torch.stack(((pupil * x).sum((1, 2)), (pupil * y[:, None]).sum((1, 2))), -1)
    away = (centroid / total[:, None] - batch.landmarks[:, 0]).norm(dim=-1)
    assert away.max() < 0.3
    area = torch.pi * batch.ellipses[:, 0, 2] * batch.ellipses[:, 0, 3]
    torch.testing.assert_close(total, area, rtol=0.03, atol=0)


@pytest.mark.parametrize("power", [-8, 6])
def test_the_eye_is_smaller_behind_a_diverging_lens_by_the_closed_form(power):
    held = {"head_yaw": 0, "head_pitch": 0, "head_roll": 0, "distance": 500, "kappa_vertical": 0}
    held |= {"gaze_pitch": 0, "gaze_yaw": 0, "kappa_horizontal": 0}
    params, _ = draw(6, **WIDE | held)
    free = Image(height=96, width=160, framing="free")
    plain, lensed = (
        double(replace(params, lens_power=torch.full((6,), float(d)))) for d in (0, power)
    )
    where = stage(lensed, free)[1]
    rim = landmarks.iris_points(shape.per_pixel(lensed), where)
    sizes = [stage(q, free)[2].project(rim)[:, 1:].std(1)[:, 0] for q in (plain, lensed)]
    deep = 26 + rim[2, :, 0, 0]
    bare = 1 / deep + 1 / (500 - 26)
    torch.testing.assert_close(sizes[1] / sizes[0], bare / (bare - power / 1000), rtol=1e-9, atol=0)


def test_a_lens_without_power_changes_no_bit():
    params, textures = draw(6, glasses=1)
    image = Image(height=24, width=40)
    needs = effects.of_params(params)
    assert needs.glasses and not needs.lens
    plain = expose(params, textures, image, needs)
    assert torch.equal(
        expose(params, textures, image, replace(needs, lens=True)).image, plain.image
    )


def test_glasses_that_nobody_wears_change_no_bit():
    params, textures = draw(6, glasses=0, lens_power=-5)
    image = Image(height=24, width=40)
    needs = effects.of_params(params)
    assert not needs.glasses and not needs.lens
    plain = expose(params, textures, image, needs)
    other = expose(params, textures, image, replace(needs, glasses=True, lens=True))
    assert torch.equal(other.image, plain.image) and torch.equal(other.masks, plain.masks)


def test_a_scene_with_a_lens_mirrors():
    params, textures = draw(6, glasses=1, lens_power=-6, lens_tint=0.5, noise=0, head_yaw=20)
    image = Image(height=24, width=40)
    plain, other = render(params, textures, image), render(mirrored(params), textures, image)
    torch.testing.assert_close(other.image.flip(-1), plain.image, atol=5e-4, rtol=0)
    flipped = torch.stack((40 - other.landmarks[..., 0], other.landmarks[..., 1]), -1)
    torch.testing.assert_close(flipped, plain.landmarks, atol=1e-3, rtol=0)


@pytest.mark.parametrize("band", [VISIBLE, INFRARED])
def test_a_tinted_lens_absorbs_on_both_passes_and_a_dark_room_mirrors_nothing(band):
    dark = {"light_ambient": 0, "glint": 0, "fill_glint": 0, "lens_glare": 0, "rim_width": 0.3}
    params, textures = draw(4, lens_tint=0.7, **WIDE | dark)
    p, _, view, rays = stage(params, LARGE)
    lamp = light.lamps(p, band, effects.of_params(params), view, textures)
    seen = torch.ones(len(band.dye), 4, 96, 160)
    level, pixel_mm = torch.zeros(4, 1, 1), (view.distance / view.focal)[:, None, None]
    worn, rim = glasses.wear(view.glass, textures, level, lamp, rays, seen, pixel_mm)
    known = np.exp(-2 * 0.7 * np.array(band.dye))
    assert rim[:, 48, 80].max() == 0
    np.testing.assert_allclose(worn[:, 0, 48, 80], known, rtol=1e-5)


def test_a_tint_dims_no_light_before_it_is_worn():
    """What light loses on its way in is part of both passes, which `wear` takes away."""
    held = {**WIDE, "head_yaw": 0, "head_pitch": 0}
    clear, _ = draw(4, lens_tint=0, **held)
    params = replace(clear, lens_tint=torch.full((4,), 3.0))
    key = shape.unit(torch.tensor([0.2, -0.3, -0.9])[:, None, None, None].expand(3, 4, 1, 1))
    shares = []
    for p_ in (clear, params):
        p, where, view, rays = stage(p_, LARGE)
        shares.append(glasses.shade(view.glass, key, shape.hit_face(p, where.head, rays)))
    assert torch.equal(*shares) and shares[0].max() > 0.99


@pytest.mark.parametrize("warmth", [-0.3, 0.4])
def test_what_glasses_mirror_has_the_colour_of_the_light(warmth):
    shiny = {"lens_glare": 1, "lens_coating": 0, "lens_power": 0, "rim_width": 3}
    params, textures = draw(4, light_warmth=warmth, **{**WIDE, "lens_half_width": 15} | shiny)
    p, _, view, rays = stage(params, LARGE)
    lamp = light.lamps(p, VISIBLE, effects.of_params(params), view, textures)
    level, pixel_mm = torch.full((4, 1, 1), 0.5), (view.distance / view.focal)[:, None, None]
    dark = torch.zeros(3, 4, 96, 160)
    worn, rim = glasses.wear(view.glass, textures, level, lamp, rays, dark, pixel_mm)
    for part in (rim > 0.9, (rim == 0) & (worn[1] > 1e-3)):
        assert part.any()
        red, blue = worn[0][part], worn[2][part]
        torch.testing.assert_close(red / blue, torch.full_like(red, (1 + warmth) / (1 - warmth)))


def test_frames_mirror_the_ceiling_on_their_upper_side_alone():
    held = {"glasses": 1, "head_pitch": 0, "head_yaw": 0, "head_roll": 0, "rim_width": 5}
    held |= {"rim_below": 1, "rim_brow": 0, "rim_dark": 1, "noise": 0, "blur": 0, "lens_drop": 0}
    held |= {"lens_nasal": 0, "lens_half_height": 9, "lens_half_width": 14, "lens_taper": 0}
    params, textures = draw(6, **held)
    glossy = replace(params, rim_gloss=torch.full((6,), 1.0))
    plain, shiny = (render(p, textures, LARGE) for p in (params, glossy))
    more = shiny.image - plain.image
    rim = plain.masks[:, MASKS.index("glasses")]
    assert more[:, 0][rim == 0].abs().max() < 1e-6 and more.min() > -1e-6
    p, where, _, rays = stage(params, LARGE)
    x, y, _ = lens.crossing(where.head, rays)
    top = (rim > 0.99) & (y < -p.lens_half_height) & (x.abs() < 0.3 * p.lens_half_width)
    across = (-y - p.lens_half_height) / 2.5  # -1 at the lens, 1 at the outside
    outside, middle = (more[:, 0][top & part] for part in (across > 0.5, across.abs() < 0.2))
    assert outside.mean() > 5 * middle.mean() and outside.mean() > 0.1


def test_what_a_coating_reflects_is_as_green_as_asked():
    worn = {"glasses": 1, "lens_coating": 1, "lens_glare": 1, "noise": 0, "jpeg": 0}
    params, textures = draw(6, **worn, lens_power=0)
    image = Image(height=48, width=80, channels=3)
    green, half, neutral = (
        render(replace(params, lens_green=torch.full((6,), share)), textures, image)
        for share in (1.0, 0.5, 0.0)
    )
    red, middle, blue = (neutral.image - green.image).unbind(1)
    assert middle.abs().max() < 1e-6
    assert red.min() > -1e-6
    assert blue.min() > -1e-6
    assert red.max() > 0.02
    between = (half.image >= green.image - 1e-6) & (half.image <= neutral.image + 1e-6)
    assert between.all()


def test_the_frames_shadow_falls_where_the_light_projects_the_rim():
    held = {"head_yaw": 0, "head_pitch": 0, "head_roll": 0, "glasses": 1, "lens_tint": 0}
    held |= {"rim_below": 1, "rim_brow": 0, "lens_taper": 0, "rim_width": 4}
    params, _ = draw(6, **held)
    p, where, view, rays = stage(params, LARGE)
    face = shape.hit_face(p, where.head, rays)
    key = shape.unit(torch.tensor([0.3, -0.5, -0.8])[:, None, None, None].expand(3, 6, 1, 1))
    share = glasses.shade(view.glass, key, face).numpy()
    lit = dim = 0
    for i in range(6):
        q, point = as_dict(params, i), face.point[:, i].double().numpy()
        way = key[:, i, 0, 0].double().numpy()
        plane = point + (-26 - point[2]) / way[2] * way[:, None, None]
        x = np.abs(q["side"] * plane[0] - q["lens_nasal"]) / q["lens_half_width"]
        y = np.abs(-plane[1] + q["lens_drop"]) / q["lens_half_height"]
        level = (x ** q["lens_round"] + y ** q["lens_round"]) ** (1 / q["lens_round"])
        beside = np.abs(1 - level) * min(q["lens_half_width"], q["lens_half_height"])
        assert (share[i][beside < 0.5] < 0.5).all()
        assert (share[i][beside > 2 + 6] > 0.95).all()
        lit, dim = lit + (beside > 8).sum(), dim + (beside < 0.5).sum()
    assert lit > 1000 and dim > 100


def test_a_lens_without_a_rim_below_ends_in_an_even_thread():
    low = {"rim_below": 0, "rim_width": 1.5, "lens_half_height": 9, "lens_round": 2.2}
    turned = {"head_yaw": 0, "head_pitch": 0, "head_roll": 7, "fill": 0.6, "lens_half_width": 22}
    params, textures = draw(8, **WIDE | low | turned)
    cover = render(params, textures, LARGE).masks[:, 6]
    p, where, view, rays = stage(params, LARGE)
    x, y, _ = lens.crossing(where.head, rays)
    u, v = p.side * x, -y
    near = (lens.outline(p, u, v).abs() < 1.5) & (v < -6)
    crossing = near.any(1) & (u.abs() < 6).all(1)  # columns that cross the thread, nearly level
    for i in range(8):
        found = (cover * near)[i].sum(0)[crossing[i]]
        thread_px = 0.2 * view.focal[i] / (params.distance[i] - lens.BEFORE_EYE)
        assert len(found) > 20
        assert found.mean() == pytest.approx(float(thread_px), rel=0.1)
        assert found.std() < 0.2 * found.mean()
