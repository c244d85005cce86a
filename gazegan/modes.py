"""Run a network in evaluation mode and hand it back as it was."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager

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
