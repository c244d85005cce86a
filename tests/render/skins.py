"""The face and its lids in float64, written from their description, without the package."""

import math

import numpy as np
from oracles import frame
from scipy.special import expit


def face_height(q, u, v):
    """The face above the eyeball's centre, mm, written from its description."""
    middle = q["ipd"] / 2
    u = middle - np.hypot(middle - u, 3)
    rise = q["orbit_depth"] + q["orbit_tilt"] * u - 0.012 * np.minimum(u + 14, 0) ** 2
    brow = expit((v + 0.2 * np.minimum(u, 8) - 12) / 3)
    low = 0.5 * (np.hypot(3, 3 - v) + 3 - v)
    low = 40 * low / (40 + low)
    nose = expit((u + q["nose_slant"] * low - q["nose_at"]) / 3)
    ridge = q["nose_rise"] + q["nose_slope"] * low
    rise += q["brow_ridge"] * brow + ridge * nose * (1 - q["nose_root"] * brow)
    rise += q["cheek"] * expit((-v - 13) / 3)
    dome = np.exp(-((u / q["dome_width"]) ** 2) - ((v + 0.5) / q["dome_height"]) ** 2)
    return rise + (q["eyeball_radius"] + q["lid_thickness"] - q["orbit_depth"]) * dome


def arch(along, peak, rounding):
    rest = np.clip(np.minimum(along / peak, (1 - along) / (1 - peak)), 0, 1)
    return np.sqrt(1 - (1 - rest) ** 2 + 1e-6) ** rounding


def margin(q, eye, u, upper):
    """Height v of the upper or the lower margin of the lids; `eye` is an `oracles.Eye`."""
    head = frame(q["head_pitch"], q["head_yaw"], q["head_roll"])
    lift = -(head.T @ eye.axis)[1] * q["eyeball_radius"]
    along = np.clip((u + q["canthus_outer"]) / (q["canthus_inner"] + q["canthus_outer"]), 0, 1)
    line = -q["canthus_drop"] + q["canthus_tilt"] * (0.5 - along)
    line = line + q["outer_follow"] * lift * (1 - along)
    low = q["lower_lid"] - q["lower_follow"] * lift - q["squint"]
    high = max(q["upper_lid"] + q["upper_follow"] * lift, 0.3 - low)
    lower = line - low * arch(along, q["lower_peak"], q["lower_round"])
    if not upper:
        return lower
    high = high * (1 - q["epicanthus"] * np.exp(-(((1 - along) / 0.14) ** 2)))
    return np.maximum(line + high * arch(along, q["upper_peak"], q["upper_round"]), lower)


def landmarks(q, eye):
    """The landmarks on the skin `[23, 3]`, mm in the head's frame from the eyeball's centre."""
    t = np.r_[np.arange(9) / 8, 1 - np.arange(1, 8) / 8]
    u = q["canthus_inner"] - (q["canthus_inner"] + q["canthus_outer"]) * t
    v = np.r_[margin(q, eye, u[:9], upper=True), margin(q, eye, u[9:], upper=False)]
    turn = 2 * math.pi * np.arange(7) / 7
    r, middle = q["caruncle"], q["canthus_inner"] - 0.9 * q["caruncle"]
    below = -q["canthus_drop"] - 0.5 * q["canthus_tilt"] + 0.15
    u = np.r_[u, middle + r * np.cos(turn)]
    v = np.r_[v, below + 0.7 * r * np.sin(turn)]
    return np.stack((q["side"] * u, -v, -face_height(q, u, v)), -1)
