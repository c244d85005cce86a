"""Iris and pupil through the cornea, and reflectance, against the ray tracer Mitsuba 3.

Mitsuba's scene has no lids: the masks compared are those of an eye wide open.
"""

import math
import tempfile
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from oracles import AQUEOUS, Eye, fresnel
from scenes import LARGE, as_dict, draw, stage

from gazegan.render import eyeball, light, shape

mi = pytest.importorskip("mitsuba", reason="Mitsuba 3 cannot be imported", exc_type=ImportError)
mi.set_variant("scalar_rgb")
mi.set_log_level(mi.LogLevel.Error)  # it warns of rotations that float32 leaves a bit skew

PUPIL, IRIS, OUTSIDE = (1.0, 0.0, 0.0), (0.0, 1.0, 0.0), (0.0, 0.0, 1.0)
NOTHING, ALL = (0.0, 0.0, 0.0), (1.0, 1.0, 1.0)
LIFT = 1e-3
"""mm by which the pupil's disc lies before the iris, so that rays meet it first."""


def colour(value):
    return {"type": "rgb", "value": list(value)}


def cap(angle, within, beyond):
    """A sphere's texture: one colour up to `angle` rad from its pole, another beyond."""
    # The second texture coordinate is the angle over pi; two texels meet in its middle.
    return {
        "type": "bitmap",
        "data": mi.TensorXf(np.array([[within], [beyond]], dtype=np.float32)),
        "raw": True,
        "filter_type": "nearest",
        "wrap_mode": "clamp",
        "to_uv": mi.ScalarTransform3f().scale([1, 0.5 * math.pi / angle]),
    }


def placed(eye, depth, radius, u=0.0, v=0.0):
    """Carry a unit sphere or disc to (u, v) at a depth along the optical axis, facing outward."""
    matrix = np.eye(4)
    matrix[:3, :3] = radius * eye.frame @ np.diag([1, -1, -1])
    matrix[:3, 3] = eye.frame @ [eye.p["side"] * u, -v, -depth]
    return mi.ScalarTransform4f(matrix)


def shining(shape, radiance, bsdf):
    return shape | {"bsdf": bsdf, "emitter": {"type": "area", "radiance": radiance}}


def turned(path, radii, heights, slopes):
    """A surface of revolution about z, as a mesh with the normals of its profile's slopes."""
    around, rings = 192, len(radii)
    t = 2 * math.pi * np.arange(around) / around
    spin = np.stack((np.cos(t), np.sin(t)), -1)
    flat = (rings, around, 1)
    points = np.concatenate(
        (radii[:, None, None] * spin, np.broadcast_to(heights[:, None, None], flat)), -1
    )
    normals = np.concatenate((-slopes[:, None, None] * spin, np.ones(flat)), -1)
    ring, step = np.meshgrid(np.arange(rings - 1), np.arange(around), indexing="ij")
    a, b = (around * ring + step).ravel(), (around * ring + (step + 1) % around).ravel()
    faces = np.concatenate(
        (np.stack((a, a + around, b), -1), np.stack((b, a + around, b + around), -1))
    )
    mesh = mi.Mesh("turned", points[..., 0].size, len(faces), has_vertex_normals=True)
    values = mi.traverse(mesh)
    values["vertex_positions"] = points.ravel()
    values["vertex_normals"] = (normals / np.linalg.norm(normals, axis=-1, keepdims=True)).ravel()
    values["faces"] = faces.ravel()
    values.update()
    mesh.write_ply(str(path))
    return {"type": "ply", "filename": str(path)}


def cornea(eye, path):
    """The conicoid from apex to limbus, its apex at z = 0."""
    radius, shrunk = eye.p["cornea_radius"], 1 + eye.p["asphericity"]
    r = np.linspace(1e-4, eye.p["limbus_radius"], 96)
    root = np.sqrt(radius**2 - shrunk * r**2)
    return turned(path, r, -(r**2) / (radius + root), -r / root)


def flank(eye, folder, start, end, radiance):
    """A ring of the iris' cone, `start` to `end` mm from the pupil's edge or to the sclera."""
    slope = -math.tan(math.radians(eye.p["iris_cone"]))
    at_pupil = (eye.p["pupil_nasal"], eye.p["pupil_up"])
    edge = eye.p["pupil_radius"]
    within = math.sqrt(eye.p["eyeball_radius"] ** 2 - eye.iris**2) - math.hypot(*at_pupil)
    r = np.array([edge + start, min(edge + end, within)])
    ring = turned(folder / f"{start}.ply", r, slope * (r - edge), np.full(2, slope))
    ring |= {"to_world": placed(eye, eye.iris, 1, *at_pupil)}
    return shining(ring, colour(radiance), {"type": "diffuse", "reflectance": colour(NOTHING)})


def sensor(p, focal, middle, image, samples):
    half = np.array([image.width, image.height]) / 2
    # Mitsuba counts the principal point's offset toward the image's left and top.
    off = (half - middle) / (2 * half)
    return {
        "type": "perspective",
        "fov_axis": "x",
        "fov": 2 * math.degrees(math.atan(half[0] / focal)),
        "principal_point_offset_x": off[0],
        "principal_point_offset_y": off[1],
        "to_world": mi.ScalarTransform4f().look_at(
            origin=[0, 0, -p["distance"]], target=[0, 0, 0], up=[0, -1, 0]
        ),
        "film": {
            "type": "hdrfilm",
            "width": image.width,
            "height": image.height,
            "pixel_format": "rgb",
            "component_format": "float32",
            "rfilter": {"type": "box"},
        },
        "sampler": {"type": "multijitter", "sample_count": samples},
    }


def scene(p, index, folder, zone):
    """The eye as Mitsuba's scene; `zone` mm of the iris around the pupil look like the pupil."""
    eye, black = Eye(p), {"type": "diffuse", "reflectance": colour(NOTHING)}
    on_ball = math.acos(eye.limbus / p["eyeball_radius"])
    water = {"type": "dielectric", "int_ior": index, "ext_ior": 1.0}
    water["specular_reflectance"] = colour(NOTHING)
    ball = {"type": "sphere", "to_world": placed(eye, 0, p["eyeball_radius"])}
    at_pupil = (p["pupil_nasal"], p["pupil_up"])
    hole = {"type": "disk", "to_world": placed(eye, eye.iris + LIFT, p["pupil_radius"], *at_pupil)}
    window = cornea(eye, folder / "cornea.ply") | {"to_world": placed(eye, eye.apex, 1)}
    return {
        "type": "scene",
        "integrator": {"type": "path", "max_depth": 6, "rr_depth": 100},
        "world": {"type": "constant", "radiance": colour(OUTSIDE)},
        "sclera": shining(
            ball,
            cap(on_ball, NOTHING, OUTSIDE),
            {"type": "mask", "opacity": cap(on_ball, NOTHING, ALL), "nested": black},
        ),
        "cornea": window | {"bsdf": water},
        "iris": flank(eye, folder, zone, math.inf, IRIS),
        "pupil": shining(hole, colour(PUPIL), black),
        **({"zone": flank(eye, folder, 0, zone, PUPIL)} if zone else {}),
    }


def traced(p, focal, middle, image, index, zone, samples=16):
    """Mitsuba's coverage `[2, H, W]` of the whole iris and of the pupil."""
    with tempfile.TemporaryDirectory() as folder:
        world = scene(p, index, Path(folder), zone) | {
            "sensor": sensor(p, focal, middle, image, samples)
        }
        loaded = mi.load_dict(world)
    red, green, blue = np.moveaxis(np.array(mi.render(loaded)), 2, 0)
    # The cornea mirrors part of the light away; pupil and iris lose the same share in a pixel.
    whole = 1 - blue
    return np.stack((whole, whole * red / np.maximum(red + green, 1e-6)))


def overlaps(params, index=AQUEOUS, zone=0.0, bent=None):
    """Soft intersection over union `[B]` with Mitsuba's mask: of the whole iris, of the pupil.

    `zone` mm of the iris count as pupil; `bent` are the eyes for Mitsuba, where they differ.
    """
    p, where, camera, rays = stage(params, LARGE)
    eye = eyeball.hit_eye(p, where, rays)
    iris = shape.coverage(eye.limbus)
    ours = torch.stack((iris, iris * shape.coverage(eye.pupil + zone)), 1).numpy()
    focal, middle = camera.focal.tolist(), camera.centre.numpy()
    scenes = [as_dict(bent or params, i) for i in range(len(ours))]
    theirs = np.stack(
        [traced(p, focal[i], middle[i], LARGE, index, zone) for i, p in enumerate(scenes)]
    )
    share = np.minimum(ours, theirs).sum((2, 3)) / np.maximum(ours, theirs).sum((2, 3))
    return share[:, 0], share[:, 1]


@pytest.mark.parametrize(
    ("recipe", "count", "seed"),
    [("webcam", 8, 3), ("columbia", 6, 4), ("studio", 6, 4), ("standin", 6, 5)],
)
def test_iris_and_pupil_appear_where_mitsuba_sees_them(recipe, count, seed):
    params, _ = draw(count, recipe, seed)
    assert set(params.side.tolist()) == {-1, 1}
    iris, pupil = overlaps(params)
    assert iris.min() >= 0.99 and pupil.min() >= 0.98


@pytest.mark.parametrize(
    "anatomy",
    [
        {"asphericity": 0, "iris_cone": 0},
        {"asphericity": -0.6, "iris_cone": 0},
        {"asphericity": -0.26, "iris_cone": 15, "gaze_yaw": 40},
    ],
    ids=["sphere and plane", "conicoid", "cone"],
)
def test_corneas_and_irises_of_any_shape(anatomy):
    iris, pupil = overlaps(draw(3, seed=6, **anatomy)[0])
    assert iris.min() >= 0.99 and pupil.min() >= 0.98


@pytest.mark.parametrize("turn", [{"gaze_yaw": 50}, {"gaze_yaw": -60}, {"gaze_pitch": -50}])
def test_wide_pupils_of_eyes_seen_from_the_side(turn):
    iris, pupil = overlaps(draw(2, seed=4, pupil_radius=4, **turn)[0])
    assert iris.min() >= 0.99 and pupil.min() >= 0.985


def test_a_ring_of_the_cone_lies_where_mitsuba_sees_it():
    params, _ = draw(3, seed=6, pupil_radius=1.5, iris_cone=15, gaze_yaw=40)
    assert overlaps(params, zone=2.0)[1].min() >= 0.98
    flat = replace(params, iris_cone=torch.zeros(3))
    assert overlaps(flat, zone=2.0, bent=params)[1].max() < 0.95


def test_without_refraction_the_pupil_would_not_match():
    params, _ = draw(4, seed=3)
    iris, pupil = overlaps(params, index=1.0)
    assert iris.min() >= 0.99  # the limbus is seen from outside, whatever lies behind
    assert pupil.max() < 0.9


@pytest.mark.parametrize("incidence", [0.0, 0.3, 0.8, 1.2, 1.5])
def test_directions_and_reflectance_against_mitsuba(incidence):
    cosine, sine = math.cos(incidence), math.sin(incidence)
    share, cos_out, _, to_out = mi.fresnel(cosine, AQUEOUS)
    known = mi.refract(mi.Vector3f(-sine, 0, cosine), cos_out, to_out)
    way, normal = (torch.tensor(v)[:, None] for v in ((sine, 0, -cosine), (0.0, 0, 1)))
    found = eyeball.refract(way, normal, AQUEOUS).flatten()
    np.testing.assert_allclose(found, np.array(known), atol=1e-6)
    assert float(fresnel(cosine, AQUEOUS)) == pytest.approx(share, abs=1e-6)


def test_schlick_errs_by_at_most_five_hundredths():
    # The tear film mirrors with the index of the cornea's surface; the error peaks at 84 degrees.
    cosine = np.linspace(0, 1, 1001)
    exact = np.array([mi.fresnel(c, 1.376)[0] for c in cosine.tolist()])
    error = np.abs(light.schlick(torch.tensor(cosine), 0.025).numpy() - exact)
    assert error.max() <= 0.0505 and error[cosine > 0.5].max() <= 0.0125
    assert error[-1] < 1e-4
