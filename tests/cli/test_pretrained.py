"""`train --pretrained`: a training that begins with the network of another."""

import json

import pytest
import torch

from gazegan.train.checkpoint import load_weights
from gazegan.train.log import read_log

QUICK = ("--steps", 4, "--batch", 4)


def weights(run, stage="gaze"):
    network, info = load_weights(run, stage)
    return network.state_dict(), info


@pytest.fixture
def tune(places, gazegan, tmp_path):
    """Train further from the network of angles; what is returned is the run."""

    def train(name, *more):
        words = ("--data", places / "labelled", "--pretrained", places / "angles.safetensors")
        gazegan("train", "gaze", *words, *QUICK, "--out", tmp_path / name, *more)
        return tmp_path / name

    return train


def test_a_training_begins_with_the_weights_and_the_settings_of_the_run(places, tune):
    before, _ = weights(places / "angles.safetensors")
    after, info = weights(tune("still", "--lr", 1e-12, "--set", "augment.mirror=0"))
    assert info["config"]["network"]["widths"] == [4, 4, 8, 8, 8]
    for name, value in before.items():
        if "running" not in name and "num_batches" not in name:
            torch.testing.assert_close(after[name], value, atol=1e-6, rtol=0)
    moved, _ = weights(tune("moved", "--lr", 1e-2))
    assert any((moved[name] - value).abs().max() > 1e-3 for name, value in before.items())


def test_a_run_is_of_the_weights_it_began_with(places, tune, fault_of, tmp_path):
    run = tune("run")
    record = json.loads((run / "config.json").read_text())
    assert record["data"]["pretrained"] == weights(places / "angles.safetensors")[1]["sha256"]
    before = (run / "weights.safetensors").read_bytes()
    assert (tune("run") / "weights.safetensors").read_bytes() == before
    again = ("train", "gaze", "--data", places / "labelled", "--out", run, *QUICK)
    assert "pretrained" in fault_of(*again, "--pretrained", run).message


def test_a_finished_training_goes_on_from_where_it_ended(places, gazegan, tmp_path):
    words = ("train", "gaze", "--data", places / "labelled", "--batch", 8)
    sizes = ("--set", "network.widths=[4,4,8,8,8]", "--set", "network.hidden=8")
    first, then = tmp_path / "first", tmp_path / "then"
    checks = ("--set", "held_out=0.3", "--set", "evaluate_every=150")
    gazegan(*words, *sizes, *checks, "--steps", 150, "--out", first)
    gazegan(*words, *checks, "--pretrained", first, "--steps", 2, "--lr", 1e-6, "--out", then)
    ended, begun = (
        [line["held_out_deg"] for line in read_log(run) if "held_out_deg" in line]
        for run in (first, then)
    )
    assert abs(ended[-1] - ended[0]) > 1
    assert begun[0] == pytest.approx(ended[-1], abs=1e-3)


def test_the_refiner_goes_on_against_a_new_critic(places, gazegan, tmp_path):
    words = ["train", "refiner", "--synthetic", places / "labelled", "--batch", 4]
    words += ["--real", places / "unlabelled", "--set", "critic_lead=1"]
    first, then = tmp_path / "first", tmp_path / "then"
    sizes = ("--set", "network.widths=[4,8]", "--set", "critic.widths=[4,8]")
    gazegan(*words, *sizes, "--steps", 6, "--set", "keep=0", "--out", first)
    further = ("--pretrained", first, "--steps", 2, "--set", "generator.lr=1e-12")
    gazegan(*words, *further, "--out", then)
    (before, _), (after, info) = (weights(run, "refiner") for run in (first, then))
    assert info["config"]["network"]["widths"] == [4, 8]
    assert info["config"]["critic"]["widths"] != [4, 8]
    assert any(value.abs().max() > 0 for name, value in before.items() if "head" in name)
    for name, value in before.items():
        torch.testing.assert_close(after[name], value, atol=1e-6, rtol=0)


def test_what_does_not_fit_is_refused(places, fault_of, tmp_path):
    def fault(*words, data="labelled", weights="angles"):
        named = ("--data", places / data, "--pretrained", places / f"{weights}.safetensors")
        return fault_of("train", "gaze", *named, *QUICK, *words, "--out", tmp_path / "x").message

    assert "network.hidden: 8 -> 16" in fault("--set", "network.hidden=16")
    assert "network.target: 'direction' -> 'angles'" in fault(
        "--target", "angles", weights="direction"
    )
    assert "16x24 grey eyes, but --data: 16x24 colour" in fault(data="colour")
    photographs = ("--real", places / "unlabelled", "--adapt", "ensemble")
    assert "--adapt teacher" in fault(*photographs)
    named = ("--synthetic", places / "labelled", "--real", places / "unlabelled")
    wrong = ("--pretrained", places / "angles.safetensors", "--out", tmp_path / "x")
    assert "'refiner' is needed" in fault_of("train", "refiner", *named, *wrong).message
    assert not (tmp_path / "x").exists()
