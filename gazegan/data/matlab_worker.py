"""A process that reads days of MPIIGaze from MATLAB's files: paths in, names and arrays out.

Any fault ends it, told on its last line. It needs neither torch nor more of gazegan, so that it
starts at once.
"""

import contextlib
import json
import os
import resource
import sys
from typing import Any

import numpy as np
from safetensors import numpy as safetensors
from scipy.io import loadmat

SIDES = ("right", "left")
ARRAYS = ("image", "gaze", "pose")
_MEMORY = 4 << 30
"""Bytes of address space: what a small file unpacks to may be far larger."""


def serve() -> None:
    """Answer every path on the input, a line of JSON, by names and arrays; ends at a fault."""
    answers = os.fdopen(os.dup(1), "wb")
    os.dup2(2, 1)  # What a library prints is no answer.
    _limit_memory()
    for line in sys.stdin:
        names, arrays = day(json.loads(line))
        head = json.dumps({"names": names, "bytes": len(arrays)}).encode()
        answers.write(head + b"\n" + arrays)
        answers.flush()


def _limit_memory() -> None:
    with contextlib.suppress(ValueError, OSError):  # where a system knows no such limit
        resource.setrlimit(resource.RLIMIT_AS, (_MEMORY, _MEMORY))


def day(path: str) -> tuple[list[str], bytes]:
    """Return the names of a day's photographs, and its arrays by "SIDE.ARRAY" as safetensors."""
    # Not squeezed: a day of one photograph would lose an axis.
    found: dict[str, Any] = loadmat(path, squeeze_me=False, chars_as_strings=True)
    both = found["data"][0, 0]
    arrays = {f"{s}.{a}": both[s][0, 0][a] for s in SIDES for a in ARRAYS}
    names = [str(np.asarray(cell).item()) for cell in found["filenames"].ravel()]
    packed = {name: np.ascontiguousarray(array) for name, array in arrays.items()}
    return names, bytes(safetensors.save(packed))
