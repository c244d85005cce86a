"""Options that contradict each other are refused by name; none is dropped without a word."""

import json

import pytest

from gazegan.nets.regressor import Regressor, RegressorConfig
from gazegan.train.checkpoint import save_weights

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


@pytest.mark.parametrize(
    ("option", "setting"),
    [
        (("--steps", 3), "steps=5"),
        (("--target", "angles"), "network.target=direction"),
        (("--network", "lenet"), "network={target='direction'}"),
        (("--head-yaw",), "network.head_yaw=false"),
        (("--lr", 0.1), "optimiser.lr=0.2"),
        (("--schedule", "cosine"), "schedule.kind=step"),
        (("--share", 2), "shares=[1.0]"),
        (("--seed", 0), "seed=3"),
    ],
)
def test_an_option_is_not_overruled_by_a_setting(refused, option, setting):
    message = refused(*option, "--set", setting)
    start = " ".join(map(str, option)) if option[0] != "--share" else "--share"
    assert f"{start} and --set {setting} contradict each other; give one" in message


def test_a_refiner_s_option_is_not_overruled_either(places, fault_of, tmp_path):
    words = ("--synthetic", places / "labelled", "--real", places / "unlabelled", *REFINER)
    message = fault_of(
        "train", "refiner", "--out", tmp_path / "run", *words, "--set", "steps=5"
    ).message
    assert "--steps 1 and --set steps=5 contradict each other" in message


def test_what_is_said_twice_alike_or_varied_is_taken(places, gazegan, tmp_path):
    start = (
        "train",
        "gaze",
        "--data",
        places / "labelled",
        "--steps",
        1,
        "--out",
        tmp_path / "run",
    )
    alike = ("--lr", 0.01, "--set", "optimiser.lr=1e-2", "--set", "steps=1", "--set", "seed=3")
    gazegan(*start, "--set", "batch=4", *alike, "--augment", "strong", "--set", "augment.blur=0.1")
    config = json.loads((tmp_path / "run" / "config.json").read_text())["config"]
    assert (config["seed"], config["augment"]["blur"]) == (3, 0.1)


@pytest.mark.parametrize(
    ("words", "idle"),
    [
        (
            ("--set", "network.blocks=5"),
            "network.blocks: does nothing in a network of kind 'small'",
        ),
        (
            ("--network", "lenet", "--set", "network.widths=[4,4,4,4,4]"),
            "network.widths: does nothing in a network of kind 'lenet'",
        ),
        (
            ("--network", "landmarks", "--set", "network.grid=[2,2]"),
            "network.grid: does nothing in a network of kind 'landmarks'",
        ),
        (("--set", "network.epsilon=0.1"), "network.epsilon: does nothing beside knots above 1"),
        (("--set", "adversary.steps=5"), "adversary.steps: does nothing without --adversary-eps"),
        (("--adversary-epsilon", 0, "--set", "adversary.share=1"), "adversary.share: does nothing"),
        (
            ("--set", "optimiser.momentum=0.5"),
            "optimiser.momentum: does nothing in an optimiser of kind 'rmsprop'",
        ),
        (
            ("--optimiser", "adam", "--set", "optimiser.smoothing=0.9"),
            "optimiser.smoothing: does nothing in an optimiser of kind 'adam'",
        ),
    ],
)
def test_a_setting_that_would_do_nothing_is_refused(refused, words, idle):
    message = refused("--steps", 2, *words)
    assert f"Error: --set {idle}" in message and message.endswith("; leave it out")


def test_settings_that_do_something_are_taken(gazegan, places, tmp_path):
    start = ("train", "gaze", "--data", places / "labelled", "--batch", 4, "--steps", 1)
    for k, words in enumerate(
        (
            ("--network", "resnet", "--set", "network.blocks=2", "--set", "network.grid=[1,2]"),
            ("--set", "network.knots=0", "--set", "network.epsilon=0.1"),
            ("--optimiser", "rmsprop_norm", "--set", "optimiser.epsilon=1e-5"),
            ("--adversary-epsilon", 1, "--set", "adversary.steps=2"),
        )
    ):
        gazegan(*start, "--set", "network.widths=[4,4,4,4,4]", *words, "--out", tmp_path / str(k))


def test_a_run_with_settings_that_did_nothing_is_still_read(places, gazegan, tmp_path):
    """Older versions took them, and kept them with the network."""
    config = RegressorConfig(widths=(4, 4, 4, 4, 4), hidden=8, blocks=5)
    info = {"config": {"network": config.model_dump(mode="json")}, "step": 1}
    info["data"] = {"channels": 1, "height": 16, "width": 24}
    save_weights(tmp_path / "old.safetensors", Regressor(config, 1).eval(), "gaze", info)
    weights = ("--pretrained", tmp_path / "old.safetensors", "--steps", 1, "--batch", 4)
    gazegan("train", "gaze", "--data", places / "labelled", "--out", tmp_path / "run", *weights)


@pytest.mark.parametrize("command", ["evaluate", "predict"])
def test_eyes_are_not_counted_twice(places, fault_of, tmp_path, command):
    words = ("--weights", places / "angles.safetensors", "--out", tmp_path / "out")
    data = ("--data", places / "labelled", "--data", places / "more", "--data", places / "labelled")
    fault = fault_of(command, *words, *data)
    assert f"--data {places / 'labelled'}: is given twice; leave one out" in fault.message
    assert fault.exit_code == 2 and not (tmp_path / "out").exists()
