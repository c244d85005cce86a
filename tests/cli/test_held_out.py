"""`train gaze` says what it holds out."""

import json
from dataclasses import replace

import pytest
import torch

from gazegan.data.manifest import Manifest
from gazegan.data.store import open_store, write_store
from gazegan.schema import MASKS

TINY = ("--batch", 4, "--set", "network.widths=[4,4,4,4,4]")


@pytest.fixture
def people(places, tmp_path):
    """Twelve eyes of one person and eight of another."""
    batch = replace(
        open_store(places / "labelled").read(range(20)), subject=(torch.arange(20) >= 12).long()
    )
    plan = Manifest(
        kind="real", count=20, channels=1, height=batch.size[0], width=batch.size[1], masks=MASKS,
        subjects=("ann", "bob"),
    )  # fmt: skip
    write_store(tmp_path / "people", plan, lambda indices: batch[list(indices)])
    return tmp_path / "people"


def test_how_many_images_and_people_are_held_out_is_said(places, people, gazegan, tmp_path):
    start = ("train", "gaze", *TINY, "--steps", 1, "--set", "held_out=0.1", "--data")
    done = gazegan(*start, people, "--out", tmp_path / "a")
    line = "held_out: 12 of 20 images (1 of 2 people or faces) are kept from training to measure on"
    assert done.stderr.splitlines().count(line) == 1
    done = gazegan(*start, places / "more", "--out", tmp_path / "b", "--json")
    assert "held_out: 1 of 7 images are kept from training" in done.stderr
    done = gazegan("train", "gaze", *TINY, "--steps", 1, "--data", people, "--out", tmp_path / "c")
    assert "held_out" not in done.stderr


def test_that_nothing_is_held_out_is_said(places, gazegan, tmp_path):
    start = ("train", "gaze", *TINY, "--steps", 1, "--set", "held_out=0.01", "--data")
    done = gazegan(*start, places / "labelled", "--out", tmp_path / "run")
    line = "held_out: none of 20 images are kept from training to measure on; 0.01 of those"
    assert sum(said.startswith(line) for said in done.stderr.splitlines()) == 1


def test_epochs_are_of_the_images_that_are_left(people, gazegan, tmp_path):
    words = ("train", "gaze", "--data", people, *TINY, "--epochs", 2, "--set", "held_out=0.1")
    gazegan(*words, "--out", tmp_path / "run")
    config = json.loads((tmp_path / "run" / "config.json").read_text())["config"]
    assert config["steps"] == 2 * 8 // 4
