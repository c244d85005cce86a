"""`gazegan fit` from the command line: what it writes, resumes and refuses."""

import json
from collections.abc import Callable
from pathlib import Path

import pytest
from click.testing import CliRunner, Result
from PIL import Image

from gazegan.cli import main
from gazegan.data.rendered import write_rendered
from gazegan.errors import UserError
from gazegan.render.prior import Recipe, load_recipe

RECIPE = """
name = "small"

[image]
height = 20
width = 40

[eyes]
gaze_pitch = [-8, 8]
gaze_yaw = [-8, 8]
fill = [0.5, 1]
glasses = 0
"""
Run = Callable[..., Result]


@pytest.fixture(scope="module")
def places(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """A recipe, and a store of photographs from another one."""
    folder = tmp_path_factory.mktemp("fit")
    path = folder / "small.toml"
    path.write_text(RECIPE)
    other = Recipe.model_validate(
        {
            "image": {"height": 16, "width": 24},
            "eyes": {"gaze_pitch": [-8, 8], "gaze_yaw": [-8, 8], "fill": [0.6, 0.7], "glasses": 0},
        }
    )
    write_rendered(other, 3, 100, folder / "eyes")
    return path, folder / "eyes"


@pytest.fixture
def run(places: tuple[Path, Path]) -> Run:
    def call(out: Path, *more: str) -> Result:
        recipe, eyes = places
        words = ["fit", "--real", eyes, "--recipe", recipe, "--out", out, "--steps", "8", *more]
        words += ["--set", "rate=0.2", "--set", "measured=300", "--set", "batch=48"]
        return CliRunner().invoke(main, [str(word) for word in words])

    return call


def test_writes_a_recipe_a_sheet_and_its_rounds(run: Run, tmp_path: Path) -> None:
    out = tmp_path / "new" / "fitted.toml"
    told = run(out, "--rounds", "2", "--json")
    assert told.exit_code == 0, told.output
    values = json.loads(told.stdout)
    assert values["after"] < values["before"]
    assert values["halves"] > 0
    assert [set(one) for one in values["rounds"]] == 2 * [{"gap"}]
    fitted = load_recipe(out)
    assert (fitted.name, "100 photographs" in fitted.about) == ("fitted", True)
    assert (fitted.image.height, fitted.image.width) == (16, 24)  # the photographs'
    assert "fill" in values["moved"]
    assert "fill = [" in (text := out.read_text()) and "# was [0.5, 1]" in text
    low, high = fitted.bounds("fill")
    assert 0.6 < (low + high) / 2 < 0.74
    assert fitted.bounds("gaze_pitch") == (-8, 8)
    with Image.open(out.with_name("fitted.png")) as sheet:
        assert sheet.width > 800
    assert sorted(path.name for path in out.parent.iterdir()) == [
        "fitted.png", "fitted.rounds.jsonl", "fitted.toml",
    ]  # fmt: skip


def test_goes_on_where_it_was_and_changes_nothing_when_done(
    run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole, parts = tmp_path / "whole.toml", tmp_path / "parts.toml"
    run(whole, "--rounds", "2", "--steps", "3")
    rounds = [path.with_name(path.stem + ".rounds.jsonl") for path in (whole, parts)]
    lines = rounds[0].read_text().splitlines(keepends=True)
    rounds[1].write_text("".join(lines[:2]))  # stopped after the first of both
    told = run(parts, "--rounds", "2", "--steps", "3")
    assert "parameters moved to 100 photographs" in told.stdout
    assert rounds[0].read_bytes() == rounds[1].read_bytes()
    before = parts.read_bytes()
    # What was measured is not measured again, which takes longer than a round.
    monkeypatch.setattr("gazegan.fit.distance", lambda *_: pytest.fail("measured again"))
    assert run(parts, "--rounds", "2", "--steps", "3").stdout == told.stdout
    assert parts.read_bytes() == before


def test_photographs_of_a_folder_take_the_size_of_the_recipe(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whatever folders there are that are named as it."""
    monkeypatch.chdir(tmp_path)
    for name in ("webcam", "photos"):
        (tmp_path / name).mkdir()
    for k in range(64):
        Image.effect_noise((40, 24), 20 + k).save(tmp_path / "photos" / f"{k}.png")
    words = ["fit", "--real", "photos", "--recipe", "webcam", "--out", "a.toml", "--rounds", "1"]
    words += ["--steps", "1", "--set", "batch=8", "--set", "measured=64"]
    told = CliRunner().invoke(main, words)
    assert told.exit_code == 0, told.output
    fitted = load_recipe(tmp_path / "a.toml")
    assert (fitted.image.height, fitted.image.width) == (36, 60)


def test_refuses_what_it_would_overwrite_or_cannot_use(run: Run, tmp_path: Path) -> None:
    def refused(out: Path, *more: str) -> str:
        told = run(out, *more)
        assert told.exit_code == UserError.exit_code, told.output
        return told.output

    assert "ends in .toml" in refused(tmp_path / "fitted")
    mine = tmp_path / "mine.toml"
    mine.write_text("name = 'mine'")
    assert "exists" in refused(mine)
    assert mine.read_text() == "name = 'mine'"
    picture = tmp_path / "drawn.png"
    picture.write_bytes(b"mine")
    assert "drawn.png exists" in refused(tmp_path / "drawn.toml")
    assert picture.read_bytes() == b"mine"
    assert "--hold nose" in refused(tmp_path / "a.toml", "--hold", "nose")
    assert "components" in refused(tmp_path / "a.toml", "--set", "components=0")
    out = tmp_path / "b.toml"
    run(out, "--rounds", "1")
    assert "config.rounds: 1 -> 2" in refused(out, "--rounds", "2")
    assert "config.seed: 0 -> 5" in refused(out, "--rounds", "1", "--seed", "5")
    out.with_name("b.rounds.jsonl").write_text("{}\nnot json\n")
    assert "line 2" in run(out, "--rounds", "1").output
