"""A comparable eye in Blender's Cycles, labels included: run by a Python that can import `bpy`.

    PYTHON blender.py HEIGHT WIDTH CHANNELS SEED < EYES

EYES are the parameters of the eyes, a JSON list of objects. Prints the CPU seconds in which they
are made, rendered at 16 samples a pixel and labelled. The eyes are those of traced.py. A scene is
made once; every eye puts its vertices, hairs, bitmaps, sky and camera into it.

Each part sends a little light, in a light group of its own, to rays from the camera that at most
went through the cornea: Cycles' other passes would tell of the cornea alone.
"""

import json
import math
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import bpy
import numpy as np
from comparable import BITMAPS, INDEX, MESHES, SAMPLES, detail, made
from exr import planes
from painted import developed, sky
from shapes import Array, Grid, Row, framed

SKY = (64, 128)
MASKS = ("sclera", "iris", "pupil", "caruncle", "lashes", "skin")
_GROUPS = {"white": "sclera", "brow": "skin"}
"""Light groups of parts that are named otherwise."""
_FAINT = 1e-3
"""Light that a part sends to be told apart; it is taken off the picture."""


def main() -> None:
    height, width, channels, seed = map(int, sys.argv[1:])
    rows = json.load(sys.stdin)
    with tempfile.TemporaryDirectory() as folder:
        stage = Stage((height, width), rows[0], Path(folder) / "eye.exr")
        stage.show(rows[0], np.random.default_rng(seed))  # loads what Cycles needs
        since = time.process_time()
        for k, p in enumerate(rows):
            random = np.random.default_rng((seed, k))
            light, _ = stage.show(p, random)
            developed(p, light, random, channels)
        sys.stdout.write(f"\n{time.process_time() - since}\n")


class Stage:
    """A scene that shows one eye after the other."""

    def __init__(self, size: tuple[int, int], first: Row, file: Path) -> None:
        self.detail, self.size, self.file = detail(size[1]), size, file
        bpy.ops.wm.read_factory_settings(use_empty=True)
        _settings(size, file)
        some = made(first, np.random.default_rng(0), self.detail)
        shapes = {name: getattr(some.colours, name).shape for name in BITMAPS}
        self.images = {name: _bitmap(name, shape) for name, shape in shapes.items()}
        for name in MESHES:
            _mesh(name, getattr(some.eye, name), _coat(name, self.images.get(name)))
        for name, points in some.strands.items():
            _curves(name, points, _coat(name, None))
        _cornea()
        self.images["sky"] = _sky()
        self.camera = bpy.data.cameras.new("camera")
        self.camera.clip_end = 3000
        self.stand = _placed("camera", self.camera)
        self.stand.rotation_euler = (math.pi / 2, 0, 0)
        bpy.context.scene.camera = self.stand
        self.ways = _ways()

    def show(self, p: Row, random: np.random.Generator) -> tuple[Array, Array]:
        """Return light `[H, W, 3]` and coverage by MASKS `[H, W, 6]` of an eye."""
        new = made(p, random, self.detail)
        for name in MESHES:
            _reshape(bpy.data.meshes[name], getattr(new.eye, name))
        for name, points in new.strands.items():
            _strew(bpy.data.hair_curves[name], points)
            _colour(name, new.colours.hair)
        for name in BITMAPS:
            _fill(self.images[name], getattr(new.colours, name))
        _colour("caruncle", new.colours.caruncle)
        _fill(self.images["sky"], sky(p, self.ways))
        centre, radius = new.eye.cornea
        cornea = bpy.data.objects["cornea"]
        cornea.location, cornea.scale = _axes(centre).tolist(), (radius,) * 3
        self._aim(p)
        bpy.ops.render.render(write_still=True)
        return _read(self.file)

    def _aim(self, p: Row) -> None:
        focal, middle = framed(p, self.size)
        tall, wide = self.size
        self.stand.location = (0, -p["distance"], 0)
        self.camera.angle = 2 * math.atan(0.5 * wide / focal)
        self.camera.shift_x = 0.5 - middle[0] / wide
        self.camera.shift_y = (middle[1] - 0.5 * tall) / wide


def _settings(size: tuple[int, int], file: Path) -> None:
    bpy.ops.preferences.addon_enable(module="cycles")
    scene = bpy.context.scene
    scene.render.engine = "CYCLES"
    scene.render.use_persistent_data = False  # it would keep the first eye's bitmaps
    scene.cycles.samples, scene.cycles.device = SAMPLES, "CPU"
    scene.cycles.use_denoising = scene.cycles.use_adaptive_sampling = False
    scene.cycles.max_bounces = 5
    scene.cycles.use_light_tree = False  # the sky is the only light
    scene.cycles.pixel_filter_type = "BOX"
    scene.render.threads_mode, scene.render.threads = "FIXED", 1
    scene.render.resolution_y, scene.render.resolution_x = size
    scene.render.filepath = str(file)
    form = scene.render.image_settings
    form.media_type = "MULTI_LAYER_IMAGE"
    form.file_format, form.color_depth, form.exr_codec = "OPEN_EXR_MULTILAYER", "32", "NONE"
    form.use_exr_interleave = True  # one part, which is all that exr.py reads
    for name in MASKS:
        scene.view_layers[0].lightgroups.add(name=name)


def _read(file: Path) -> tuple[Array, Array]:
    """Light and masks of a rendered file; what the cornea mirrors is of no part and left out."""
    told = {name.split(".", 1)[1]: plane for name, plane in planes(file).items()}
    faint = np.stack([told[f"Combined_{name}.R"] for name in MASKS], -1)
    total = faint.sum(-1)
    light = np.stack([told[f"Combined.{c}"] for c in "RGB"], -1) - total[..., None]
    seen = faint / np.maximum(total, 1e-9)[..., None]
    seen[..., -1] += total == 0
    return light, seen


def _axes(points: Array) -> Array:
    """Blender's axes: z is up, and y away from the camera."""
    return np.stack((points[..., 0], points[..., 2], -points[..., 1]), -1).astype(np.float32)


def _placed(name: str, data: Any) -> Any:
    thing = bpy.data.objects.new(name, data)
    bpy.context.scene.collection.objects.link(thing)
    return thing


def _mesh(name: str, grid: Grid, coat: Any) -> None:
    quads, mesh = grid.quads(), bpy.data.meshes.new(name)
    mesh.from_pydata(grid.points.reshape(-1, 3), [], quads, shade_flat=False)
    mesh.uv_layers.new(name="uv")
    mesh.materials.append(coat)
    _placed(name, mesh).lightgroup = _GROUPS.get(name, name)


def _reshape(mesh: Any, grid: Grid) -> None:
    """Move a mesh's vertices; `grid` is of the shape of that which it was made of."""
    mesh.attributes["position"].data.foreach_set("vector", _axes(grid.points).ravel())
    corners = grid.uv.reshape(-1, 2).astype(np.float32)[grid.quads().ravel()]
    mesh.uv_layers[0].uv.foreach_set("vector", corners.ravel())
    mesh.update()


def _curves(name: str, points: Array, coat: Any) -> None:
    curves = bpy.data.hair_curves.new(name)
    curves.add_curves([points.shape[1]] * len(points))
    curves.attributes.new("radius", "FLOAT", "POINT")
    curves.materials.append(coat)
    _placed(name, curves).lightgroup = _GROUPS.get(name, name)


def _strew(curves: Any, points: Array) -> None:
    curves.attributes["position"].data.foreach_set("vector", _axes(points[..., :3]).ravel())
    curves.attributes["radius"].data.foreach_set("value", points[..., 3].ravel())
    curves.update_tag()


def _bitmap(name: str, shape: tuple[int, ...]) -> Any:
    return bpy.data.images.new(name, shape[1], shape[0], float_buffer=True, is_data=True)


def _fill(image: Any, colours: Array) -> None:
    pixels = np.ones((*colours.shape[:2], 4), np.float32)
    pixels[..., :3] = colours
    image.pixels.foreach_set(pixels.ravel())
    image.update()


def _colour(name: str, colour: Array) -> None:
    shader = bpy.data.materials[name].node_tree.nodes["coat"]
    shader.inputs[0].default_value = (*colour.tolist(), 1)


def _coat(name: str, image: Any) -> Any:
    """A material whose light to the camera alone, straight or through glass, tells it apart."""
    material = bpy.data.materials.new(name)
    material.cycles.emission_sampling = "NONE"
    tree = material.node_tree
    shining = name in ("skin", "caruncle")
    tree.nodes.clear()
    coat = tree.nodes.new("ShaderNodeBsdfPrincipled" if shining else "ShaderNodeBsdfDiffuse")
    coat.name = "coat"
    if shining:
        coat.inputs["Roughness"].default_value = 0.5 if name == "skin" else 0.3
        coat.inputs["Specular IOR Level"].default_value = 0.3
    coat.inputs[0].default_value = (0.002, 0.002, 0.002, 1)
    if image is not None:
        texture = tree.nodes.new("ShaderNodeTexImage")
        texture.image, texture.extension = image, "EXTEND" if name == "skin" else "REPEAT"
        tree.links.new(texture.outputs[0], coat.inputs[0])
    both, out = tree.nodes.new("ShaderNodeAddShader"), tree.nodes.new("ShaderNodeOutputMaterial")
    tree.links.new(coat.outputs[0], both.inputs[0])
    tree.links.new(_told(tree), both.inputs[1])
    tree.links.new(both.outputs[0], out.inputs[0])
    return material


def _told(tree: Any) -> Any:
    """The output of a faint light for rays that no surface has scattered or mirrored."""
    path, glow = tree.nodes.new("ShaderNodeLightPath"), tree.nodes.new("ShaderNodeEmission")
    depth, first = tree.nodes.new("ShaderNodeMath"), tree.nodes.new("ShaderNodeMath")
    depth.operation, first.operation = "ADD", "LESS_THAN"
    tree.links.new(path.outputs["Diffuse Depth"], depth.inputs[0])
    tree.links.new(path.outputs["Glossy Depth"], depth.inputs[1])
    tree.links.new(depth.outputs[0], first.inputs[0])
    first.inputs[1].default_value = 0.5
    faint = tree.nodes.new("ShaderNodeMath")
    faint.operation = "MULTIPLY"
    tree.links.new(first.outputs[0], faint.inputs[0])
    faint.inputs[1].default_value = _FAINT
    tree.links.new(faint.outputs[0], glow.inputs["Strength"])
    return glow.outputs[0]


def _cornea() -> None:
    bpy.ops.mesh.primitive_uv_sphere_add(radius=1, segments=64, ring_count=32)
    bpy.ops.object.shade_smooth()
    thing = bpy.context.object
    thing.name = "cornea"
    # The iris behind is lit past it, as is usual, for light bent by it would be found by chance.
    thing.visible_shadow = thing.visible_diffuse = thing.visible_glossy = False
    material = bpy.data.materials.new("cornea")
    tree = material.node_tree
    tree.nodes.clear()
    glass, out = tree.nodes.new("ShaderNodeBsdfGlass"), tree.nodes.new("ShaderNodeOutputMaterial")
    glass.inputs["Roughness"].default_value, glass.inputs["IOR"].default_value = 0, INDEX
    tree.links.new(glass.outputs[0], out.inputs[0])
    thing.data.materials.append(material)


def _sky() -> Any:
    """The world's image, which is returned."""
    world = bpy.context.scene.world = bpy.data.worlds.new("sky")
    world.cycles.sampling_method, world.cycles.sample_map_resolution = "MANUAL", SKY[1]
    texture = world.node_tree.nodes.new("ShaderNodeTexEnvironment")
    texture.image = _bitmap("sky", SKY)
    world.node_tree.links.new(texture.outputs[0], world.node_tree.nodes["Background"].inputs[0])
    return texture.image


def _ways() -> Array:
    """Directions `[rows, columns, 3]`, along the camera's axes, of the sky's texels."""
    turn = math.pi - 2 * np.pi * (np.arange(SKY[1]) + 0.5) / SKY[1]
    rise = np.pi * ((np.arange(SKY[0])[:, None] + 0.5) / SKY[0] - 0.5)
    level = np.cos(rise)
    ways = (np.cos(turn) * level, -np.sin(rise) + 0 * turn, np.sin(turn) * level)
    return np.stack(ways, -1).astype(np.float32)


if __name__ == "__main__":
    main()
