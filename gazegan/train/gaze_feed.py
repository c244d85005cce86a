"""What the gaze stage learns from: which images each step sees, and which are held out."""

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor

from gazegan.data.stream import Samples, batch_indices, only, shared_indices
from gazegan.errors import UserError
from gazegan.schema import EyeBatch
from gazegan.train import processes
from gazegan.train.gaze_losses import constant_output, labels
from gazegan.train.gaze_settings import GazeTraining
from gazegan.train.held_out import parted
from gazegan.train.loop import Batches
from gazegan.train.setup import at_hand
from gazegan.train.sources import by_source, check_adaptable, check_learnable, evenly

_READ = ("gaze", "head", "landmarks")
"""Labels that are learned, or read beside the image."""
_HELD_OUT, _FOR_CONSTANT = 2048, 512
"""Most eyes that are held out, and that the constant is taken from."""


@dataclass(frozen=True)
class Feed:
    """Labelled images, unlabelled photographs where there are any, and their order."""

    cfg: GazeTraining
    data: Samples
    real: Samples | None
    rows: Tensor
    """Of `data`, that are learned."""
    sources: list[Tensor]
    """The same, of each source where the configuration says shares."""
    held_out: EyeBatch | None
    constant: Tensor
    """What the best constant network would put out."""
    device: str

    def epochs(self, step: int) -> float:
        """Return how often the data were seen before a step."""
        return step * self.cfg.batch / len(self.rows)

    def batches(self, step: int) -> Batches:
        """Return what a step learns from, or of several processes this one's part of it."""
        cfg = self.cfg
        if cfg.shares:
            rows = shared_indices(self.sources, cfg.shares, cfg.batch, step, cfg.seed)
        else:
            rows = self.rows[batch_indices(len(self.rows), cfg.batch, step, cfg.seed, "gaze")]
        read = {"data": self.data.read(processes.share(rows)).to(self.device)}
        if self.real is not None and step >= cfg.adapts_from:
            some = batch_indices(len(self.real), cfg.adapt.batch, step, cfg.seed, "photographs")
            read["real"] = self.real.read(processes.share(some)).to(self.device)
        return read


def feed(
    cfg: GazeTraining,
    data: Samples,
    real: Samples | None,
    device: str,
    notify: Callable[[str], None] = lambda _: None,
) -> Feed:
    """Check and split the data, and hold them on the device where they fit.

    `notify` hears how many are held out, where any are to be. Raises UserError where they hold no
    gaze or are too few, or cannot be adapted.
    """
    if real is not None:
        check_adaptable(cfg.network, cfg.adapt, bool(cfg.average), data, real)
        processes.check_batch(cfg.adapt.batch, "--set adapt.batch")
    check_learnable(cfg.network, data)
    processes.check_batch(cfg.batch, "--batch")
    together, rows, kept = parted(data, cfg.held_out, cfg.seed)
    data, real = only(data, _READ), None if real is None else only(real, ("head",))
    if len(rows) < 2:
        raise UserError(f"--data: {len(data)} images are too few to train on; render more")
    if cfg.held_out:
        notify(_told(cfg.held_out, together, kept))
    return Feed(
        cfg=cfg,
        data=at_hand(data, device),
        real=None if real is None else at_hand(real, device),
        rows=rows,
        sources=by_source(cfg.shares, cfg.batch, data, rows),
        held_out=data.read(evenly(kept, _HELD_OUT)).to(device) if len(kept) else None,
        constant=constant_output(cfg, labels(data.read(evenly(rows, _FOR_CONSTANT))).to(device)),
        device=device,
    )


def _told(share: float, together: Tensor, kept: Tensor) -> str:
    """Say how many images are held out, which may be far from the share where people are few."""
    if not len(kept):
        return (
            f"held_out: none of {len(together)} images are kept from training to measure on;"
            f" {share:g} of those that no network labelled is less than one"
        )
    of, groups, own = len(together), len(torch.unique(together)), len(torch.unique(together[kept]))
    whole = f" ({own} of {groups} people or faces)" if groups < of else ""
    return f"held_out: {len(kept)} of {of} images{whole} are kept from training to measure on"
