"""Adapting by `train gaze --adapt`: what arrives in a run, and what contradicts itself."""

import json

import pytest

from gazegan.train.log import read_log


@pytest.mark.parametrize("method", ["teacher", "adversarial", "fourier", "ensemble"])
def test_every_method_arrives_and_leaves_a_network(places, gazegan, tmp_path, method):
    store, run = places / "labelled", tmp_path / "run"
    words = ["--steps", 4, "--batch", 8, "--adapt", method, "--head-yaw", "--set", "log_every=1"]
    words += ["--set", "adapt.batch=4", "--set", "adapt.begin=0.5"]
    photographs = ("--real", places / "unlabelled")
    gazegan("train", "gaze", "--data", store, *photographs, "--out", run, *words)
    config = json.loads((run / "config.json").read_text())["config"]
    assert (config["adapt"]["method"], config["network"]["head_yaw"]) == (method, True)
    name = {"adversarial": "domain", "fourier": "loss"}.get(method, "photographs")
    told = [line["step"] for line in read_log(run) if name in line]
    assert told == ([1, 2, 3, 4] if method == "fourier" else [3, 4])
    values = gazegan("evaluate", "--weights", run, "--data", store, "--json").stdout
    assert json.loads(values)["count"] == 20


@pytest.mark.parametrize("words", [["--adapt", "teacher"], ["--set", "adapt.method=fourier"]])
def test_nothing_to_adapt_to_is_refused_by_name(places, fault_of, tmp_path, words):
    start = ("train", "gaze", "--data", places / "labelled", "--out", tmp_path / "run")
    fault = fault_of(*start, *words)
    assert fault.exit_code == 2
    assert "--adapt without --real" in fault.message and "name photographs" in fault.message


@pytest.mark.parametrize("words", [[], ["--set", "adapt.weight=2"]])
def test_how_to_adapt_is_to_be_said(places, fault_of, tmp_path, words):
    start = ("train", "gaze", "--data", places / "labelled", "--out", tmp_path / "run")
    fault = fault_of(*start, "--real", places / "unlabelled", *words)
    assert fault.exit_code == 2 and not (tmp_path / "run").exists()
    assert "--real needs --adapt" in fault.message and "--adapt self" in fault.message


def test_photographs_of_unknown_heads_are_refused_by_name(places, fault_of, tmp_path):
    start = ("train", "gaze", "--data", places / "labelled", "--out", tmp_path / "run")
    fault = fault_of(*start, "--real", places / "more", "--adapt", "teacher", "--head-yaw")
    assert fault.exit_code == 2
    assert "--real: does not say" in fault.message and "leave --head-yaw out" in fault.message


def test_heads_of_photographs_do_not_count_where_only_their_style_does(places, gazegan, tmp_path):
    start = ("train", "gaze", "--data", places / "labelled", "--out", tmp_path / "run")
    words = ("--real", places / "more", "--adapt", "fourier", "--head-yaw", "--steps", 2)
    gazegan(*start, *words, "--batch", 4, "--set", "adapt.batch=4")


def test_directions_are_not_taught_but_else_adapted(places, gazegan, fault_of, tmp_path):
    start = ("train", "gaze", "--data", places / "labelled", "--real", places / "unlabelled")
    start += ("--target", "direction", "--steps", 2, "--batch", 4, "--out", tmp_path / "run")
    fault = fault_of(*start, "--adapt", "ensemble")
    assert "--target direction" in fault.message and "--adapt adversarial" in fault.message
    gazegan(*start, "--adapt", "adversarial", "--set", "adapt.batch=4")
