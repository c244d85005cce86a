"""The face, frames and analytic coverage against closed forms."""

import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from scenes import LARGE, double, draw, stage

from gazegan.render import camera, eyeball, lids, paint, shape


def face_residual(yaw, profile=False):
    """How far hits lie off the face, mm, and where across it."""
    params, _ = draw(40, head_yaw=yaw, head_pitch=0)
    p, where, _, rays = stage(params, LARGE)
    marked = camera.in_profile(p, where) if profile else None
    face = shape.hit_face(p, where.head, rays, marked)
    height = -shape.to_frame(where.head, face.point)[2]
    return (shape.face_height(p, face.u, face.v) - height).abs(), face.u


@pytest.mark.parametrize(
    ("yaw", "most"), [(0, 1.0), (15, 1.0), (-15, 1.0), (30, 0.98), (-30, 0.98)]
)
def test_face_hits_satisfy_the_height_field(yaw, most):
    # At 30 degrees the flank of the nose leaves at most 2% of pixels above 0.01 mm.
    residual, _ = face_residual(yaw)
    assert (residual < 0.01).float().mean() >= most
    assert residual.median() < 1e-4 and residual.max() < 0.5


@pytest.mark.parametrize("yaw", [0, 30, 45])
def test_fine_hits_are_those_of_as_many_steps_for_every_ray(monkeypatch, yaw):
    """The label's rays: eyes whose rays are at rest after a few steps are spared the others."""
    params, _ = draw(40, head_yaw=yaw, head_pitch=0)
    p, where, _, rays = stage(params, LARGE)
    fine = shape.hit_face(p, where.head, rays, fine=4)
    monkeypatch.setattr(shape, "_SECANT", 4 * shape._SECANT)
    every = shape.hit_face(p, where.head, rays)
    assert (fine.point - every.point).abs().max() < 1e-3


@pytest.mark.parametrize("yaw", [-50, -40, 40, 50])
def test_hits_of_heads_in_profile_lie_on_the_nose_and_its_bridge(yaw):
    residual, across = face_residual(yaw, profile=True)
    assert residual[across > 0].max() < 0.5


def test_frames_are_orthonormal_and_undone():
    params, _ = draw(30, head_roll=20)
    where = eyeball.pose(shape.per_pixel(double(params)))
    for frame in (where.head, where.eye):
        torch.testing.assert_close(frame @ frame.mT, torch.eye(3).double().expand(30, 3, 3))
        v = torch.randn(3, 30, 4, 5, dtype=torch.float64)
        torch.testing.assert_close(shape.from_frame(frame, shape.to_frame(frame, v)), v)
    torch.testing.assert_close(where.axis[:, :, 0, 0].T, -where.eye[:, :, 2])


def test_margins_never_cross_and_meet_in_the_canthi():
    params, _ = draw(200, upper_lid=3, lower_lid=-1)
    p = shape.per_pixel(params)
    where = eyeball.pose(p)
    share = torch.linspace(-0.2, 1.2, 141)
    u = p.canthus_inner - (p.canthus_inner + p.canthus_outer) * share
    upper, lower, along = lids.margins(p, where.lift, u)
    assert (upper >= lower).all() and (along >= 0).all() and (along <= 1).all()
    ends = torch.stack((p.canthus_inner, -p.canthus_outer), -1)[..., 0, :]
    upper, lower, _ = lids.margins(p, where.lift, ends)
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


@pytest.mark.parametrize("offset", [0.0, 1e-4, 0.02])
def test_margins_that_meet_leave_nothing_open(offset):
    """Beyond the canthi both margins are one line, which may run through the middle of a pixel."""
    height = (torch.arange(9.0) - 4 + offset)[None, :, None].expand(1, 9, 7).double()
    flat = torch.zeros_like(height)
    closed = lids.Lids(flat, flat, height, -height, -height.abs(), flat, flat)
    assert torch.equal(paint.opening(closed), flat)
    slit = lids.Lids(flat, flat, height - 0.2, -height - 0.1, flat, flat, flat)
    shown = paint.opening(slit).sum(1)  # of three tenths of a pixel, wherever it lies
    torch.testing.assert_close(shown, torch.full_like(shown, 0.3))
