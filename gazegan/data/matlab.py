"""MATLAB's files, read by a process of their own: scipy's reader may crash on hostile bytes."""

import contextlib
import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import IO

from safetensors import torch as safetensors
from torch import Tensor

from gazegan.errors import DataError

_CODE = (
    "import sys; sys.path[:] = sys.argv[1:]; from gazegan.data.matlab_worker import serve; serve()"
)

Read = Callable[[Path], tuple[tuple[str, ...], dict[str, Tensor]]]
"""Returns the names of a day's photographs and its arrays by "SIDE.ARRAY", as they are; raises
DataError."""


@contextlib.contextmanager
def reader() -> Iterator[Read]:
    """Start a process that reads days of MPIIGaze, one after the other; it ends with the block."""
    with tempfile.TemporaryFile() as errors:
        process = subprocess.Popen(
            [sys.executable, "-c", _CODE, *sys.path],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=errors,
            # Threads that it has no use for would count against its memory.
            env={**os.environ, "OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1"},
            process_group=0,  # The terminal's Ctrl-C is for this process alone.
        )
        with process:
            try:
                yield lambda path: _ask(process, errors, path)
            finally:
                process.kill()


def _ask(
    process: subprocess.Popen[bytes], errors: IO[bytes], path: Path
) -> tuple[tuple[str, ...], dict[str, Tensor]]:
    assert process.stdin is not None and process.stdout is not None
    with contextlib.suppress(BrokenPipeError):  # It is dead, which its output will tell.
        process.stdin.write(json.dumps(str(path)).encode() + b"\n")
        process.stdin.flush()
    head = process.stdout.readline()
    if not head.endswith(b"\n"):
        raise DataError(f"{path}: cannot be read as a day of MPIIGaze ({_cause(process, errors)})")
    answer = json.loads(head)
    return tuple(answer["names"]), safetensors.load(process.stdout.read(answer["bytes"]))


def _cause(process: subprocess.Popen[bytes], errors: IO[bytes]) -> str:
    code = process.wait()
    if code < 0:
        return f"its reader was killed by signal {-code}"
    errors.seek(0)
    lines = [line for line in errors.read().decode(errors="replace").splitlines() if line.strip()]
    return lines[-1].strip()[:200] if lines else f"exit code {code}"
