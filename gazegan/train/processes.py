"""Training by several processes that torchrun started: each takes its rows of every batch.

All draw the random numbers of the whole batch, average their gradients and take the same step, so
the result is that of one process but for the rounding of sums. DistributedDataParallel would wrap
each network and average in its hooks, which the second derivatives of the gradient penalty and a
critic that is only looked through do not suit; networks this small are as fast with one sum a step.
"""

import os
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager

import torch
import torch.distributed as dist
from torch import Tensor

from gazegan.errors import UserError


class ToldElsewhere(UserError):  # noqa: N818 (it is no error)
    """The first process says why the run ends."""

    def __init__(self, exit_code: int) -> None:
        super().__init__("the first process says why")
        self.exit_code = exit_code


@contextmanager
def together(device: str) -> Iterator[str]:
    """Join the processes that torchrun started, if it did; yields this one's device."""
    if not dist.is_torchelastic_launched():
        yield device
        return
    if device == "cuda":
        device = f"cuda:{os.environ['LOCAL_RANK']}"
    if torch.device(device).type == "cuda":
        torch.cuda.set_device(device)
    dist.init_process_group("cpu:gloo,cuda:nccl" if device != "cpu" else "gloo")
    try:
        yield device
    finally:
        dist.destroy_process_group()


def count() -> int:
    """Return how many processes train together; 1 without torchrun."""
    return dist.get_world_size() if dist.is_initialized() else 1


def rank() -> int:
    """Return which of them this is, from 0; the first alone writes files."""
    return dist.get_rank() if dist.is_initialized() else 0


def check_batch(size: int, option: str) -> None:
    """Raise UserError naming `option` where a batch cannot be shared out evenly."""
    if size % count():
        raise UserError(
            f"{option} {size}: no multiple of the {count()} processes; take one that is"
        )


def rows(mine: int) -> slice:
    """Return where the `mine` rows of this process lie in the whole batch."""
    return slice(rank() * mine, (rank() + 1) * mine)


def share(whole: Tensor) -> Tensor:
    """Return this process' rows of a whole batch `[B, ...]`."""
    return whole[rows(len(whole) // count())]


def gathered(part: Tensor) -> Tensor:
    """Return the rows `[B, ...]` of all processes, without gradient, from each one's."""
    if count() == 1:
        return part
    parts = [torch.empty_like(part, memory_format=torch.contiguous_format) for _ in range(count())]
    dist.all_gather(parts, part.detach().contiguous())
    return torch.cat(parts)


def averaged(values: Tensor) -> Tensor:
    """Return the mean of `values` `[...]` over the processes, without gradient."""
    if count() == 1:
        return values
    mean = values.detach().clone()
    dist.all_reduce(mean)
    return mean / count()


def average_gradients(parameters: Iterable[Tensor]) -> None:
    """Give each gradient its mean over the processes: that of a loss averaged over the batch."""
    if count() == 1:
        return
    gradients = [p.grad for p in parameters if p.grad is not None]
    means = averaged(torch.cat([gradient.flatten() for gradient in gradients]))
    parts = torch.split(means, [gradient.numel() for gradient in gradients])
    for gradient, mean in zip(gradients, parts, strict=True):
        gradient.copy_(mean.view_as(gradient))


def largest(value: int) -> int:
    """Return the largest of the processes' values."""
    if count() == 1:
        return value
    held = torch.tensor(value)
    dist.all_reduce(held, dist.ReduceOp.MAX)
    return int(held)


def after_first(act: Callable[[], object]) -> None:
    """Let the first process act while the others wait for it.

    Where it fails by a UserError, the others raise ToldElsewhere.
    """
    fault = None
    if rank() == 0:
        try:
            act()
        except UserError as raised:
            fault = raised
    code = largest(fault.exit_code if fault else 0)
    if fault:
        raise fault
    if code:
        raise ToldElsewhere(code)
