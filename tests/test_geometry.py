"""Conventions against scipy's rotations, OpenCV's projection and closed forms."""

import math

import cv2
import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.spatial.transform import Rotation

from gazegan import geometry as g

PITCH = st.floats(-1.5, 1.5)
YAW = st.floats(-3.1, 3.1)
GAZE = st.tuples(PITCH, YAW).map(lambda pair: torch.tensor(pair, dtype=torch.float64))
SEEDS = st.integers(0, 2**32 - 1)


def random_gazes(count: int, seed: int, widest_deg: float = 60.0) -> torch.Tensor:
    generator = torch.Generator().manual_seed(seed)
    unit = torch.rand(count, 2, generator=generator, dtype=torch.float64)
    return torch.deg2rad((2 * unit - 1) * widest_deg)


def test_signs_of_the_axes():
    up, left = g.vector_from_angles(torch.tensor([[0.3, 0.0], [0.0, 0.3]]))
    assert up[1] < 0, "up is -y"
    assert left[0] < 0, "the image's left is -x"
    ahead = g.vector_from_angles(torch.zeros(2))
    assert torch.equal(ahead, torch.tensor([0.0, 0.0, -1.0]))


def test_vectors_match_scipy_rotations():
    angles = random_gazes(50, 1)
    turned = [
        Rotation.from_euler("YX", [yaw, -pitch]).apply([0.0, 0.0, -1.0])
        for pitch, yaw in angles.tolist()
    ]
    np.testing.assert_allclose(g.vector_from_angles(angles), turned, atol=1e-12)


@given(GAZE, st.floats(-3.1, 3.1))
@settings(deadline=None, max_examples=50)
def test_rotation_matches_scipy_and_faces_the_gaze(angles, roll):
    ours = g.rotation(angles, torch.tensor(roll, dtype=torch.float64))
    pitch, yaw = angles.tolist()
    np.testing.assert_allclose(
        ours, Rotation.from_euler("YXZ", [yaw, -pitch, roll]).as_matrix(), atol=1e-12
    )
    facing = ours @ torch.tensor([0.0, 0.0, -1.0], dtype=torch.float64)
    torch.testing.assert_close(facing, g.vector_from_angles(angles))


@given(GAZE, st.floats(0.01, 100))
@settings(deadline=None, max_examples=50)
def test_angles_survive_the_way_through_vectors_of_any_length(angles, length):
    torch.testing.assert_close(g.angles_from_vector(length * g.vector_from_angles(angles)), angles)


def test_directions_run_from_right_over_up():
    right, up, left, down = torch.deg2rad(
        torch.tensor([[0.0, -10.0], [10.0, 0.0], [0.0, 10.0], [-10.0, 0.0]], dtype=torch.float64)
    )
    directions = g.direction_deg(torch.stack((right, up, left, down)))
    torch.testing.assert_close(directions, torch.tensor([0.0, 90.0, 180.0, 270.0]).double())


def test_direction_into_the_camera_is_zero():
    assert g.direction_deg(torch.zeros(2)) == 0


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_direction_is_below_360(dtype):
    tiny = torch.tensor([[-1e-9, -0.3], [-1e-20, -0.3]], dtype=dtype)
    assert bool((g.direction_deg(tiny) < 360).all())


@given(st.floats(0, 359.99), st.floats(0.5, 85))
@settings(deadline=None, max_examples=50)
def test_direction_and_eccentricity_survive_the_way_through_angles(direction, eccentricity):
    d, e = torch.tensor([direction, eccentricity], dtype=torch.float64)
    angles = g.angles_from_direction(d, e)
    assert abs(g.circular_difference_deg(g.direction_deg(angles), d)) < 1e-9
    assert float(g.eccentricity_deg(angles)) == pytest.approx(eccentricity)


@given(st.floats(-2000, 2000), st.floats(-2000, 2000))
@settings(deadline=None, max_examples=100)
def test_circular_difference_is_the_angle_of_the_complex_quotient(a, b):
    ours = float(g.circular_difference_deg(*torch.tensor([a, b], dtype=torch.float64)))
    oracle = math.degrees(np.angle(np.exp(1j * math.radians(a)) / np.exp(1j * math.radians(b))))
    assert -180 <= ours <= 180
    assert math.isclose((ours - oracle + 180) % 360, 180, abs_tol=1e-6)


@given(SEEDS)
@settings(deadline=None, max_examples=30)
def test_angular_error_ignores_a_common_rotation(seed):
    a, b = random_gazes(8, seed), random_gazes(8, seed + 1)
    turn = Rotation.random(rng=np.random.default_rng(seed))
    turned = [
        g.angles_from_vector(torch.from_numpy(turn.apply(g.vector_from_angles(x).numpy())))
        for x in (a, b)
    ]
    torch.testing.assert_close(g.angular_error_deg(*turned), g.angular_error_deg(a, b))


def test_angular_error_matches_scipy():
    a, b = random_gazes(30, 2), random_gazes(30, 3)
    va, vb = g.vector_from_angles(a).numpy(), g.vector_from_angles(b).numpy()
    oracle = [
        np.degrees(Rotation.align_vectors([x], [y])[0].magnitude())
        for x, y in zip(va, vb, strict=True)
    ]
    np.testing.assert_allclose(g.angular_error_deg(a, b), oracle, atol=1e-6)


def test_angular_error_keeps_tiny_and_opposite_angles():
    gaze = torch.tensor([[0.2, 0.1]])
    nudged = gaze + torch.tensor([[1e-5, 0.0]])
    assert float(g.angular_error_deg(nudged, gaze)) == pytest.approx(math.degrees(1e-5), rel=1e-2)
    assert float(g.angular_error_deg(gaze, gaze)) < 1e-12
    back = torch.tensor([[-0.2, 0.1 - math.pi]])
    assert float(g.angular_error_deg(gaze, back)) == pytest.approx(180, abs=1e-4)


def test_projection_matches_opencv():
    points = torch.rand(20, 3, dtype=torch.float64) * 20 + torch.tensor([-10.0, -10.0, 50.0])
    camera = np.array([[300.0, 0, 31.5], [0, 300.0, 17.25], [0, 0, 1]])
    oracle, _ = cv2.projectPoints(points.numpy(), np.zeros(3), np.zeros(3), camera, None)
    centre = torch.tensor([31.5, 17.25], dtype=torch.float64)
    ours = g.project(points, torch.tensor(300.0, dtype=torch.float64), centre)
    np.testing.assert_allclose(ours, oracle[:, 0], atol=1e-9)


@given(GAZE)
@settings(deadline=None, max_examples=30)
def test_mirroring_flips_x_alone(angles):
    flipped = g.vector_from_angles(angles) * torch.tensor([-1.0, 1.0, 1.0], dtype=torch.float64)
    torch.testing.assert_close(g.vector_from_angles(g.mirror_angles(angles)), flipped)


@pytest.mark.parametrize(
    "function",
    [g.vector_from_angles, g.direction_deg, g.eccentricity_deg, g.direction_from_cos_sin],
)
def test_gradients_match_finite_differences(function):
    assert torch.autograd.gradcheck(function, random_gazes(5, 4).requires_grad_())


def test_angular_error_gradient_matches_finite_differences():
    a, b = random_gazes(5, 5).requires_grad_(), random_gazes(5, 6)
    assert torch.autograd.gradcheck(lambda x: g.angular_error_deg(x, b), a)


def test_angular_error_gradient_is_finite_where_the_error_is_zero():
    a = random_gazes(5, 7).requires_grad_()
    g.angular_error_deg(a, a.detach()).sum().backward()
    assert bool(torch.isfinite(a.grad).all())
