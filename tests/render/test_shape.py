"""Spheres, refraction, the face and analytic coverage against closed forms."""

import math

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from scenes import LARGE, double, draw, stage

from gazegan.render import shape

ANGLE = st.floats(0.0, 1.4)


def test_spheres_meet_at_the_limbus():
    params, _ = draw(100)
    p = shape.per_pixel(double(params))
    depth, offset = shape.limbus_depth(p), shape.cornea_offset(p)
    torch.testing.assert_close(depth**2 + p.limbus_radius**2, p.eyeball_radius**2)
    torch.testing.assert_close((depth - offset) ** 2 + p.limbus_radius**2, p.cornea_radius**2)
    apex = offset + p.cornea_radius
    torch.testing.assert_close(apex - shape.iris_depth(p), p.chamber_depth)
    assert (apex > p.eyeball_radius).all()  # the cornea bulges


@given(incidence=ANGLE, turn=st.floats(0, 6.28), tilt=ANGLE, index=st.floats(1.05, 2))
@settings(deadline=None, max_examples=60)
def test_refraction_obeys_snell_in_the_plane_of_incidence(incidence, turn, tilt, index):
    normal = np.array([math.sin(tilt), 0, -math.cos(tilt)])
    side = np.array([math.cos(tilt), 0, math.sin(tilt)])
    side = math.cos(turn) * side + math.sin(turn) * np.cross(normal, side)
    way = -math.cos(incidence) * normal + math.sin(incidence) * side
    ways, normals = (torch.tensor(v)[:, None, None, None] for v in (way, normal))
    out = shape.refract(ways, normals, index).flatten().numpy()
    assert np.linalg.norm(out) == pytest.approx(1, abs=1e-9)
    assert index * np.linalg.norm(np.cross(out, normal)) == pytest.approx(
        math.sin(incidence), abs=1e-9
    )
    assert abs(out @ np.cross(side, normal)) < 1e-9
    assert out @ normal < 0


def test_hits_lie_on_the_sphere_and_on_the_ray():
    params, _ = draw(20)
    p, where, _, rays = stage(double(params), LARGE)
    centre = shape.cornea_offset(p) * where.axis
    for middle, radius in ((0.0, p.eyeball_radius), (centre, p.cornea_radius)):
        hit, edge = shape.hit_sphere(rays, middle, radius)
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
    eye = shape.hit_eye(p, where, rays)
    alone = shape.hit_sphere(rays, 0.0, p.eyeball_radius)[1]
    bulge = (eye.edge > 0) & (alone < -0.05)
    assert bulge.any() and (eye.limbus[bulge] > 0).all()


def face_residual(yaw):
    params, _ = draw(40, head_yaw=yaw, head_pitch=0)
    p, where, _, rays = stage(params, LARGE)
    face = shape.hit_face(p, where.head, rays)
    height = -shape.to_frame(where.head, face.point)[2]
    return (shape.face_height(p, face.u, face.v) - height).abs()


@pytest.mark.parametrize(
    ("yaw", "most"), [(0, 1.0), (15, 1.0), (-15, 1.0), (30, 0.98), (-30, 0.98)]
)
def test_face_hits_satisfy_the_height_field(yaw, most):
    # At 30 degrees the flank of the nose leaves at most 2% of pixels above 0.01 mm.
    residual = face_residual(yaw)
    assert (residual < 0.01).float().mean() >= most
    assert residual.median() < 1e-4 and residual.max() < 0.5


def test_frames_are_orthonormal_and_undone():
    params, _ = draw(30, head_roll=20)
    where = shape.pose(shape.per_pixel(double(params)))
    for frame in (where.head, where.eye):
        torch.testing.assert_close(frame @ frame.mT, torch.eye(3).double().expand(30, 3, 3))
        v = torch.randn(3, 30, 4, 5, dtype=torch.float64)
        torch.testing.assert_close(shape.from_frame(frame, shape.to_frame(frame, v)), v)
    torch.testing.assert_close(where.axis[:, :, 0, 0].T, -where.eye[:, :, 2])


def test_margins_never_cross_and_meet_in_the_canthi():
    params, _ = draw(200, upper_lid=3, lower_lid=-1)
    p = shape.per_pixel(params)
    where = shape.pose(p)
    share = torch.linspace(-0.2, 1.2, 141)
    u = p.canthus_inner - (p.canthus_inner + p.canthus_outer) * share
    upper, lower, along = shape.margins(p, where.lift, u)
    assert (upper >= lower).all() and (along >= 0).all() and (along <= 1).all()
    ends = torch.stack((p.canthus_inner, -p.canthus_outer), -1)[..., 0, :]
    upper, lower, _ = shape.margins(p, where.lift, ends)
    assert (upper - lower).max() < 0.15


@given(angle=st.floats(0, 6.28), offset=st.floats(-12, 12))
@settings(deadline=None, max_examples=40)
def test_coverage_of_a_straight_edge_has_the_exact_area(angle, offset):
    side, fine = 24, 16
    nx, ny = math.cos(angle), math.sin(angle)

    def plane(count):
        at = (torch.arange(side * count) + 0.5) / count - side / 2
        return nx * at[None, :] + ny * at[:, None] - offset

    exact = (plane(fine) > 0).double().view(side, fine, side, fine).mean((1, 3))
    found = shape.coverage(plane(1)[None])[0]
    # A box seen along its diagonal is covered by a parabola where the ramp is straight.
    assert (found - exact).abs().max() < 0.13
    assert (found - exact).sum().abs() < 0.1 * side


@pytest.mark.parametrize("radius", [1.5, 4.0, 9.3])
@pytest.mark.parametrize("shift", [(0.0, 0.0), (0.3, -0.45)])
def test_coverage_of_a_disc_has_its_area(radius, shift):
    at = torch.arange(24, dtype=torch.float64) + 0.5 - 12
    f = radius - torch.hypot(at[None, :] - shift[0], at[:, None] - shift[1])
    found = shape.coverage(f[None])[0]
    assert found.min() >= 0 and found.max() <= 1
    # Ramps are straight while the edge bends: a rim a twentieth of a pixel wide at most.
    assert float(found.sum()) == pytest.approx(math.pi * radius**2, abs=0.05 * 2 * math.pi * radius)
