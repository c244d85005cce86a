"""Shards written by several processes of this machine, each busy with one shard at a time."""

import contextlib
import json
import subprocess
import sys
import tempfile
from collections import Counter, deque
from collections.abc import Generator, Iterable
from dataclasses import dataclass, field
from multiprocessing.connection import wait
from pathlib import Path
from typing import IO, Any

from gazegan.data.manifest import Shard
from gazegan.data.writing import Written
from gazegan.errors import DataError

TRIES = 3
"""How often a shard is begun before it is given up."""

CODE = "import sys; sys.path[:] = sys.argv[1:]; from gazegan.data.worker import serve; serve()"
"""What a worker runs; the modules come from where they come from here."""


@dataclass(eq=False)
class _Worker:
    process: subprocess.Popen[bytes]
    errors: IO[bytes]
    shard: int | None = None
    """The shard it is busy with; None while it starts."""


@dataclass
class _Work:
    """What is left to do, and what went wrong; a start that fails counts as the shard None."""

    todo: deque[int]
    tries: Counter[int | None] = field(default_factory=Counter)
    failed: dict[int, str] = field(default_factory=dict)


def write_by_workers(
    path: Path, plan: dict[str, Any], workers: int, numbers: Iterable[int], locks: tuple[int, ...]
) -> Generator[Written]:
    """Yield the shards of `numbers` as processes have written them, in any order.

    The processes hold `locks` with this one and end with it. A shard whose process dies is begun
    again, TRIES times at most. Raises DataError naming a shard that failed, after all others are
    written, or naming a file that cannot be written.
    """
    job = json.dumps({"path": str(path), "plan": plan}).encode()
    work, crew = _Work(deque(numbers)), list[_Worker]()
    try:
        while work.todo or crew:
            starting = sum(worker.shard is None for worker in crew)
            if len(crew) < workers and starting < len(work.todo):
                crew.append(_start(job, locks))
                continue
            for worker in _heard(crew):
                line = _output(worker).readline()
                if not line.endswith(b"\n"):
                    crew.remove(worker)
                    _bury(worker, work)
                    continue
                if written := _result(worker, line):
                    yield written
                work.tries[None] = 0
                if not _employ(worker, work):
                    crew.remove(worker)
    finally:
        for worker in crew:
            worker.process.kill()
        for worker in crew:
            _end(worker)
    _check(work)


def _start(job: bytes, locks: tuple[int, ...]) -> _Worker:
    errors = tempfile.TemporaryFile()  # noqa: SIM115
    process = subprocess.Popen(
        [sys.executable, "-c", CODE, *sys.path],
        bufsize=0,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=errors,
        pass_fds=locks,
        process_group=0,  # The terminal's Ctrl-C is for this process alone, which ends the others.
    )
    worker = _Worker(process, errors)
    _tell(worker, job)
    return worker


def _tell(worker: _Worker, line: bytes) -> None:
    assert worker.process.stdin is not None
    with contextlib.suppress(BrokenPipeError):  # It is dead, which its output will tell.
        worker.process.stdin.write(line + b"\n")


def _output(worker: _Worker) -> IO[bytes]:
    assert worker.process.stdout is not None
    return worker.process.stdout


def _heard(crew: list[_Worker]) -> list[_Worker]:
    """Wait until some workers have answered or died, and return them."""
    ready = wait([_output(worker).fileno() for worker in crew])
    return [worker for worker in crew if _output(worker).fileno() in ready]


def _result(worker: _Worker, line: bytes) -> Written | None:
    """Read an answer; None where a worker says that it has started."""
    answer = json.loads(line)
    if "fault" in answer:
        raise DataError(answer["fault"])
    if worker.shard is None:
        return None
    return Written(worker.shard, Shard(**answer["shard"]), tuple(answer["fields"]))


def _employ(worker: _Worker, work: _Work) -> bool:
    """Give a worker its next shard; False where there is none, and the worker has ended."""
    if not work.todo:
        _end(worker)
        return False
    worker.shard = work.todo.popleft()
    _tell(worker, str(worker.shard).encode())
    return True


def _bury(worker: _Worker, work: _Work) -> None:
    """Note what a worker died of; its shard is begun again later."""
    code = worker.process.wait()
    worker.errors.seek(0)
    lines = worker.errors.read().decode(errors="replace").split("\n")
    said = [line.strip() for line in lines if line.strip()] or [f"exit code {code}"]
    cause = f"killed by signal {-code}" if code < 0 else said[-1][:200]
    _end(worker)
    work.tries[worker.shard] += 1
    given_up = work.tries[worker.shard] == TRIES
    if worker.shard is None:
        if given_up:
            raise DataError(f"--workers: {TRIES} processes ended while they started ({cause})")
    elif given_up:
        work.failed[worker.shard] = cause
    else:
        work.todo.append(worker.shard)


def _end(worker: _Worker) -> None:
    """Wait for the end of a worker, which comes with that of its input."""
    with worker.process, worker.errors:
        pass


def _check(work: _Work) -> None:
    if work.failed:
        number, cause = next(iter(work.failed.items()))
        more = f", as did {len(work.failed) - 1} more" if len(work.failed) > 1 else ""
        raise DataError(
            f"shard {number} failed {TRIES} times ({cause}){more}; the others are written, repeat"
            " the command to try again"
        )
