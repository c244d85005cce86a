"""Networks that read landmarks: every command takes them as it takes any other."""

import json

import pytest

from gazegan.train.log import read_log


@pytest.fixture(scope="module")
def perceptron(tmp_path_factory):
    """A run of such a network, and the renders that it learned from."""
    from click.testing import CliRunner

    from gazegan.cli import main

    root = tmp_path_factory.mktemp("landmarks")
    store, run = root / "renders", root / "run"
    render = ["render", "webcam", "--count", "24", "--size", "16x24", "--out", str(store)]
    train = ["train", "gaze", "--data", str(store), "--network", "landmarks", "--out", str(run)]
    for words in (render, [*train, "--steps", "6", "--batch", "8", "--set", "log_every=1"]):
        done = CliRunner().invoke(main, words, catch_exceptions=False)
        assert done.exit_code == 0, done.output
    return run, store


@pytest.mark.parametrize("command", ["explain", "attack", "calibrate"])
def test_the_other_commands_take_such_a_network(perceptron, places, taken_by, command):
    """Also on eyes without landmarks: it finds its own."""
    taken_by(command, perceptron[0], places / "labelled")


def test_its_layers_and_its_pixels_are_told(perceptron, gazegan):
    run, store = perceptron
    told = [line["landmarks_px"] for line in read_log(run) if "landmarks_px" in line]
    assert len(told) == 6 and min(told) > 0
    values = json.loads(gazegan("evaluate", "--weights", run, "--data", store, "--json").stdout)
    assert values["count"] == 24
    for name in (run, "landmarks"):
        assert "linear 100 64" in gazegan("inspect", "network", name).stdout


def test_stores_without_landmarks_are_refused_by_name(places, fault_of, tmp_path):
    words = ("--data", places / "labelled", "--network", "landmarks", "--out", tmp_path / "run")
    fault = fault_of("train", "gaze", *words)
    assert fault.exit_code == 2 and "--network landmarks learns to find" in fault.message
