"""Several processes write what one writes, and leave nobody behind."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from gazegan.data import store as store_module
from gazegan.data.parallel import processes_map
from gazegan.data.rendered import write_rendered
from gazegan.errors import DataError
from gazegan.render.prior import Recipe

SMALL = Recipe.model_validate({"image": {"height": 12, "width": 20}})


def square(x: int) -> int:
    return x * x


def die(x: int) -> int:
    os._exit(3)


def refuse(x: int) -> int:
    raise DataError(f"no {x}")


def files(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in folder.iterdir()}


def test_results_come_in_order_and_faults_as_they_are():
    assert list(processes_map(square, range(7), 2)) == [x * x for x in range(7)]
    with pytest.raises(DataError, match="no 0"):
        list(processes_map(refuse, range(3), 2))
    with pytest.raises(DataError, match="fewer --workers"):
        list(processes_map(die, range(3), 2))


def test_the_bytes_do_not_depend_on_the_number_of_workers(tmp_path, monkeypatch):
    monkeypatch.setattr(store_module, "_default_shard_size", lambda plan: 8)
    done: list[int] = []
    write_rendered(SMALL, 5, 30, tmp_path / "one")
    write_rendered(SMALL, 5, 30, tmp_path / "two", progress=done.append, workers=2)
    assert done == [8, 8, 8, 6]
    assert len(files(tmp_path / "one")) == 5
    assert files(tmp_path / "one") == files(tmp_path / "two")


KILLED = """
import sys, time
from functools import partial
from pathlib import Path
from gazegan.data.parallel import processes_map
from tests_of_workers import tell
if __name__ == "__main__":
    list(processes_map(partial(tell, sys.argv[1]), range(2), 2))
"""
TELLING = """
import os, time
def tell(folder, k):
    open(f"{folder}/{os.getpid()}", "w").close()
    time.sleep(60)
"""


def test_workers_end_with_a_killed_parent(tmp_path):
    (tmp_path / "main.py").write_text(KILLED)
    (tmp_path / "tests_of_workers.py").write_text(TELLING)
    (tmp_path / "pids").mkdir()
    parent = subprocess.Popen([sys.executable, str(tmp_path / "main.py"), str(tmp_path / "pids")])
    try:
        assert wait_for(lambda: len(list((tmp_path / "pids").iterdir())) == 2)
    finally:
        parent.send_signal(signal.SIGKILL)
        parent.wait()
    pids = [int(path.name) for path in (tmp_path / "pids").iterdir()]
    assert wait_for(lambda: not any(alive(pid) for pid in pids))


def alive(pid: int) -> bool:
    try:
        return "Z" not in Path(f"/proc/{pid}/stat").read_text().split(") ")[-1][:1]
    except OSError:
        return False


def wait_for(condition, seconds=60) -> bool:
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        if condition():
            return True
        time.sleep(0.05)
    return False
