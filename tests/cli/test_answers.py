"""What commands make of a network's answers: of several stores, and of answers as labels."""

import json
from dataclasses import replace

import pytest
import torch

from gazegan.data.manifest import Manifest
from gazegan.data.store import open_store, write_store
from gazegan.schema import MASKS


@pytest.fixture
def people(places, tmp_path):
    """Write a store of rows of the labelled eyes, of people who are named."""
    batch = open_store(places / "labelled").read(range(20))
    whose = torch.arange(20) % 4 // 2

    def made(name, rows, names):
        own = [names.index(("ann", "bob")[who]) for who in whose[rows].tolist()]
        eyes = replace(batch[rows], subject=torch.tensor(own), id=torch.arange(len(rows)))
        plan = Manifest(
            kind="real", count=len(rows), channels=1, height=batch.size[0], width=batch.size[1],
            masks=MASKS, subjects=names,
        )  # fmt: skip
        write_store(tmp_path / name, plan, lambda indices: eyes[list(indices)])
        return tmp_path / name

    return made


@pytest.mark.parametrize("how", [("--align",), ("--align-to", "webcam")])
def test_people_are_aligned_together_wherever_their_photographs_are(people, places, gazegan, how):
    """A store for each person would else align nobody; a person in two would be two."""
    rows = list(range(20))
    whole = people("whole", rows, ("ann", "bob"))
    apart = [
        people("first", rows[:6], ("bob", "ann")),
        people("second", rows[6:], ("ann", "bob")),
    ]
    start = ("evaluate", "--weights", places / "angles.safetensors", "--json", *how)
    one = json.loads(gazegan(*start, "--data", whole).stdout)
    several = json.loads(gazegan(*start, "--data", apart[0], "--data", apart[1]).stdout)
    assert several["mean_deg"] == pytest.approx(one["mean_deg"], rel=1e-6)
    plain = json.loads(gazegan(*start[:4], "--data", whole).stdout)
    assert plain["mean_deg"] != pytest.approx(one["mean_deg"], rel=1e-5)


def test_answers_of_a_network_are_no_truth_to_measure_by(
    people, places, gazegan, fault_of, tmp_path
):
    whole = people("whole", list(range(20)), ("ann", "bob"))
    weights = ("--weights", places / "angles.safetensors")
    gazegan("predict", *weights, "--data", whole, "--out", tmp_path / "answered")
    for command in ("evaluate", "calibrate", "attack"):
        words = (command, *weights, "--data", tmp_path / "answered", "--out", tmp_path / command)
        assert "the answers of a network" in fault_of(*words).message
        assert not (tmp_path / command).exists()
