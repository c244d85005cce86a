"""Slow float64 oracles, written from optics and the conventions alone, without the package."""

import math

import numpy as np
from scipy.optimize import root
from scipy.spatial.transform import Rotation

AQUEOUS = 1.336


def frame(pitch_deg, yaw_deg, roll_deg):
    """The rotation matrix of a body facing (pitch, yaw): Ry(yaw) Rx(-pitch) Rz(roll)."""
    turn = Rotation.from_euler("YXZ", [yaw_deg, -pitch_deg, roll_deg], degrees=True)
    return turn.as_matrix()


def unit(vector):
    return np.asarray(vector) / np.linalg.norm(vector)


def bend(way, normal, index):
    """Refract by Snell's law in angles: turn the inward normal within the plane of incidence."""
    inward = -unit(normal)
    way = unit(way)
    incidence = math.acos(np.clip(inward @ way, -1, 1))
    if incidence < 1e-12:
        return way
    sideways = unit(way - (inward @ way) * inward)
    inside = math.asin(math.sin(incidence) / index)
    return math.cos(inside) * inward + math.sin(inside) * sideways


def fresnel(cosine, index):
    """Exact reflectance of unpolarised light, from air."""
    cos_in = np.asarray(cosine, dtype=float)
    cos_out = np.sqrt(1 - (1 - cos_in**2) / index**2)
    s = (cos_in - index * cos_out) / (cos_in + index * cos_out)
    p = (index * cos_in - cos_out) / (index * cos_in + cos_out)
    return (s**2 + p**2) / 2


class Eye:
    """One eye from a dictionary of scene parameters, its eyeball's centre at the origin."""

    def __init__(self, p):
        self.p = p
        pitch = p["gaze_pitch"] - p["kappa_vertical"]
        yaw = p["gaze_yaw"] + p["side"] * p["kappa_horizontal"]
        self.frame = frame(pitch, yaw, p["head_roll"])
        self.axis = -self.frame[:, 2]
        # Both spheres pass through the limbus circle.
        self.limbus = math.sqrt(p["eyeball_radius"] ** 2 - p["limbus_radius"] ** 2)
        sagitta = math.sqrt(p["cornea_radius"] ** 2 - p["limbus_radius"] ** 2)
        self.centre = (self.limbus - sagitta) * self.axis
        self.iris = self.limbus - sagitta + p["cornea_radius"] - p["chamber_depth"]

    def limbus_points(self, count):
        """Points of the limbus from the nasal side upward."""
        t = 2 * math.pi * np.arange(count) / count
        local = np.stack(
            (
                self.p["side"] * self.p["limbus_radius"] * np.cos(t),
                -self.p["limbus_radius"] * np.sin(t),
                np.full(count, -self.limbus),
            )
        )
        return (self.frame @ local).T

    def landing(self, px, focal, middle):
        """Where on the iris, (u, v) mm, the ray through a pixel lands after refraction."""
        way = [(px[0] - middle[0]) / focal, (px[1] - middle[1]) / focal, 1.0]
        return self.landing_from(np.array([0.0, 0.0, -self.p["distance"]]), way)

    def landing_from(self, start, way):
        """Where on the iris, (u, v) mm, a ray from a point, mm, lands after refraction."""
        way, start = unit(way), start - self.centre
        b = start @ way
        t = -b - math.sqrt(max(b * b - start @ start + self.p["cornea_radius"] ** 2, 0))
        hit = start + t * way
        inside = bend(way, hit, AQUEOUS)
        hit = hit + self.centre
        landed = hit + (self.iris - hit @ self.axis) / (inside @ self.axis) * inside
        x, y, _ = self.frame.T @ landed
        return np.array([self.p["side"] * x, -y])

    def pupil_px(self, focal, middle):
        """The pixel at which the pupil's centre is seen."""
        aim = np.array([self.p["pupil_nasal"], self.p["pupil_up"]])
        scale = focal / self.p["distance"]
        guess = np.asarray(middle) + scale * (self.iris * self.axis)[:2]
        found = root(lambda px: self.landing(px, focal, middle) - aim, guess, tol=1e-12)
        assert np.abs(found.fun).max() < 1e-9, found.message
        return found.x
