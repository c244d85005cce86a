"""`gazegan explain --scenes` writes slopes and swings of answers by the parameters of scenes."""

import json

import numpy as np
import pytest
import torch
from click.testing import CliRunner
from PIL import Image

from gazegan import explain
from gazegan.chain import chain, scenes, spreads
from gazegan.cli import main
from gazegan.nets.refiner import Refiner, RefinerConfig
from gazegan.render.params import PARAM_NAMES
from gazegan.render.prior import load_recipe
from gazegan.train.checkpoint import load_weights, save_weights

SIZE = (16, 24)
"""Of the eyes that the networks in `places` were trained on."""
VARYING = ("gaze_pitch", "gaze_yaw", "side", "light_azimuth", "fill")


def narrow(path, recipe):
    """A recipe in which little else than `VARYING` varies: every parameter takes time."""
    eyes = load_recipe(recipe).eyes
    held = {name: eyes.extent(name).middle for name in PARAM_NAMES if name not in VARYING}
    path.write_text("[eyes]\n" + "".join(f"{name} = {value}\n" for name, value in held.items()))
    if eyes.polar:
        with path.open("a") as file:
            file.write("gaze_direction = [0, 360]\ngaze_eccentricity = [2, 25]\n")
    return path


@pytest.fixture(scope="module")
def refiner(tmp_path_factory):
    """Weights of a refiner that changes what it sees."""
    torch.manual_seed(0)
    config = RefinerConfig(widths=(4, 8), blocks=1)
    net = Refiner(config, 1)
    torch.nn.init.normal_(net.head.weight, std=0.1)
    path = tmp_path_factory.mktemp("refiner") / "refiner.safetensors"
    data = {"channels": 1, "height": SIZE[0], "width": SIZE[1]}
    info = {"config": {"network": config.model_dump(mode="json")}, "data": data, "step": 0}
    save_weights(path, net, "refiner", info)
    return path


@pytest.fixture(scope="module")
def recipe(tmp_path_factory):
    return narrow(tmp_path_factory.mktemp("recipe") / "narrow.toml", "webcam")


@pytest.fixture(scope="module")
def done(places, recipe, refiner, tmp_path_factory):
    out = tmp_path_factory.mktemp("scenes")
    words = ("explain", "--weights", places / "angles.safetensors", "--scenes", recipe,
             "--refiner", refiner, "--out", out, "--count", 3, "--output", "yaw")  # fmt: skip
    result = CliRunner().invoke(main, [str(word) for word in words], catch_exceptions=False)
    assert result.exit_code == 0
    return out, json.loads((out / "explain.json").read_text()), result.stdout


def test_arrays_hold_slopes_and_swings(done, places, recipe, refiner):
    with np.load(done[0] / "scenes.npz") as file:
        arrays = dict(file)
    network, _ = load_weights(places / "angles.safetensors", "gaze")
    before, _ = load_weights(refiner, "refiner")
    recipe = load_recipe(recipe)
    links, spread = chain(recipe, SIZE, 1, network, before), spreads(recipe, 0)
    params, textures = scenes(recipe, 0, torch.arange(3))
    np.testing.assert_array_equal(arrays["params"], params)

    def answer(x):
        return explain.yaw_deg(links.answer(x, textures))

    found = explain.slopes(answer, params)
    np.testing.assert_allclose(arrays["slope_deg"], found.moves(spread), rtol=1e-3, atol=1e-5)
    at = PARAM_NAMES.index("light_azimuth")
    swing = explain.swing(answer, params, spread, at)
    np.testing.assert_allclose(arrays["swing_deg"][:, at], swing, rtol=1e-3, atol=1e-5)
    gaze = PARAM_NAMES.index("gaze_yaw")
    np.testing.assert_allclose(arrays["true_deg"][:, gaze], spread[gaze], rtol=1e-5)
    assert (np.delete(arrays["true_deg"], gaze, 1) == 0).all()


def test_results_are_those_of_the_arrays(done):
    out, values, text = done
    with np.load(out / "scenes.npz") as file:
        slope, swing = file["slope_deg"], file["swing_deg"]
    sizes = np.abs(slope).mean(0)
    names = list(values["parameters"])
    assert names == sorted(names, key=lambda n: -sizes[PARAM_NAMES.index(n)])
    assert set(names) == {*VARYING} - {"side"}
    for name in ("gaze_yaw", "fill"):
        at, one = PARAM_NAMES.index(name), values["parameters"][name]
        assert one["slope_deg"] == pytest.approx(sizes[at], rel=1e-5)
        assert one["mean_swing_deg"] == pytest.approx(swing[:, at].mean(), rel=1e-4, abs=1e-7)
    looking = [PARAM_NAMES.index(name) for name in ("gaze_pitch", "gaze_yaw")]
    share = (slope[:, looking] ** 2).sum(1) / (slope**2).sum(1)
    assert values["gaze_share"]["slope"] == pytest.approx(share.mean(), rel=1e-4)
    assert names[0].replace("_", " ") in text and "of the swings" in text
    with Image.open(out / "scenes.png") as picture:
        assert picture.width > 800


def test_a_refiner_of_other_channels_is_refused(places, fault_of, tmp_path):
    config = RefinerConfig(widths=(4,), blocks=0)
    info = {"config": {"network": config.model_dump(mode="json")}, "data": {"channels": 3}}
    save_weights(tmp_path / "colour.safetensors", Refiner(config, 3), "refiner", info)
    fault = fault_of(
        "explain", "--weights", places / "angles.safetensors", "--scenes", "webcam",
        "--refiner", tmp_path / "colour.safetensors", "--out", tmp_path / "out",
    )  # fmt: skip
    assert "--refiner" in fault.message and "as many" in fault.message


def test_directions_are_explained_too(places, gazegan, tmp_path):
    values = json.loads(
        gazegan(
            "explain", "--weights", places / "direction.safetensors", "--scenes",
            narrow(tmp_path / "polar.toml", "uniform360"), "--out", tmp_path, "--count", 2,
            "--json",
        ).stdout
    )  # fmt: skip
    assert values["output"] == "direction"
    assert all(abs(one["mean_swing_deg"]) <= 180 for one in values["parameters"].values())
    for name in ("gaze_pitch", "gaze_yaw"):
        assert values["parameters"][name]["true_deg"] > 0
