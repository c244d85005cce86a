"""Files that are whole or absent: atomic writes, one writer a folder, JSON that trusts nothing."""

import contextlib
import fcntl
import json
import math
import os
import secrets
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from gazegan.errors import DataError, UserError


def write_atomic(path: Path, data: bytes) -> None:
    """Write `data` so that a kill at any moment leaves the old file or the new one, never a part.

    The bytes go to `path` + ".tmp", reach the disk, then take the name. Raises DataError where
    the disk refuses (full, read-only); the old file is then intact.
    """
    _write(path, data, path.parent / f"{path.name}.tmp", os.replace)


def write_among_others(path: Path, data: bytes, *, keep: bool = False) -> None:
    """Do the same where other processes may write the same file: no bytes are ever mixed.

    With `keep`, a file that is already there stays; else the last writer wins.
    """
    temporary = path.parent / f"{path.name}.{secrets.token_hex(6)}.tmp"
    _write(path, data, temporary, _place if keep else os.replace)


def _place(temporary: Path, path: Path) -> None:
    # Unlike renaming, a link is refused where the name is taken.
    with contextlib.suppress(FileExistsError):
        os.link(temporary, path)
    temporary.unlink()


def _write(path: Path, data: bytes, temporary: Path, place: Callable[[Path, Path], object]) -> None:
    try:
        with temporary.open("wb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        place(temporary, path)
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
def only_writer(folder: Path, *, wait: bool = False) -> Iterator[int]:
    """Hold `folder` against every other writer; the lock dies with the process.

    Yields the lock's handle: children that inherit it hold the lock as well. Raises UserError
    while another process holds it, or waits for its end.
    """
    with _locked(folder, os.O_RDONLY, fcntl.LOCK_EX | (0 if wait else fcntl.LOCK_NB)) as handle:
        yield handle


@contextlib.contextmanager
def one_of_several_writers(folder: Path) -> Iterator[int]:
    """Hold `folder` against `only_writer`, not against others that write parts of it."""
    with _locked(folder, os.O_RDONLY, fcntl.LOCK_SH | fcntl.LOCK_NB) as handle:
        yield handle


@contextlib.contextmanager
def only_writer_of_part(folder: Path, part: str) -> Iterator[int]:
    """Hold a part of `folder` by a lock on the file "`part`.lock", which stays."""
    file = folder / f"{part}.lock"
    with _locked(file, os.O_RDWR | os.O_CREAT, fcntl.LOCK_EX | fcntl.LOCK_NB) as handle:
        yield handle


@contextlib.contextmanager
def _locked(path: Path, how_opened: int, how_locked: int) -> Iterator[int]:
    handle = os.open(path, how_opened, 0o666)
    try:
        _lock(handle, path, how_locked)
        yield handle
    finally:
        os.close(handle)


def _lock(handle: int, path: Path, how: int) -> None:
    try:
        fcntl.flock(handle, how)
    except BlockingIOError:
        raise UserError(f"{path}: another process is writing it; wait for its end") from None


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
