"""Options that contradict each other are refused by name; none is dropped without a word."""

import json

import pytest

REFINER = (
    "--steps", 1, "--batch", 4, "--set", "critic_lead=1",
    "--set", "network.widths=[4,8]", "--set", "critic.widths=[4,8]",
)  # fmt: skip


@pytest.fixture
def refused(places, fault_of, tmp_path):
    """Refuse a training by a message, before anything is written."""

    def run(*words):
        start = ("train", "gaze", "--data", places / "labelled", "--batch", 4)
        fault = fault_of(*start, "--out", tmp_path / "run", *words)
        assert fault.exit_code == 2 and not (tmp_path / "run").exists()
        return fault.message

    return run


@pytest.mark.parametrize(
    "cuts", [("--lr-cut", 0.5), ("--lr-every", 2), ("--set", "schedule.cut=1")]
)
def test_a_cosine_has_no_cuts(refused, cuts):
    message = refused("--steps", 2, "--schedule", "cosine", *cuts)
    assert "--schedule cosine has no cuts; leave --lr-cut and --lr-every out" in message


def test_epochs_and_steps_are_one_thing(refused):
    message = refused("--epochs", 2, "--set", "steps=5")
    assert "--epochs and --set steps exclude each other" in message


@pytest.mark.parametrize("method", ["fourier", "self"])
def test_a_method_is_said_once(refused, places, method):
    photographs = ("--real", places / "labelled", "--adapt", method)
    align = ("--align-to", "webcam") if method == "self" else ()
    message = refused("--steps", 2, *photographs, *align, "--set", "adapt.method=teacher")
    assert f"--adapt {method} and --set adapt.method=teacher contradict each other" in message


def test_recipes_are_rendered_for_a_refiner_by_the_seed_of_its_training(places, gazegan, tmp_path):
    known = []
    for k, how in enumerate((("--seed", 3), ("--set", "seed=3"), ("--seed", 4))):
        words = ("--synthetic", "webcam", "--count", 8, "--real", places / "unlabelled", *REFINER)
        gazegan("train", "refiner", "--out", tmp_path / str(k), *words, *how)
        data = json.loads((tmp_path / str(k) / "config.json").read_text())["data"]
        known.append({key: data[key] for key in data if key != "real"})
    assert known[0] == known[1] != known[2]
