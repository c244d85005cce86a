"""kill -9 at random moments: the end is the same to the bit."""

import multiprocessing
import os
import random
import time

import pytest
import torch

from gazegan.cli import main
from gazegan.data.manifest import Manifest
from gazegan.data.store import write_store
from gazegan.schema import LANDMARKS, MASKS
from gazegan.train.checkpoint import WEIGHTS
from gazegan.train.log import read_log

STEPS = 60
ARGUMENTS = {
    "gaze": ["gaze", "--data", "renders", "--set", "network.widths=[4,4,4,4,4]"],
    "refiner": [
        "refiner", "--synthetic", "renders", "--real", "real", "--set", "network.widths=[4,8]",
        "--set", "critic.widths=[4,8]", "--set", "critic_lead=2", "--set", "history=6",
    ],
}  # fmt: skip
SETTINGS = ["--steps", str(STEPS), "--batch", "4", "--set", "save_every=2", "--set", "log_every=1"]


def train(folder, arguments):
    """Run `gazegan train` in a process of its own, started from one that has all imports."""
    os.chdir(folder)
    torch.set_num_threads(1)
    main(["train", *arguments, *SETTINGS])


def started(context, folder, arguments):
    process = context.Process(target=train, args=(folder, arguments))
    process.start()
    return process


@pytest.mark.parametrize("stage", list(ARGUMENTS))
def test_killed_at_random_a_run_ends_with_the_same_bits(tmp_path, make_eyes, stage):
    for name, count in (("renders", 30), ("real", 20)):
        plan = Manifest(
            kind="rendered",
            count=count,
            channels=1,
            height=16,
            width=20,
            masks=MASKS,
            landmarks=LANDMARKS,
        )
        write_store(tmp_path / name, plan, make_eyes(count).read)
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(["gazegan.train.gaze", "gazegan.train.refiner"])
    whole, parts = (str(tmp_path), [*ARGUMENTS[stage], "--out"]), tmp_path / "parts"
    first = started(context, whole[0], [*whole[1], "whole"])
    first.join(600)
    assert first.exitcode == 0
    delays = []
    while True:
        process = started(context, whole[0], [*whole[1], "parts"])
        known = set(parts.glob("state-*"))
        while len(delays) < 3 and process.is_alive() and set(parts.glob("state-*")) <= known:
            time.sleep(0.002)
        if len(delays) == 3:
            break
        delays.append(random.uniform(0, 0.15))
        time.sleep(delays[-1])
        process.kill()
        process.join()
    process.join(600)
    assert process.exitcode == 0
    for name in (WEIGHTS, f"state-{STEPS:09d}.safetensors"):
        same = (tmp_path / "whole" / name).read_bytes() == (parts / name).read_bytes()
        assert same, f"{name} differs after kills {delays} s after a checkpoint"
    steps = [line["step"] for line in read_log(parts) if "images_per_s" in line]
    assert steps == list(range(1, STEPS + 1))
