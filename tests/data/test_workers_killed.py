"""Workers and their driver killed or interrupted at any time: nothing is lost, torn or left."""

import os
import random
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from stores import contents

from gazegan.data import workers, writing
from gazegan.data.files import only_writer
from gazegan.data.rendered import write_rendered
from gazegan.errors import DataError, UserError
from gazegan.render.prior import Recipe

pytestmark = pytest.mark.slow
COUNT = 20_000
SMALL = Recipe.model_validate({"image": {"height": 12, "width": 20}})

FAILING = """
import os, signal, sys
sys.path[:] = sys.argv[1:]
from gazegan.data import rendered, worker
usual = rendered.render_indices
def failing(recipe, seed, indices, *rest):
    tries = len(os.listdir({folder!r}))
    if indices[0] == 8 and tries < {times}:
        open(f"{folder}/{{tries}}", "w").close()
        {fault}
    return usual(recipe, seed, indices, *rest)
rendered.render_indices = failing
worker.serve()
"""
KILL = "os.kill(os.getpid(), signal.SIGKILL)"


@pytest.fixture
def failing(tmp_path, monkeypatch):
    """Make workers fail in shard 1 for so many times, in shards of 8."""
    monkeypatch.setattr(writing, "_default_shard_size", lambda plan: 8)
    (tmp_path / "tries").mkdir()

    def make(times, fault):
        code = FAILING.format(folder=str(tmp_path / "tries"), times=times, fault=fault)
        monkeypatch.setattr(workers, "CODE", code)

    return make


def test_a_shard_whose_worker_was_killed_is_rendered_again(tmp_path, failing):
    failing(2, KILL)
    write_rendered(SMALL, 5, 30, tmp_path / "one")
    write_rendered(SMALL, 5, 30, tmp_path / "two", workers=2)
    assert len(list((tmp_path / "tries").iterdir())) == 2
    assert contents(tmp_path / "one") == contents(tmp_path / "two")


@pytest.mark.parametrize(
    ("fault", "cause"),
    [(KILL, "killed by signal 9"), ("raise ValueError('too dark')", "ValueError: too dark")],
)
def test_a_shard_that_always_fails_is_named_and_the_others_are_written(
    tmp_path, failing, fault, cause
):
    failing(99, fault)
    out = tmp_path / "out"
    with pytest.raises(DataError, match=f"shard 1 failed 3 times .{cause}") as caught:
        write_rendered(SMALL, 5, 30, out, workers=2)
    assert "\n" not in str(caught.value)
    assert sorted(name[:11] for name in contents(out)) == [
        "plan.json", "shard-00000", "shard-00002", "shard-00003",
    ]  # fmt: skip
    assert len(list((tmp_path / "tries").iterdir())) == workers.TRIES
    write_rendered(SMALL, 5, 30, out)
    write_rendered(SMALL, 5, 30, tmp_path / "whole")
    assert contents(out) == contents(tmp_path / "whole")


def test_a_disk_that_refuses_ends_the_run_at_once(tmp_path, failing):
    failing(1, "raise DataError")
    out = tmp_path / "out"
    with pytest.raises(KeyboardInterrupt):
        write_rendered(SMALL, 5, 30, out, progress=interrupt)
    blocked = out / f"shard-00002-{'0' * 16}.safetensors"
    blocked.mkdir()
    with pytest.raises(DataError, match=f"{blocked.name}: cannot be read"):
        write_rendered(SMALL, 5, 30, out, workers=2)


def interrupt(images):
    raise KeyboardInterrupt


def command(out):
    words = ["render", "webcam", "--size", "24x40", "--workers", "2", "--count", str(COUNT)]
    return [sys.executable, "-m", "gazegan", *words, "--out", str(out)]


def started(out):
    """Start the command in a process group of its own, as a terminal does.

    Also where these tests run behind a script, whose children are told to ignore Ctrl-C.
    """
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    try:
        return subprocess.Popen(
            command(out), stderr=subprocess.PIPE, text=True, start_new_session=True
        )
    finally:
        signal.signal(signal.SIGINT, before)


def shards(out):
    return {p: (p.stat().st_ino, p.stat().st_mtime_ns) for p in out.glob("shard-*.safetensors")}


def wait_for(condition, seconds=120):
    end = time.monotonic() + seconds
    while not (found := condition()):
        assert time.monotonic() < end, "waited in vain"
        time.sleep(0.002)
    return found


def is_free(out):
    """Whether nobody, workers included, holds the store."""
    try:
        with only_writer(out):
            return True
    except UserError:
        return False


def finished(out):
    done = subprocess.run(command(out), capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return contents(out)


@pytest.fixture(scope="module")
def reference(tmp_path_factory):
    """A store of twenty shards, written by one process that nobody disturbed."""
    out = tmp_path_factory.mktemp("reference") / "store"
    done = subprocess.run([*command(out), "--workers", "1"], check=False)
    assert done.returncode == 0
    return contents(out)


def test_a_killed_driver_takes_its_workers_along_and_its_shards_are_kept(tmp_path, reference):
    out = tmp_path / "out"
    driver = started(out)
    wait_for(lambda: len(shards(out)) >= 3)
    driver.kill()
    driver.communicate()
    wait_for(lambda: is_free(out), 10)
    kept = shards(out)
    assert 3 <= len(kept) < 20
    assert finished(out) == reference
    assert kept.items() <= shards(out).items()


@pytest.mark.skipif(not Path("/proc/self/task").exists(), reason="finds children in /proc")
def test_workers_killed_at_random_times_change_no_byte(tmp_path, reference):
    out = tmp_path / "out"
    driver = started(out)
    children = Path(f"/proc/{driver.pid}/task/{driver.pid}/children")
    for k in range(3):
        wait_for(lambda k=k: len(shards(out)) > 3 * k)
        time.sleep(random.uniform(0, 0.3))
        os.kill(int(random.choice(children.read_text().split())), signal.SIGKILL)
    assert driver.wait(300) == 0, driver.communicate()[1]
    driver.communicate()
    assert contents(out) == reference


def test_ctrl_c_while_workers_start_and_later_is_one_line_at_once(tmp_path, reference):
    stopped = 0
    for k in range(12):
        out = tmp_path / str(k)
        driver = started(out)
        wait_for((out / "plan.json").exists)
        delay = random.uniform(0, 4)
        time.sleep(delay)
        os.killpg(driver.pid, signal.SIGINT)
        _, said = driver.communicate(timeout=60)
        if driver.returncode == 0:  # on a busy machine it may be done before the signal
            assert finished(out) == reference
            continue
        stopped += 1
        assert (driver.returncode, said.strip().count("\n")) == (130, 0), (delay, said)
        assert "repeat the command to resume" in said, delay
        assert is_free(out), delay
    assert stopped
    assert finished(out) == reference
