"""Windows and monitors against brute-force sums over the sphere, in float64."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from scenes import SMALL, double, draw

from gazegan.render import effects, environment
from gazegan.render.bands import VISIBLE
from gazegan.render.params import mirrored
from gazegan.render.scene import render
from gazegan.render.shape import per_pixel

ANGLES = {
    "window_azimuth": st.floats(-180, 180),
    "window_elevation": st.floats(-80, 80),
    "window_width": st.floats(5, 70),
    "window_height": st.floats(5, 70),
}


def sphere(count):
    """Directions `[3, N]` and solid angles `[N]` of an equal-angle grid."""
    theta = (np.arange(count) + 0.5) * np.pi / count
    phi = (np.arange(2 * count) + 0.5) * np.pi / count
    t, f = (a.ravel() for a in np.meshgrid(theta, phi, indexing="ij"))
    ways = np.stack((np.sin(t) * np.cos(f), np.cos(t), np.sin(t) * np.sin(f)))
    return ways, np.sin(t) * (np.pi / count) ** 2


WAYS, SOLID = sphere(360)


def pane_of(**constants):
    params = double(draw(1, window_light=1, **constants)[0])
    return environment.window(per_pixel(params), VISIBLE)


def lit_by(pane, normal):
    """Irradiance over pi at one normal by summing the radiance that `seen` gives."""
    ways = torch.from_numpy(WAYS)[:, None, None]
    radiance = environment.seen(pane, ways, torch.tensor(np.pi / 360)).numpy()[1, 0, 0]
    return float((radiance * SOLID * np.clip(normal @ WAYS, 0, None)).sum() / np.pi)


def normals(pane, seed):
    """Unit normals: one toward the pane, some at random."""
    drawn = np.random.default_rng(seed).normal(size=(6, 3))
    known = pane.axis.flatten().numpy()
    return np.vstack((known, drawn / np.linalg.norm(drawn, axis=1, keepdims=True)))


@given(place=st.fixed_dictionaries(ANGLES), seed=st.integers(0, 99))
@settings(deadline=None, max_examples=12)
def test_a_pane_lights_as_much_as_it_is_seen_to_shine(place, seed):
    pane = pane_of(window_bars=0, **place)
    peak = float(environment.facing(pane))
    for k, normal in enumerate(normals(pane, seed)):
        given_ = environment.irradiance(pane, torch.from_numpy(normal)[:, None, None, None])
        known = lit_by(pane, normal)
        # Squarely faced the form is exact; where the horizon cuts the pane, a parabola for a round
        # light of its size, which is worst for narrow strips.
        assert float(given_[1]) == pytest.approx(known, abs=(0.01 if k == 0 else 0.1) * peak)


def test_bars_take_their_share_of_the_glass():
    place = {"window_azimuth": 30, "window_elevation": 10, "window_width": 30, "window_height": 40}
    pane = pane_of(window_bars=0.3, **place)
    normal = pane.axis.flatten().numpy()
    found = float(environment.irradiance(pane, pane.axis)[1])
    assert found == pytest.approx(lit_by(pane, normal), rel=0.06)


@pytest.mark.parametrize("wide, high, bars", [(50, 60, 0.15), (60, 60, 0.5), (120, 100, 0.3)])
def test_a_barred_window_faced_squarely_lights_as_much_as_its_glass(wide, high, bars):
    size = {"window_width": wide, "window_height": high, "window_bars": bars}
    pane = pane_of(window_azimuth=0, window_elevation=0, **size)
    a, b = (float(side) for side in (pane.across, pane.high))
    x, y = np.meshgrid(*(side * (np.arange(2000) / 1000 - 0.9995) for side in (a, b)))
    glass = (np.abs(x) > bars * a) & (np.abs(y) > bars * b)
    known = (glass / (1 + x * x + y * y) ** 2).sum() * a * b / 1000**2 / np.pi
    assert float(environment.facing(pane)) == pytest.approx(known, rel=3e-3)


@pytest.mark.parametrize("footprint", [1e-4, 0.05, 0.6])
def test_a_pane_seen_through_large_pixels_keeps_its_light(footprint):
    angles = dict.fromkeys(("window_azimuth", "window_elevation"), 0)
    size = dict.fromkeys(("window_width", "window_height"), 20)
    pane = pane_of(window_bars=0.2, **angles, **size)
    x = torch.linspace(-1.5, 1.5, 3001, dtype=torch.float64)
    share = environment._glazed(x, pane.across, pane.bars, torch.tensor(footprint))
    known = 2 * float(pane.across) * 0.8
    assert float(torch.trapezoid(share.flatten(), x)) == pytest.approx(known, rel=0.01)
    assert share.min() >= 0 and share.max() <= 1


def test_a_window_appears_where_its_azimuth_and_elevation_say():
    up = dict.fromkeys(("window_width", "window_height"), 10)
    pane = pane_of(window_azimuth=40, window_elevation=25, window_bars=0, **up)
    off = {"in": (40, 25), "left": (34, 25), "above": (40, 31), "behind": (-140, -25)}
    shine = {
        name: float(
            environment.seen(
                pane,
                environment.toward(*torch.tensor(at, dtype=torch.float64)[:, None, None, None]),
                torch.tensor(1e-3),
            )[1]
        )
        for name, at in off.items()
    }
    assert shine == {"in": 1, "left": 0, "above": 0, "behind": 0}


LIGHTS = {"window_light": 6, "monitor_light": 3, "tear_film": 0.5, "glasses": 0, "noise": 0}


@given(seed=st.integers(0, 2**40))
@settings(deadline=None, max_examples=8)
def test_the_mirrored_scene_gives_the_mirror_image(seed):
    leds = {"led_light": 0.5, "led_count": 3, "led_right": 40}
    params, textures = draw(4, seed=seed, **LIGHTS, **leds)
    plain, other = (render(p, textures, SMALL).image for p in (params, mirrored(params)))
    assert (other.flip(-1) - plain).abs().quantile(0.999) < 1e-3


def test_lights_that_are_off_change_no_bit():
    params, textures = draw(6, noise=0)
    without = effects.of_params(params)
    assert not (without.window or without.monitor or without.tears or without.leds)
    every = replace(without, window=True, monitor=True, tears=True, leds=4)
    plain = render(params, textures, SMALL, without).image
    assert torch.equal(render(params, textures, SMALL, every).image, plain)


def test_a_brighter_window_brightens_eye_and_skin_alike_before_the_meter():
    """A window behind the camera lights the skin; its image stands on the cornea."""
    scene = {"window_azimuth": 0, "window_elevation": 0, "metering": 0, "exposure": -2}
    dark, bright = (
        render(*draw(4, **{**LIGHTS, **scene, "window_light": w}), SMALL) for w in (0.0, 6.0)
    )
    skin = dark.masks[:, :1]
    for share in (skin, 1 - skin):
        gain = ((bright.image - dark.image) * share).sum((1, 2, 3)) / share.sum((1, 2, 3))
        assert (gain > 0.005).all()
