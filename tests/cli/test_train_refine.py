"""`gazegan train` and `gazegan refine` as a user meets them, signals included."""

import json
import os
import signal
import subprocess
import sys
import time

import pytest
import torch
from click.testing import CliRunner
from tiny import TINY_GAZE, TINY_REFINER, store_at

from gazegan.cli import main
from gazegan.data.store import open_store
from gazegan.drift import pupil_shift
from gazegan.schema import ORIGINS
from gazegan.train.apply import measure_drift
from gazegan.train.checkpoint import WEIGHTS, load_weights
from gazegan.train.log import read_log


@pytest.fixture
def stores(tmp_path):
    store_at(tmp_path / "renders")
    store_at(tmp_path / "real", 30, 1, labelled=False)
    return tmp_path


def gazegan(*arguments, code=0):
    result = CliRunner().invoke(main, [str(a) for a in arguments])
    assert result.exit_code == code, result.output
    return result


def fault(*arguments, code=2):
    """Run a command that must fail in one readable line, and return its message."""
    result = gazegan(*arguments, code=code)
    assert "Traceback" not in result.output
    return " ".join(result.output.replace("│", " ").split())


def train_refiner(stores, run="refiner", *more, code=0):
    return gazegan(
        "train", "refiner", "--synthetic", stores / "renders", "--real", stores / "real",
        "--out", stores / run, *TINY_REFINER, *more, code=code,
    )  # fmt: skip


def test_a_refiner_that_does_nothing_says_so(stores):
    idle = train_refiner(stores, "idle", "--set", "keep=1000", "--set", "average=0")
    assert "next to nothing" in idle.stderr and "lower --set keep (1000)" in idle.stderr
    eager = ("--set", "keep=0", "--set", "generator.lr=0.05", "--set", "average=0")
    assert "next to nothing" not in train_refiner(stores, "eager", *eager).stderr
    never = train_refiner(stores, "never", "--set", "critic_lead=100")
    assert "has not learned yet" in never.stderr and "lower --set critic_lead" in never.stderr
    alike = ("--set", "least_variety=0.99", "--set", "generator.lr=0.5", "--set", "keep=0")
    assert "of the renders' variety; raise --steps" in train_refiner(stores, "alike", *alike).stderr


def train_gaze(stores, *more, run="gaze", code=0):
    return gazegan(
        "train", "gaze", "--data", stores / "renders", "--out", stores / run, *TINY_GAZE, *more,
        code=code,
    )  # fmt: skip


def test_the_road_from_renders_to_refined_renders(stores):
    train_refiner(stores)
    arguments = ("refine", stores / "renders", "--weights", stores / "refiner", "--out")
    result = gazegan(*arguments, stores / "refined", "--json")
    raw, refined = open_store(stores / "renders"), open_store(stores / "refined")
    a, b = raw.read(range(40)), refined.read(range(40))
    assert torch.equal(a.gaze, b.gaze)
    assert torch.equal(a.masks, b.masks)
    assert torch.equal(a.id, b.id)
    assert (b.origin == ORIGINS.index("refined")).all()
    module, info = load_weights(stores / "refiner", "refiner")
    expected = module(a.image)
    torch.testing.assert_close(b.image, expected, atol=0.5 / 255 + 1e-6, rtol=0)
    moved = json.loads(result.stdout)["pupil_shift"]
    shift = pupil_shift(a.image, b.image, a.masks).norm(dim=1)
    assert moved["median_px"] == pytest.approx(shift.double().median().item(), abs=1e-6)
    manifest = refined.manifest
    assert manifest.kind == "refined"
    assert manifest.notes["refined_from"] == raw.manifest.sha256
    assert manifest.notes["refiner"] == info["sha256"]
    assert manifest.notes["pupil_shift"] == moved
    before = (stores / "refined" / "manifest.json").read_bytes()
    assert "iris and pupil moved" in gazegan(*arguments, stores / "refined").output
    assert (stores / "refined" / "manifest.json").read_bytes() == before


def test_a_refinement_of_what_was_refined_is_repeated(stores):
    """Its own measures would else be taken for those of the first."""
    train_refiner(stores)
    for data, out in (("renders", "once"), ("once", "twice")):
        words = ("refine", stores / data, "--weights", stores / "refiner", "--out", stores / out)
        gazegan(*words, "--max-drift", "9")
        assert "iris and pupil moved" in gazegan(*words, "--max-drift", "9").output


def test_strength_takes_a_share_of_the_change_for_each_eye(stores):
    train_refiner(stores, "refiner", "--set", "generator.lr=0.01")
    refine = ("refine", stores / "renders", "--weights", stores / "refiner")
    gazegan(*refine, "--out", stores / "range", "--strength", "0.2", "0.6")
    raw, part = (open_store(stores / name).read(range(40)).image for name in ("renders", "range"))
    whole = load_weights(stores / "refiner", "refiner")[0](raw).detach()
    change, taken = (x.flatten(1).double() for x in (whole - raw, part - raw))
    share = (taken * change).sum(1) / (change * change).sum(1)
    assert 0.19 < share.min() < 0.3
    assert 0.5 < share.max() < 0.61
    assert share.mean() == pytest.approx(0.4, abs=0.06)
    # A byte rounds by half a level, and `share` itself by a little.
    torch.testing.assert_close(taken, share[:, None] * change, atol=0.6 / 255, rtol=0)
    assert "swap them" in fault(*refine, "--out", stores / "x", "--strength", "1", "0")
    assert "strength" in fault(*refine, "--out", stores / "range")
    again = (*refine, "--out", stores / "range", "--strength", "0.2", "0.6")
    assert "strength.seed: 0 -> 1" in fault(*again, "--seed", "1")


def test_eyes_of_another_size_are_refined_with_a_word(stores):
    train_refiner(stores, "refiner")
    larger = store_at(stores / "larger", 2, size=(24, 40)).path
    told = gazegan("refine", larger, "--weights", stores / "refiner", "--out", stores / "out")
    assert "was trained on 16x20 eyes, these are 24x40" in told.output


def test_gaze_trains_on_several_stores_and_every_option_arrives(stores):
    store_at(stores / "more", 24, 7)
    gazegan(
        "train", "gaze", "--data", stores / "renders", "--data", stores / "more", "--out",
        stores / "run", "--epochs", "2", "--batch", "16", "--target", "direction", "--optimiser",
        "sgd", "--lr", "0.01", "--lr-cut", "0.5", "--lr-every", "3", "--seed", "4",
        "--share", "1", "--share", "2.5",
        "--set", "network.widths=[4,4,4,4,4]",
    )  # fmt: skip
    config = json.loads((stores / "run" / "config.json").read_text())["config"]
    assert config["steps"] == 8
    assert (config["batch"], config["seed"]) == (16, 4)
    assert config["optimiser"]["kind"] == "sgd"
    assert config["optimiser"]["lr"] == 0.01
    expected = {"kind": "step", "cut": 0.5, "every": 3.0, "warm_up": 0.0}
    assert config["schedule"] == expected
    assert (config["shares"], config["axes"]) == ([1, 2.5], [])
    assert load_weights(stores / "run", "gaze")[0].target == "direction"


def test_axes_arrive_and_go_with_shares(stores):
    both = ("--data", stores / "renders", "--share", "1", "--axes", "pitch")
    train = ("train", "gaze", *both, "--steps", "1", "--batch", "8")
    gazegan(*train, "--out", stores / "run")
    assert json.loads((stores / "run" / "config.json").read_text())["config"]["axes"] == ["pitch"]
    assert "axes and shares belong" in fault(*train, "--axes", "yaw", "--out", stores / "x")


def test_json_prints_one_object(stores):
    values = json.loads(train_gaze(stores, "--json").stdout)
    assert values["step"] == 12
    assert values["held_out_deg"] > 0
    assert values["constant_deg"] > 0


def test_what_moved_too_far_is_left_out_and_counted(stores):
    train_refiner(stores, "refiner", "--set", "generator.lr=0.01")
    gazegan(
        "train", "gaze", "--data", stores / "renders", "--out", stores / "judge", "--steps", "4",
        "--batch", "8", "--set", "network.widths=[4,4,4,4,4]",
    )  # fmt: skip
    refine = ("refine", stores / "renders", "--weights", stores / "refiner")
    judged = (*refine, "--judge", stores / "judge", "--max-gaze-drift")
    refiner, judge = (
        load_weights(stores / name, kind)[0]
        for name, kind in (("refiner", "refiner"), ("judge", "gaze"))
    )
    moved = measure_drift(open_store(stores / "renders"), refiner, judge=judge).gaze_deg
    limit = float(moved.sort().values[14:16].mean())
    values = json.loads(gazegan(*judged, limit, "--out", stores / "near", "--json").output)
    assert (values["count"], values["left_out"]) == (15, 25)
    nearest = float(moved.sort().values[:15].mean())
    assert values["gaze_shift_deg"]["mean"] == pytest.approx(nearest, rel=1e-3)
    near = open_store(stores / "near")
    assert len(near) == values["count"]
    assert near.manifest.notes["gaze_shift_deg"] == values["gaze_shift_deg"]
    told = gazegan(*judged, "90", "--out", stores / "all").output
    assert "40 refined eyes, 0 moved too far and left out" in told
    assert "every eye" in fault(*judged, "0", "--out", stores / "none")
    assert not (stores / "none").exists()
    assert "need each other" in fault(*refine, "--max-gaze-drift", "1", "--out", stores / "x")


def test_the_refiner_takes_a_judge_that_fits(stores):
    train_gaze(stores)
    judged = ("--judge", stores / "gaze")
    train_refiner(stores, "refiner", *judged)
    record = json.loads((stores / "refiner" / "config.json").read_text())
    assert record["data"]["judge"] == load_weights(stores / "gaze", "gaze")[1]["sha256"]
    assert any("refiner/gaze_deg" in line for line in read_log(stores / "refiner"))
    result = train_refiner(stores, "refiner", code=2)
    assert "judge" in result.output
    train_gaze(stores, "--target", "direction", run="direction")
    turned = train_refiner(stores, "other", "--judge", stores / "direction", code=2)
    assert "--target angles" in " ".join(turned.output.replace("│", " ").split())
    assert not (stores / "other").exists()


def test_a_recipe_is_rendered_for_the_refiner(stores):
    store_at(stores / "real36", 12, 3, labelled=False, size=(36, 60))
    gazegan(
        "train", "refiner", "--synthetic", "columbia", "--count", "10", "--real",
        stores / "real36", "--out", stores / "run", *TINY_REFINER,
    )  # fmt: skip
    assert json.loads((stores / "run" / "config.json").read_text())["data"]["count"] == 10


def test_repeating_a_command_resumes_and_another_configuration_is_refused(stores):
    train_gaze(stores)
    before = (stores / "gaze" / WEIGHTS).read_bytes()
    train_gaze(stores)
    assert (stores / "gaze" / WEIGHTS).read_bytes() == before
    result = train_gaze(stores, "--seed", "3", code=2)
    assert "config.seed: 0 -> 3" in " ".join(result.output.split())
    assert (stores / "gaze" / WEIGHTS).read_bytes() == before


def test_bad_requests_are_one_line(stores):
    data, out = ("--data", stores / "renders"), ("--out", stores / "run")
    gaze = ("train", "gaze", *data, *out)
    assert "did you mean 'steps'" in fault(*gaze, "--set", "stepz=3")
    assert "momentum" in fault(*gaze, "--set", "optimiser.momentum=nan")
    assert "steps" in fault(*gaze, "--set", "steps=-1")
    assert "exclude each other" in fault(*gaze, "--steps", "3", "--epochs", "1")
    assert "no such" in fault("train", "gaze", "--data", stores / "none", *out)
    assert "--device" in fault(*gaze, "--device", "quantum")
    assert "no gaze labels" in fault("train", "gaze", "--data", stores / "real", *out)
    store_at(stores / "colour", channels=3)
    assert "do not fit together" in fault("train", "gaze", *data, "--data", stores / "colour", *out)
    pair = ("--synthetic", stores / "colour", "--real", stores / "real")
    assert "do not fit together" in fault("train", "refiner", *pair, *out)
    assert not (stores / "run").exists()


def test_wrong_weights_are_refused(stores):
    train_gaze(stores)
    refine = ("refine", stores / "renders", "--out", stores / "out", "--weights")
    assert "'gaze', where 'refiner' is needed" in fault(*refine, stores / "gaze")
    assert "no weights there" in fault(*refine, stores / "renders")
    train_refiner(stores)
    path = stores / "refiner" / WEIGHTS
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 1
    path.write_bytes(data)
    assert "damaged" in fault(*refine, stores / "refiner", code=1)
    store_at(stores / "colour", channels=3)
    path.unlink()
    train_refiner(stores)
    other = ("refine", stores / "colour", *refine[2:], stores / "refiner")
    assert "3 channels" in fault(*other)
    assert fault(*other, "--max-drift", "0.3") == fault(*other)
    assert not (stores / "out").exists()


def start(stores, out, arguments):
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    command = [sys.executable, "-m", "gazegan", "train", *map(str, arguments), "--out", str(out)]
    return subprocess.Popen(
        command, env=environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT
    )


def test_sigterm_leaves_a_resumable_run(stores):
    arguments = ("gaze", "--data", stores / "renders", *TINY_GAZE[2:], "--steps", "100000")
    process = start(stores, stores / "run", arguments)
    while not list((stores / "run").glob("state-*")):
        assert process.poll() is None
        time.sleep(0.02)
    process.send_signal(signal.SIGTERM)
    said, _ = process.communicate(timeout=20)
    assert process.returncode == 143
    assert b"saved at step" in said
    assert b"Traceback" not in said
