"""Slow float64 oracles, written from optics and the conventions alone, without the package."""

import math

import numpy as np
from scipy.optimize import brentq, root
from scipy.spatial.transform import Rotation

AQUEOUS = 1.336


def frame(pitch_deg, yaw_deg, roll_deg):
    """The rotation matrix of a body facing (pitch, yaw): Ry(yaw) Rx(-pitch) Rz(roll)."""
    turn = Rotation.from_euler("YXZ", [yaw_deg, -pitch_deg, roll_deg], degrees=True)
    return turn.as_matrix()


def unit(vector):
    return np.asarray(vector) / np.linalg.norm(vector)


def least_turn(start, end):
    """The rotation matrix that carries one unit vector to another about their common normal."""
    axis, cosine = np.cross(start, end), start @ end
    sine = np.linalg.norm(axis)
    return Rotation.from_rotvec(axis / max(sine, 1e-300) * math.atan2(sine, cosine)).as_matrix()


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
        head = frame(p["head_pitch"], p["head_yaw"], p["head_roll"])
        visual = -frame(p["gaze_pitch"], p["gaze_yaw"], 0)[:, 2]
        kappa = frame(-p["kappa_vertical"], p["side"] * p["kappa_horizontal"], p["torsion"])
        self.frame = head @ least_turn(np.array([0, 0, -1.0]), head.T @ visual) @ kappa
        self.axis = -self.frame[:, 2]
        # Both sclera and cornea pass through the limbus circle.
        self.limbus = math.sqrt(p["eyeball_radius"] ** 2 - p["limbus_radius"] ** 2)
        self.sagitta = brentq(
            lambda s: self.conic(p["limbus_radius"], s),
            0,
            p["cornea_radius"] / (1 + p["asphericity"]),
        )
        self.apex = self.limbus + self.sagitta
        self.centre = (self.apex - p["cornea_radius"]) * self.axis
        self.iris = self.apex - p["chamber_depth"]

    def conic(self, radius, depth):
        """Zero on the cornea, `radius` from its axis and `depth` behind its apex; else positive."""
        square = 2 * self.p["cornea_radius"] * depth - (1 + self.p["asphericity"]) * depth**2
        return radius**2 - square

    def outside(self, point):
        height = point @ self.axis
        return self.conic(np.linalg.norm(point - height * self.axis), self.apex - height)

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

    def landing(self, px, focal, middle, cone=True):
        """Where on the iris, (u, v) mm, the ray through a pixel lands; or on the pupil's plane."""
        way = [(px[0] - middle[0]) / focal, (px[1] - middle[1]) / focal, 1.0]
        return self.landing_from(np.array([0.0, 0.0, -self.p["distance"]]), way, cone)

    def entry(self, px, focal, middle):
        """Where the ray through a pixel meets the cornea, and its direction behind it."""
        way = [(px[0] - middle[0]) / focal, (px[1] - middle[1]) / focal, 1.0]
        return self.entry_from(np.array([0.0, 0.0, -self.p["distance"]]), way)

    def entry_from(self, start, way):
        """Where a ray from a point, mm, meets the cornea, and its direction behind it."""
        way = unit(way)
        # Along a ray a conicoid is a parabola, which three points fix.
        t = -(start @ way) + np.array([-10.0, 0, 10])
        parabola = np.polyfit(t, [self.outside(start + at * way) for at in t], 2)
        hit = start + np.roots(parabola).real.min() * way
        step = 1e-4 * np.eye(3)
        normal = [self.outside(hit + d) - self.outside(hit - d) for d in step]
        return hit, bend(way, normal, AQUEOUS)

    def landing_from(self, start, way, cone=True):
        """Where on the iris, (u, v) mm, a ray from a point lands; or on the pupil's plane."""
        hit, inside = self.entry_from(start, way)
        aim = np.array([self.p["pupil_nasal"], self.p["pupil_up"]])
        slope = math.tan(math.radians(self.p["iris_cone"])) if cone else 0.0

        def place(t):
            x, y, z = self.frame.T @ (hit + t * inside)
            return np.array([self.p["side"] * x, -y]), -z

        def above(t):
            at, height = place(t)
            rise = slope * (self.p["pupil_radius"] - np.linalg.norm(at - aim))
            return height - self.iris - rise

        deep = (self.apex + 8) / -(inside @ self.axis)
        return place(brentq(above, -deep / 4, deep, xtol=1e-13))[0]

    def pupil_px(self, focal, middle):
        """The pixel at which the pupil's centre is seen."""
        aim = np.array([self.p["pupil_nasal"], self.p["pupil_up"]])
        scale = focal / self.p["distance"]
        guess = np.asarray(middle) + scale * (self.iris * self.axis)[:2]
        found = root(lambda px: self.landing(px, focal, middle, cone=False) - aim, guess, tol=1e-11)
        assert np.abs(found.fun).max() < 1e-8, found.message
        return found.x
