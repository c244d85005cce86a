"""Training on a GPU, where there is one."""

import json

import pytest
import torch
from click.testing import CliRunner

from gazegan.cli import main

pytestmark = pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a GPU")


def run(*words: str) -> dict:
    result = CliRunner().invoke(main, [*words, "--json"], catch_exceptions=False)
    assert result.exit_code == 0, result.output
    return json.loads(result.stdout.splitlines()[-1])


@pytest.mark.gpu
def test_the_whole_road_on_a_gpu(tmp_path):
    eyes, photos, refiner, refined = (
        str(tmp_path / part) for part in ("eyes", "photos", "refiner", "refined")
    )
    common = ("--device", "cuda", "--out")
    run("render", "webcam", "--count", "256", *common, eyes)
    run("render", "standin", "--count", "128", *common, photos)
    pair = ("--synthetic", eyes, "--real", photos)
    run("train", "refiner", *pair, "--steps", "12", "--set", "critic_lead=4", *common, refiner)
    run("refine", eyes, "--weights", refiner, *common, refined)
    for more in ((), ("--real", photos, "--adapt", "teacher")):
        gaze = str(tmp_path / f"gaze{len(more)}")
        run("train", "gaze", "--data", refined, *more, "--epochs", "2", *common, gaze)
        measured = run("evaluate", "--weights", gaze, "--data", eyes, "--device", "cuda")
        assert 0 < measured["mean_deg"] < 60
