"""Near-infrared: LEDs against a float64 solver of reflection, falloff, bands, bright pupils."""

import math
from itertools import pairwise

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.testing import assert_allclose
from oracles import Eye
from scenes import as_dict, double, draw, stage
from scipy.optimize import brentq

from gazegan.render import eyeball, heads, leds, light, shape, surface
from gazegan.render.bands import INFRARED, VISIBLE, band_of
from gazegan.render.crowd import render_scenes
from gazegan.render.prior import Image, load_recipe
from gazegan.render.scene import render

NIGHT = {"light_key": 0, "light_ambient": 0.05, "glint": 0, "fill_glint": 0, "glasses": 0}
LED = {"led_light": 0.8, "led_count": 1, "noise": 0, **NIGHT}
INFRA = Image(height=96, width=160, band="infrared")


def led_at(p):
    """Where the first LED of a scene stands, mm from the eyeball's centre."""
    turn = math.radians(p["led_turn"])
    x = p["led_right"] + p["led_radius"] * math.sin(turn)
    y = -p["led_up"] - p["led_radius"] * math.cos(turn)
    return np.array([x, y, p["led_forward"] - p["distance"]])


def eye_of(params):
    """The eyeball's centre `[B, 3]` in the camera frame."""
    return torch.stack((params.eye_x, params.eye_y, params.distance), -1)


def reflection(eye, lamp, camera):
    """The point of the cornea that mirrors `lamp` to `camera` (Alhazen's problem), by bisection.

    It lies in the plane of both and the sphere's centre, where the normal halves their angle.
    """
    a, b = lamp - eye.centre, camera - eye.centre
    whole = math.acos(a @ b / np.linalg.norm(a) / np.linalg.norm(b))
    first = b / np.linalg.norm(b)
    second = a - (a @ first) * first
    second = second / np.linalg.norm(second)

    def point(turn):
        return eye.p["cornea_radius"] * (math.cos(turn) * first + math.sin(turn) * second)

    def unequal(turn):
        at = point(turn)
        cosines = [at @ (end - at) / np.linalg.norm(end - at) for end in (a, b)]
        return cosines[0] - cosines[1]

    return eye.centre + point(brentq(unequal, 0, whole, xtol=1e-14))


def glint_scene(seed, **led):
    held = {
        "upper_lid": 13,
        "lower_lid": 8,
        "head_yaw": 0,
        "head_roll": 0,
        "canthus_drop": 1,
        "asphericity": 0,
    }
    return double(draw(6, seed=seed, gaze_pitch=4, gaze_yaw=-6, **{**LED, **held, **led})[0])


def glint(params):
    """The camera, and the radiance `[B, 384, 640]` of the first LED's glint."""
    p, where, camera, rays = stage(params, Image(height=384, width=640))
    eye = eyeball.hit_eye(p, where, rays)
    pixel_mm = (camera.distance / camera.focal)[:, None, None]
    at = light.cornea(p, eye, shape.unit(rays.way), pixel_mm)
    (led,) = leds.leds(p, 1, camera.eye)
    return camera, leds.glint(led, light.mirror(at.way, at.normal), at.point, at.turn, pixel_mm)


def mirroring(params, i):
    """The point of eye i's cornea that mirrors its LED to the camera."""
    scene = as_dict(params, i)
    return reflection(Eye(scene), led_at(scene), np.array([0, 0, -scene["distance"]]))


NEAR = {"distance": 45, "led_radius": 12, "led_forward": 5}
PLACES = [
    {"distance": 600, "led_radius": 12},
    {"distance": 600, "led_right": 120, "led_up": -80},
    {"distance": 800, "led_right": -300, "led_radius": 50},
    NEAR,
    {**NEAR, "led_radius": 18, "led_forward": 12},
]


@pytest.mark.parametrize("place", PLACES)
def test_the_glint_stands_where_the_mirror_equation_puts_it(place):
    params = glint_scene(2, led_size=0.2, **place)
    camera, bright = glint(params)
    y, x = torch.meshgrid(torch.arange(384) + 0.5, torch.arange(640) + 0.5, indexing="ij")
    for i in range(len(bright)):
        point = torch.from_numpy(mirroring(params, i))[:, None, None, None]
        known = camera.project(point.expand(3, len(bright), 1, 1))[i, 0]
        found = [float((bright[i] * axis).sum() / bright[i].sum()) for axis in (x, y)]
        assert_allclose(found, known.numpy(), atol=0.05)


@pytest.mark.parametrize("distance", [80, 600])
def test_a_glint_carries_the_light_of_its_led(distance):
    params = glint_scene(3, distance=distance, led_radius=0.001, led_size=1)
    camera, bright = glint(params)
    for i in range(len(bright)):
        away = distance + mirroring(params, i)[2]
        # Paraxial: across the mirror of radius R the reflection turns by 2 / R + 2 / d.
        radius = (1 / away) / (2 / float(params.cornea_radius[i]) + 2 / away)
        area = math.pi * (radius * float(camera.focal[i]) / away) ** 2
        # Irradiance over pi is radiance times the LED's radius squared over distance squared.
        assert float(bright[i].sum()) == pytest.approx(0.8 * distance**2 * area, rel=0.02)


@given(
    near=st.floats(30, 900),
    x=st.floats(-200, 200),
    tilt=st.floats(-0.9, 0.9),
)
@settings(deadline=None, max_examples=30)
def test_leds_light_by_the_inverse_square_and_the_cosine(near, x, tilt):
    params = double(draw(1, distance=900, led_forward=900 - near, led_right=x, **LED)[0])
    (led,) = leds.leds(shape.per_pixel(params), 1, eye_of(params))
    lamp = led_at(as_dict(params, 0))
    point = np.array([1.0, -2.0, -5.0])
    to = lamp - point
    across = np.cross(to, [0, 1, 0])
    normal = math.cos(tilt) * to / np.linalg.norm(to) + math.sin(tilt) * across / np.linalg.norm(
        across
    )
    known = 0.8 * (lamp @ lamp) / (to @ to) * math.cos(tilt)
    n, at = (torch.from_numpy(v)[:, None, None, None] for v in (normal, point))
    found = float(leds.irradiance(led, n, at))
    assert found == pytest.approx(known, rel=1e-5 if math.cos(tilt) > 0.6 else 0.1)


def test_rings_of_leds_share_the_light_evenly():
    for count in (1, 2, 3, 4):
        p = shape.per_pixel(double(draw(1, **{**LED, "led_count": count, "led_turn": 0})[0]))
        ring = leds.leds(p, 4, torch.tensor([[0.0, 0, 600]]))
        powers = [float(led.power) for led in ring]
        assert powers == pytest.approx([0.8 / count] * count + [0] * (4 - count))
        assert float(ring[0].at[1]) == pytest.approx(-float(p.led_radius))
        if count > 1:
            middle = sum(led.at[:2] * led.power for led in ring)
            assert_allclose(middle, 0, atol=1e-9)


def part(eyes, k, least=0.99):
    """Mean brightness `[B]` of the pixels that a mask covers."""
    inside = (eyes.masks[:, k : k + 1] > least).float()
    assert (inside.sum((1, 2, 3)) > 8).all()
    return (eyes.image * inside).sum((1, 2, 3)) / inside.sum((1, 2, 3))


def infrared(**constants):
    lids = {"upper_lid": 13, "lower_lid": 8, "gaze_pitch": 0, "gaze_yaw": 0, "pupil_radius": 2.5}
    params, textures = draw(
        8, **{**LED, "lid_shadow": 0, "corner_shade": 0, "blur": 0.3, **lids, **constants}
    )
    return render(params, textures, INFRA)


def test_the_pupil_is_bright_on_the_axis_and_dark_beside_it():
    bright = [part(infrared(distance=600, led_radius=r, retina=1), 3) for r in (3, 15, 30, 60)]
    for near, far in pairwise(bright):
        assert (near > far).all()
    off = infrared(distance=600, led_radius=60, retina=1)
    assert (bright[0] > part(off, 2) + 0.1).all()
    assert (bright[-1] < part(off, 2)).all()


def test_order_of_brightness_is_that_of_dark_pupil_images():
    eyes = infrared(distance=600, led_radius=100, iris_bright=1, sclera_white=0.35, skin_melanin=1)
    skin, sclera, iris, pupil = (part(eyes, k) for k in range(4))
    assert (skin > sclera).all() and (sclera > iris).all() and (iris > pupil).all()


def test_pigment_matters_little_in_infrared():
    pale, dark = (shape.per_pixel(draw(1, skin_melanin=m)[0]) for m in (0.15, 2.2))
    share = {
        name: float((surface.skin_tone(dark, band) / surface.skin_tone(pale, band))[-1])
        for name, band in (("visible", VISIBLE), ("infrared", INFRARED))
    }
    assert share["infrared"] > 0.6 and share["visible"] < 0.2
    pigment = torch.tensor([0.0, 1.0])[:, None, None]
    blue, brown = surface._iris_colour(INFRARED, pigment)[0].flatten().tolist()
    assert 0.7 < brown / blue < 1
    blue, brown = surface._iris_colour(VISIBLE, pigment)[1].flatten().tolist()
    assert brown / blue < 0.2


@pytest.mark.parametrize("changes", [{}, {"bayer": True}])
def test_noise_too_is_one_for_all_channels_of_infrared(changes):
    params, textures = draw(3, **LED | {"noise": 0.03, "shot_noise": 0.1, "balance_red": 1.2})
    grey, three = (
        render(params, textures, Image(channels=n, band="infrared", **changes)).image
        for n in (1, 3)
    )
    assert torch.equal(three, grey.expand(-1, 3, -1, -1))


def test_scenes_of_infrared_are_grey():
    changes = ("image.height=90", "image.width=120", "image.band=infrared", "eyes.jpeg=60")
    image = render_scenes(load_recipe("crowd", changes), 0, torch.arange(3)).image
    assert image.shape[1] == 3 and (image - image.mean(1, keepdim=True)).abs().max() < 1e-5


def test_hair_and_clothes_are_grey_before_the_camera(monkeypatch):
    shown, bust = [], heads.bust

    def noted(sight, radiance):
        shown.append(bust(sight, radiance))
        return shown[-1]

    monkeypatch.setattr(heads, "bust", noted)
    changes = ("image.height=90", "image.width=120", "image.band=infrared")
    render_scenes(load_recipe("crowd", changes), 0, torch.arange(2))
    for sent in (part for seen in shown for part in (seen.head, seen.body)):
        assert torch.equal(sent[:, :1].expand_as(sent), sent)


def test_infrared_has_one_grey_band():
    params, textures = draw(3, **LED)
    eyes = render(params, textures, Image(height=36, width=60, channels=3, band="infrared"))
    assert torch.equal(eyes.image[:, 0], eyes.image[:, 1])
    assert torch.equal(eyes.image[:, 0], eyes.image[:, 2])
    assert band_of("infrared") is INFRARED and band_of("visible") is VISIBLE
