"""A command repeated into a folder made with other inputs names those, as the user did."""

import json
import re
import shutil

import pytest

TINY = ("--steps", 1, "--batch", 4, "--set", "network.widths=[4,4,4,4,4]")
REFINER = (
    "--steps", 1, "--batch", 4, "--set", "critic_lead=1",
    "--set", "network.widths=[4,8]", "--set", "critic.widths=[4,8]",
)  # fmt: skip


def said(fault):
    """The message, in which there is no digest."""
    assert fault.exit_code == 2 and not re.search("[0-9a-f]{16}", fault.message)
    return fault.message


def test_a_training_names_both_stores(places, gazegan, fault_of, tmp_path):
    a, b, run = places / "labelled", places / "more", tmp_path / "run"
    start = ("train", "gaze", "--out", run, *TINY, "--data")
    gazegan(*start, a)
    message = said(fault_of(*start, b))
    assert f"--out {run}: holds a run with other settings: --data {a} -> --data {b}" in message
    assert "(count: 20 -> 7)" in message and message.endswith("; name another")
    both = said(fault_of(*start, a, "--data", b))
    assert f"--data {a} -> --data {a} --data {b} (count: 20 -> 27)" in both
    config = json.loads((run / "config.json").read_text())
    (run / "config.json").write_text(json.dumps({**config, "given": {}}))
    assert f"--data {b}: others than the run began with" in said(fault_of(*start, b))


def test_a_training_whose_store_was_made_anew_says_so(places, gazegan, fault_of, tmp_path):
    shutil.copytree(places / "labelled", tmp_path / "data")
    start = ("train", "gaze", "--out", tmp_path / "run", *TINY, "--data", tmp_path / "data")
    gazegan(*start)
    shutil.rmtree(tmp_path / "data")
    shutil.copytree(places / "more", tmp_path / "data")
    words = f"--data {tmp_path / 'data'}: others than the run began with (count: 20 -> 7)"
    assert words in said(fault_of(*start))
    shutil.rmtree(tmp_path / "data")
    shutil.copytree(places / "labelled", tmp_path / "moved")
    gazegan(*start[:-1], tmp_path / "moved")


def test_a_refiner_names_photographs_and_the_network_it_began_with(
    places, gazegan, fault_of, tmp_path
):
    start = ("train", "refiner", "--synthetic", places / "labelled", *REFINER)
    gazegan(*start, "--real", places / "unlabelled", "--out", tmp_path / "run")
    other = (*start, "--real", places / "more", "--out", tmp_path / "run")
    assert f"--real {places / 'unlabelled'} -> --real {places / 'more'}" in said(fault_of(*other))
    again = (*start, "--real", places / "unlabelled", "--out", tmp_path / "run")
    words = f"none -> --pretrained {tmp_path / 'run'}; name another"
    assert words in said(fault_of(*again, "--pretrained", tmp_path / "run"))
    refine = ("--weights", tmp_path / "run", "--out", tmp_path / "refined")
    gazegan("refine", places / "labelled", *refine)
    assert "(refined from another STORE; " in said(fault_of("refine", places / "more", *refine))


@pytest.mark.parametrize("more", [("--mirror-average",), ("--data",)])
def test_a_store_says_which_inputs_are_others(places, gazegan, fault_of, tmp_path, more):
    out, data = tmp_path / "answered", places / "unlabelled"
    start = ("predict", "--weights", places / "angles.safetensors", "--out", out)
    gazegan(*start, "--data", data)
    if more == ("--data",):
        message = said(fault_of(*start, "--data", places / "more"))
        assert "a copy of another --data" in message
    else:
        message = said(fault_of(*start, "--data", data, *more))
        assert "other answers; notes.labels.mirror_average: False -> True" in message
    assert message.startswith(f"Error: --out {out}: ") and "choose another --out" in message
