"""A bare eye in Mitsuba 3: a new one each image, its scene built and rendered at 16 samples.

An eyeball, a cornea that refracts, the disc of the iris with the pupil before it, and lids that
are patches of a sphere around the eyeball, each turned as our parameters say; two lamps and a sky.
It has no skin, lashes, brow, textures or labels: it bounds from below what a tracer would take.
"""

import math
import time
from typing import Any

import mitsuba as mi
import numpy as np
import torch

from gazegan.render.params import PARAM_NAMES
from gazegan.render.prior import Recipe, sample

SAMPLES = 16
LID, AWAY = 13.2, 700.0
"""Radius of the lids and distance of the camera, mm."""


def variant() -> str:
    """Choose and name the fastest variant that works here; raises ImportError where none does."""
    for name in ("llvm_ad_rgb", "scalar_rgb"):
        try:
            mi.set_variant(name)
            least = {"type": "scene", "integrator": {"type": "path"}, "sensor": camera(8, 8)}
            mi.render(mi.load_dict(least), spp=1)
        except (ImportError, RuntimeError):
            continue
        mi.set_log_level(mi.LogLevel.Error)
        if name.startswith("llvm"):
            import drjit

            drjit.set_thread_count(1)
        return name
    raise ImportError("no variant of Mitsuba works")


def rendered(recipe: Recipe, count: int, seed: int) -> float:
    """CPU seconds in which `count` new eyes are built and rendered at the recipe's size."""
    flat = sample(recipe, seed, torch.arange(count)).flat().double().tolist()
    since = time.process_time()
    for row in flat:
        world = mi.load_dict(eye(dict(zip(PARAM_NAMES, row, strict=True)), recipe))
        np.asarray(mi.render(world, spp=SAMPLES))  # another seed would compile its kernel anew
    return time.process_time() - since


def eye(p: dict[str, float], recipe: Recipe) -> dict[str, Any]:
    """The scene of an eye at the origin, seen along z."""
    pitch, yaw = math.radians(p["gaze_pitch"]), math.radians(p["gaze_yaw"])
    turn = (
        mi.ScalarTransform4f()
        .rotate([0, 1, 0], math.degrees(yaw))
        .rotate([1, 0, 0], math.degrees(pitch))
    )
    ball, limbus, cornea = p["eyeball_radius"], p["limbus_radius"], p["cornea_radius"]
    deep = math.sqrt(ball**2 - limbus**2)
    middle = deep - math.sqrt(max(cornea**2 - limbus**2, 0.1))

    def disc(depth: float, radius: float) -> Any:
        return turn @ mi.ScalarTransform4f().translate([0, 0, -depth]).rotate([0, 1, 0], 180).scale(
            radius
        )

    return {
        "type": "scene",
        "integrator": {"type": "path", "max_depth": 5},
        "sensor": camera(recipe.image.height, recipe.image.width),
        "sky": {"type": "constant", "radiance": colour(0.4, 0.4, 0.45)},
        "key": {"type": "directional", "direction": [0.4, 0.5, 0.8], "irradiance": colour(2, 2, 2)},
        "fill": {"type": "directional", "direction": [-0.6, 0, 0.8], "irradiance": colour(1, 1, 1)},
        "sclera": {
            "type": "sphere",
            "radius": 0.97 * deep,
            "bsdf": diffuse(0.8, 0.75, 0.72),
        },
        "iris": {"type": "disk", "to_world": disc(deep, limbus), "bsdf": diffuse(0.1, 0.08, 0.05)},
        "pupil": {
            "type": "disk",
            "to_world": disc(deep + 0.01, p["pupil_radius"]),
            "bsdf": diffuse(0, 0, 0),
        },
        "cornea": {
            "type": "sphere",
            "radius": cornea,
            "to_world": turn @ mi.ScalarTransform4f().translate([0, 0, -middle]),
            "bsdf": {"type": "dielectric", "int_ior": 1.336, "ext_ior": 1.0},
        },
        "upper": lid(p["upper_lid"] / LID, 1.3),
        "lower": lid(-p["lower_lid"] / LID, -1.3),
    }


def lid(edge: float, end: float) -> Any:
    """A patch of the sphere of the lids from the angle `edge` above the middle to `end`, rad."""
    rows, columns = 24, 48
    up, side = np.meshgrid(
        np.linspace(edge, end, rows), np.linspace(-1.3, 1.3, columns), indexing="ij"
    )
    up = up * np.cos(0.9 * side)  # both lids meet in the canthi
    x, y, z = np.cos(up) * np.sin(side), -np.sin(up), -np.cos(up) * np.cos(side)
    corner = (np.arange(rows - 1)[:, None] * columns + np.arange(columns - 1)).ravel()
    a, b, c, d = corner, corner + 1, corner + columns, corner + columns + 1
    mesh = mi.Mesh("lid", rows * columns, 2 * len(corner), props=skin())
    values = mi.traverse(mesh)
    values["vertex_positions"] = (LID * np.stack((x, y, z), -1)).astype(np.float32).ravel()
    faces = np.concatenate((np.stack((a, c, b), -1), np.stack((b, c, d), -1)))
    values["faces"] = faces.astype(np.uint32).ravel()
    values.update()
    return mesh


def skin() -> Any:
    props = mi.Properties()
    props["bsdf"] = mi.load_dict({"type": "twosided", "nested": diffuse(0.7, 0.5, 0.42)})
    return props


def camera(height: int, width: int) -> dict[str, Any]:
    return {
        "type": "perspective",
        "fov_axis": "x",
        "fov": 2 * math.degrees(math.atan(20 / AWAY)),
        "to_world": mi.ScalarTransform4f().look_at(
            origin=[0, 0, -AWAY], target=[0, 0, 0], up=[0, -1, 0]
        ),
        "film": {"type": "hdrfilm", "height": height, "width": width, "pixel_format": "rgb"},
        "sampler": {"type": "independent", "sample_count": SAMPLES},
    }


def colour(red: float, green: float, blue: float) -> dict[str, Any]:
    return {"type": "rgb", "value": [red, green, blue]}


def diffuse(red: float, green: float, blue: float) -> dict[str, Any]:
    return {"type": "diffuse", "reflectance": colour(red, green, blue)}
