"""Recipes written as TOML are read back equal."""

from pathlib import Path

import pytest

from gazegan.render.prior import RECIPES, Recipe, load_recipe
from gazegan.render.writing import to_toml


@pytest.mark.parametrize("name", sorted(path.stem for path in RECIPES.glob("*.toml")))
def test_shipped_recipes_come_back(name: str, tmp_path: Path) -> None:
    recipe = load_recipe(name)
    path = tmp_path / "copy.toml"
    path.write_text(to_toml(recipe, {"fill": "was [0, 1]"}), encoding="utf-8")
    assert load_recipe(path) == recipe


def test_every_form_odd_numbers_and_texts_come_back(tmp_path: Path) -> None:
    line = {"of": "gaze_pitch", "slope": 1 / 3, "offset": 1e-7, "sd": 0.1, "low": -20, "high": 20}
    recipe = Recipe.model_validate(
        {
            "about": 'a "quoted" \\ text\nover lines \x7f \u00e9',
            "image": {"bayer": True, "channels": 3},
            "eyes": {
                "head_pitch": line,
                "blur": {"mixture": [0.5, [0, 0.1 + 0.2]], "weights": [1, 3]},
                "glasses": {"choice": [0, 1], "weights": [0.25, 0.75]},
            },
        }
    )
    path = tmp_path / "odd.toml"
    path.write_text(to_toml(recipe), encoding="utf-8")
    assert load_recipe(path) == recipe


def test_only_differences_are_written_with_their_remarks() -> None:
    recipe = Recipe.model_validate({"eyes": {"fill": [0.7, 0.8]}})
    text = to_toml(recipe, {"fill": "was [0.5, 1]"})
    assert text == "[eyes]\nfill = [0.7, 0.8]  # was [0.5, 1]\n"
