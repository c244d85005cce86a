"""Shadows of the face's relief against a dense float64 march, and lids that squint and fold."""

import pytest
import torch
from scenes import LARGE, SMALL, double, draw, stage

from gazegan.render import lids, shadow, shape
from gazegan.render.environment import toward
from gazegan.render.scene import render
from gazegan.schema import LANDMARKS, MASKS


def clearance(p, head, way, face):
    """Height [B, H, W], mm, by which the way to the light clears the face, in steps of 0.25 mm."""
    x, y, z = shape.to_frame(head, way)
    raised = -shape.to_frame(head, face.point)[2]
    gaps = [
        raised - t * z - shape.face_height(p, face.u + p.side * t * x, face.v - t * y)
        for t in torch.arange(3, 20, 0.25).tolist()
    ]
    return torch.stack(gaps).amin(0)


@pytest.mark.parametrize(("azimuth", "elevation"), [(0, 70), (75, 20), (-75, 10), (0, 20)])
def test_shadows_fall_where_a_dense_march_is_blocked(azimuth, elevation):
    params, _ = draw(12, brow_ridge=16, nose_rise=22)
    p, where, _, rays = stage(double(params), LARGE)
    face = shape.hit_face(p, where.head, rays)
    one = torch.ones(12, 1, 1, dtype=torch.float64)
    way = toward(azimuth * one, elevation * one)
    share, gap = shadow.cast(p, where.head, way, face), clearance(p, where.head, way, face)
    lit, dim = gap > 1.5, gap < -1.5
    assert (share[lit] > 0.8).double().mean() > 0.95
    if dim.sum() > 500:
        assert (share[dim] < 0.4).double().mean() > 0.9
    assert lit.sum() > 500 or dim.sum() > 500


def test_a_light_from_ahead_throws_no_shadow_and_a_grazing_one_does():
    params, _ = draw(6, brow_ridge=16, nose_rise=22, head_yaw=0, head_pitch=0)
    p, where, _, rays = stage(params, LARGE)
    face, zero = shape.hit_face(p, where.head, rays), torch.zeros(6, 1, 1)
    ahead, above = (shadow.cast(p, where.head, toward(zero, zero + e), face) for e in (0.0, 85.0))
    assert ahead.min() > 0.9 and above.mean() < ahead.mean() - 0.1


def test_squinting_raises_the_lower_margin_by_as_many_millimetres():
    params, _ = draw(8, lower_lid=3, lower_follow=0, lower_peak=0.5, squint=0)
    other, _ = draw(8, lower_lid=3, lower_follow=0, lower_peak=0.5, squint=1.5)
    middle = 0.5 * (params.canthus_inner - params.canthus_outer)[:, None, None]
    lift = torch.zeros(8, 1, 1)
    open_, squinted = (
        lids.margins(shape.per_pixel(q), lift, middle)[1].flatten() for q in (params, other)
    )
    torch.testing.assert_close(squinted - open_, torch.full((8,), 1.5), atol=1e-4, rtol=0)


def test_an_epicanthic_fold_covers_part_of_the_caruncle_and_leaves_the_canthi():
    held = {"glasses": 0, "noise": 0, "head_yaw": 0, "caruncle": 2, "lash_dark": 0}
    params, textures = draw(8, epicanthus=0, **held)
    other, _ = draw(8, epicanthus=1, **held)
    plain, folded = (render(q, textures, SMALL) for q in (params, other))
    shown = [b.masks[:, MASKS.index("caruncle")].sum((1, 2)) for b in (plain, folded)]
    assert (shown[1] < 0.8 * shown[0]).all()
    still = [LANDMARKS.index(f"lid_{k:02d}") for k in (0, 4, 5, 6, 7, 8)]
    moved = (plain.landmarks - folded.landmarks)[:, still].abs()
    assert moved.max() < 0.1
