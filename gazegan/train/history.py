"""A memory of refined images, so that the critic does not forget how the refiner once cheated."""

import torch
from torch import Generator, Tensor


def mix_history(
    history: Tensor, remembered: int, fresh: Tensor, generator: Generator
) -> tuple[Tensor, int]:
    """Replace up to half of `fresh` `[B, C, H, W]` by remembered images, and remember others.

    `history` `[N, C, H, W]` is changed in place; its first `remembered` entries are filled.
    Returns the mixture and how many are filled now. Shrivastava et al., CVPR 2017, section 2.3.
    """
    if not len(history):
        return fresh, 0
    half = min(len(fresh) // 2, remembered)
    old = torch.randperm(remembered, generator=generator)[:half].to(history.device)
    mixed = torch.cat((history[old], fresh[half:]))
    # Free places first; once full, the images just drawn make room.
    free = torch.arange(remembered, min(len(history), remembered + len(fresh)))
    places = torch.cat((free.to(old), old))[: len(fresh)]
    history[places] = fresh[: len(places)]
    return mixed, remembered + len(free)
