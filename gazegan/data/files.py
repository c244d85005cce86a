"""Files that are whole or absent: atomic writes, one writer a folder, JSON that trusts nothing."""

import contextlib
import fcntl
import json
import math
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from gazegan.errors import DataError, UserError


def write_atomic(path: Path, data: bytes) -> None:
    """Write `data` so that a kill at any moment leaves the old file or the new one, never a part.

    The bytes go to `path` + ".tmp", reach the disk, then take the name. Raises DataError where
    the disk refuses (full, read-only); the old file is then intact.
    """
    temporary = path.with_name(path.name + ".tmp")
    try:
        with temporary.open("wb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        temporary.replace(path)
        _sync_folder(path.parent)
    except OSError as fault:
        with contextlib.suppress(OSError):
            temporary.unlink()
        raise DataError(f"{path}: cannot be written ({fault.strerror})") from None


def _sync_folder(folder: Path) -> None:
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def make_folder(path: Path) -> None:
    """Create a folder and its parents; raises UserError where that is impossible."""
    try:
        path.mkdir(parents=True, exist_ok=True)
    except OSError as fault:
        raise UserError(f"{path}: cannot be made a folder ({fault.strerror})") from None


def read_bytes(path: Path, limit: int) -> bytes:
    """Read a file of at most `limit` bytes; raises DataError naming it and the fault."""
    try:
        with path.open("rb") as file:
            # read(n) reserves n bytes at once, so ask for no more than the file claims to hold.
            data = file.read(min(os.fstat(file.fileno()).st_size, limit) + 1)
    except FileNotFoundError:
        raise DataError(f"{path}: missing") from None
    except OSError as fault:
        raise DataError(f"{path}: cannot be read ({fault.strerror})") from None
    if len(data) > limit:
        raise DataError(f"{path}: larger than the {limit} bytes that can be right")
    return data


@contextlib.contextmanager
def only_writer(folder: Path) -> Iterator[None]:
    """Hold `folder` against a second writer; the lock dies with the process.

    Raises UserError while another process holds it.
    """
    handle = os.open(folder, os.O_RDONLY)
    try:
        _lock(handle, folder)
        yield
    finally:
        os.close(handle)


def _lock(handle: int, folder: Path) -> None:
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        raise UserError(f"{folder}: another process is writing it; wait for its end") from None


def parse_json(data: bytes, source: Path | str) -> Any:
    """Parse JSON without NaN, infinities or repeated keys; raises DataError naming `source`."""
    try:
        return json.loads(
            data.decode("utf-8"),
            object_pairs_hook=_unique,
            parse_constant=_finite,
            parse_float=_finite,
        )
    except RecursionError:
        raise DataError(f"{source}: not valid JSON: nested too deep") from None
    except ValueError as fault:
        raise DataError(f"{source}: not valid JSON: {str(fault)[:200]}") from None


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    values = dict(pairs)
    if len(values) != len(pairs):
        raise ValueError("a key is given twice")
    return values


def _finite(text: str) -> float:
    if not math.isfinite(value := float(text)):
        raise ValueError(f"{text[:20]} is not finite")
    return value
