"""`gazegan attack` reports errors against the size of the change, beside noise."""

import json

import pytest
from PIL import Image

FILES = {"attack.json", "curve.png", "examples.png"}


@pytest.mark.parametrize("target", ["angles", "direction"])
def test_sweep_is_reported_in_order_and_beside_noise(places, gazegan, tmp_path, target):
    done = gazegan(
        "attack", "--weights", places / f"{target}.safetensors", "--data", places / "labelled",
        "--out", tmp_path, "--epsilon", "4,1", "--epsilon", 2, "--steps", 4, "--count", 6, "--json",
    )  # fmt: skip
    values = json.loads(done.stdout)
    assert values == json.loads((tmp_path / "attack.json").read_text())
    assert {path.name for path in tmp_path.iterdir()} == FILES
    assert [row["epsilon_255"] for row in values["epsilons"]] == pytest.approx([1, 2, 4])
    assert (values["count"], values["target"], values["blind_share"]) == (6, target, 0)
    assert 0 < values["constant_deg"] < 180
    for row in values["epsilons"]:
        assert row["pgd_deg"] >= values["clean_deg"] - 1e-6
        assert row["pgd_deg"] > row["noise_deg"]
    pgd = [row["pgd_deg"] for row in values["epsilons"]]
    assert pgd == sorted(pgd)
    with Image.open(tmp_path / "examples.png") as picture:
        assert picture.size[0] > 400


def test_table_names_the_columns(places, gazegan, tmp_path):
    start = ("attack", "--weights", places / "angles.safetensors", "--data", places / "labelled")
    text = gazegan(*start, "--out", tmp_path, "--steps", 2, "--count", 3).stdout
    for word in ("random noise", "FGSM", "PGD", "constant predictor", "0.5"):
        assert word in text


def test_the_same_seed_gives_the_same_numbers(places, gazegan, tmp_path):
    start = ("attack", "--weights", places / "angles.safetensors", "--data", places / "labelled")
    more = ("--epsilon", 3, "--steps", 2, "--count", 4, "--json", "--seed")
    a, b, c = (
        json.loads(gazegan(*start, "--out", tmp_path / name, *more, seed).stdout)["epsilons"]
        for name, seed in (("a", 1), ("b", 1), ("c", 2))
    )
    assert a == b != c
    assert (tmp_path / "a/curve.png").read_bytes() == (tmp_path / "b/curve.png").read_bytes()


@pytest.mark.parametrize("epsilon", ["0", "-1", "256", "nan", "inf", "four", "1,,2", ""])
def test_sizes_outside_the_range_are_one_line(places, fault_of, tmp_path, epsilon):
    fault = fault_of(
        "attack", "--weights", places / "angles.safetensors", "--data", places / "labelled",
        "--out", tmp_path, "--epsilon", epsilon,
    )  # fmt: skip
    assert fault.exit_code == 2
    assert "--epsilon" in fault.message


def test_unlabelled_eyes_cannot_be_attacked(places, fault_of, tmp_path):
    fault = fault_of(
        "attack", "--weights", places / "angles.safetensors", "--data", places / "unlabelled",
        "--out", tmp_path,
    )  # fmt: skip
    assert fault.exit_code == 2 and "no gaze labels" in fault.message
