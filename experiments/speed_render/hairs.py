"""The hairs of a comparable eye as arrays; it needs numpy alone.

Each function returns `[hairs, points, 4]`: points along the camera's axes and radii, mm.
"""

import numpy as np
from shapes import Array, Pose, Row, height, margins, placed, ramp

_BROW = 160


def lashes(p: Row, where: Pose, random: np.random.Generator) -> Array:
    """Two rows of tufts on each lid, 0.8 mm apart above and 1.2 and 1.9 below, as hair.py has."""
    count, beneath = 72, 40
    low = np.arange(count + beneath) >= count
    at = np.where(low, (np.arange(count + beneath) - count) / beneath, 0)
    at = np.where(low, at, np.arange(count + beneath) / count) + 0.02 * random.normal(size=low.size)
    u = (0.02 + 0.93 * at) * (p["canthus_inner"] + p["canthus_outer"]) - p["canthus_outer"]
    upper, lower, _ = margins(p, where.lift, u)
    v = np.where(low, lower - 0.05, upper + 0.05)
    long = p["lash_length"] * np.where(low, 0.42, 1) * random.uniform(0.6, 1, low.size)
    turn = np.deg2rad(p["lash_curl"]) + p["upper_follow"] * where.lift / p["eyeball_radius"]
    rise = np.where(low, -0.9, turn) + 0.08 * random.normal(size=low.size)
    lean = 0.035 * (u + 1) + 0.22 * random.normal(size=low.size)
    t = np.linspace(-0.1, 1, 5)[:, None]
    bow = np.where(low, 0.2, -0.5) * t * (1 - t)  # hairs leave the margin before they curl
    ways = (0.6 * lean * t, np.sin(rise) * t + bow, np.cos(rise) * t)
    root = (u, v, height(p, where, u, v))
    uvh = np.stack([start + long * way for start, way in zip(root, ways, strict=True)], -1)
    thick = 0.5 * p["lash_thick"] * np.where(low, 0.55, 1) * np.clip(1.02 - t, 0.02, 1) ** 0.7
    return _hairs(p, where, uvh, thick)


def brow(p: Row, where: Pose, random: np.random.Generator) -> Array:
    """Hairs over the brow's arch that lean outward, upright near the nose.

    Ours are where two noises vanish: some 37 and 29 across, about twice that along the brow.
    """
    u = random.uniform(-27, 15, _BROW)
    bow = np.clip(0.75 * random.normal(size=_BROW), -2, 2)
    nasal, temporal = np.maximum(u + 11, 0), np.minimum(u + 11, 0)
    v = p["brow_at"] - 0.009 * nasal**2 - 0.014 * temporal**2 + 3.2 * bow
    out = ramp(u, 6, -5)
    long = random.uniform(4, 8, _BROW)
    t = np.linspace(0, 1, 5)[:, None]
    us = u - long * (0.25 + 0.7 * out) * t
    vs = v + long * (0.75 - 0.5 * out - 0.25 * bow) * (t - 0.4 * out * t * t)
    hs = height(p, where, us, vs) + 0.15 + 0.8 * t * (1 - t)
    thick = 0.11 * np.sqrt(p["brow_dark"]) * np.sqrt(1.05 - t) + 0 * us
    return _hairs(p, where, np.stack((us, vs, hs), -1), thick)


def _hairs(p: Row, where: Pose, uvh: Array, thick: Array) -> Array:
    """Join points `[points, hairs, 3]` and radii to `[hairs, points, 4]`."""
    both = np.concatenate((placed(p, where, uvh), thick[..., None]), -1)
    return both.swapaxes(0, 1).astype(np.float32)
