"""The eyeball's spheres and refraction against closed forms."""

import math
from dataclasses import replace

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from oracles import Eye, frame
from scenes import LARGE, SMALL, as_dict, double, draw, stage
from scipy.spatial.transform import Rotation

from gazegan.render import eyeball, shape
from gazegan.render.shape import Rays

ANGLE = st.floats(0.0, 1.4)


def test_sclera_and_cornea_meet_at_the_limbus():
    params, _ = draw(100)
    p = shape.per_pixel(double(params))
    depth, offset = eyeball.limbus_depth(p), eyeball.cornea_offset(p)
    torch.testing.assert_close(depth**2 + p.limbus_radius**2, p.eyeball_radius**2)
    apex = offset + p.cornea_radius
    sag = apex - depth
    on_conic = 2 * p.cornea_radius * sag - (1 + p.asphericity) * sag**2
    torch.testing.assert_close(on_conic, p.limbus_radius**2)
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
    p, _, _, rays = stage(double(params), LARGE)
    hit, edge = eyeball.hit_sphere(rays, p.eyeball_radius)
    away, met = hit.norm(dim=0), edge > 1e-2
    torch.testing.assert_close(away[met], p.eyeball_radius.expand_as(away)[met], atol=1e-6, rtol=0)
    assert torch.linalg.cross(hit - rays.at, rays.way, dim=0).abs().max() < 1e-9
    assert (shape.dot(hit, rays.way)[met] < 0).all()  # the near side
    # Beside the sphere: the nearest point of the ray, and its distance.
    passed = edge < -1e-2
    torch.testing.assert_close((away - p.eyeball_radius)[passed], -edge[passed], atol=1e-2, rtol=0)


def test_a_cornea_without_asphericity_is_a_sphere():
    params, _ = draw(20, asphericity=0)
    p, where, _, rays = stage(double(params), LARGE)
    centre = eyeball.cornea_offset(p) * where.axis
    torch.testing.assert_close(
        (eyeball.limbus_depth(p) - eyeball.cornea_offset(p)) ** 2 + p.limbus_radius**2,
        p.cornea_radius**2,
    )
    moved = Rays(rays.at - centre, rays.way)
    known, edge = eyeball.hit_sphere(moved, p.cornea_radius)
    hit, normal, beyond = eyeball.hit_cornea(p, where.axis, rays)
    torch.testing.assert_close(hit - centre, known)
    torch.testing.assert_close(beyond, edge)
    met = edge > 1e-2
    torch.testing.assert_close(normal[:, met], (known / p.cornea_radius)[:, met])


@given(q=st.floats(-0.8, 0.5), radius=st.floats(6.5, 9.5), seed=st.integers(0, 2**20))
@settings(deadline=None, max_examples=25)
def test_hits_lie_on_the_conicoid_with_its_normal(q, radius, seed):
    params, _ = draw(3, seed=seed, asphericity=q, cornea_radius=radius)
    p, where, _, rays = stage(double(params), SMALL)
    hit, normal, beyond = eyeball.hit_cornea(p, where.axis, rays)
    met = beyond > 1e-2

    def level(point):
        height = shape.dot(point, where.axis)
        sunk = eyeball.cornea_offset(p) + p.cornea_radius - height
        across = shape.dot(point, point) - height**2
        return across - 2 * p.cornea_radius * sunk + (1 + p.asphericity) * sunk**2

    assert met.any() and level(hit)[met].abs().max() < 1e-8
    point = hit.clone().requires_grad_()
    (slope,) = torch.autograd.grad(level(point).sum(), point)
    torch.testing.assert_close(normal[:, met], shape.unit(slope)[:, met])
    assert (shape.dot(normal, rays.way)[met] < 0).all()


@pytest.mark.parametrize("cone", [0, 3, 12])
def test_rays_land_where_a_slow_tracer_lands_them(cone):
    params, _ = draw(12, iris_cone=cone, torsion=7, asphericity=-0.4)
    p, where, camera, rays = stage(double(params), SMALL)
    eye = eyeball.hit_eye(p, where, rays)
    checked = 0
    for i in range(12):
        oracle = Eye(as_dict(params, i))
        inside = (eye.limbus[i] > 0.05).nonzero()[::17]
        for row, column in inside.tolist():
            px, middle = (column + 0.5, row + 0.5), camera.centre[i].numpy()
            known = oracle.landing(px, float(camera.focal[i]), middle)
            np.testing.assert_allclose(eye.iris[:, i, row, column], known, atol=1e-5)
            checked += 1
    assert checked > 50


def test_a_cone_moves_the_iris_but_not_the_pupils_edge():
    params, _ = draw(12, iris_cone=0, pupil_radius=2)
    flat, steep = (
        stage(double(replace(params, iris_cone=torch.full((12,), a))), LARGE) for a in (0.0, 15.0)
    )
    a, b = (eyeball.hit_eye(p, where, rays) for p, where, _, rays in (flat, steep))
    inside = a.limbus > 0.1
    assert ((a.iris - b.iris).norm(dim=0)[inside]).max() > 0.2
    assert torch.equal(a.pupil[inside] > 0, b.pupil[inside] > 0)


def test_the_cornea_is_part_of_the_eyeball_in_profile():
    params, _ = draw(4, gaze_yaw=60, gaze_pitch=0, head_yaw=0, kappa_horizontal=5, side=1)
    p, where, _, rays = stage(params, LARGE)
    eye = eyeball.hit_eye(p, where, rays)
    alone = eyeball.hit_sphere(rays, p.eyeball_radius)[1]
    bulge = (eye.edge > 0) & (alone < -0.05)
    assert bulge.any() and (eye.limbus[bulge] > 0).all()


def test_the_eye_obeys_listings_law():
    params, _ = draw(40, gaze_pitch=25, head_roll=12, torsion=0)
    where = eyeball.pose(shape.per_pixel(double(params)))
    for i in range(40):
        q = as_dict(params, i)
        kappa = frame(-q["kappa_vertical"], q["side"] * q["kappa_horizontal"], 0)
        turn = Rotation.from_matrix(where.head[i].numpy().T @ where.eye[i].numpy() @ kappa.T)
        assert abs(turn.as_rotvec()[2]) < 1e-9  # the axis lies in Listing's plane
        looks = where.head[i].numpy() @ turn.apply([0, 0, -1])
        known = -frame(q["gaze_pitch"], q["gaze_yaw"], 0)[:, 2]
        np.testing.assert_allclose(looks, known, atol=1e-7)


@given(turn=st.floats(0.02, 0.8), across=st.floats(0, 6.28))
@settings(deadline=None, max_examples=40)
def test_velocity_planes_tilt_by_half_the_gaze_angle(turn, across):
    # From a gaze `turn` off the primary position the eye moves at a right angle to that turn.
    def orient(off, more):
        rotvec = off * np.array([math.cos(across), math.sin(across), 0])
        rotvec += more * np.array([-math.sin(across), math.cos(across), 0])
        toward = Rotation.from_rotvec(rotvec).apply([0, 0, -1.0])
        return Rotation.from_matrix(eyeball.listing(torch.tensor(toward)[:, None])[0].numpy())

    velocity = (orient(turn, 1e-6) * orient(turn, -1e-6).inv()).as_rotvec()
    sight = orient(turn, 0).apply([0, 0, -1.0])
    tilt = math.asin(abs(velocity[2]) / np.linalg.norm(velocity))
    assert tilt == pytest.approx(turn / 2, abs=1e-5)
    assert sight[2] == pytest.approx(-math.cos(turn))


@pytest.mark.parametrize("side", [-1, 1])
def test_torsion_turns_iris_and_veins_clockwise_about_the_optical_axis(side):
    params, _ = draw(8, side=side, torsion=0, pupil_nasal=0, pupil_up=0)
    turned = replace(params, torsion=torch.full((8,), 9.0))
    (p, a, _, rays), (q, b, _, _) = (stage(double(x), SMALL) for x in (params, turned))
    torch.testing.assert_close(a.axis, b.axis)
    plain, other = eyeball.hit_eye(p, a, rays), eyeball.hit_eye(q, b, rays)
    # A clockwise turn of the eye carries what lay at image angle t (y down) to t + 9 degrees.
    for before, after in ((plain.white, other.white), (plain.iris, other.iris)):
        x, y = side * after[0], -after[1]
        cos, sin = math.cos(math.radians(9)), math.sin(math.radians(9))
        moved = torch.stack((side * (cos * x - sin * y), -(sin * x + cos * y)))
        torch.testing.assert_close(moved, before)
