"""Networks that answer how uncertain they are: in training, in evaluate and everywhere else."""

import csv
import json

import numpy as np
import pytest
import torch
from PIL import Image
from scipy import stats

from gazegan.data.store import open_store
from gazegan.geometry import angular_error_deg
from gazegan.nets.regressor import SPREAD_DEG
from gazegan.train.checkpoint import load_weights
from gazegan.train.log import read_log


@pytest.fixture(scope="module")
def unsure(places, tmp_path_factory):
    """A run of a network with spreads that reads the head's yaw, and the store of its eyes."""
    from click.testing import CliRunner

    from gazegan.cli import main

    store, run = places / "labelled", tmp_path_factory.mktemp("spread") / "run"
    words = ["train", "gaze", "--data", str(store), "--out", str(run), "--steps", "12"]
    words += ["--batch", "8", "--spread", "--head-yaw", "--set", "log_every=1", "--lr", "0.003"]
    done = CliRunner().invoke(main, words, catch_exceptions=False)
    assert done.exit_code == 0, done.output
    return run, store


def answers(run, store):
    network, _ = load_weights(run, "gaze")
    batch = open_store(store).read(range(20))
    with torch.no_grad():
        there = network.answer(batch.image, batch.head[:, 1])
        back = network.answer(batch.image.flip(-1), -batch.head[:, 1])
    return there, back, batch


def test_training_tells_the_mean_spread(unsure):
    told = [line["spread_deg"] for line in read_log(unsure[0]) if "spread_deg" in line]
    assert len(told) == 12 and len(set(told)) > 3
    assert all(SPREAD_DEG[0] < degrees < SPREAD_DEG[1] for degrees in told)


def test_evaluate_writes_spreads_and_their_calibration(unsure, gazegan, tmp_path):
    run, store = unsure
    start = ("evaluate", "--weights", run, "--data", store, "--batch", 7)
    text = gazegan(*start, "--out", tmp_path / "out").stdout
    values = json.loads((tmp_path / "out" / "evaluation.json").read_text())["uncertainty"]
    there, _, batch = answers(run, store)
    off, wide = (np.rad2deg(x.numpy()) for x in (there.output - batch.gaze, there.spread))
    for k, (name, word) in enumerate((("vertical", "pitch"), ("horizontal", "yaw"))):
        reach = stats.norm.ppf(0.5 + np.array(values["nominal"]) / 2) * wide[:, k : k + 1]
        inside = (np.abs(off[:, k : k + 1]) <= reach).mean(0)
        np.testing.assert_allclose(values[name]["coverage"], inside)
        likely = stats.norm.logpdf(off[:, k], scale=wide[:, k]).mean()
        assert values[name]["nll"] == pytest.approx(-likely, rel=1e-4)
        assert f"{values[name]['nll']:.2f}" in text
        table = (tmp_path / "out" / "predictions.csv").read_text()
        rows = list(csv.DictReader(table.splitlines()))
        found = [float(row[f"spread_{word}_deg"]) for row in rows]
        np.testing.assert_allclose(found, wide[:, k], atol=1e-4)
    error = angular_error_deg(there.output, batch.gaze).numpy()
    certain = np.argsort(np.hypot(*wide.T))[:10]
    assert values["rejected"][-1]["mean_deg"] == pytest.approx(error[certain].mean(), rel=1e-4)
    assert "central" in text and "least certain" in text
    with Image.open(tmp_path / "out" / "calibration.png") as picture:
        assert picture.size[0] > 400


def test_pictures_of_a_network_that_was_replaced_are_gone(unsure, places, gazegan, tmp_path):
    weights, out = tmp_path / "run.safetensors", tmp_path / "out"
    words = ("evaluate", "--weights", weights, "--data", places / "labelled", "--out", out)
    pictures = {"curve.png"}
    for network, more in (
        (unsure[0] / "weights.safetensors", {"scatter.png", "calibration.png"}),
        (places / "angles.safetensors", {"scatter.png"}),
        (places / "direction.safetensors", set()),
    ):
        weights.write_bytes(network.read_bytes())
        gazegan(*words)
        assert {path.name for path in out.glob("*.png")} == pictures | more


def test_mirrored_variances_are_averaged(unsure, gazegan):
    run, store = unsure
    start = ("evaluate", "--weights", run, "--data", store, "--mirror-average")
    values = json.loads(gazegan(*start, "--json").stdout)["uncertainty"]
    there, back, _ = answers(run, store)
    wide = torch.rad2deg(((there.spread**2 + back.spread**2) / 2).sqrt()).mean(0)
    assert values["vertical"]["spread_deg"] == pytest.approx(float(wide[0]), rel=1e-5)
    assert values["horizontal"]["spread_deg"] == pytest.approx(float(wide[1]), rel=1e-5)


def test_plain_networks_are_evaluated_as_before(places, gazegan, tmp_path):
    start = ("evaluate", "--weights", places / "angles.safetensors", "--data", places / "labelled")
    gazegan(*start, "--out", tmp_path)
    assert "uncertainty" not in json.loads((tmp_path / "evaluation.json").read_text())
    assert "spread" not in (tmp_path / "predictions.csv").read_text().splitlines()[0]
    assert not (tmp_path / "calibration.png").exists()


@pytest.mark.parametrize("command", ["explain", "attack", "calibrate"])
def test_the_other_commands_take_such_a_network(unsure, taken_by, command):
    taken_by(command, *unsure)


def test_such_a_network_judges_a_refiner_and_adapts_to_photographs(places, gazegan, tmp_path):
    store, run = places / "labelled", tmp_path / "judge"
    words = ["--steps", 4, "--batch", 8, "--spread", "--real", places / "unlabelled"]
    words += ["--adapt", "teacher", "--set", "adapt.batch=4"]
    gazegan("train", "gaze", "--data", store, "--out", run, *words)
    assert any("photographs" in line for line in read_log(run))
    words = ["--judge", run, "--steps", 2, "--batch", 4, "--set", "network.blocks=1"]
    out = tmp_path / "refiner"
    gazegan("train", "refiner", "--synthetic", store, "--real", store, "--out", out, *words)


def test_a_spread_of_directions_is_refused_by_name(places, fault_of, tmp_path):
    words = ("--steps", 2, "--target", "direction", "--spread", "--out", tmp_path / "run")
    fault = fault_of("train", "gaze", "--data", places / "labelled", *words)
    assert fault.exit_code == 2 and "spread is of angles" in fault.message
