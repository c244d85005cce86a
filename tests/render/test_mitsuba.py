"""Iris and pupil through the cornea, and reflectance, against the ray tracer Mitsuba 3.

Mitsuba's scene has no lids: the masks compared are those of an eye wide open.
"""

import math

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


def shining(shape_type, to_world, radiance, bsdf):
    lamp = {"type": "area", "radiance": radiance}
    return {"type": shape_type, "to_world": to_world, "bsdf": bsdf, "emitter": lamp}


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


def scene(p, index):
    """The eye as Mitsuba's scene: sclera and cornea cut at the limbus, iris and pupil inside."""
    eye, black = Eye(p), {"type": "diffuse", "reflectance": colour(NOTHING)}
    centre = float(eye.centre @ eye.axis)
    on_ball = math.acos(eye.limbus / p["eyeball_radius"])
    on_cornea = math.acos((eye.limbus - centre) / p["cornea_radius"])
    water = {"type": "dielectric", "int_ior": index, "ext_ior": 1.0}
    water["specular_reflectance"] = colour(NOTHING)
    within = math.sqrt(p["eyeball_radius"] ** 2 - eye.iris**2)
    return {
        "type": "scene",
        "integrator": {"type": "path", "max_depth": 6, "rr_depth": 100},
        "world": {"type": "constant", "radiance": colour(OUTSIDE)},
        "sclera": shining(
            "sphere",
            placed(eye, 0, p["eyeball_radius"]),
            cap(on_ball, NOTHING, OUTSIDE),
            {"type": "mask", "opacity": cap(on_ball, NOTHING, ALL), "nested": black},
        ),
        "cornea": {
            "type": "sphere",
            "to_world": placed(eye, centre, p["cornea_radius"]),
            "bsdf": {"type": "mask", "opacity": cap(on_cornea, ALL, NOTHING), "nested": water},
        },
        "iris": shining("disk", placed(eye, eye.iris, within), colour(IRIS), black),
        "pupil": shining(
            "disk",
            placed(eye, eye.iris + LIFT, p["pupil_radius"], p["pupil_nasal"], p["pupil_up"]),
            colour(PUPIL),
            black,
        ),
    }


def traced(p, focal, middle, image, index, samples=16):
    """Mitsuba's coverage `[2, H, W]` of the whole iris and of the pupil."""
    world = scene(p, index) | {"sensor": sensor(p, focal, middle, image, samples)}
    red, green, blue = np.moveaxis(np.array(mi.render(mi.load_dict(world))), 2, 0)
    # The cornea mirrors part of the light away; pupil and iris lose the same share in a pixel.
    whole = 1 - blue
    return np.stack((whole, whole * red / np.maximum(red + green, 1e-6)))


def overlaps(params, index=AQUEOUS):
    """Soft intersection over union `[B]` with Mitsuba's mask: of the whole iris, of the pupil."""
    p, where, camera, rays = stage(params, LARGE)
    eye = eyeball.hit_eye(p, where, rays)
    iris = shape.coverage(eye.limbus)
    ours = torch.stack((iris, iris * shape.coverage(eye.pupil)), 1).numpy()
    focal, middle = camera.focal.tolist(), camera.centre.numpy()
    scenes = [as_dict(params, i) for i in range(len(ours))]
    theirs = np.stack([traced(p, focal[i], middle[i], LARGE, index) for i, p in enumerate(scenes)])
    share = np.minimum(ours, theirs).sum((2, 3)) / np.maximum(ours, theirs).sum((2, 3))
    return share[:, 0], share[:, 1]


@pytest.mark.parametrize(
    ("recipe", "count", "seed"), [("webcam", 8, 3), ("columbia", 6, 4), ("standin", 6, 5)]
)
def test_iris_and_pupil_appear_where_mitsuba_sees_them(recipe, count, seed):
    params, _ = draw(count, recipe, seed)
    assert set(params.side.tolist()) == {-1, 1}
    iris, pupil = overlaps(params)
    assert iris.min() >= 0.99 and pupil.min() >= 0.98


@pytest.mark.parametrize("turn", [{"gaze_yaw": 50}, {"gaze_yaw": -60}, {"gaze_pitch": -50}])
def test_wide_pupils_of_eyes_seen_from_the_side(turn):
    iris, pupil = overlaps(draw(2, seed=4, pupil_radius=4, **turn)[0])
    assert iris.min() >= 0.99 and pupil.min() >= 0.985


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
