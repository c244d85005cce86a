"""The eyeball's spheres and refraction against closed forms."""

import math

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from scenes import LARGE, double, draw, stage

from gazegan.render import eyeball, shape

ANGLE = st.floats(0.0, 1.4)


def test_spheres_meet_at_the_limbus():
    params, _ = draw(100)
    p = shape.per_pixel(double(params))
    depth, offset = eyeball.limbus_depth(p), eyeball.cornea_offset(p)
    torch.testing.assert_close(depth**2 + p.limbus_radius**2, p.eyeball_radius**2)
    torch.testing.assert_close((depth - offset) ** 2 + p.limbus_radius**2, p.cornea_radius**2)
    apex = offset + p.cornea_radius
    torch.testing.assert_close(apex - eyeball.iris_depth(p), p.chamber_depth)
    assert (apex > p.eyeball_radius).all()  # the cornea bulges


@given(incidence=ANGLE, turn=st.floats(0, 6.28), tilt=ANGLE, index=st.floats(1.05, 2))
@settings(deadline=None, max_examples=60)
def test_refraction_obeys_snell_in_the_plane_of_incidence(incidence, turn, tilt, index):
    normal = np.array([math.sin(tilt), 0, -math.cos(tilt)])
    side = np.array([math.cos(tilt), 0, math.sin(tilt)])
    side = math.cos(turn) * side + math.sin(turn) * np.cross(normal, side)
    way = -math.cos(incidence) * normal + math.sin(incidence) * side
    ways, normals = (torch.tensor(v)[:, None, None, None] for v in (way, normal))
    out = eyeball.refract(ways, normals, index).flatten().numpy()
    assert np.linalg.norm(out) == pytest.approx(1, abs=1e-9)
    assert index * np.linalg.norm(np.cross(out, normal)) == pytest.approx(
        math.sin(incidence), abs=1e-9
    )
    assert abs(out @ np.cross(side, normal)) < 1e-9
    assert out @ normal < 0


def test_hits_lie_on_the_sphere_and_on_the_ray():
    params, _ = draw(20)
    p, where, _, rays = stage(double(params), LARGE)
    centre = eyeball.cornea_offset(p) * where.axis
    for middle, radius in ((0.0, p.eyeball_radius), (centre, p.cornea_radius)):
        hit, edge = eyeball.hit_sphere(rays, middle, radius)
        away = (hit - middle).norm(dim=0)
        met = edge > 1e-2
        torch.testing.assert_close(away[met], radius.expand_as(away)[met], atol=1e-6, rtol=0)
        assert torch.linalg.cross(hit - rays.at, rays.way, dim=0).abs().max() < 1e-9
        assert (shape.dot(hit - middle, rays.way)[met] < 0).all()  # the near side
        # Beside the sphere: the nearest point of the ray, and its distance.
        torch.testing.assert_close(
            (away - radius)[edge < -1e-2], -edge[edge < -1e-2], atol=1e-2, rtol=0
        )


def test_the_cornea_is_part_of_the_eyeball_in_profile():
    params, _ = draw(4, gaze_yaw=60, gaze_pitch=0, head_yaw=0, kappa_horizontal=5, side=1)
    p, where, _, rays = stage(params, LARGE)
    eye = eyeball.hit_eye(p, where, rays)
    alone = eyeball.hit_sphere(rays, 0.0, p.eyeball_radius)[1]
    bulge = (eye.edge > 0) & (alone < -0.05)
    assert bulge.any() and (eye.limbus[bulge] > 0).all()
