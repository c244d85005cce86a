"""Modes that are set for a while and put back as they were: evaluation, one thread."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager

import torch
from torch import Tensor, nn


@contextmanager
def evaluating(fn: Callable[[Tensor], Tensor]) -> Iterator[None]:
    """Put every submodule of `fn` into evaluation mode, and restore each one's mode at the end.

    Batch statistics then stay as they are. A callable that is no module is left alone: what it
    wraps is its owner's to set.
    """
    modules = list(fn.modules()) if isinstance(fn, nn.Module) else []
    modes = [module.training for module in modules]
    for module in modules:
        module.training = False
    try:
        yield
    finally:
        for module, mode in zip(modules, modes, strict=True):
            module.training = mode


@contextmanager
def one_thread() -> Iterator[None]:
    """Keep torch to one thread: figures then do not depend on the number of cores.

    Little is lost by it. The renderer's chunks and our networks are small, and where another
    program uses a core, threads that wait for each other are many times slower.
    """
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(before)
