"""An ordered map over processes of this machine."""

import multiprocessing
import os
import signal
import threading
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from typing import TypeVar

import torch

from gazegan.errors import DataError

A = TypeVar("A")
B = TypeVar("B")


def processes_map(function: Callable[[A], B], items: Iterable[A], workers: int) -> Iterator[B]:
    """Yield `function(item)` for each item in order, computed by `workers` processes.

    `function`, items and results are pickled. Each process keeps torch to one thread and ends
    with this one. Raises what `function` raises, and DataError where a process dies.
    """
    pool = ProcessPoolExecutor(
        workers, mp_context=multiprocessing.get_context("spawn"), initializer=_begin
    )
    try:
        yield from pool.map(function, items)
    except BrokenProcessPool:
        raise DataError(
            "--workers: a worker process died, perhaps for want of memory; repeat the command with"
            " fewer --workers to go on"
        ) from None
    finally:
        pool.shutdown(wait=True, cancel_futures=True)


def _begin() -> None:
    torch.set_num_threads(1)
    # Ctrl-C reaches the whole group; the parent decides what becomes of it.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    threading.Thread(target=_end_with_parent, daemon=True).start()


def _end_with_parent() -> None:
    parent = multiprocessing.parent_process()
    assert parent is not None
    parent.join()
    os._exit(1)
