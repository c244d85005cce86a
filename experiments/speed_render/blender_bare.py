"""A bare eye in Blender's Cycles at 16 samples: run by a Python that can import `bpy`.

    PYTHON blender_bare.py HEIGHT WIDTH COUNT SEED

Prints the CPU seconds in which COUNT new eyes are built and rendered. The scene is that of
traced_bare.py: eyeball, cornea, iris, pupil, lids, lamps.
"""

import math
import random
import sys
import tempfile
import time
from pathlib import Path

import bpy

SAMPLES, LID, AWAY = 16, 13.2, 700.0


def main() -> None:
    height, width, count, seed = map(int, sys.argv[1:])
    bpy.ops.wm.read_factory_settings(use_empty=True)
    settings(height, width)
    draw = random.Random(seed)
    with tempfile.TemporaryDirectory() as folder:
        bpy.context.scene.render.filepath = str(Path(folder) / "eye.png")
        one(draw)  # loads what Cycles needs
        since = time.process_time()
        for _ in range(count):
            one(draw)
        sys.stdout.write(f"\n{time.process_time() - since}\n")


def settings(height: int, width: int) -> None:
    bpy.ops.preferences.addon_enable(module="cycles")
    scene = bpy.context.scene
    scene.render.engine = "CYCLES"
    scene.cycles.samples, scene.cycles.device = SAMPLES, "CPU"
    scene.cycles.use_denoising = scene.cycles.use_adaptive_sampling = False
    scene.cycles.max_bounces = 5
    scene.render.threads_mode, scene.render.threads = "FIXED", 1
    scene.render.resolution_x, scene.render.resolution_y = width, height
    scene.world = bpy.data.worlds.new("sky")


def one(draw: random.Random) -> None:
    """Build an eye anew and render it to a file, as `bpy` gives pixels no other way."""
    for thing in list(bpy.data.objects):
        bpy.data.objects.remove(thing)
    for group in (bpy.data.meshes, bpy.data.materials, bpy.data.cameras, bpy.data.lights):
        for thing in list(group):
            group.remove(thing)
    yaw, pitch = draw.uniform(-0.4, 0.4), draw.uniform(-0.4, 0.25)
    gaze = (math.sin(yaw) * math.cos(pitch), -math.cos(yaw) * math.cos(pitch), math.sin(pitch))
    turn = (math.pi / 2 - pitch, 0, -yaw)
    ball(11.2, (0, 0, 0), plain("white", (0.8, 0.75, 0.72)))
    ball(7.8, tuple(5.5 * g for g in gaze), glass())
    disc(5.9, tuple(10.4 * g for g in gaze), turn, plain("iris", (0.1, 0.08, 0.05)))
    disc(draw.uniform(1.2, 3), tuple(10.41 * g for g in gaze), turn, plain("pupil", (0, 0, 0)))
    skin = plain("skin", (0.7, 0.5, 0.42))
    lid(draw.uniform(2, 5) / LID, 1.3, skin)
    lid(draw.uniform(-6, -4) / LID, -1.3, skin)
    bpy.ops.object.light_add(type="SUN", rotation=(0.9, 0.2, 0.4))
    bpy.context.object.data.energy = 2
    bpy.ops.object.light_add(type="SUN", rotation=(1.2, -0.3, -0.8))
    bpy.ops.object.camera_add(location=(0, -AWAY, 0), rotation=(math.pi / 2, 0, 0))
    bpy.context.object.data.angle = 2 * math.atan(20 / AWAY)
    bpy.context.object.data.clip_end = 2 * AWAY
    bpy.context.scene.camera = bpy.context.object
    bpy.ops.render.render(write_still=True)


def ball(radius: float, place: tuple[float, ...], material: bpy.types.Material) -> None:
    bpy.ops.mesh.primitive_uv_sphere_add(radius=radius, location=place, segments=64, ring_count=32)
    bpy.ops.object.shade_smooth()
    bpy.context.object.data.materials.append(material)


def disc(
    radius: float,
    place: tuple[float, ...],
    turn: tuple[float, ...],
    material: bpy.types.Material,
) -> None:
    bpy.ops.mesh.primitive_circle_add(
        radius=radius, location=place, rotation=turn, vertices=64, fill_type="NGON"
    )
    bpy.context.object.data.materials.append(material)


def lid(edge: float, end: float, material: bpy.types.Material) -> None:
    """A patch of the sphere of the lids, as in traced_bare.py."""
    rows, columns = 24, 48
    points, faces = [], []
    for i in range(rows):
        for j in range(columns):
            side = -1.3 + 2.6 * j / (columns - 1)
            up = (edge + (end - edge) * i / (rows - 1)) * math.cos(0.9 * side)
            flat = math.cos(up)
            points.append(
                (LID * flat * math.sin(side), -LID * flat * math.cos(side), LID * math.sin(up))
            )
            if i and j:
                k = i * columns + j
                faces.append((k - columns - 1, k - columns, k, k - 1))
    mesh = bpy.data.meshes.new("lid")
    mesh.from_pydata(points, [], faces)
    mesh.materials.append(material)
    bpy.context.collection.objects.link(bpy.data.objects.new("lid", mesh))


def plain(name: str, colour: tuple[float, float, float]) -> bpy.types.Material:
    material = bpy.data.materials.new(name)
    material.use_nodes = True
    shader = material.node_tree.nodes["Principled BSDF"]
    shader.inputs["Base Color"].default_value = (*colour, 1)
    return material


def glass() -> bpy.types.Material:
    material = plain("cornea", (1, 1, 1))
    shader = material.node_tree.nodes["Principled BSDF"]
    shader.inputs["Roughness"].default_value = 0
    shader.inputs["IOR"].default_value = 1.336
    shader.inputs["Transmission Weight"].default_value = 1
    return material


if __name__ == "__main__":
    main()
