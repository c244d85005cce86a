"""`gazegan calibrate` says what the measure says, and refuses what it cannot measure."""

import json
from dataclasses import replace

import pytest
import torch

from gazegan.align import estimate, gazes_of
from gazegan.calibrate import by_shots, constant_deg
from gazegan.data.manifest import Manifest
from gazegan.data.store import open_store, write_store
from gazegan.schema import MASKS
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


def test_without_labels_answers_get_the_moments_of_the_gazes_named(gazegan, places, tmp_path):
    batch = open_store(places / "labelled").read(range(20))
    one = replace(batch, subject=torch.zeros(20, dtype=torch.int64), side=None, head=None)
    plan = Manifest(
        kind="real", count=20, channels=1, height=batch.size[0], width=batch.size[1], masks=MASKS,
        subjects=("ann",),
    )  # fmt: skip
    write_store(tmp_path / "one", plan, lambda indices: one[list(indices)])
    weights = places / "angles.safetensors"
    start = ("calibrate", "--weights", weights, "--data", tmp_path / "one")
    command = (*start, "--align-to", tmp_path / "one", "--shots", 0, "--shots", 4, "--draws", 3)
    values = json.loads(gazegan(*command, "--json").stdout)
    network, _ = load_weights(weights, "gaze")
    with torch.no_grad():
        output = network(batch.image)
    goal = gazes_of(batch.gaze)
    expected = by_shots(
        output, batch.gaze, one.subject, (0, 4), 3,
        learn=lambda said, *_: estimate(said, None, goal, goal),
    )  # fmt: skip
    found = [one["mean_deg"] for one in values["shots"]]
    assert found == pytest.approx([one.mean_deg for one in expected], rel=1e-3)
    assert values["settings"]["align_to"] == str(tmp_path / "one")
    assert "unlabelled samples of an eye" in gazegan(*command).stdout


def test_eyes_with_too_few_samples_are_left_out_and_named(gazegan, fault_of, places, tmp_path):
    """Then it is as if they were not there, the constant too."""
    batch = open_store(places / "labelled").read(range(20))
    people = torch.tensor([0] * 9 + [1] * 9 + [0, 1])
    sides = torch.tensor([0] * 17 + [1] * 3)
    stores = {}
    for name, rows in {"all": torch.arange(20), "enough": torch.arange(17)}.items():
        one = replace(batch, subject=people, side=sides)[rows]
        plan = Manifest(
            kind="real", count=len(rows), channels=1, height=batch.size[0], width=batch.size[1],
            masks=MASKS, subjects=("ann", "bob"),
        )  # fmt: skip
        stores[name] = tmp_path / name
        write_store(stores[name], plan, lambda indices, one=one: one[list(indices)])
    start = ("calibrate", "--weights", places / "angles.safetensors", "--shots", 2, "--json")
    whole, part = (
        gazegan(*start, "--data", store, "--out", tmp_path / f"{name}-out")
        for name, store in stores.items()
    )
    left_out = [
        {"subject": "ann", "side": "R", "samples": 1},
        {"subject": "bob", "side": "R", "samples": 2},
    ]
    values, expected = (json.loads(done.stdout) for done in (whole, part))
    assert values["left_out"] == left_out and expected["left_out"] == []
    for key in ("shots", "constant_deg", "people"):
        assert values[key] == expected[key]
    assert json.loads((tmp_path / "all-out" / "calibration.json").read_text()) == values
    (line,) = whole.stderr.splitlines()
    assert line == "left out 2 eyes with too few samples for --shots 2: ann R (1), bob R (2)"
    assert part.stderr == ""
    fault = fault_of("calibrate", *start[1:3], "--data", stores["all"], "--shots", 9)
    assert "no eye has more than 9 samples, too few for 9 shots" in fault.message
