"""Checks that take a minute: the experiment as a smoke run, and that the road leads somewhere."""

import json
import os
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest
import torch
from click.testing import CliRunner
from PIL import Image

from gazegan.cli import main
from gazegan.cli.road import QUICK, Target, stops
from gazegan.render.prior import load_recipe
from gazegan.render.scene import render_indices

pytestmark = pytest.mark.slow
ROOT = Path(__file__).parent.parent


@pytest.fixture
def photographs(tmp_path: Path) -> Path:
    """Renders that pose as Columbia crops of both eyes of four people."""
    folder = tmp_path / "photographs"
    folder.mkdir()
    places = [(v, h) for v in (-10, 0, 10) for h in (-15, -5, 5, 15)]
    for person in (26, 27, 41, 42):
        for i, (v, h) in enumerate(places):
            for letter, side in (("L", 1), ("R", -1)):
                gaze = (f"eyes.gaze_pitch={v}", f"eyes.gaze_yaw={-h}", "eyes.head_yaw=0")
                recipe = load_recipe("columbia", (*gaze, f"eyes.side={side}"))
                eye = render_indices(recipe, person, torch.tensor([i]))
                pixels = (eye.image[0, 0] * 255).round().to(torch.uint8).numpy()
                name = f"{person:04d}_2m_0P_{v}V_{h}H_{letter}.jpg"
                Image.fromarray(pixels).resize((64, 64)).save(folder / name)
    return folder


def test_an_experiment_runs_small_and_leaves_its_records_alone(
    photographs: Path, tmp_path: Path
) -> None:
    small = {"seeds": "[0]", "renders": 64}
    small |= dict.fromkeys(("steps", "refiner_steps", "tuning_steps", "vertical_steps"), 2)
    records = ROOT / "experiments" / "angle_gap" / "results.jsonl"
    before = records.read_bytes()
    command = [sys.executable, str(ROOT / "experiments" / "run.py"), "angle_gap"]
    command += ["--real", str(photographs), "--work", str(tmp_path / "work")]
    command += [word for k, v in small.items() for word in ("--set", f"{k}={v}")]
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    done = subprocess.run(command, capture_output=True, text=True, env=environment, check=False)
    assert done.returncode == 0, done.stderr
    lines = (tmp_path / "work" / "results.jsonl").read_text().splitlines()
    found = [json.loads(line) for line in lines]
    recipe = tomllib.loads((records.parent / "recipe.toml").read_text())
    cells = [(row, column) for row in recipe["networks"] for column in recipe["columns"]]
    assert [(line["row"], line["column"]) for line in found] == cells
    assert all(line["mean_deg"] > 0 for line in found if line["column"] != "pupil drift")
    assert records.read_bytes() == before


def run(*words: object) -> dict[str, float]:
    done = CliRunner().invoke(main, [*map(str, words), "--json"])
    assert done.exit_code == 0, done.output
    found: dict[str, float] = json.loads(done.stdout.splitlines()[-1])
    return found


def test_gaze_learned_from_renders_beats_the_constant_on_other_renders(tmp_path: Path) -> None:
    run("render", "webcam", "--count", 3000, "--seed", 1, "--out", tmp_path / "train")
    run("render", "webcam", "--count", 500, "--seed", 2, "--out", tmp_path / "test")
    data, weights = ("--data", tmp_path / "train"), tmp_path / "run"
    run("train", "gaze", *data, "--epochs", 8, "--lr-every", 3, "--out", weights)
    found = run("evaluate", "--weights", weights, "--data", tmp_path / "test")
    assert found["mean_deg"] < 0.6 * found["constant_deg"]


def test_direction_learned_from_renders_beats_the_constant(tmp_path: Path) -> None:
    run("render", "webcam", "--count", 3000, "--seed", 1, "--out", tmp_path / "train")
    run("render", "webcam", "--count", 500, "--seed", 2, "--out", tmp_path / "test")
    data, weights = ("--data", tmp_path / "train"), tmp_path / "run"
    options = ("--target", "direction", "--optimiser", "sgd", "--lr", 0.02)
    run("train", "gaze", *data, "--epochs", 6, *options, "--out", weights)
    found = run("evaluate", "--weights", weights, "--data", tmp_path / "test")
    assert found["mean_deg"] < 0.6 * found["constant_deg"]


@pytest.mark.parametrize("seed", [0, 1, 2])
def test_the_quick_demo_shows_eyes_refined_that_are_still_eyes(tmp_path: Path, seed: int) -> None:
    """With a learning rate too high they went black."""
    (_, target, _, refiner, *_) = stops(Target("stand-in"), QUICK, tmp_path, seed, "cpu")
    render = ("render", "webcam", "--count", QUICK.renders, "--seed", seed)
    run(*render, "--out", tmp_path / "stores" / "renders")
    run(*target.commands[0])
    found = run(*refiner.commands[0])
    assert found["pupil_shift/located"] > 0.9 and found["refiner/variety"] > 0.2
