"""A comparable eye in Mitsuba 3, labels included: a new one each image, at 16 samples a pixel.

A scene is loaded once; every eye puts its vertices, hairs, bitmaps, sky and camera into it by
`mi.traverse`, and kernels take these as arguments. So only the first eyes compile any: there are
some four, for Dr.Jit traces the same steps now one way, now another. A scene loaded anew for each
eye takes as long where kernels are at hand, and compiles more of them; `dr.freeze` gave NaN here.
"""

import gc
import math
import tempfile
import time
from functools import cache
from typing import Any

import drjit as dr
import mitsuba as mi
import numpy as np
import torch
from comparable import BITMAPS, INDEX, MESHES, SAMPLES, Made, detail, made
from painted import developed, sky
from shapes import Array, Grid, Row, framed
from traced_bare import variant

from gazegan.render.params import PARAM_NAMES
from gazegan.render.prior import Recipe, sample

NAME = variant()
if not NAME.startswith("llvm"):  # its path tracer cannot be asked what a ray saw
    raise ImportError("none of Mitsuba's variants for LLVM works")
MASKS = ("sclera", "iris", "pupil", "caruncle", "lashes")
"""What is told apart; skin and brow are the rest."""
_PARTS = ("white", "iris", "pupil", "caruncle", "lashes", "cornea")
_GLASS = len(_PARTS)
_COLOUR = {name: f"{name}.bsdf.brdf_0.base_color" for name in ("skin", "caruncle")}
_COLOUR |= {name: f"{name}.bsdf.brdf_0.reflectance" for name in ("white", "iris")}
_SKY = (64, 128)


class Labelled(mi.SamplingIntegrator):
    """Mitsuba's path tracer, and for each of its rays the part that it sees, through the cornea."""

    def __init__(self, props: Any) -> None:
        super().__init__(props)
        self.path = mi.load_dict({"type": "path", "max_depth": 5})
        self.parts = mi.UInt32(0)
        """For each shape, by its number in Mitsuba's registry, its place in _PARTS from 1; or 0."""
        self.centre, self.radius = mi.Point3f(0), mi.Float(1)

    def aov_names(self) -> list[str]:
        return list(MASKS)

    def sample(
        self, scene: Any, sampler: Any, ray: Any, medium: Any = None, active: Any = True
    ) -> tuple[Any, Any, list[Any]]:
        light, valid, _ = self.path.sample(scene, sampler, ray, medium, active)
        straight = mi.Ray3f(ray)
        met = scene.ray_intersect_preliminary(straight, coherent=True, active=active)
        seen = self._part(met)
        through = active & (seen == _GLASS)
        within = self._refracted(straight(met.t), straight.d)
        behind = scene.ray_intersect_preliminary(within, coherent=True, active=through)
        seen = dr.select(through, self._part(behind), seen)
        return light, valid, [dr.select(seen == k + 1, 1.0, 0.0) for k in range(len(MASKS))]

    def _refracted(self, point: Any, way: Any) -> Any:
        """The ray behind the cornea, by Snell's law."""
        normal, eta = (point - self.centre) / self.radius, 1 / INDEX
        cosine = -dr.dot(way, normal)
        inward = eta * cosine - dr.safe_sqrt(1 - eta * eta * (1 - cosine * cosine))
        return mi.Ray3f(point - 1e-3 * normal, dr.normalize(eta * way + inward * normal))

    def _part(self, met: Any) -> Any:
        number = dr.reinterpret_array(mi.UInt32, met.shape)
        return dr.gather(mi.UInt32, self.parts, number, met.is_valid())


mi.register_integrator("labelled", Labelled)


class Stage:
    """A loaded scene that shows one eye after the other."""

    def __init__(self, size: tuple[int, int], first: Row) -> None:
        self.detail, self.size = detail(size[1]), size
        some = made(first, np.random.default_rng(0), self.detail)
        self.scene = mi.load_dict(_scene(some, size), optimize=False)
        self.values = mi.traverse(self.scene)
        shapes = {shape.id(): mi.ShapePtr(shape) for shape in self.scene.shapes()}
        numbers = {name: dr.reinterpret_array(mi.UInt32, at)[0] for name, at in shapes.items()}
        parts = np.zeros(max(numbers.values()) + 1, np.uint32)
        for k, name in enumerate(_PARTS):
            parts[numbers[name]] = k + 1
        self.scene.integrator().parts = mi.UInt32(parts)

    def show(self, p: Row, random: np.random.Generator) -> tuple[Array, Array]:
        """Return light `[H, W, 3]` and coverage by MASKS `[H, W, 5]` of an eye."""
        self._fill(made(p, random, self.detail))
        self._light_and_aim(p)
        # Literal numbers would be compiled into the kernels.
        dr.make_opaque([value for _, value in self.values.items()])
        self.values.update()
        told = np.asarray(mi.render(self.scene, spp=SAMPLES))
        return told[..., :3], told[..., 3:]

    def _fill(self, new: Made) -> None:
        """Put vertices, hairs and colours into the scene."""
        values, colours = self.values, new.colours
        for name in MESHES:
            grid: Grid = getattr(new.eye, name)
            values[f"{name}.vertex_positions"] = _flat(grid.points)
            values[f"{name}.vertex_texcoords"] = _flat(grid.uv)
        for name, points in new.strands.items():
            values[f"{name}.control_points"] = _flat(_splines(points))
            values[f"{name}.bsdf.reflectance.value"] = mi.Color3f(*colours.hair.tolist())
        for name in BITMAPS:
            values[f"{_COLOUR[name]}.data"] = mi.TensorXf(getattr(colours, name))
        values[f"{_COLOUR['caruncle']}.value"] = mi.Color3f(*colours.caruncle.tolist())
        centre, radius = new.eye.cornea
        values["cornea.to_world"] = mi.AffineTransform4f(_sphere(centre, radius).matrix)
        labelled = self.scene.integrator()
        labelled.centre, labelled.radius = mi.Point3f(*centre.tolist()), mi.Float(radius)
        dr.make_opaque(labelled.centre, labelled.radius)

    def _light_and_aim(self, p: Row) -> None:
        """Put the sky and the camera's place and field of view into the scene."""
        values, (tall, wide) = self.values, self.size
        values["sky.data"] = mi.TensorXf(sky(p, _ways(values["sky.data"].shape)))
        focal, middle = framed(p, self.size)
        values["camera.x_fov"] = math.degrees(2 * math.atan(0.5 * wide / focal))
        values["camera.principal_point_offset_x"] = 0.5 - middle[0] / wide
        values["camera.principal_point_offset_y"] = 0.5 - middle[1] / tall
        values["camera.to_world"] = _stand(p["distance"])


@cache
def _ways(shape: tuple[int, ...]) -> Array:
    """Directions of the sky's texels: Mitsuba keeps the first column twice, and y points up."""
    turn = 2 * np.pi * np.arange(shape[1]) / (shape[1] - 1)
    polar = np.pi * (np.arange(shape[0])[:, None] + 0.5) / shape[0]
    level = np.sin(polar)
    return np.stack(
        (np.sin(turn) * level, np.cos(polar) + 0 * turn, -np.cos(turn) * level), -1
    ).astype(np.float32)


def _scene(some: Made, size: tuple[int, int]) -> dict[str, Any]:
    eye, colours = some.eye, some.colours

    def bitmap(name: str) -> dict[str, Any]:
        return {
            "type": "bitmap",
            "bitmap": mi.Bitmap(getattr(colours, name)),
            "raw": True,
            "wrap_mode": "clamp" if name == "skin" else "repeat",
        }

    def rgb(name: str) -> dict[str, Any]:
        return {"type": "rgb", "value": getattr(colours, name).tolist()}

    wet = {"type": "principled", "roughness": 0.3, "specular": 0.5}
    oily = {"type": "principled", "roughness": 0.5, "specular": 0.3}
    coats = {
        "skin": {**oily, "base_color": bitmap("skin")},
        "white": {"type": "diffuse", "reflectance": bitmap("white")},
        "iris": {"type": "diffuse", "reflectance": bitmap("iris")},
        "pupil": {"type": "diffuse", "reflectance": 0.002},
        "caruncle": {**wet, "base_color": rgb("caruncle")},
    }
    return {
        "type": "scene",
        "integrator": {"type": "labelled"},
        "camera": _camera(*size),
        "sky": {"type": "envmap", "bitmap": mi.Bitmap(np.ones((*_SKY, 3), np.float32))},
        **{name: _mesh(name, getattr(eye, name), coat) for name, coat in coats.items()},
        **{name: _curves(points, rgb("hair")) for name, points in some.strands.items()},
        "cornea": {
            "type": "sphere",
            "to_world": _sphere(*eye.cornea),
            "bsdf": {"type": "dielectric", "int_ior": INDEX, "ext_ior": 1.0},
        },
    }


def _sphere(centre: Array, radius: float) -> Any:
    return mi.ScalarTransform4f().translate(centre.tolist()).scale(radius)


def _mesh(name: str, grid: Grid, coat: dict[str, Any]) -> Any:
    """A mesh of triangles, seen from both sides, as half of the eyes are mirrored."""
    props = mi.Properties()
    props["bsdf"] = mi.load_dict({"type": "twosided", "nested": coat})
    quads = grid.quads()
    faces = np.concatenate((quads[:, :3], quads[:, [0, 2, 3]]))
    count = grid.points.size // 3
    mesh = mi.Mesh(
        name, count, len(faces), props, has_vertex_normals=True, has_vertex_texcoords=True
    )
    mesh.set_id(name)
    values = mi.traverse(mesh)
    values["vertex_positions"], values["vertex_texcoords"] = _flat(grid.points), _flat(grid.uv)
    values["faces"] = faces.ravel()
    values.update()
    return mesh


def _curves(points: Array, colour: dict[str, Any]) -> Any:
    """Hairs as B-splines, which Mitsuba reads from a file alone: in it, empty lines part them."""
    with tempfile.NamedTemporaryFile("w", suffix=".txt") as file:
        for hair in _splines(points):
            np.savetxt(file, hair, footer="\n", comments="")
        file.flush()
        return mi.load_dict(
            {
                "type": "bsplinecurve",
                "filename": file.name,
                "bsdf": {"type": "diffuse", "reflectance": colour},
            }
        )


def _splines(points: Array) -> Array:
    """Control points of splines that begin and end where `points` do."""
    first, last = 2 * points[:, :1] - points[:, 1:2], 2 * points[:, -1:] - points[:, -2:-1]
    control = np.concatenate((first, points, last), 1)
    control[..., 3] = np.maximum(control[..., 3], 1e-3)
    return control


def _camera(height: int, width: int) -> dict[str, Any]:
    return {
        "type": "perspective",
        "fov_axis": "x",
        "fov": 4.0,
        "to_world": _stand(600),
        "film": {
            "type": "hdrfilm",
            "height": height,
            "width": width,
            "pixel_format": "rgb",
            "rfilter": {"type": "box"},
        },
        "sampler": {"type": "independent", "sample_count": SAMPLES},
    }


def _stand(away: float) -> Any:
    return mi.ScalarTransform4f().look_at(origin=[0, 0, -away], target=[0, 0, 0], up=[0, -1, 0])


def _flat(values: Array) -> Any:
    return mi.Float(values.astype(np.float32).ravel())


def rendered(recipe: Recipe, count: int, seed: int) -> float:
    """CPU seconds in which `count` new eyes are made, rendered and labelled at a recipe's size.

    The scene is loaded before, shows the eyes once, so that its kernels are at hand, and is let go
    after: those of other scenes would grow by its shapes.
    """
    rows = eyes(recipe, count, seed)
    stage = Stage((recipe.image.height, recipe.image.width), rows[0])
    for p in rows:
        stage.show(p, np.random.default_rng(seed))
    since = time.process_time()
    for k, p in enumerate(rows):
        random = np.random.default_rng((seed, k))
        light, _ = stage.show(p, random)
        developed(p, light, random, recipe.image.channels)
    spent = time.process_time() - since
    del stage
    gc.collect()
    return spent


def eyes(recipe: Recipe, count: int, seed: int) -> list[Row]:
    """Draw parameters of eyes, by name."""
    flat = sample(recipe, seed, torch.arange(count)).flat().double().tolist()
    return [dict(zip(PARAM_NAMES, row, strict=True)) for row in flat]
