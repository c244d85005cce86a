"""`gazegan calibrate` says what the measure says, and refuses what it cannot measure."""

import json

import pytest
import torch

from gazegan.calibrate import by_shots, constant_deg
from gazegan.data.store import open_store
from gazegan.train.checkpoint import load_weights


def test_json_is_the_measure_beside_the_constant(places, gazegan, tmp_path):
    weights, store = places / "angles.safetensors", places / "labelled"
    command = ["calibrate", "--weights", weights, "--data", store, "--shots", 0, "--shots", 2]
    done = gazegan(*command, "--json", "--out", tmp_path / "out")
    values = json.loads(done.stdout)
    network, _ = load_weights(weights, "gaze")
    batch = open_store(store).read(range(20))
    with torch.no_grad():
        output = network(batch.image)
    expected = by_shots(output, batch.gaze, batch.subject, (0, 2), side=batch.side, head=batch.head)
    found = [one["mean_deg"] for one in values["shots"]]
    assert found == pytest.approx([one.mean_deg for one in expected], rel=1e-4)
    assert values["constant_deg"] == pytest.approx(constant_deg(batch.gaze, batch.subject))
    assert values["people"] == 2
    assert (tmp_path / "out" / "curve.png").read_bytes().startswith(b"\x89PNG")
    assert "2 people" in gazegan(*command, "--out", tmp_path / "out").stdout


@pytest.mark.parametrize(
    ("target", "store", "more", "cure"),
    [
        ("angles", "labelled", ("--shots", 19), "too few for 19"),
        ("angles", "unlabelled", (), "no gaze labels"),
        ("angles", "more", (), "whose each eye is"),
        ("direction", "labelled", (), "--target angles"),
    ],
)
def test_what_cannot_be_calibrated_is_refused(places, fault_of, target, store, more, cure):
    weights, data = places / f"{target}.safetensors", places / store
    fault = fault_of("calibrate", "--weights", weights, "--data", data, *more)
    assert fault.exit_code in (1, 2)
    assert cure in fault.message
