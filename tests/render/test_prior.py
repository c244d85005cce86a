"""Recipes: what they draw and what they refuse."""

import math

import pytest
import torch
from scenes import draw
from scipy import stats

from gazegan import geometry
from gazegan.config import validate
from gazegan.errors import UserError
from gazegan.render.params import PARAM_NAMES, SPECS, EyeParams
from gazegan.render.prior import RECIPES, Recipe, load_recipe, sample

SHIPPED = sorted(path.stem for path in RECIPES.glob("*.toml"))


def recipe_of(**eyes):
    return validate(Recipe, {"eyes": eyes}, "test")


def test_defaults_lie_within_what_is_possible():
    eyes = Recipe().eyes
    for name, spec in SPECS.items():
        low, high = getattr(eyes, name).bounds
        assert spec.low <= low <= high <= spec.high, name
        assert spec.doc


@pytest.mark.parametrize("name", SHIPPED)
def test_shipped_recipes_load_by_name_and_path(name):
    loaded = load_recipe(name)
    assert loaded == load_recipe(RECIPES / f"{name}.toml") and loaded.name == name
    assert loaded == validate(Recipe, loaded.model_dump(mode="json"), "manifest")


def test_a_folder_of_the_same_name_does_not_hide_a_shipped_recipe(tmp_path, monkeypatch):
    (tmp_path / "webcam").mkdir()
    monkeypatch.chdir(tmp_path)
    assert load_recipe("webcam").name == "webcam"


LINE = {"of": "noise", "slope": 1, "low": 0, "high": 1}
POLAR = {"gaze_direction": [0, 360], "gaze_eccentricity": [5, 30]}
FAULTS = [
    ({"eyes": {"blurr": 1}}, "unknown key 'eyes.blurr'; did you mean 'eyes.blur'?"),
    ({"eyes": {"blur": {"mea": 1}}}, "unknown key 'eyes.blur.mea'; did you mean 'eyes.blur.mean'?"),
    ({"eye": {}}, "unknown key 'eye'; did you mean 'eyes'?"),
    ({"image": {"hight": 9}}, "did you mean 'image.height'?"),
    ({"eyes": {"blur": math.nan}}, "finite"),
    ({"eyes": {"blur": [0, math.inf]}}, "finite"),
    ({"eyes": {"blur": {"choice": [math.nan]}}}, "finite"),
    ({"eyes": {"blur": [1, 0.5]}}, "low 1.0 lies above high 0.5; swap them"),
    ({"eyes": {"blur": [1]}}, "a range is [low, high]"),
    ({"eyes": {"blur": "soft"}}, "give a number"),
    ({"eyes": {"blur": True}}, "expected a number"),
    ({"eyes": {"blur": -1}}, "must stay within 0 .. 4"),
    ({"eyes": {"blur": {"mean": 1, "sd": 0, "low": 0, "high": 2}}}, "greater than 0"),
    ({"eyes": {"blur": {"mean": 1, "low": 0, "high": 2}}}, "blur: give sd too"),
    ({"eyes": {"blur": {"mean": 1, "sd": 0.001, "low": 2, "high": 3}}}, "from the mean"),
    ({"eyes": {"blur": {"low": 0, "high": 2, "weights": [1]}}}, "weights need a choice"),
    ({"eyes": {"blur": {"mixture": []}}}, "at least 1"),
    ({"eyes": {"blur": {"mixture": [1, 2], "weights": [1]}}}, "weights must match mixture"),
    ({"eyes": {"blur": {"mixture": [1, [2]]}}}, "eyes.blur.mixture.1: a range is [low, high]"),
    ({"eyes": {"blur": {"mixture": [1, [2, 5]]}}}, "must stay within 0 .. 4"),
    ({"eyes": {"blur": {"mixture": [1], "choice": [1]}}}, "give a number"),
    ({"eyes": {"blur": LINE | {"of": "nois"}}}, "no parameter 'nois'; did you mean 'noise'?"),
    ({"eyes": {"blur": {"mixture": [1, LINE | {"of": "?"}]}}}, "no parameter '?'; name another"),
    ({"eyes": {"blur": LINE | {"of": "blur"}}}, "blur follows blur; give one of them"),
    (
        {
            "eyes": {
                "blur": LINE,
                "noise": LINE | {"of": "fill", "high": 0.1},
                "fill": LINE | {"of": "blur", "low": 0.5},
            }
        },
        "blur follows noise follows ",
    ),
    ({"eyes": {"blur": LINE | {"offset": 9}}}, "blur is cut off for every noise; check slope"),
    ({"eyes": {"blur": {"of": "noise", "low": 0, "high": 1}}}, "blur: give slope too"),
    ({"eyes": {"blur": {"of": "noise", "slope": 1, "sd": 1}}}, "blur: give high and low too"),
    ({"eyes": {"blur": LINE | {"mean": 1}}}, "give a number"),
    ({"eyes": {"blur": {"low": 0, "high": 1, "slope": 1}}}, "blur: give of too"),
    ({"eyes": {"side": {"mixture": [1, [-1, 1]]}}}, "side must be -1, 1"),
    ({"eyes": {"gaze_direction": [0, 360]}}, "need each other; give both"),
    ({"eyes": {"gaze_eccentricity": 70}}, "must stay within 0 .. 60"),
    ({"eyes": POLAR | {"gaze_yaw": 0}}, "gaze_yaw is ruled out by gaze_direction; remove one"),
    ({"eyes": {"blur": {"choice": [1, 2], "weights": [1]}}}, "weights must match"),
    ({"eyes": {"blur": {"choice": [1, 2], "weights": [0, 0]}}}, "weights must match"),
    ({"eyes": {"blur": {"choice": [1, 2], "low": 0}}}, "give a number"),
    ({"eyes": {"blur": {"choice": []}}}, "at least 1"),
    ({"eyes": {"side": 0}}, "side must be -1, 1"),
    ({"eyes": {"side": [-1, 1]}}, "side must be -1, 1"),
    ({"eyes": {"glasses": 0.3}}, "eyes.glasses: must be 1 where worn, else 0; give { choice"),
    ({"eyes": {"glasses": [0, 1]}}, "must be 1 where worn, else 0"),
    ({"eyes": {"glasses": {"mixture": [0, [0.2, 1]]}}}, "must be 1 where worn, else 0"),
    ({"eyes": {"led_count": [1, 4]}}, "eyes.led_count: must be a whole number"),
    ({"eyes": {"led_count": {"choice": [1, 2.5]}}}, "eyes.led_count: must be a whole number"),
    ({"eyes": {"pupil_radius": 4.2, "limbus_radius": 4.5, "cornea_radius": 4}}, "cornea_radius"),
    ({"eyes": {"limbus_radius": 6.45, "cornea_radius": [6.45, 8]}}, "cornea_radius"),
    ({"eyes": {"eyeball_radius": 9, "cornea_radius": 9.2}}, "cornea_radius must stay below eye"),
    ({"image": {"height": 7}}, "greater than or equal to 8"),
    ({"image": {"width": 10_000}}, "less than or equal to 8192"),
    ({"image": {"channels": 2}}, "1 or 3"),
    ({"image": {"framing": "mid"}}, "landmarks"),
    ({"image": {"framing": "scene", "depth": True}, "pairs": True}, "image.depth: scenes keep"),
    ({"name": "a b"}, "name"),
]


@pytest.mark.parametrize(("values", "fault"), FAULTS, ids=[str(f[0])[:40] for f in FAULTS])
def test_faults_are_one_line_that_names_them(values, fault):
    with pytest.raises(UserError) as caught:
        validate(Recipe, values, "my.toml")
    message = str(caught.value)
    assert message.startswith("my.toml: ") and fault in message and "\n" not in message
    assert len(message) < 200


def test_overrides_reach_the_recipe_and_unknown_recipes_are_named():
    loaded = load_recipe("webcam", ("eyes.gaze_pitch=[5, 25]", "image.height=48"))
    assert loaded.eyes.gaze_pitch.bounds == (5, 25) and loaded.image.height == 48
    with pytest.raises(UserError, match=r"webcm: no such recipe.*webcam"):
        load_recipe("webcm")
    for name in ("w" * 300, "a\0b", ".", ""):
        with pytest.raises(UserError, match="no such recipe"):
            load_recipe(name)


def test_eye_i_is_the_same_in_any_batch():
    recipe = load_recipe("webcam")
    index = torch.tensor([0, 7, 1_000_003, 12, 5])
    batch = sample(recipe, 9, index).flat()
    for row, i in zip(batch, index, strict=True):
        assert torch.equal(sample(recipe, 9, i[None]).flat()[0], row)
    shuffled = torch.tensor([3, 0, 4, 2, 1])
    assert torch.equal(sample(recipe, 9, index[shuffled]).flat(), batch[shuffled])
    assert not torch.equal(sample(recipe, 10, index).flat(), batch)


def test_parameters_are_drawn_independently():
    drawn, _ = draw(2000)
    varied = drawn.flat()[:, drawn.flat().std(0) > 0].double()
    correlation = torch.corrcoef(varied.T) - torch.eye(varied.shape[1])
    assert correlation.abs().max() < 5 / math.sqrt(2000)


def test_changing_one_parameter_changes_no_other():
    plain, changed = (sample(load_recipe("webcam", o), 0, torch.arange(50)).flat()
                      for o in ((), ("eyes.blur=0.5",)))  # fmt: skip
    differs = (plain != changed).any(0)
    assert [PARAM_NAMES[j] for j in differs.nonzero().flatten()] == ["blur"]


def test_parameters_follow_others_through_a_chain():
    lines = {
        "upper_lid": {"of": "gaze_pitch", "slope": 0.1, "offset": 6, "low": 2, "high": 10},
        "lower_lid": {"of": "upper_lid", "slope": -0.5, "offset": 5, "low": 0, "high": 8},
    }
    drawn = sample(recipe_of(gaze_pitch=[-20, 20], **lines), 0, torch.arange(500))
    torch.testing.assert_close(drawn.upper_lid, 6 + 0.1 * drawn.gaze_pitch)
    torch.testing.assert_close(drawn.lower_lid, 2 - 0.05 * drawn.gaze_pitch)
    assert drawn.gaze_pitch.std() > 10


def test_direction_and_eccentricity_are_those_of_the_gaze():
    """Against geometry's own way from angles back; a parameter may follow such a gaze."""
    lid = {"of": "gaze_pitch", "slope": 0.1, "offset": 6, "low": 2, "high": 10}
    recipe = recipe_of(**POLAR, upper_lid=lid)
    drawn = sample(recipe, 3, torch.arange(4000))
    angles = torch.deg2rad(torch.stack((drawn.gaze_pitch, drawn.gaze_yaw), -1).double())
    direction, away = geometry.direction_deg(angles), geometry.eccentricity_deg(angles)
    assert stats.kstest(direction, stats.uniform(0, 360).cdf).pvalue > 0.01
    assert stats.kstest(away, stats.uniform(5, 25).cdf).pvalue > 0.01
    assert abs(stats.pearsonr(direction, away).statistic) < 4 / math.sqrt(4000)
    torch.testing.assert_close(drawn.upper_lid, 6 + 0.1 * drawn.gaze_pitch)
    assert recipe.eyes.bounds("gaze_pitch") == (-30, 30)
    assert torch.equal(sample(recipe, 3, torch.tensor([3999])).flat()[0], drawn.flat()[3999])
    assert recipe == validate(Recipe, recipe.model_dump(mode="json"), "manifest")


def test_flat_and_back():
    drawn, _ = draw(5)
    assert torch.equal(EyeParams.from_flat(drawn.flat()).flat(), drawn.flat())
    assert torch.equal(drawn[1:3].flat(), drawn.flat()[1:3])
    assert drawn.flat().shape == (5, len(PARAM_NAMES))
