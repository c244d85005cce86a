"""`train gaze --adapt self`: a first network's answers on photographs are learned from, moved."""

import json
from dataclasses import replace

import pytest
import torch

from gazegan.data.manifest import Manifest
from gazegan.data.store import open_store, write_store

QUICK = ("--steps", 4, "--batch", 8, "--set", "log_every=1")


@pytest.fixture
def people(places, tmp_path):
    """A store of two people's eyes without labels."""
    batch = open_store(places / "labelled").read(range(20))
    mine = replace(batch, gaze=None, masks=None, subject=batch.id % 2)
    plan = Manifest(
        kind="real", count=20, channels=1, height=batch.size[0], width=batch.size[1],
        subjects=("ann", "bob"),
    )  # fmt: skip
    write_store(tmp_path / "people", plan, lambda indices: mine[list(indices)])
    return tmp_path / "people"


def start(places, people, out, *more):
    words = ("train", "gaze", "--data", places / "labelled", "--real", people, "--adapt", "self")
    return (*words, "--align-to", places / "labelled", "--out", out, *QUICK, *more)


def test_it_is_the_same_as_its_three_steps(places, people, gazegan, tmp_path):
    out, data = tmp_path / "run", places / "labelled"
    done = gazegan(*start(places, people, out, "--json"))
    assert json.loads(done.stdout)["run"] == str(out)
    first, answered, second = (tmp_path / name for name in ("first", "answered", "second"))
    gazegan("train", "gaze", "--data", data, "--out", first, *QUICK)
    gazegan(
        *("predict", "--weights", first, "--data", people, "--out", answered),
        *("--mirror-average", "--align-to", data),
    )
    shares = ("--data", data, "--share", 20, "--data", answered, "--share", 20)
    gazegan("train", "gaze", *shares, "--out", second, *QUICK)
    labels = [open_store(path).read(range(20)).gaze for path in (out / "answered", answered)]
    assert torch.equal(*labels)
    # Weights lie behind a header that names the data, by another digest.
    weights = [(run / "weights.safetensors").read_bytes()[-4096:] for run in (out, second)]
    assert weights[0] == weights[1]


def test_repeating_it_trains_nothing_anew(places, people, gazegan, tmp_path, monkeypatch):
    words = start(places, people, tmp_path / "run")
    gazegan(*words)
    monkeypatch.setattr("gazegan.train.gaze.step", lambda *_: pytest.fail("trained anew"))
    files = [path for path in (tmp_path / "run").rglob("*.safetensors") if path.is_file()]
    before = {path: path.read_bytes() for path in files}
    assert "4 steps" in gazegan(*words).stdout
    assert before == {path: path.read_bytes() for path in files}


def test_it_is_repeated_by_another_name_and_at_another_place(
    places, people, gazegan, tmp_path, monkeypatch
):
    monkeypatch.chdir(tmp_path)
    gazegan(*start(places, people, "run"))
    monkeypatch.setattr("gazegan.train.gaze.step", lambda *_: pytest.fail("trained anew"))
    gazegan(*start(places, people, tmp_path / "run"))
    (tmp_path / "run").rename(tmp_path / "moved")
    assert "4 steps" in gazegan(*start(places, people, tmp_path / "moved")).stdout


def test_held_out_are_labels_alone(places, people, gazegan, tmp_path):
    done = gazegan(*start(places, people, tmp_path / "run", "--set", "held_out=0.25"))
    assert "held_out: 8 of 20 images" in done.stderr
    assert "held_out: 8 of 40 images" in done.stderr


def test_half_of_each_batch_are_photographs(places, people, gazegan, tmp_path):
    data = places / "labelled"
    more = ("--share", 3, "--data", data, "--share", 1, "--axes", "both", "--axes", "pitch")
    gazegan(*start(places, people, tmp_path / "run", *more))
    config = json.loads((tmp_path / "run" / "config.json").read_text())["config"]
    assert (config["shares"], config["axes"]) == ([3, 1, 4], ["both", "pitch", "both"])


@pytest.mark.parametrize(
    ("left_out", "more", "words"),
    [
        ("--align-to", (), ("--adapt self", "--align-to RECIPE")),
        ("--real", (), ("--adapt self", "--real STORE")),
        ("--adapt", (), ("--align-to belongs to --adapt self",)),
        ("", ("--pretrained", "run"), ("leave --pretrained out",)),
        ("", ("--target", "direction"), ("--adapt self", "leave --target direction out")),
        ("", ("--network", "landmarks"), ("--adapt self", "another --network")),
        ("", ("--set", "adapt.weight=2"), ("--set adapt.*", "leave it out with self")),
        ("", ("--align-to", "webcm"), ("webcm: no such recipe",)),
    ],
)
def test_contradictions_are_refused_before_anything_is_made(
    places, people, fault_of, tmp_path, left_out, more, words
):
    given = list(start(places, people, tmp_path / "run", *more))
    if left_out:
        at = given.index(left_out)
        del given[at : at + 2]
    fault = fault_of(*given)
    assert fault.exit_code == 2 and all(word in fault.message for word in words)
    assert not (tmp_path / "run").exists()


def test_a_folder_of_something_else_is_refused_before_anything_is_made(
    places, people, gazegan, fault_of, tmp_path
):
    foreign, plain = tmp_path / "foreign", tmp_path / "plain"
    foreign.mkdir()
    (foreign / "notes.txt").write_text("mine")
    gazegan("train", "gaze", "--data", places / "labelled", "--out", plain, *QUICK)
    for out, words in ((foreign, "something else"), (plain, "other settings: config.shares")):
        before = set(out.iterdir())
        assert words in fault_of(*start(places, people, out)).message
        assert set(out.iterdir()) == before


def test_a_store_that_is_not_there_is_named(places, fault_of, tmp_path):
    fault = fault_of(*start(places, tmp_path / "none", tmp_path / "run"))
    assert str(tmp_path / "none") in fault.message and "whose each eye" not in fault.message


def test_photographs_of_unknown_people_are_refused_by_name(places, fault_of, tmp_path):
    (tmp_path / "folder").mkdir()
    for real in (places / "unlabelled", tmp_path / "folder"):
        fault = fault_of(*start(places, real, tmp_path / "run"))
        assert f"--real {real}" in fault.message and "whose each eye is" in fault.message
        assert "gazegan import folder" in fault.message
        assert not (tmp_path / "run").exists()
