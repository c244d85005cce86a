"""`gazegan explain` writes the maps of `gazegan.explain` and the shares of the masks."""

import json

import numpy as np
import pytest
import torch
from PIL import Image

from gazegan import explain
from gazegan.data.store import open_store
from gazegan.train.checkpoint import load_weights

PICKS = {
    "pitch": explain.pitch_deg,
    "yaw": explain.yaw_deg,
    "direction": explain.gaze_direction_deg,
}


@pytest.mark.parametrize("output", PICKS)
def test_arrays_hold_the_maps(places, gazegan, tmp_path, output):
    weights, store = places / "angles.safetensors", places / "labelled"
    gazegan(
        "explain", "--weights", weights, "--data", store, "--out", tmp_path, "--count", 5,
        "--output", output,
    )  # fmt: skip
    with np.load(tmp_path / "maps.npz") as file:
        arrays = dict(file)
    network, _ = load_weights(weights, "gaze")
    batch = open_store(store).read(torch.from_numpy(arrays["id"]))
    oracle = explain.gradient_x_input(network, batch.image, PICKS[output])
    np.testing.assert_allclose(arrays["map"], oracle.map, rtol=1e-4, atol=1e-6)
    np.testing.assert_allclose(arrays["output_deg"], oracle.output, rtol=1e-4)
    np.testing.assert_array_equal(arrays["image"], batch.image)
    with Image.open(tmp_path / "maps.png") as picture:
        assert picture.mode == "RGB"


def test_shares_stand_beside_the_area(places, gazegan, tmp_path):
    done = gazegan(
        "explain", "--weights", places / "angles.safetensors", "--data", places / "labelled",
        "--out", tmp_path, "--count", 99, "--json",
    )  # fmt: skip
    values = json.loads(done.stdout)
    assert values == json.loads((tmp_path / "explain.json").read_text())
    assert values["count"] == 20
    for kind in ("attribution", "gradient", "area"):
        assert sum(values[kind].values()) == pytest.approx(1)
    masks = open_store(places / "labelled").read(range(20)).masks
    assert values["iris_and_pupil"]["area"] == pytest.approx(float(masks[:, 2:].sum(1).mean()))


def test_eyes_without_masks_or_labels_are_explained_too(places, gazegan, tmp_path):
    done = gazegan(
        "explain", "--weights", places / "direction.safetensors", "--data", places / "unlabelled",
        "--out", tmp_path, "--count", 3,
    )  # fmt: skip
    assert "no masks" in done.stdout
    values = json.loads((tmp_path / "explain.json").read_text())
    assert values["output"] == "direction" and values["area"] is None


def test_the_same_seed_writes_the_same_bytes(places, gazegan, tmp_path):
    start = ("explain", "--weights", places / "angles.safetensors", "--data", places / "labelled")
    for name, seed in (("a", 1), ("b", 1), ("c", 2)):
        gazegan(*start, "--out", tmp_path / name, "--count", 4, "--seed", seed)
    a, b, c = ((tmp_path / name / "maps.npz").read_bytes() for name in "abc")
    assert a == b != c


def test_a_network_of_directions_has_no_pitch(places, fault_of, tmp_path):
    fault = fault_of(
        "explain", "--weights", places / "direction.safetensors", "--data", places / "labelled",
        "--out", tmp_path / "out", "--output", "pitch",
    )  # fmt: skip
    assert fault.exit_code == 2 and "--output direction" in fault.message
    assert not (tmp_path / "out").exists()
