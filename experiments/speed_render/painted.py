"""The bitmaps of a comparable eye, and what its camera makes of light; it needs numpy alone.

Colours and patterns are about ours (surface.py, skin.py, light.py, sensor.py), and noise is a
random lattice, interpolated, as it is there. Colours are linear RGB, arrays float32.
"""

from dataclasses import dataclass

import numpy as np
from shapes import SPAN, Array, Pose, Row, margins

_MELANIN, _BLOOD = np.array((0.84, 1.0, 1.14)), np.array((0.06, 0.36, 0.32))
_IRISES = np.array(
    ((0.075, 0.11, 0.15), (0.07, 0.062, 0.032), (0.055, 0.031, 0.015), (0.028, 0.018, 0.012))
)
_RED = np.array((0.0, 0.55, 0.65))
_SOFT = (9.0, 1.2)
"""Radius, deg, of the lights, and what it gains with that of ours: what lies behind a cornea finds
lights by chance alone, and smaller ones seldom."""


@dataclass(frozen=True)
class Paint:
    """Reflectances; bitmaps are `[rows, columns, 3]`, their first row at v = 0."""

    skin: Array
    white: Array
    iris: Array
    caruncle: Array
    """[3], as hair."""
    hair: Array


def paint(p: Row, where: Pose, random: np.random.Generator, texels: int, fine: bool) -> Paint:
    """Return the colours of an eye, its skin on `texels` columns."""
    dark, light = np.array((0.008, 0.006, 0.005)), np.array((0.16, 0.10, 0.055))
    hair = dark + p["hair_light"] * (light - dark)
    return Paint(
        skin=_skin(p, where, random, texels, hair, fine),
        white=_white(p, random),
        iris=_iris(p, random),
        caruncle=1.3 * flesh(p),
        hair=hair,
    )


def tone(p: Row) -> Array:
    """Return the colour of even skin."""
    depth = p["skin_melanin"] * _MELANIN + p["skin_blood"] * _BLOOD
    colour: Array = np.array((0.88, 0.76, 0.66)) * np.exp(-depth)
    return colour


def flesh(p: Row) -> Array:
    """Return the colour of the lids' wet margins."""
    return 0.45 * np.sqrt(tone(p)) * np.array((1.0, 0.62, 0.57))


def sky(p: Row, ways: Array) -> Array:
    """Return the radiance `[..., 3]` from directions `[..., 3]` along the camera's axes.

    A sky brighter above, and the key and the fill light as soft discs, which the cornea mirrors.
    """
    total = p["light_ambient"] * np.maximum(0.68 - 0.57 * ways[..., 1], 0)
    for name, power in (("light", p["light_key"]), ("fill", 0.15 * p["light_key"])):
        a, e = np.deg2rad((p[f"{name}_azimuth"], p[f"{name}_elevation"]))
        toward = np.array((np.sin(a) * np.cos(e), -np.sin(e), -np.cos(a) * np.cos(e)))
        wide = np.deg2rad(_SOFT[0] + _SOFT[1] * p["glint_size"])
        lobe = np.exp((ways @ toward - 1) / wide**2)  # its integral is 2 pi wide^2
        total = total + power / (2 * wide**2) * lobe
    warm = np.array((1 + p["light_warmth"], 1, 1 - p["light_warmth"]))
    return (total[..., None] * warm).astype(np.float32)


def developed(p: Row, light: Array, random: np.random.Generator, channels: int) -> Array:
    """Return the camera's picture, uint8, of linear light `[rows, columns, 3]`.

    Exposure, vignetting, blur, transfer curve, grey if asked for, noise.
    """
    rows, columns = light.shape[:2]
    seen = float(tone(p) @ (0.3, 0.6, 0.1)) * (0.8 * p["light_ambient"] + 0.5 * p["light_key"])
    gain = (0.22 / max(seen, 1e-4)) ** p["metering"] * 2 ** p["exposure"]
    y, x = np.linspace(-1, 1, rows)[:, None] ** 2, np.linspace(-1, 1, columns) ** 2
    light = light * (gain * (1 - 0.5 * p["vignette"] * (x + y))).astype(np.float32)[..., None]
    light = _blurred(_blurred(light, p["blur"]).swapaxes(0, 1), p["blur"]).swapaxes(0, 1)
    coded = np.maximum(light, 1e-5) ** np.float32(1 / 2.2)
    coded = 0.45 + np.float32(p["contrast"]) * (coded - 0.45)
    middle = np.clip(coded, 0.16, 0.8)
    beyond = coded - middle
    coded = middle + beyond / (1 + np.maximum(beyond / 0.2, beyond / -0.16))
    if channels == 1:
        coded = coded @ np.array((0.299, 0.587, 0.114), np.float32)
    coded = coded + np.float32(p["noise"]) * random.standard_normal(coded.shape, np.float32)
    return np.rint(255 * np.clip(coded, 0, 1)).astype(np.uint8)


def _blurred(light: Array, sigma: float) -> Array:
    reach = max(1, int(np.ceil(2.5 * sigma)))
    weights = np.exp(-0.5 * (np.arange(-reach, reach + 1) / max(sigma, 0.05)) ** 2)
    weights = (weights / weights.sum()).astype(np.float32)
    wide, count = np.pad(light, ((reach, reach), (0, 0), (0, 0)), "edge"), len(light)
    total = weights[0] * wide[:count]
    for k in range(1, 2 * reach + 1):
        total += weights[k] * wide[k : k + count]
    return total


def _noise(
    random: np.random.Generator, shape: tuple[int, int], cells: tuple[float, float]
) -> Array:
    """Noise in -1..1 on a bitmap that shows so many cells of its lattice down and across."""
    grid = random.uniform(-1, 1, (int(cells[0]) + 2, int(cells[1]) + 2)).astype(np.float32)
    for length, count in zip(shape, cells, strict=True):
        place = (np.arange(length, dtype=np.float32) + 0.5) * np.float32(count / length)
        cell = place.astype(np.int32)
        part = place - cell
        part = (part * part * (3 - 2 * part))[:, None]
        first = grid[cell]
        grid = (first + part * (grid[cell + 1] - first)).T
    return np.ascontiguousarray(grid)


def _skin(
    p: Row, where: Pose, random: np.random.Generator, texels: int, hair: Array, fine: bool
) -> Array:
    """Mottled, grainy, freckled skin, redder at the lids, wet between their margins."""
    wide, tall = SPAN
    shape = (round(texels * tall / wide), texels)
    u = np.linspace(-0.5, 0.5, shape[1], dtype=np.float32) * wide
    v = np.linspace(-0.5, 0.5, shape[0], dtype=np.float32)[:, None] * tall

    def noise(across: float, down: float) -> Array:
        return _noise(random, shape, (down * tall, across * wide))

    mottle, grain = noise(0.2, 0.2), noise(0.65, 1.1)
    texture = mottle + 0.9 * grain
    if fine:
        specks = noise(2.0, 3.0)
        texture += 0.5 * specks - 0.9 * np.maximum(specks - 0.4, 0)
    spots = np.clip(2.2 * (noise(0.8, 0.8) - 0.45), 0, 1)
    upper, lower, along = (part.astype(np.float32) for part in margins(p, where.lift, u))
    bulge = np.sqrt(4 * along * (1 - along))
    shut = np.maximum(v - upper, lower - v)  # mm from the opening, negative in it
    away = np.maximum(np.maximum(u - p["canthus_inner"], -u - p["canthus_outer"]), 0)
    red = 0.25 * np.exp(-(np.abs(shut) + away) / 1.5) + 0.12 * mottle
    even = 1 + np.float32(p["skin_texture"]) * texture
    brown = np.float32(0.35 * p["freckles"]) * spots
    colour = even[..., None] - red[..., None] * _RED.astype(np.float32)
    colour *= (1 - brown[..., None] * _MELANIN.astype(np.float32)) * tone(p).astype(np.float32)
    wet = np.clip(0.5 - 4 * (shut + 0.1 + away), 0, 1)[..., None]
    colour += wet * (flesh(p).astype(np.float32) - colour)
    # The dark line of the lashes' roots.
    width = p["lash_width"] * (0.35 + 0.75 * (1 - along) + 0.4 * bulge)
    line = np.exp(-((np.maximum(v - upper, 0) / width) ** 3) - 9 * np.minimum(v - upper, 0) ** 2)
    cover = p["lash_dark"] * line * np.exp(-away)
    if not fine:
        cover = np.maximum(cover, _brow(p, u, v))
    colour += cover.astype(np.float32)[..., None] * (0.5 * hair.astype(np.float32) - colour)
    return np.clip(colour, 0.002, 0.95)


def _brow(p: Row, u: Array, v: Array) -> Array:
    """Cover of the brow where its hairs are too thin to be seen."""
    nasal, temporal = np.maximum(u + 11, 0), np.minimum(u + 11, 0)
    bow = (v - p["brow_at"] + 0.009 * nasal**2 + 0.014 * temporal**2) / 3.2
    ends = 1 / ((1 + np.exp((u - 14.5) / 1.5)) * (1 + np.exp(-(u + 27) / 2.5)))
    cover: Array = 0.7 * p["brow_dark"] * np.exp(-(bow**4) - 0.3 * bow**2) * ends
    return cover


def _white(p: Row, random: np.random.Generator) -> Array:
    """The sclera, redder sideways and backward, with vessels that run to the limbus."""
    shape = (64, 256)
    turn = np.linspace(0, 2 * np.pi, shape[1], dtype=np.float32)
    back = np.linspace(0, 1, shape[0], dtype=np.float32)[:, None]
    corner = np.minimum(2 * back, 1) * np.abs(np.cos(turn)) ** 3
    stem, twig = _noise(random, shape, (5, 24)), _noise(random, shape, (12, 70))
    thick, thin = np.maximum(1 - 9 * np.abs(stem), 0), np.maximum(1 - 6 * np.abs(twig), 0)
    vessels = (0.9 * thick + 0.5 * thin) * np.minimum(4 * back, 1)
    red = p["sclera_warm"] * (0.4 + 1.2 * corner) + p["veins"] * (0.3 + corner) * vessels
    white = p["sclera_white"] * np.array((1.0, 0.97, 0.94))
    return (white * (1 - _RED * np.clip(red, 0, 1.3)[..., None])).astype(np.float32)


def _iris(p: Row, random: np.random.Generator) -> Array:
    """The iris from its middle to 1.2 limbi out: ruff, collarette, fibres, crypts, dark rim."""
    shape = (64, 256)
    share = np.linspace(0, 1.2, shape[0], dtype=np.float32)[:, None]
    coarse = _noise(random, shape, (5, 18))
    threads = 0.55 - 1.5 * np.abs(_noise(random, shape, (8, 120)))
    holes = np.clip(2.6 * (_noise(random, shape, (11, 26)) - 0.45), 0, 1)
    zone, collar = (
        np.exp(-(((share - 0.6) / 0.16) ** 2)),
        np.exp(-(((share - 0.48 - 0.03 * coarse) / 0.12) ** 2)),
    )
    fibres = 0.5 * coarse + 0.55 * _noise(random, shape, (6, 90)) + 0.6 * threads
    pigment = np.clip(p["iris_pigment"] + 0.25 * collar * (1 - p["iris_pigment"]), 0, 1)
    place = 3 * pigment[..., None]
    colour = np.maximum(1 - np.abs(place - np.arange(4)), 0) @ _IRISES
    shade = 1 + p["iris_contrast"] * (fibres - 0.9 * zone * holes + 0.3 * collar)
    shade = shade * (1 - p["limbal_ring"] / (1 + np.exp((0.9 - share) / 0.05)))
    ruff = (share * p["limbus_radius"] - p["pupil_radius"]) / 0.16
    shade = 1.4 * p["iris_bright"] * shade * (1 - 0.6 * np.exp(-ruff * ruff))
    return np.clip(colour * shade[..., None], 0.002, 0.95).astype(np.float32)
