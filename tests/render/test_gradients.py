"""Gradients against finite differences, and no NaN anywhere within what is possible."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from hypothesis import example, given, settings
from hypothesis import strategies as st
from scenes import SMALL, double, draw

from gazegan import rng
from gazegan.render import effects, panorama
from gazegan.render.params import PARAM_NAMES, SPECS, EyeParams
from gazegan.render.prior import Image
from gazegan.render.scene import expose, render
from gazegan.rng import stream

IMAGE = Image(height=36, width=60)
TINY = Image(height=16, width=24)
LOW = torch.tensor([SPECS[name].low for name in PARAM_NAMES])
HIGH = torch.tensor([SPECS[name].high for name in PARAM_NAMES])

LENS = {
    **{"camera_azimuth": 4, "camera_elevation": 3, "camera_roll": 2, "eye_x": 5, "eye_y": 5},
    **{"distortion_k1": 0.01, "distortion_k2": 0.01, "distortion_p1": 0.01, "distortion_p2": 0.01},
}


def energy(flat, textures, image):
    return render(EyeParams.from_flat(flat), textures, image).image.square().mean((1, 2, 3))


def test_every_parameter_has_a_finite_gradient_and_most_have_a_share():
    lights = {"window_light": 2, "monitor_light": 1, "led_light": 1, "led_count": 2.5}
    lights |= {"tear_film": 0.5, "led_radius": 8, "balance_red": 1.1, "balance_blue": 0.9}
    lights |= {"saturation": 0.9, "hue_kept": 0.5, "lens_green": 0.7}
    held = {"noise": 0.01, "glasses": 0.5, "rim_below": 0.5, "distance": 60, "camera_roll": 2}
    held |= {"lens_power": -3, "lens_tint": 0.3, "rim_pads": 0.5, "lens_half_width": 15}
    held |= {"rim_gloss": 0.5}
    lens = {"shot_noise": 0.05, "motion": 2, "jpeg": 90, "distortion_k1": -0.1, "eye_x": 1}
    params, textures = draw(12, **held, **lights, **lens, **ODD)
    flat = params.flat().requires_grad_()
    images = (SMALL, *(SMALL.model_copy(update=u) for u in ({"framing": "free"}, {"channels": 3})))
    total = torch.stack([energy(flat, textures, image) for image in images])
    (slope,) = torch.autograd.grad(total.sum(), flat)
    assert torch.isfinite(slope).all()
    silent = {PARAM_NAMES[j] for j in (slope == 0).all(0).nonzero().flatten().tolist()}
    # Without a panorama, a free framing or a pair there is nothing for these to do.
    alone = {"ipd", "target_distance"}
    assert silent <= {"side", "panorama_turn", "field_of_view"} | alone


LIGHTS = {
    **{"window_light": 2, "monitor_light": 9, "led_light": 12, "led_count": 2.5, "led_radius": 8},
    **{"led_size": 12, "fill_glint": 4, "veins": 1, "sclera_white": 0.6},
    **{
        "tear_film": 0.5,
        "balance_red": 1.1,
        "balance_blue": 0.9,
        "saturation": 0.9,
        "hue_kept": 0.5,
        "shot_noise": 0.05,
        "noise": 0.01,
    },
}
ODD = {"furrows": 0.5, "uneven": 0.5, "corner_reach": 0.5, "room_glare": 2, "lid_soft": 1,
    "moist": 0.5, "nose_root": 0.8, "nose_slope": 0.5, "nose_slant": 0.1, "canthal_shade": 0.3,
    "shade_bound": 0.5, "under_red": 0.5, "fill_even": 0.5}  # fmt: skip
WORN = {"glasses": 0.5, "rim_below": 0.5, "lens_half_height": 9, "lens_nasal": -2,
    "lens_half_width": 14, "lens_power": -2, "lens_tint": 0.3, "lens_green": 0.7,
    "rim_pads": 0.5, "rim_gloss": 0.5}  # fmt: skip
MOVED = {"distance": 200, "motion": 2, "jpeg": 0, "field_of_view": 9}
EXEMPT = {
    "side": "a choice of two",
    "jpeg": "rounds; its gradient passes through as if it did not, which no difference shows",
    "ipd": "acts where a pair is drawn, before rendering",
    "target_distance": "acts where a pair is drawn, before rendering",
}
ELSEWHERE = ("field_of_view", "panorama_turn")
"""What acts only in another scene: framed by its field of view, under a panorama."""
STEP = 1e-7
"""Of a parameter's possible range, or of 100: kinks within a step are rare, rounding is 1e-7."""


@pytest.fixture(scope="module")
def scenes(tmp_path_factory):
    """By scene: the function from parameters `[B, P]` to energy `[B]`, a point, its gradient."""
    params, textures = draw(3, **LIGHTS, **ODD, **WORN, **MOVED, **LENS)
    flat = double(params).flat()
    file = tmp_path_factory.mktemp("sky") / "sky.npy"
    np.save(file, np.random.default_rng(0).uniform(0, 1, (16, 32, 3)).astype(np.float32))
    plain = Image(height=16, width=26, channels=3)
    free = plain.model_copy(update={"framing": "free"})
    needs = replace(effects.of_params(params), blur_reach=4, motion_reach=2)
    under = replace(needs, panorama=panorama.load(str(file), ""))

    def scene(image, needs):
        weights = torch.randn(image.channels, image.height, image.width, generator=stream(0))

        def weighed(rows):
            seen = expose(EyeParams.from_flat(rows), textures.repeat(len(rows) // 3), image, needs)
            return (seen.image * weights).sum((1, 2, 3))

        given_ = flat.clone().requires_grad_()
        return weighed, flat, torch.autograd.grad(weighed(given_).sum(), given_)[0]

    return {False: scene(plain, needs), True: scene(free, under)}


@pytest.mark.parametrize("name", [name for name in PARAM_NAMES if name not in EXEMPT])
def test_gradients_agree_with_finite_differences(name, scenes):
    weighed, flat, slope = scenes[name in ELSEWHERE]
    at, spec = PARAM_NAMES.index(name), SPECS[name]
    size = STEP * min(spec.high - spec.low, 100)
    step = torch.zeros_like(flat)
    step[:, at] = size
    with torch.no_grad():
        up, down = weighed(torch.cat((flat + step, flat - step))).chunk(2)
    numeric = (up - down) / (2 * size)
    assert numeric.abs().max() > 2e-5  # it acts
    torch.testing.assert_close(slope[:, at], numeric, rtol=1e-3, atol=1e-6)


@pytest.mark.parametrize(
    ("name", "away"),
    [
        ("gaze_pitch", 4),
        ("gaze_yaw", 4),
        ("pupil_radius", 0.3),
        ("upper_lid", 0.6),
        ("lower_lid", 0.5),
    ],
)
@pytest.mark.parametrize("sign", [-1, 1])
def test_silhouettes_draw_gaze_pupil_and_lids_toward_a_target(name, away, sign):
    """Coverage has no shading: what draws here are anti-aliased edges alone."""
    params, textures = draw(16, glasses=0, lash_dark=0, lower_line=0)
    at, flat, needs = PARAM_NAMES.index(name), params.flat(), effects.of_params(params)
    target = expose(params, textures, IMAGE, needs).masks[:, :4]
    off = flat.clone()
    off[:, at] += sign * away
    off.requires_grad_()
    masks = expose(EyeParams.from_flat(off), textures, IMAGE, needs).masks[:, :4]
    loss = (masks - target).square().sum((1, 2, 3))
    (slope,) = torch.autograd.grad(loss.sum(), off)
    # A pupil behind a lid is drawn by nothing; where it is seen, the pull is toward the target.
    told = loss > 0.5
    assert told.float().mean() > 0.7
    assert (sign * slope[told, at] > 0).float().mean() > 0.9


def test_landmarks_have_finite_gradients():
    params, textures = draw(6)
    flat = params.flat().requires_grad_()
    points = render(EyeParams.from_flat(flat), textures, TINY).landmarks
    (slope,) = torch.autograd.grad(points.square().sum(), flat)
    assert torch.isfinite(slope).all()
    # Looking up moves the pupil up; its row falls.
    (slope,) = torch.autograd.grad(
        render(EyeParams.from_flat(flat), textures, TINY).landmarks[:, 0, 1].sum(), flat
    )
    assert (slope[:, PARAM_NAMES.index("gaze_pitch")] < 0).all()


def test_gaze_can_be_fitted_by_descent():
    params, textures = draw(4, noise=0, glasses=0)
    at = [PARAM_NAMES.index(name) for name in ("gaze_pitch", "gaze_yaw")]
    flat, image = params.flat(), SMALL
    target = render(params, textures, image).image
    guess = (flat[:, at] + torch.tensor([3.0, -3.0])).requires_grad_()
    descent = torch.optim.Adam([guess], lr=0.4)
    for _ in range(30):
        moved = flat.index_copy(1, torch.tensor(at), guess)
        loss = (render(EyeParams.from_flat(moved), textures, image).image - target).square().sum()
        descent.zero_grad()
        loss.backward()
        descent.step()
    left = (guess.detach() - flat[:, at]).norm(dim=1)
    assert float(left.median()) < 1.0  # from 4.2 degrees


@given(
    seed=st.integers(0, 2**31 - 1), corners=st.floats(0, 1), glasses=st.sampled_from([0, 0.5, 1])
)
@example(seed=0, corners=0.0, glasses=0)  # eyes whose pupil no ray finds
@example(seed=0, corners=1.0, glasses=0)  # lenses that fold the image
@example(seed=1, corners=1.0, glasses=0)  # scenes without any light
@settings(deadline=None, max_examples=15)
def test_nothing_possible_gives_nan(seed, corners, glasses):
    count = 16
    index = torch.arange(count * len(PARAM_NAMES))
    u = rng.uniform(index, seed, "place").view(count, -1)
    sharp = (rng.uniform(index, seed, "corner").view(count, -1) < corners).float()
    flat = LOW + (HIGH - LOW) * (sharp * u.round() + (1 - sharp) * u)
    flat[:, PARAM_NAMES.index("side")] = flat[:, PARAM_NAMES.index("side")].sign()
    flat[:, PARAM_NAMES.index("glasses")] = glasses
    flat.requires_grad_()
    batch = render(EyeParams.from_flat(flat), rng.bits(torch.arange(count), seed), TINY)
    for value in (batch.image, batch.masks, batch.landmarks):
        assert torch.isfinite(value).all()
    assert batch.masks.min() >= 0 and batch.masks.max() <= 1
    (slope,) = torch.autograd.grad(batch.image.square().sum(), flat)
    assert torch.isfinite(slope).all()
