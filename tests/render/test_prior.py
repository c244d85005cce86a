"""Distributions against scipy, recipes and what they refuse."""

import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.testing import assert_allclose
from scenes import draw
from scipy import stats

from gazegan import rng
from gazegan.config import validate
from gazegan.errors import UserError
from gazegan.render.params import PARAM_NAMES, SPECS, EyeParams
from gazegan.render.prior import RECIPES, Distribution, Recipe, load_recipe, sample

U = rng.uniform(torch.arange(4096), 0, "test")
SHIPPED = sorted(path.stem for path in RECIPES.glob("*.toml"))


def recipe_of(**eyes):
    return validate(Recipe, {"eyes": eyes}, "test")


@pytest.mark.parametrize(
    ("mean", "sd", "low", "high"),
    [
        (0, 1, -1, 2),
        (3.2, 1.2, 0.5, 6),
        (5, 0.1, 4, 7),
        (0, 1, 6, 8),
        (0, 1, -9, -7),
        (2, 0.5, 14, 15),
        (2, 0.5, -12, -11),
        (0, 100, -1, 1),
    ],
)
def test_cut_normal_has_the_quantiles_of_scipy(mean, sd, low, high):
    drawn = Distribution(mean=mean, sd=sd, low=low, high=high).quantile(U)
    known = stats.truncnorm((low - mean) / sd, (high - mean) / sd, mean, sd).ppf(U.double())
    assert drawn.dtype == torch.float32
    assert_allclose(drawn, known, rtol=1e-6, atol=1e-6 * sd)


def test_uniform_has_the_quantiles_of_scipy():
    drawn = Distribution(low=-3.5, high=7).quantile(U)
    assert_allclose(drawn, stats.uniform(-3.5, 10.5).ppf(U.double()), rtol=1e-6, atol=1e-6)


def test_choice_follows_its_weights():
    drawn = Distribution(choice=(1, 2, 5, 7), weights=(1, 0, 2, 1)).quantile(U)
    counts = [int((drawn == value).sum()) for value in (1, 5, 7)]
    assert sum(counts) == len(U) and not (drawn == 2).any()
    assert stats.chisquare(counts, [len(U) / 4, len(U) / 2, len(U) / 4]).pvalue > 0.01
    even = Distribution(choice=(-1, 1)).quantile(U)
    assert abs(float(even.mean())) < 4 / math.sqrt(len(U))


@given(
    mean=st.floats(-50, 50),
    sd=st.floats(0.01, 50),
    ends=st.tuples(st.floats(-60, 60), st.floats(-60, 60)),
)
@settings(deadline=None, max_examples=60)
def test_draws_stay_within_their_bounds_and_rise(mean, sd, ends):
    low, high = sorted(ends)
    for spread in ({"low": low, "high": high}, {"low": low, "high": high, "mean": mean, "sd": sd}):
        far = max(low - mean, mean - high) > 29 * sd
        if "mean" in spread and far:
            continue
        drawn = Distribution(**spread).quantile(U.sort().values)
        edges = torch.tensor([low, high])
        assert edges[0] <= drawn.min() and drawn.max() <= edges[1]
        assert (drawn.diff() >= 0).all()


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


FAULTS = [
    ({"eyes": {"blurr": 1}}, "unknown key 'eyes.blurr'; did you mean 'blur'?"),
    ({"eyes": {"blur": {"mea": 1}}}, "unknown key 'eyes.blur.mea'; did you mean 'mean'?"),
    ({"eye": {}}, "unknown key 'eye'; did you mean 'eyes'?"),
    ({"image": {"hight": 9}}, "did you mean 'height'?"),
    ({"eyes": {"blur": math.nan}}, "finite"),
    ({"eyes": {"blur": [0, math.inf]}}, "finite"),
    ({"eyes": {"blur": {"choice": [math.nan]}}}, "finite"),
    ({"eyes": {"blur": [1, 0.5]}}, "low 1.0 lies above high 0.5; swap them"),
    ({"eyes": {"blur": [1]}}, "a range is [low, high]"),
    ({"eyes": {"blur": "soft"}}, "give a number"),
    ({"eyes": {"blur": True}}, "expected a number"),
    ({"eyes": {"blur": -1}}, "must stay within 0 .. 4"),
    ({"eyes": {"blur": {"mean": 1, "sd": 0, "low": 0, "high": 2}}}, "greater than 0"),
    ({"eyes": {"blur": {"mean": 1, "low": 0, "high": 2}}}, "give a number"),
    ({"eyes": {"blur": {"mean": 1, "sd": 0.001, "low": 2, "high": 3}}}, "from the mean"),
    ({"eyes": {"blur": {"low": 0, "high": 2, "weights": [1]}}}, "weights need a choice"),
    ({"eyes": {"blur": {"choice": [1, 2], "weights": [1]}}}, "weights must match"),
    ({"eyes": {"blur": {"choice": [1, 2], "weights": [0, 0]}}}, "weights must match"),
    ({"eyes": {"blur": {"choice": [1, 2], "low": 0}}}, "give a number"),
    ({"eyes": {"blur": {"choice": []}}}, "at least 1"),
    ({"eyes": {"side": 0}}, "side must be -1, 1"),
    ({"eyes": {"side": [-1, 1]}}, "side must be -1, 1"),
    ({"eyes": {"pupil_radius": 4.2, "limbus_radius": 4.5, "cornea_radius": 4}}, "cornea_radius"),
    ({"eyes": {"limbus_radius": 6.45, "cornea_radius": [6.45, 8]}}, "cornea_radius"),
    ({"eyes": {"eyeball_radius": 9, "cornea_radius": 9.2}}, "cornea_radius must stay below eye"),
    ({"image": {"height": 7}}, "greater than or equal to 8"),
    ({"image": {"width": 10_000}}, "less than or equal to 8192"),
    ({"image": {"channels": 2}}, "1 or 3"),
    ({"image": {"framing": "mid"}}, "landmarks"),
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


def test_flat_and_back():
    drawn, _ = draw(5)
    assert torch.equal(EyeParams.from_flat(drawn.flat()).flat(), drawn.flat())
    assert torch.equal(drawn[1:3].flat(), drawn.flat()[1:3])
    assert drawn.flat().shape == (5, len(PARAM_NAMES))
