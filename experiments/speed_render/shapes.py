"""The shape of a comparable eye as arrays; it needs numpy alone.

Face, margins, eyeball and framing follow our renderer's formulas (gazegan/render), so that a row
of its parameters makes about the same eye. Lengths are millimetres from the eyeball's centre along
the camera's axes; on the face (u, v) and the height over them, as in params.py.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

Array = np.ndarray[Any, np.dtype[Any]]
Row = Mapping[str, float]
"""Our parameters of one eye by name."""

SPAN = (60.0, 48.0)
"""Width and height, mm, of the part of the face that its texture covers; it shows more than 43."""
_BALL, _IRIS, _KNOB = (16, 49), (4, 49), (8, 17)
"""Rows and columns of the grids of eyeball, iris and caruncle; the last column closes them."""
_RIM = 3
"""Rows of the skin's grid that are the lids' thickness."""


@dataclass(frozen=True)
class Grid:
    """A mesh whose vertices are rows and columns; faces and topology depend on its shape alone."""

    points: Array
    """[rows, columns, 3]"""
    uv: Array
    """[rows, columns, 2] in 0..1."""
    closed: bool = False
    """Whether the last column joins the first."""

    def quads(self) -> Array:
        """Return the corners `[faces, 4]` of its faces."""
        rows, columns = self.points.shape[:2]
        index = np.arange(rows * columns, dtype=np.uint32).reshape(rows, columns)
        index = np.hstack((index, index[:, :1])) if self.closed else index
        corners = (index[:-1, :-1], index[:-1, 1:], index[1:, 1:], index[1:, :-1])
        return np.stack([corner.ravel() for corner in corners], -1)


@dataclass(frozen=True)
class Eye:
    """All of an eye but its hairs."""

    skin: Grid
    white: Grid
    iris: Grid
    pupil: Grid
    caruncle: Grid
    cornea: tuple[Array, float]
    """Centre and radius of a sphere."""


@dataclass(frozen=True)
class Pose:
    """Where head and eye point; frames are [3, 3], the axes of what they turn in their columns."""

    head: Array
    eye: Array
    lift: float
    """Rise of the pupil above the head's axis, mm: what the lids follow."""


def model(p: Row, where: Pose, grid: tuple[int, int]) -> Eye:
    """Return the eye of parameters `p`, its skin of `grid` rows and columns."""
    depth, sunk = _depths(p)
    wide = np.sqrt(p["eyeball_radius"] ** 2 - sunk**2) + 0.1  # ends in the sclera
    ring = _ring(p, _IRIS, (p["pupil_radius"], wide), sunk)
    hole = _ring(p, (2, _IRIS[1]), (0, 1.2 * p["pupil_radius"]), sunk - 0.15)
    middle = _cornea(p)
    return Eye(
        skin=_skin(p, where, grid),
        white=_turned(_white(p, depth), where.eye),
        iris=_turned(ring, where.eye),
        pupil=_turned(hole, where.eye),
        caruncle=_knob(p, where),
        cornea=(-middle * where.eye[:, 2], p["cornea_radius"]),
    )


def rotation(pitch: float, yaw: float, roll: float) -> Array:
    """Ry(yaw) Rx(-pitch) Rz(roll) of degrees, as gazegan.geometry has it."""
    (sp, sy, sr), (cp, cy, cr) = (f(np.deg2rad((pitch, yaw, roll))) for f in (np.sin, np.cos))
    across, down, about = (
        np.array(((cy, 0, sy), (0, 1, 0), (-sy, 0, cy))),
        np.array(((1, 0, 0), (0, cp, sp), (0, -sp, cp))),
        np.array(((cr, -sr, 0), (sr, cr, 0), (0, 0, 1))),
    )
    turn: Array = across @ down @ about
    return turn


def pose(p: Row) -> Pose:
    """Turn head and eye: gaze by Listing's law from where the head faces, then kappa."""
    head = rotation(p["head_pitch"], p["head_yaw"], p["head_roll"])
    x, y, z = head.T @ -rotation(p["gaze_pitch"], p["gaze_yaw"], 0)[:, 2]
    share = 1 / max(1 - z, 1e-3)
    listing = np.array(
        (
            (1 - share * x * x, -share * x * y, -x),
            (-share * x * y, 1 - share * y * y, -y),
            (x, y, -z),
        )
    )
    kappa = rotation(-p["kappa_vertical"], p["side"] * p["kappa_horizontal"], p["torsion"])
    eye = head @ listing @ kappa
    return Pose(head, eye, float(head[:, 1] @ eye[:, 2]) * p["eyeball_radius"])


def margins(p: Row, lift: float, u: Array) -> tuple[Array, Array, Array]:
    """Return v of the upper and the lower margin and the place along them, as lids.py does."""
    along = np.clip((u + p["canthus_outer"]) / (p["canthus_inner"] + p["canthus_outer"]), 0, 1)
    line = -p["canthus_drop"] + p["canthus_tilt"] * (0.5 - along)
    line = line + p["outer_follow"] * lift * (1 - along)
    low = p["lower_lid"] - p["lower_follow"] * lift - p["squint"]
    high = max(p["upper_lid"] + p["upper_follow"] * lift, 0.3 - low)
    high = high * (1 - p["epicanthus"] * np.exp(-(((1 - along) / 0.14) ** 2)))
    upper = line + high * _arch(along, p["upper_peak"], p["upper_round"])
    lower = line - low * _arch(along, p["lower_peak"], p["lower_round"])
    return np.maximum(upper, lower), lower, along


def height(p: Row, where: Pose, u: Array, v: Array) -> Array:
    """Return how high the skin lies over (u, v), mm: face, lids' relief, and never in the eye."""
    upper, lower, along = margins(p, where.lift, u)
    bulge = np.sqrt(4 * along * (1 - along))
    above, below = v - upper, lower - v
    gap = p["fold_gap"] * (0.4 + 0.6 * bulge) - 0.25 * where.lift
    beyond = above - gap
    narrow = np.where(beyond > 0, 0.3 + 0.03 * gap, 0.3 + 0.14 * gap)
    fold = bump(beyond / narrow) * (1 - 0.55 * along * along)
    hood = p["hood"] * ramp(beyond, 0, 0.45) * bump(np.maximum(beyond, 0) / 6)
    roll, trough = bump((below - 2.2) / 1.5), bump((below - 8.5 + 2.5 * along) / 2.4)
    bag = (0.1 + 0.3 * p["squint"]) * roll + p["bag"] * (1.3 * roll - trough * (0.5 + along))
    relief = bulge**3 * (hood - p["fold_depth"] * fold + bag)
    return np.maximum(face(p, u, v) + relief, _ball(p, where, u, v) + 0.4 * p["lid_thickness"])


def face(p: Row, u: Array, v: Array) -> Array:
    """Return the height of the face, mm, as shape.face_height does."""
    middle = 0.5 * p["ipd"]
    u = middle - np.sqrt(9 + (middle - u) ** 2)
    brow, nose = ramp(v + 0.2 * np.minimum(u, 8), 12, 3), ramp(u, p["nose_at"], 3)
    rise = p["orbit_depth"] + p["brow_ridge"] * brow + p["cheek"] * ramp(v, -13, -3)
    rise = rise + p["nose_rise"] * nose * (1 - 0.6 * brow) + p["orbit_tilt"] * u
    rise = rise - 0.012 * np.minimum(u + 14, 0) ** 2
    dome = p["eyeball_radius"] + p["lid_thickness"] - p["orbit_depth"]
    lump: Array = bump(u / p["dome_width"]) * bump((v + 0.5) / p["dome_height"])
    return rise + dome * lump


def placed(p: Row, where: Pose, uvh: Array) -> Array:
    """Turn points (u, v, h) `[..., 3]` of the head to the camera's axes."""
    return uvh * np.array((p["side"], -1, -1)) @ where.head.T


def framed(p: Row, size: tuple[int, int]) -> tuple[float, Array]:
    """Return focal length and principal point, px, of an image centred on the lids, as ours."""
    where, (tall, wide) = pose(p), size
    along = np.array((1, 2 / 3, 1 / 3, 0, 1 / 3, 2 / 3))
    u = -p["canthus_outer"] + (p["canthus_inner"] + p["canthus_outer"]) * along
    upper, lower, _ = margins(p, where.lift, u)
    v = np.where(np.arange(6) < 4, upper, lower)
    points = placed(p, where, np.stack((u, v, face(p, u, v)), -1))
    slopes = points[:, :2] / (points[:, 2:] + p["distance"])
    focal = p["fill"] * wide / max(abs(slopes[0, 0] - slopes[3, 0]), 1 / p["distance"])
    shift = wide * np.array((p["side"] * p["shift_nasal"], p["shift_down"]))
    return focal, np.array((wide / 2, tall / 2)) + shift - focal * slopes.mean(0)


def _skin(p: Row, where: Pose, grid: tuple[int, int]) -> Grid:
    """The face as rings around the opening: the lids' rims first, then outward."""
    rows, columns = grid
    turn = 2 * np.pi * np.arange(columns) / columns  # from the outer canthus along the upper lid
    across, upward = -np.cos(turn), np.sin(turn)
    half = 0.5 * (p["canthus_inner"] + p["canthus_outer"])
    u = half * across + 0.5 * (p["canthus_inner"] - p["canthus_outer"])
    upper, lower, along = margins(p, where.lift, u)
    above = upward >= 0
    v = np.where(above, upper, lower)
    far = (across**4 + upward**4) ** -0.25
    place = np.linspace(0, 1, rows - _RIM)[:, None]
    share = 0.12 * place + 0.88 * place**2
    us, vs = u + (46 * far * across - u) * share, v + (36 * far * upward - v) * share
    out = np.stack((us, vs, height(p, where, us, vs)), -1)
    # The rims end inside the eyeball, which hides their ends.
    bare = np.where(above, v - 0.1, v + p["waterline"] * np.sqrt(4 * along * (1 - along)))
    reach = np.minimum(1, 0.96 * p["eyeball_radius"] / np.hypot(u, bare))
    deep = np.sqrt(p["eyeball_radius"] ** 2 - (reach * u) ** 2 - (reach * bare) ** 2) - 0.5
    back = np.stack((reach * u, reach * bare, deep), -1)
    edge = np.stack((u, v, out[0, :, 2] - 0.3), -1)
    uvh = np.concatenate(([back, 0.5 * (back + edge), edge], out))
    flat = np.concatenate(([[u, bare], [u, 0.5 * (v + bare)], [u, v]], np.stack((us, vs), 1)))
    uv = 0.5 + np.moveaxis(flat, 1, -1) / np.array(SPAN)
    return Grid(placed(p, where, uvh), uv, closed=True)


def _white(p: Row, depth: float) -> Grid:
    """The eyeball's sphere from the limbus backward, in the eye's frame."""
    ball, (rows, columns) = p["eyeball_radius"], _BALL
    polar = np.linspace(np.arccos(depth / ball), 2.1, rows)[:, None]
    turn = np.linspace(0, 2 * np.pi, columns)
    parts = (np.sin(polar) * np.cos(turn), np.sin(polar) * np.sin(turn), -np.cos(polar) + 0 * turn)
    return Grid(ball * np.stack(parts, -1), _polar(_BALL))


def _ring(p: Row, grid: tuple[int, int], radii: tuple[float, float], sunk: float) -> Grid:
    """A flat cone around the pupil, in the eye's frame; its texture ends 1.2 limbi out."""
    rows, columns = grid
    radius = np.linspace(*radii, rows)[:, None]
    turn = np.linspace(0, 2 * np.pi, columns)
    near = np.clip((p["limbus_radius"] - radius) / 2, 0, 1)  # its root is not aside
    x = radius * np.cos(turn) + near * p["side"] * p["pupil_nasal"]
    y = radius * np.sin(turn) - near * p["pupil_up"]
    slope = np.tan(np.deg2rad(p["iris_cone"]))
    z = slope * np.maximum(radius - p["pupil_radius"], 0) - sunk + 0 * turn
    uv = _polar(grid)
    uv[..., 1] = np.minimum(radius / (1.2 * p["limbus_radius"]), 1)
    return Grid(np.stack((x, y, z), -1), uv)


def _knob(p: Row, where: Pose) -> Grid:
    """The caruncle, an ellipsoid in the inner canthus."""
    radius = p["caruncle"]
    u, v = p["canthus_inner"] - 0.9 * radius, 0.15 - p["canthus_drop"] - 0.5 * p["canthus_tilt"]
    polar = np.linspace(0, np.pi, _KNOB[0])[:, None]
    turn = np.linspace(0, 2 * np.pi, _KNOB[1])
    ball = (np.sin(polar) * np.cos(turn), np.sin(polar) * np.sin(turn), np.cos(polar) + 0 * turn)
    middle = np.array((u, v, float(face(p, np.array(u), np.array(v))) - 1.1 * radius))
    uvh = middle + radius * np.array((1, 0.7, 0.8)) * np.stack(ball, -1)
    return Grid(placed(p, where, uvh), _polar(_KNOB))


def _depths(p: Row) -> tuple[float, float]:
    """Distances of the limbus' plane and of the pupil's edge from the eyeball's centre, mm."""
    depth = float(np.sqrt(p["eyeball_radius"] ** 2 - p["limbus_radius"] ** 2))
    return depth, min(_cornea(p) + p["cornea_radius"] - p["chamber_depth"], depth - 0.1)


def _cornea(p: Row) -> float:
    """Distance of the cornea's centre from the eyeball's, both spheres meeting at the limbus."""
    square = p["limbus_radius"] ** 2
    return float(
        np.sqrt(p["eyeball_radius"] ** 2 - square) - np.sqrt(p["cornea_radius"] ** 2 - square)
    )


def _ball(p: Row, where: Pose, u: Array, v: Array) -> Array:
    """Height of eyeball and cornea over (u, v), mm; 0 beside them."""
    flat = np.sqrt(np.maximum(p["eyeball_radius"] ** 2 - u * u - v * v, 0))
    x, y, z = -_cornea(p) * (where.head.T @ where.eye[:, 2])
    aside = p["cornea_radius"] ** 2 - (u - p["side"] * x) ** 2 - (v + y) ** 2
    return np.where(aside > 0, np.maximum(flat, np.sqrt(np.maximum(aside, 0)) - z), flat)


def _turned(grid: Grid, frame: Array) -> Grid:
    return Grid(grid.points @ frame.T, grid.uv, grid.closed)


def _polar(grid: tuple[int, int]) -> Array:
    rows, columns = grid
    across, down = np.meshgrid(np.linspace(0, 1, columns), np.linspace(0, 1, rows))
    return np.stack((across, down), -1)


def _arch(along: Array, peak: float, rounding: float) -> Array:
    near = np.clip(np.minimum(along / peak, (1 - along) / (1 - peak)), 0, 1)
    bow: Array = np.sqrt(1 - (1 - near) ** 2 + 1e-6) ** rounding
    return bow


def bump(x: Array) -> Array:
    lump: Array = np.exp(-x * x)
    return lump


def ramp(x: Array, middle: float, width: float) -> Array:
    share: Array = 1 / (1 + np.exp(np.minimum((middle - x) / width, 40)))
    return share
