"""Two processes end where one does, and end together."""

import importlib.util
import json
import multiprocessing
import os
import signal
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path

import pytest
import torch
import torch.distributed as dist

from gazegan.data.manifest import Manifest
from gazegan.data.store import open_store, write_store
from gazegan.errors import DataError, UserError
from gazegan.schema import LANDMARKS, MASKS
from gazegan.train import processes
from gazegan.train.checkpoint import WEIGHTS, load_sealed, load_weights
from gazegan.train.joint_norm import join_norms
from gazegan.train.log import read_log
from gazegan.train.loop import run
from gazegan.train.processes import ToldElsewhere
from gazegan.train.state import pack

KINDS = ("adapted", "adversarial", "fourier", "ensemble", "landmarks", "adversary")


def _tiny():
    """The stages of this folder's conftest."""
    place = Path(__file__).parent / "conftest.py"
    spec = importlib.util.spec_from_file_location("stages_of_processes", place)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


tiny = _tiny()


def exact(name, **changes):
    """A tiny stage in float64, so that what rounding does stays far below what steps do."""
    torch.set_default_dtype(torch.float64)
    eyes, tiny_eyes = tiny._eyes, tiny._eyes
    tiny._eyes = lambda *a, **k: replace(e := eyes(*a, **k), batch=e.batch.to(dtype=torch.float64))
    try:
        return tiny.STAGES[name](**changes)
    finally:
        tiny._eyes = tiny_eyes


def trained(name, out):
    """Every tensor and number of the last state, as NumPy arrays."""
    stage = exact(name)
    tensors, numbers = pack(run(stage, out))
    torch.set_default_dtype(torch.float32)
    return {key: value.numpy() for key, value in tensors.items()} | numbers


def joined(task, rank, folder, *rest):
    """Do a task as one of two processes."""
    torch.set_num_threads(1)
    meeting = f"file://{folder}/meeting"
    dist.init_process_group("gloo", init_method=meeting, rank=rank, world_size=2)
    dist.barrier()  # a task that ends at once would close connections that the other still makes
    try:
        return task(*rest)
    finally:
        dist.destroy_process_group()


@pytest.fixture(scope="module")
def pair():
    """Does a task in two processes that train together; returns what each returns."""
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(["gazegan.train.gaze", "gazegan.train.refiner"])
    with context.Pool(2) as pool:
        yield lambda task, folder, *rest: pool.starmap_async(
            joined, [(task, rank, folder, *rest) for rank in range(2)], chunksize=1
        ).get(timeout=120)


@pytest.mark.parametrize("name", ["refiner", *(f"gaze-{kind}" for kind in KINDS)])
def test_two_processes_end_where_one_does(tmp_path, pair, name):
    """Every weight, moment, statistic and remembered image, after six steps."""
    alone = trained(name, tmp_path / "alone")
    first, second = pair(trained, tmp_path, name, tmp_path / "pair")
    assert alone.keys() == first.keys() == second.keys()
    for key, value in alone.items():
        assert first[key] == pytest.approx(value, rel=1e-6, abs=1e-9), key
        assert (first[key] == second[key]).all() if hasattr(value, "all") else True, key
    lines = [read_log(tmp_path / run_dir) for run_dir in ("alone", "pair")]
    for one, other in zip(*lines, strict=True):
        for key in one.keys() - {"images_per_s"}:
            assert other[key] == pytest.approx(one[key], rel=1e-5, abs=1e-9), key


def ways_to_end(folder):
    """How runs end in which only one process has a reason to."""
    return [ending(folder, what) for what in ("foreign", "signal", "finite")]


def ending(folder, what):
    stage, rank = tiny.STAGES["gaze"](), processes.rank()

    def breaks(state, batches, generator):
        scalars = stage.step(state, batches, generator)
        broken = what == "finite" and rank == 1 and state.step == 4
        return {**scalars, "loss": scalars["loss"] * torch.nan} if broken else scalars

    def advance(images):
        if what == "signal" and rank == 1 and images:
            os.kill(os.getpid(), signal.SIGTERM)

    try:
        run(replace(stage, step=breaks), folder / what, advance)
    except (UserError, DataError) as fault:
        return type(fault).__name__, fault.exit_code, str(fault)


def test_processes_end_together_and_the_first_says_why(tmp_path, pair):
    (tmp_path / "foreign").mkdir()
    (tmp_path / "foreign" / "thesis.txt").write_text("precious")
    first, second = pair(ways_to_end, tmp_path, tmp_path)
    assert [end[:2] for end in first] == [("UserError", 2), ("Interrupted", 143), ("DataError", 1)]
    assert [end[:2] for end in second] == [("ToldElsewhere", end[1]) for end in first]
    assert "saved at step 1" in first[1][2] and "loss is nan at step 4" in first[2][2]
    assert load_weights(tmp_path / "signal", "gaze")[1]["step"] == 1
    assert load_weights(tmp_path / "finite", "gaze")[1]["step"] == 4
    kept, _ = load_sealed(tmp_path / "finite" / "failed-000000004.safetensors")
    assert torch.equal(kept["data/image"], tiny.STAGES["gaze"]().batches(4)["data"].image)


def uneven(_):
    with pytest.raises(UserError, match=r"--batch 7: no multiple of the 2 processes"):
        tiny.STAGES["gaze"](batch=7)
    with pytest.raises(UserError, match=r"--batch 5: no multiple"):
        tiny.STAGES["refiner"](batch=5)


def test_a_batch_that_cannot_be_shared_evenly_is_refused(tmp_path, pair):
    pair(uneven, tmp_path, None)


def test_alone_nothing_is_shared_or_replaced():
    rows, network = torch.rand(4, 2), torch.nn.Sequential(torch.nn.BatchNorm1d(2))
    assert processes.count() == 1 and processes.rank() == 0
    assert all(torch.equal(act(rows), rows)
               for act in (processes.share, processes.gathered, processes.averaged))  # fmt: skip
    join_norms(network)
    assert type(network[0]) is torch.nn.BatchNorm1d
    with pytest.raises(UserError, match="no"):
        processes.after_first(lambda: (_ for _ in ()).throw(UserError("no")))
    assert ToldElsewhere(143).exit_code == 143


COMMAND = ["gaze", "--data", "renders", "--batch", "4", "--set", "network.widths=[4,4,4,4,4]"]


@pytest.mark.slow
def test_torchrun_trains_and_stops_with_one_line(tmp_path, make_eyes):
    plan = Manifest(
        kind="rendered", count=30, channels=1, height=16, width=20, masks=MASKS, landmarks=LANDMARKS
    )
    write_store(tmp_path / "renders", plan, make_eyes(30).read)
    words = ["-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2"]
    train = ["-m", "gazegan", "train", *COMMAND, "--steps", "4000", "--out", "run", "--json"]
    env = {**os.environ, "OMP_NUM_THREADS": "1"}
    started = subprocess.Popen(
        [sys.executable, *words, *train], cwd=tmp_path, env=env, stderr=subprocess.PIPE, text=True
    )
    while started.poll() is None and len(read_log(tmp_path / "run")) < 3:
        time.sleep(0.05)
    started.send_signal(signal.SIGINT)
    _, said = started.communicate(timeout=60)
    told = [line for line in said.splitlines() if line.startswith("Error: ")]
    assert len(told) == 1 and "repeat the command to resume" in told[0], said
    step = load_weights(tmp_path / "run", "gaze")[1]["step"]
    assert 0 < step < 4000
    assert json.loads((tmp_path / "run" / "config.json").read_text())["stage"] == "gaze"
    assert (tmp_path / "run" / WEIGHTS).is_file()


@pytest.mark.slow
def test_torchrun_trains_on_its_own_answers_as_one_process_does(tmp_path, make_eyes):
    eyes = make_eyes(30).read(range(30))
    known = {"kind": "rendered", "count": 30, "channels": 1, "height": 16, "width": 20}
    plan = Manifest(**known, masks=MASKS, landmarks=LANDMARKS)
    write_store(tmp_path / "renders", plan, make_eyes(30).read)
    real = replace(eyes, gaze=None, masks=None, landmarks=None, visible=None)
    real = replace(real, subject=torch.arange(30) % 2)
    people = Manifest(**known, subjects=("ann", "bob"))
    write_store(tmp_path / "people", people, lambda indices: real[list(indices)])
    train = ["-m", "gazegan", "train", *COMMAND, "--steps", "6", "--real", "people"]
    train += ["--adapt", "self", "--align-to", "webcam"]
    env = {**os.environ, "OMP_NUM_THREADS": "1"}
    launch = ["-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2"]
    for how, out in (([], "one"), (launch, "two")):
        subprocess.run(
            [sys.executable, *how, *train, "--out", out], cwd=tmp_path, env=env, check=True
        )
    answers = [
        open_store(tmp_path / out / "answered").read(range(30)).gaze for out in ("one", "two")
    ]
    torch.testing.assert_close(*answers, atol=1e-3, rtol=0)
    assert load_weights(tmp_path / "two", "gaze")[1]["step"] == 6
