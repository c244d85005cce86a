"""The nose below its root, framing by the lids' true width, moist margins, the orbit's shade."""

from dataclasses import replace

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from scenes import LARGE, SMALL, draw, stage

from gazegan.render import camera, effects, hair, paint, shape, skin
from gazegan.render.params import mirrored
from gazegan.render.prior import Image
from gazegan.render.scene import label, look, render
from gazegan.schema import LANDMARKS, MASKS

NOSE = {"nose_slope": 0.8, "nose_slant": 0.15, "nose_root": 0.9, "nose_rise": 15}
FORM = {**NOSE, "moist": 1, "canthal_shade": 0.6, "shade_bound": 1, "under_red": 1}
CALM = {"glasses": 0, "noise": 0, "blur": 0, "metering": 0, "lash_dark": 0, "lower_line": 0}
CANTHI = [LANDMARKS.index(name) for name in ("lid_00", "lid_08")]


def share(eyes, name):
    return eyes.masks[:, MASKS.index(name)]


def test_eyes_keep_their_bits_beside_those_with_steep_noses():
    params, textures = draw(6, head_yaw=36, head_pitch=0)
    mixed = replace(params, nose_slope=torch.tensor([0, 0, 0, 0.8, 0.8, 0.8]))
    together = render(mixed, textures, LARGE)
    for half in (slice(0, 3), slice(3, 6)):
        apart = render(mixed[half], textures[half], LARGE)
        for name in ("image", "masks", "landmarks", "visible"):
            assert torch.equal(getattr(together, name)[half], getattr(apart, name)), name


@given(seed=st.integers(0, 2**40))
@settings(deadline=None, max_examples=8)
def test_the_mirrored_scene_gives_the_mirror_image(seed):
    params, textures = draw(4, seed=seed, noise=0, glasses=0, fill_even=0.5, **FORM)
    plain, other = (render(p, textures, SMALL).image for p in (params, mirrored(params)))
    assert (other.flip(-1) - plain).abs().quantile(0.999) < 1e-3


def test_the_nose_rises_below_its_root_alone():
    """Its back gains what the closed form says, the temple nothing."""
    flat, _ = draw(8, nose_slope=0, nose_slant=0, ipd=64)
    steep = replace(flat, nose_slope=torch.full((8,), 0.7))
    v = torch.linspace(-30, 40, 71)[None, :, None].expand(8, -1, -1)

    def gain(u):
        heights = [
            shape.face_height(shape.per_pixel(p), torch.full_like(v, u), v) for p in (flat, steep)
        ]
        return (heights[1] - heights[0])[:, :, 0]

    down = 3 - v[0, :, 0].double()
    low = 0.5 * (down + (down**2 + 9).sqrt())
    whole = 0.7 * low / (1 + low / 40)
    back = gain(31.0).double()
    # On the nose's back, where its side is past, and the brow takes off no more than its root.
    below = v[0, :, 0] < -5
    assert (back[:, below] / whole[below] - 1).abs().max() < 0.12
    assert back[:, v[0, :, 0] > 25].abs().max() < 0.3
    assert gain(-10.0).abs().max() < 0.01
    assert (back.diff(dim=1) <= 1e-5).all()  # ever more from above downward


@pytest.mark.parametrize("yaw", [-34, -20, 20, 34])
def test_hits_of_steep_noses_lie_on_the_face(yaw):
    """Also where steps toward the face are thrown far off it."""
    params, textures = draw(40, head_yaw=yaw, head_pitch=0, **NOSE | {"nose_slope": 1.1})
    needs = effects.of_params(params)
    face = look(params, textures, LARGE, needs).face
    off = shape.face_height(shape.per_pixel(params), face.u, face.v) - face.height
    assert needs.profile and needs.nose
    assert (off.abs() > 0.5).float().mean() < 2e-4


def test_a_steep_nose_hides_the_far_eye_sooner():
    """The eye beside it loses what the eye on the other side of the head keeps."""
    held = {"head_yaw": 32, "head_pitch": 0, "fill": 0.5, **CALM}
    seen = {
        side: [
            share(render(*draw(8, side=side, **held | nose), LARGE), "skin").mean((1, 2))
            for nose in ({"nose_slope": 0}, NOSE | {"nose_slope": 1.2})
        ]
        for side in (-1, 1)
    }
    lost = {side: (steep - flat).max() for side, (flat, steep) in seen.items()}
    assert max(lost.values()) > 0.005 and min(lost.values()) < 1e-3


@given(angle=st.floats(0, 40), slope=st.floats(0, 1.2))
@settings(deadline=None, max_examples=30)
def test_heads_are_in_profile_sooner_with_steep_noses(angle, slope):
    params, _ = draw(2, head_yaw=angle, head_pitch=0, nose_slope=slope)
    p, where, *_ = stage(params, SMALL)
    limit = effects.PROFILE - 22 * min(slope, 1)
    if abs(angle - limit) > 0.01:
        assert bool(camera.in_profile(p, where).all()) == (angle > limit)
        assert effects.of_params(params).profile >= (angle > limit)


def test_lids_seen_squarely_set_the_scale():
    """With it the scale is the same however far heads turn; without, the lids' width in the image.

    In between it is in between.
    """
    focal, width = {}, {}
    for even in (0, 0.5, 1):
        for yaw in (0, 30):
            params, _ = draw(6, head_yaw=yaw, head_pitch=0, head_roll=0, fill_even=even)
            known = label(params, LARGE, effects.of_params(params))
            points = known["landmarks"][:, CANTHI, 0]
            focal[even, yaw] = known["intrinsics"][:, 0]
            width[even, yaw] = (points[:, 0] - points[:, 1]).abs() / LARGE.width
    torch.testing.assert_close(focal[1, 0], focal[1, 30], rtol=1e-4, atol=0)
    torch.testing.assert_close(width[0, 0], width[0, 30], rtol=1e-3, atol=0)
    lower, upper = (torch.minimum, torch.maximum)
    least, most = (f(focal[0, 30], focal[1, 30]) for f in (lower, upper))
    assert ((focal[0.5, 30] >= least) & (focal[0.5, 30] <= most)).all()
    assert (focal[0, 30] / focal[1, 30] - 1).abs().median() > 0.1


def test_moist_flesh_shows_at_the_lower_margin_and_in_the_inner_corner():
    """Not on the face, and not on the iris; the margin varies along the lid."""
    held = {**CALM, "gaze_pitch": 0, "gaze_yaw": 0, "waterline": 1.5, "caruncle": 2.5}
    dry, moist = (render(*draw(8, **held, moist=m), LARGE) for m in (0, 1))
    change = (moist.image - dry.image)[:, 0].abs()
    assert torch.equal(dry.masks, moist.masks)
    opened = paint.softened(1 - (share(dry, "skin") == 1).float()) > 0
    inside = torch.zeros_like(opened)
    for i in range(8):
        columns = dry.landmarks[i, CANTHI, 0].sort().values.int().tolist()
        rows = dry.landmarks[i, 2:18, 1]
        inside[i, int(rows.min()) - 1 : int(rows.max()) + 2, columns[0] : columns[1] + 1] = True
    assert change[~(opened | inside)].max() < 1e-4
    iris = (share(dry, "iris") + share(dry, "pupil")) > 0.999
    assert change[iris].quantile(0.95) < 0.02
    assert all(change[i][share(dry, "caruncle")[i] > 0.9].mean() > 0.01 for i in range(8))
    for i in range(8):
        x, y = moist.landmarks[i, LANDMARKS.index("lid_12")].int().tolist()
        margin = moist.image[i, 0, y - 2, x - 20 : x + 20]
        assert change[i, y - 3 : y, x].max() > 0.01 and margin.std() > 0.003


def test_the_shade_beside_the_canthi_leaves_the_middle():
    plain, shaded = (render(*draw(8, **CALM, canthal_shade=c), LARGE) for c in (0, 1))
    left = (shaded.image / plain.image.clamp(min=1e-3))[:, 0]
    bare = share(plain, "skin") == 1
    assert (left[bare] <= 1 + 1e-6).all()
    for i in range(8):
        ends = plain.landmarks[i, CANTHI].sort(0).values
        middle, row = int(ends[:, 0].mean()), int(ends[:, 1].mean())
        beside = int((ends[0, 0] - 6).clamp(min=0))
        assert left[i, row, beside] < 0.75 and left[i, 2, middle] > 0.97


def test_the_orbits_shade_ends_at_brow_and_nose():
    """With ends it darkens no more than without, and leaves the forehead its light."""
    held = {**CALM, "socket_shade": 1, "brow_dark": 0}
    params, textures = draw(8, **held, fill=0.3, brow_at=14)
    bound = replace(params, shade_bound=torch.ones(8))
    sights = [look(p, textures, LARGE, effects.of_params(p)) for p in (params, bound)]
    without, within = (skin.occlusion(s, torch.zeros_like(s.face.u)) for s in sights)
    u, v = sights[0].face.u, sights[0].face.v
    assert (within >= without - 1e-6).all()
    forehead = (v > 24) & (u > 5)
    assert within[forehead].min() > 0.9 > without[forehead].max()
    socket = (v > 5) & (v < 7) & (u > 0) & (u < 10)
    assert within[socket].max() < 0.4


def test_redness_moves_below_the_lower_lid():
    params, textures = draw(8, **CALM)
    moved = replace(params, under_red=torch.ones(8))
    sights = [look(p, textures, LARGE, effects.of_params(moved)) for p in (params, moved)]
    before, after = (skin.colour(s, skin.grain_of(s)) for s in sights)
    redder = (after[0] / after[1]) / (before[0] / before[1])
    u, below = sights[0].face.u, sights[0].lids.below
    under, margin = (below > 3.5) & (below < 5.5), (below > 0) & (below < 0.4)
    middle = u.abs() < 5
    assert redder[under & middle].min() > 1.02 and redder[margin & middle].max() < 0.99
    torch.testing.assert_close(after[0], before[0])  # vessels take from green and blue alone


def test_contours_before_the_face_are_soft_and_nothing_else(monkeypatch):
    params, textures = draw(8, head_yaw=34, head_pitch=0, fill=0.5, **CALM, **NOSE)
    soft = render(params, textures, LARGE)
    monkeypatch.setattr(shape, "torn", lambda point: torch.zeros_like(point[0]))
    hard = render(params, textures, LARGE)
    touched = (soft.image - hard.image).abs().mean(1) > 1e-4
    assert 0 < touched.float().mean() < 0.03
    steps = [eyes.image.diff(dim=-1).abs()[:, 0][touched[..., 1:]] for eyes in (hard, soft)]
    assert steps[1].quantile(0.9) < 0.75 * steps[0].quantile(0.9)


def test_softening_is_the_binomial_filter():
    f = torch.randn(2, 5, 6, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    padded = torch.nn.functional.pad(f[:, None], (1, 1, 1, 1), mode="replicate")
    line = torch.tensor([0.25, 0.5, 0.25], dtype=torch.float64)
    known = torch.nn.functional.conv2d(padded, torch.outer(line, line)[None, None])[:, 0]
    torch.testing.assert_close(paint.softened(f), known)


def test_tears_are_where_points_jump():
    """A slanting plane has none; one step of it torn up has them on both sides."""
    y, x = torch.meshgrid(torch.arange(6.0), torch.arange(8.0), indexing="ij")
    plane = torch.stack((x, y, 0.3 * x - 0.2 * y))[:, None]
    assert shape.torn(plane).sum() == 0
    plane[2, :, :, 5:] += 9
    found = shape.torn(plane)[0]
    assert found[:, 4:6].all() and not found[:, :4].any() and not found[:, 6:].any()


@pytest.mark.parametrize("width", [160, 320, 640])
def test_brows_of_hairs_cover_what_even_ones_do(width):
    """At every size alike; the larger the image, the more hairs are seen beside each other."""
    held = {"fill": 0.5, "brow_at": 15, "shift_down": 0.1, "brow_dark": 1, "glasses": 0}
    params, textures = draw(4, head_pitch=0, head_yaw=0, **held)
    s = look(params, textures, Image(height=width // 2, width=width), effects.of_params(params))
    hairs, even = (
        hair.brow(s.p, s.seed, s.face, s.pixel_mm, fine, False) for fine in (True, False)
    )
    assert (hairs.mean((1, 2)) / even.mean((1, 2)) - 1).abs().max() < 0.2
    inner = hairs[..., 1:-1]
    peaks = (inner > hairs[..., :-2]) & (inner > hairs[..., 2:]) & (inner > 0.5)
    rows = (even > 0.3).any(2).sum(1)
    assert (peaks.sum((1, 2)) / rows).mean() > width / 25
