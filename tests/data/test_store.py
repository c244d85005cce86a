"""Stores give back what was put in, and survive being killed."""

import hashlib
import json
import os
import resource
import signal
import subprocess
import sys
import time
from dataclasses import fields, replace
from pathlib import Path

import pytest
import safetensors.numpy
import torch
from hypothesis import given
from hypothesis import strategies as st
from stores import MODEST, contents, read_all, reseal

from gazegan.data.files import only_writer, write_atomic
from gazegan.data.manifest import Manifest
from gazegan.data.store import annotate, open_store, write_store
from gazegan.errors import DataError, UserError
from gazegan.schema import MASKS, EyeBatch


def test_every_label_comes_back_exactly(store, eyes):
    put, got = eyes(10), read_all(store.path)
    for f in fields(EyeBatch):
        a, b = getattr(put, f.name), getattr(got, f.name)
        if f.name == "masks":
            torch.testing.assert_close(b, a, atol=2.1 / 255, rtol=0)
            torch.testing.assert_close(b.sum(1), torch.ones(10, 6, 10))
        else:
            torch.testing.assert_close(b, a, atol=0, rtol=0, equal_nan=True)


def test_writing_what_was_read_changes_no_byte(store, plan, tmp_path):
    again = write_store(tmp_path / "again", plan(10), lambda r: store.read(list(r)), shard_size=4)
    assert contents(again.path) == contents(store.path)


def test_hashes_and_shards_agree_with_other_readers(store):
    values = json.loads((store.path / "manifest.json").read_text())
    bare = json.dumps({**values, "sha256": ""}, sort_keys=True, indent=1)
    assert values["sha256"] == hashlib.sha256(bare.encode()).hexdigest()
    for shard, start in zip(values["shards"], (0, 4, 8), strict=True):
        data = (store.path / shard["file"]).read_bytes()
        assert shard["sha256"] == hashlib.sha256(data).hexdigest()
        assert safetensors.numpy.load(data)["id"].tolist() == list(range(10))[start : start + 4]


@MODEST
@given(st.lists(st.integers(0, 9), min_size=1, max_size=12))
def test_any_order_can_be_read(store, eyes, indices):
    got = store.read(torch.tensor(indices))
    assert got.id.tolist() == indices
    torch.testing.assert_close(got.gaze, eyes(10).gaze[indices], atol=0, rtol=0)


def test_batches_come_in_order_and_outside_is_an_error(store):
    assert [batch.id.tolist() for batch in store.batches(6)] == [[*range(6)], [*range(6, 10)]]
    for index in (-1, 10):
        with pytest.raises(IndexError):
            store.read([index])


_READ_ALL = """
import re, sys
from pathlib import Path
from gazegan.data.store import open_store

def own():  # memory that no file holds, kB
    return int(re.search(r"RssAnon:\\s+(\\d+)", Path("/proc/self/status").read_text())[1])

store = open_store(Path(sys.argv[1]))
store.read([0])
before = own()
for start in range(0, len(store), 16):
    assert store.read(range(start, start + 16)).image.shape[0] == 16
print(own() - before)
"""


@pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="memory is read from /proc")
def test_what_was_read_of_a_store_does_not_stay_in_memory(tmp_path):
    plan = Manifest(kind="real", count=512, channels=3, height=200, width=200)
    levels = torch.arange(200).repeat(3, 200, 1) / 255

    def make(indices: range) -> EyeBatch:
        number = torch.tensor(list(indices))
        image = levels.expand(len(number), -1, -1, -1)
        return EyeBatch(image=image, id=number, origin=torch.zeros_like(number))

    store = write_store(tmp_path / "large", plan, make, shard_size=32)
    size = sum(path.stat().st_size for path in store.path.iterdir()) / 1024
    done = subprocess.run(
        [sys.executable, "-c", _READ_ALL, str(store.path)],
        capture_output=True, text=True, check=True,
        env={**os.environ, "MALLOC_MMAP_THRESHOLD_": "100000"},  # what is freed goes back at once
    )  # fmt: skip
    assert int(done.stdout) < 0.4 * size


def test_unlabelled_eyes_have_no_labels(eyes, plan, tmp_path):
    bare = EyeBatch(*(getattr(eyes(5, channels=3), name) for name in ("image", "id", "origin")))
    plain = plan(5, channels=3, masks=(), landmarks=(), param_names=(), subjects=())
    store = write_store(tmp_path / "s", plain, lambda r: bare[list(r)])
    got = store.read([4, 0])
    assert store.fields == ("image", "id", "origin")
    assert got.gaze is None and got.masks is None and got.channels == 3


def test_an_interrupted_write_resumes_where_it_stopped(store, eyes, plan, tmp_path):
    asked, batch = [], eyes(10)

    def make(r, fail_at=None):
        asked.append(r.start)
        if r.start == fail_at:
            raise KeyboardInterrupt
        return batch[list(r)]

    out = tmp_path / "resumed"
    with pytest.raises(KeyboardInterrupt):
        write_store(out, plan(10), lambda r: make(r, 8), shard_size=4)
    with pytest.raises(DataError, match="unfinished"):
        open_store(out)
    damaged = next(out.glob("shard-00001-*"))
    damaged.write_bytes(damaged.read_bytes()[:-1] + b"\0")
    (out / "manifest.json.tmp").write_text("half")
    counted = []
    write_store(out, plan(10), make, shard_size=4, progress=counted.append)
    assert asked == [0, 4, 8, 4, 8]
    assert counted == [4, 4, 2]
    assert contents(out) == contents(store.path)
    write_store(out, plan(10), make, shard_size=4)
    assert len(asked) == 5


SLOW_WRITER = """
import sys, time
from pathlib import Path
sys.path.insert(0, sys.argv[1])
from conftest import make_eyes, make_plan
from gazegan.data.store import write_store
def make(r):
    time.sleep(float(sys.argv[3]))
    return make_eyes(40)[list(r)]
write_store(Path(sys.argv[2]), make_plan(40), make, shard_size=1)
"""


def test_kill_9_leaves_a_store_that_resumes_bit_for_bit(eyes, plan, tmp_path):
    out, here = tmp_path / "killed", str(Path(__file__).parent)
    child = subprocess.Popen([sys.executable, "-c", SLOW_WRITER, here, str(out), "0.01"])
    give_up = time.monotonic() + 60
    while len(list(out.glob("shard-*.safetensors"))) < 5 and time.monotonic() < give_up:
        time.sleep(0.002)
    child.send_signal(signal.SIGKILL)
    assert child.wait() == -signal.SIGKILL
    assert (out / "plan.json").exists() and not (out / "manifest.json").exists()
    batch = eyes(40)
    write_store(out, plan(40), lambda r: batch[list(r)], shard_size=1)
    write_store(tmp_path / "whole", plan(40), lambda r: batch[list(r)], shard_size=1)
    assert contents(out) == contents(tmp_path / "whole")


def test_another_plan_is_refused_with_its_difference(store, plan, eyes):
    before = contents(store.path)
    with pytest.raises(UserError, match=r"recipe\.blur: 0\.5 -> 0\.7"):
        write_store(
            store.path, plan(10, recipe={"name": "made up", "blur": 0.7}), eyes, shard_size=4
        )
    assert contents(store.path) == before


def test_a_foreign_folder_is_left_alone(plan, eyes, tmp_path):
    (tmp_path / "thesis.tmp").write_text("years of work")
    with pytest.raises(UserError, match="no store"):
        write_store(tmp_path, plan(3), lambda r: eyes(3))
    assert contents(tmp_path) == {"thesis.tmp": b"years of work"}
    with pytest.raises(UserError, match="folder"):
        write_store(tmp_path / "thesis.tmp", plan(3), lambda r: eyes(3))


def test_a_second_writer_is_refused(store, plan, eyes):
    with only_writer(store.path), pytest.raises(UserError, match="another process"):
        write_store(store.path, plan(10), lambda r: eyes(10), shard_size=4)


SINCE_2 = ("distortion", "extrinsics")
SINCE_1 = ("gaze_head", "optical", "centres", "ellipses", "intrinsics", "boxes", *SINCE_2)


def without(batch, labels):
    return replace(batch, **dict.fromkeys(labels))


@pytest.mark.parametrize(("schema", "newer"), [(1, SINCE_1), (2, SINCE_2)])
def test_a_store_of_an_older_schema_still_opens_and_may_be_repeated(
    plan, eyes, tmp_path, schema, newer
):
    def older(indices):
        return without(eyes(10)[list(indices)], newer)

    store = write_store(tmp_path / "s", plan(10), older, shard_size=4)
    reseal(store, schema_version=schema)
    before = contents(store.path)
    assert open_store(store.path).manifest.schema_version == schema
    got = read_all(store.path)
    assert all(getattr(got, name) is None for name in newer)
    assert torch.equal(got.landmarks, eyes(10).landmarks)
    again = write_store(tmp_path / "s", plan(10), lambda r: eyes(10)[list(r)], shard_size=4)
    assert contents(again.path) == before


def test_an_unfinished_store_of_schema_1_is_not_continued_with_other_labels(plan, eyes, tmp_path):
    def stop(indices):
        if indices[0]:
            raise KeyboardInterrupt
        return without(eyes(4), SINCE_1)

    old = plan(10, schema_version=1)
    with pytest.raises(KeyboardInterrupt):
        write_store(tmp_path / "s", old, stop, shard_size=4)
    with pytest.raises(UserError, match=r"schema_version: 1 -> 4.*another --out or delete"):
        write_store(tmp_path / "s", plan(10), lambda r: eyes(10)[list(r)], shard_size=4)


def test_notes_can_be_added_and_do_not_change_the_plan(store, plan, eyes):
    assert annotate(store, {"drift_px": 0.1}).manifest.notes == {"drift_px": 0.1}
    again = write_store(store.path, plan(10), lambda r: eyes(10), shard_size=4)
    assert again.manifest.notes == {"drift_px": 0.1}


@pytest.mark.parametrize(
    ("change", "fault"),
    [
        ({"image": None}, "image"),
        ({"gaze": torch.full((4, 2), torch.nan)}, "gaze"),
        ({"masks": torch.ones(4, len(MASKS), 6, 10)}, "sum to one"),
        ({"params": torch.ones(4, 3)}, "params"),
    ],
)
def test_wrong_batches_are_not_written(eyes, plan, tmp_path, change, fault):
    wrong = replace(eyes(4), **({"image": eyes(4).image + 1} if "image" in change else change))
    with pytest.raises(ValueError, match=fault):
        write_store(tmp_path / "s", plan(4), lambda r: wrong)
    assert set(contents(tmp_path / "s")) == {"plan.json"}


@pytest.mark.parametrize("name", ["nowhere", "file"])
def test_no_store_there(tmp_path, name):
    (tmp_path / "file").write_text("")
    with pytest.raises(UserError, match=name):
        open_store(tmp_path / name)
    with pytest.raises(UserError, match="not a store"):
        open_store(tmp_path)


def test_a_failed_write_keeps_the_old_file(tmp_path):
    path = tmp_path / "weights"
    write_atomic(path, b"old")
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (1000, limits[1]))
    try:
        with pytest.raises(DataError, match="weights: cannot be written"):
            write_atomic(path, bytes(100_000))
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
    assert contents(tmp_path) == {"weights": b"old"}
