"""What makes eyes less even: furrows, uneven lines, dark corners, a bright room, soft lids."""

from dataclasses import replace

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from scenes import LARGE, SMALL, draw

from gazegan.render import effects
from gazegan.render.params import mirrored
from gazegan.render.scene import render
from gazegan.schema import MASKS

ODD = {"furrows": 1, "uneven": 1, "corner_reach": 1, "room_glare": 3, "lid_soft": 1.5,
    "moist": 1, "canthal_shade": 0.6, "shade_bound": 1, "under_red": 1}  # fmt: skip
CALM = {"glasses": 0, "noise": 0, "blur": 0, "metering": 0, "lash_dark": 0, "lower_line": 0}


def shares(eyes, *names):
    return sum(eyes.masks[:, MASKS.index(name)] for name in names)


@pytest.mark.parametrize(("glasses", "yaw"), [(0, 0), (1, 5), (0, 38), (0, -38)])
def test_what_is_not_there_changes_no_bit(glasses, yaw):
    params, textures = draw(6, glasses=glasses, head_yaw=yaw)
    needs = effects.of_params(params)
    odd = ("room", "uneven", "furrows", "soft", "pads", "moist", "orbit", "nose")
    assert not any(getattr(needs, name) for name in odd)
    every = replace(needs, **dict.fromkeys(odd, True))
    plain, same = (render(params, textures, LARGE, n) for n in (needs, every))
    assert torch.equal(same.image, plain.image) and torch.equal(same.masks, plain.masks)


@given(seed=st.integers(0, 2**40))
@settings(deadline=None, max_examples=8)
def test_the_mirrored_scene_gives_the_mirror_image(seed):
    params, textures = draw(4, seed=seed, noise=0, glasses=1, rim_pads=1, **ODD)
    plain, other = (render(p, textures, SMALL).image for p in (params, mirrored(params)))
    assert (other.flip(-1) - plain).abs().quantile(0.999) < 1e-3


@pytest.mark.parametrize("name", ODD)
def test_labels_but_for_masks_stay(name):
    """Lines and light are painted; nothing moves.

    Uneven lash lines cover other pixels, moist corners bear no lashes, and in darker ones the tears
    mirror less.
    """
    params, textures = draw(8)
    plain = render(params, textures, SMALL)
    odd = render(*draw(8, **{name: ODD[name]}), SMALL)
    for label in ("gaze", "landmarks", "visible", "ellipses", "boxes", "centres"):
        assert torch.equal(getattr(odd, label), getattr(plain, label)), label
    assert not torch.equal(odd.image, plain.image)
    torch.testing.assert_close(odd.masks.sum(1), torch.ones_like(odd.masks[:, 0]))
    if name not in ("uneven", "corner_reach", "moist"):
        assert torch.equal(odd.masks, plain.masks)


def test_furrows_darken_the_skin_beside_the_lids_alone():
    plain, furrowed = (render(*draw(8, **CALM, furrows=f), LARGE) for f in (0, 1))
    change = (furrowed.image - plain.image)[:, 0]
    bare = shares(plain, "skin") == 1
    assert (change[bare] <= 1e-6).all()
    assert (change[shares(plain, "skin") == 0].abs() < 1e-6).all()
    # Some of the skin, not all of it, and by a shade and not to black.
    dark = [(change[i][bare[i]] < -0.01).float().mean() for i in range(8)]
    assert min(dark) > 0.02 and max(dark) < 0.5
    assert ((change / plain.image[:, 0].clamp(min=0.05))[bare] > -0.7).all()


def test_corners_reach_inward_and_leave_the_middle():
    """The white in the middle keeps its light; between that and the canthi it loses most."""
    plain, dark = (
        render(*draw(8, **CALM, gaze_pitch=0, gaze_yaw=0, corner_shade=1, corner_reach=r), LARGE)
        for r in (0, 1)
    )
    white = shares(plain, "sclera") > 0.99
    left = (dark.image / plain.image.clamp(min=1e-3))[:, 0]
    columns = torch.arange(LARGE.width) + 0.5
    near, far = [], []
    for i in range(8):
        ends = plain.landmarks[i, [2, 10], 0].sort().values
        place = ((columns - ends[0]) / (ends[1] - ends[0]) - 0.5).abs().expand_as(left[i])
        near.append(left[i][white[i] & (place < 0.1)])
        far.append(left[i][white[i] & (place > 0.35)])
    assert torch.cat(far).max() <= 1 and torch.cat(far).mean() < 0.9
    assert torch.cat(near).mean() > 0.95


def test_the_room_is_seen_in_the_cornea_alone():
    plain, lit = (render(*draw(8, **CALM, room_glare=g), LARGE) for g in (0, 6))
    gain = (lit.image - plain.image)[:, 0]
    eye = 1 - shares(plain, "skin", "caruncle", "lashes")
    beside = torch.nn.functional.max_pool2d(eye, 5, 1, 2) < 1e-6  # the lens spreads light
    assert (gain[beside].abs() < 1e-5).all()
    dark = shares(plain, "iris", "pupil") > 0.99
    assert (gain[dark] > -1e-6).all()
    # Parts of it: some of the cornea gains much, some next to nothing.
    shown = [gain[i][dark[i]] for i in range(8) if dark[i].sum() > 50]
    assert len(shown) >= 6
    for seen in shown:
        assert seen.quantile(0.95) > 0.02 > seen.quantile(0.05)


def test_uneven_whites_and_lash_lines_vary_about_even_ones():
    calm = {**CALM, "lash_dark": 0.8, "lash_length": 0, "metering": 0}
    even, uneven = (render(*draw(24, **calm, uneven=u), LARGE) for u in (0, 1))
    lashes = [shares(eyes, "lashes").sum((1, 2)) for eyes in (even, uneven)]
    assert float(lashes[1].mean() / lashes[0].mean()) == pytest.approx(1, abs=0.2)
    white = shares(even, "sclera", "lashes") > 0.99
    white &= shares(even, "lashes") == 0
    ratio = (uneven.image / even.image.clamp(min=1e-3))[:, 0][white]
    assert ratio.mean() == pytest.approx(1, abs=0.06) and 0.02 < ratio.std() < 0.2


def test_soft_lids_fade_the_eyeball_from_below_and_in_the_canthi():
    """Near the lower lid the skin shows through, in the middle of the opening and above it not."""
    held = {**CALM, "gaze_pitch": 0, "upper_lid": 8, "lower_lid": 3, "waterline": 0.3}
    plain, soft = (render(*draw(8, **held, lid_soft=mm), LARGE) for mm in (0, 2))
    change = (soft.image - plain.image)[:, 0].abs()
    eye = 1 - shares(plain, "skin", "caruncle", "lashes")
    faded = []
    for i in range(8):
        column = int(plain.landmarks[i, 14, 0])
        rows = (eye[i, :, column] > 0.999).nonzero().flatten()
        top, bottom = int(rows[0]), int(rows[-1])
        assert bottom - top > 10
        assert (change[i, : top - 6] < 1e-6).all() and (change[i, bottom + 20 :] < 1e-6).all()
        assert (change[i, top : (top + bottom) // 2, column] < 0.01).all()
        faded.append(change[i, bottom - 3 : bottom + 1, column].max())
    assert min(faded) > 0.01 and sum(faded) / 8 > 0.1


def test_pads_sit_beside_the_nose_and_hide_what_is_behind():
    held = {"glasses": 1, "lens_power": 0, "lens_nasal": -6, "lens_half_width": 18, "lens_drop": 3}
    held |= {"head_yaw": 0, "head_pitch": 0, "head_roll": 0, "noise": 0, "rim_below": 1}
    plain, padded, bare = (
        render(*draw(8, **held | {"rim_pads": pads, "glasses": worn}), LARGE)
        for pads, worn in ((0, 1), (1, 1), (1, 0))
    )
    assert torch.equal(bare.image, render(*draw(8, **held | {"glasses": 0}), LARGE).image)
    more = shares(padded, "glasses") - shares(plain, "glasses")
    assert (more > -1e-5).all()
    width = padded.landmarks[:, 10, 0] - padded.landmarks[:, 2, 0]  # from inner to outer canthus
    columns = torch.arange(LARGE.width) + 0.5
    place = (columns - padded.landmarks[:, 2, :1]) / width[:, None]
    for i in range(8):
        on = more[i] > 0.5
        assert 10 < on.sum() < 0.1 * on.numel()
        assert place[i].expand_as(on)[on].max() < 0.5
    assert (plain.visible & ~padded.visible).any() and not (padded.visible & ~plain.visible).any()
