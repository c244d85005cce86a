"""The eye that ray tracers are timed with is the one that we render: ours is the oracle."""

import numpy as np
import pytest
import torch
from scripts import HERE, load

from gazegan.render.params import PARAM_NAMES
from gazegan.render.prior import load_recipe
from gazegan.render.scene import render_indices

SIZE = (96, 160)
with pytest.MonkeyPatch.context() as patch:
    patch.syspath_prepend(str(HERE / "speed_render"))
    comparable, shapes = load("speed_render/comparable"), load("speed_render/shapes")


@pytest.fixture(scope="module")
def eyes():
    changes = [
        f"image.{name}={value}" for name, value in zip(("height", "width"), SIZE, strict=True)
    ]
    return render_indices(load_recipe("webcam", changes), 3, torch.arange(12))


def rows(eyes):
    return [dict(zip(PARAM_NAMES, row, strict=True)) for row in eyes.params.double().tolist()]


def seen(row, points):
    """Where points `[..., 3]` mm fall in the image, px."""
    focal, middle = shapes.framed(row, SIZE)
    return focal * points[..., :2] / (points[..., 2:] + row["distance"]) + middle


def test_it_is_framed_as_ours(eyes):
    for row, (fx, fy, cx, cy) in zip(rows(eyes), eyes.intrinsics.tolist(), strict=True):
        focal, middle = shapes.framed(row, SIZE)
        assert focal == pytest.approx(fx, rel=1e-5) and fx == pytest.approx(fy)
        assert middle == pytest.approx((cx, cy), abs=1e-3)


def test_pupil_and_lids_are_where_ours_are(eyes):
    landmarks = eyes.landmarks.double().numpy()
    for row, ours in zip(rows(eyes), landmarks, strict=True):
        eye = comparable.made(row, np.random.default_rng(0), comparable.detail(SIZE[0])).eye
        # Ours is seen through the cornea, which moves it by some tenths of a millimetre.
        assert np.abs(seen(row, eye.pupil.points[0].mean(0)) - ours[0]).max() < 2.5
        rim = seen(row, eye.skin.points[2])
        away = np.linalg.norm(ours[2:18, None] - rim[None], axis=-1).min(1)
        assert np.median(away) < 1


def test_all_of_it_is_finite_and_new_for_each_eye(eyes):
    first, second, *_ = rows(eyes)
    made = [
        comparable.made(row, np.random.default_rng(k), comparable.detail(SIZE[0]))
        for k, row in enumerate((first, second))
    ]
    for one in made:
        for name in comparable.MESHES:
            assert np.isfinite(getattr(one.eye, name).points).all()
        assert set(one.strands) == {"lashes", "brow"}
        for name in comparable.BITMAPS:
            bitmap = getattr(one.colours, name)
            assert bitmap.min() > 0 and bitmap.max() < 1 and bitmap.std() > 1e-3
    assert not np.allclose(made[0].eye.skin.points, made[1].eye.skin.points, atol=0.1)
    assert not np.allclose(made[0].strands["lashes"], made[1].strands["lashes"], atol=0.1)
