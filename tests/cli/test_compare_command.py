"""`gazegan compare` from the command line."""

import json
from pathlib import Path

import pytest
from click.testing import CliRunner, Result
from PIL import Image

from gazegan.cli import main
from gazegan.data.rendered import write_rendered
from gazegan.errors import UserError
from gazegan.render.prior import load_recipe

SMALL = ("image.height=16", "image.width=24")


@pytest.fixture(scope="module")
def stores(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("compare")
    for name, changes in (("real", ()), ("same", ()), ("dark", ("eyes.exposure=-2",))):
        recipe = load_recipe("webcam", (*SMALL, *changes))
        write_rendered(recipe, len(name) + len(changes), 64, folder / name)
    write_rendered(load_recipe("webcam", ("image.height=20",)), 0, 16, folder / "other")
    write_rendered(load_recipe("webcam", SMALL), 0, 4, folder / "few")
    return folder


def run(*words: object) -> Result:
    return CliRunner().invoke(main, ["compare", *map(str, words)])


def test_measures_every_source_beside_two_halves(stores: Path, tmp_path: Path) -> None:
    words = ("--real", stores / "real", "--data", stores / "same", "--data", stores / "dark")
    told = run(*words, "--out", tmp_path / "out", "--json")
    assert told.exit_code == 0, told.output
    values = json.loads(told.stdout)
    halves, same, dark = values["rows"]
    assert halves["images"] == "two halves of the photographs"
    assert halves["count"] == 32
    assert same["sliced_wasserstein"] < 0.5 * dark["sliced_wasserstein"]
    assert same["auc"] < dark["auc"]
    assert json.loads((tmp_path / "out" / "comparison.json").read_text()) == values
    text = run(*words, "--count", 32)
    assert "real: 32 photographs" in text.stdout
    assert "sliced Wasserstein" in text.stdout


def test_a_gaze_network_may_look_instead(stores: Path, tmp_path: Path) -> None:
    def trained(name: str, *how: str) -> Path:
        words = ["train", "gaze", "--data", str(stores / name), "--steps", "2", *how]
        told = CliRunner().invoke(main, [*words, "--out", str(tmp_path / "".join((name, *how)))])
        assert told.exit_code == 0, told.output
        return tmp_path / "".join((name, *how))

    words = ("--real", stores / "real", "--data", stores / "same", "--data", stores / "dark")
    plain = json.loads(run(*words, "--json").stdout)
    judged = run(*words, "--features", trained("real"), "--json")
    assert judged.exit_code == 0, judged.output
    rows = json.loads(judged.stdout)["rows"]
    assert [row["images"] for row in rows] == [row["images"] for row in plain["rows"]]
    assert rows[2]["sliced_wasserstein"] != plain["rows"][2]["sliced_wasserstein"]
    for run_dir, cure in (
        (trained("other"), "20x60 grey eyes, but --data: 16x24 grey"),
        (trained("real", "--head-yaw"), "without --head-yaw"),
        (tmp_path / "none", "neither network nor a run"),
    ):
        told = run(*words, "--features", run_dir)
        assert told.exit_code == UserError.exit_code
        assert cure in told.output


def test_refuses_what_does_not_fit_together(stores: Path, tmp_path: Path) -> None:
    def refused(*words: object) -> str:
        told = run(*words)
        assert told.exit_code == UserError.exit_code, told.output
        return told.output

    real = ("--real", stores / "real")
    twice = ("--data", stores / "same", "--data", stores / "same", "--out", tmp_path / "twice")
    assert "is given twice; leave one out" in refused(*real, *twice)
    assert not (tmp_path / "twice").exists()
    assert "20x60" in refused(*real, "--data", stores / "same", "--data", stores / "other")
    assert "20x60" in refused("--real", stores / "other", "--data", stores / "same")
    (tmp_path / "one").mkdir()
    for k in range(16):
        Image.new("L", (24, 16), 90).save(tmp_path / "one" / f"{k}.png")
    words = ("--real", tmp_path / "one", "--data", stores / "same", "--out", tmp_path / "none")
    assert f"--real {tmp_path / 'one'}: these photographs are all alike" in refused(*words)
    assert not (tmp_path / "none").exists()
    assert "at least eight" in refused(*real, "--data", stores / "few")
    assert run(*real, "--data", "webcam", "--count", 16).exit_code == 0  # at the store's size
    out = ("--out", tmp_path / "out")
    assert run(*real, "--data", stores / "same", *out).exit_code == 0
    assert "other settings" in refused(*real, "--data", stores / "dark", *out)
    (tmp_path / "mixed").mkdir()
    (tmp_path / "mixed" / "attack.json").write_text("{}")
    mixed = refused(*real, "--data", stores / "same", "--out", tmp_path / "mixed")
    assert "results of another command (attack.json)" in mixed
