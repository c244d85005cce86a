"""Run a gaze network over samples and keep its outputs beside their labels."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

import torch
from torch import Tensor

from gazegan.geometry import mirror_angles
from gazegan.modes import evaluating
from gazegan.schema import EyeBatch


class Samples(Protocol):
    """Anything that can be counted and read by index, such as a store."""

    def __len__(self) -> int: ...

    def read(self, indices: Tensor) -> EyeBatch: ...


@dataclass(frozen=True)
class Predicted:
    """Outputs of a network beside the labels of the same N samples, all on the CPU."""

    output: Tensor
    """[N, 2] (pitch, yaw) rad, or (cos, sin) of the direction."""
    id: Tensor
    """[N] int64, index in the store."""
    gaze: Tensor | None
    """[N, 2] (pitch, yaw) rad."""
    head: Tensor | None
    """[N, 2] (pitch, yaw) rad; NaN where unknown."""
    subject: Tensor | None
    """[N] int64."""
    side: Tensor | None
    """[N] int64, index into SIDES, or UNKNOWN."""


def predict(
    fn: Callable[[Tensor], Tensor],
    samples: Samples,
    batch: int = 256,
    device: torch.device | str = "cpu",
    advance: Callable[[int], object] = lambda count: None,
) -> Predicted:
    """Run `fn` over all samples in order, in evaluation mode and without gradients.

    `fn` maps images `[B, C, H, W]` in 0..1 to `[B, 2]`; `advance` hears of each finished batch.
    """
    outputs: list[Tensor] = []
    labels: list[EyeBatch] = []
    with evaluating(fn), torch.no_grad():
        for indices in torch.split(torch.arange(len(samples)), batch):
            read = samples.read(indices)
            outputs.append(fn(read.image.to(device)).cpu())
            labels.append(_labels_alone(read))
            advance(len(indices))
    known = EyeBatch.cat(labels)
    return Predicted(
        torch.cat(outputs), known.id, known.gaze, known.head, known.subject, known.side
    )


def _labels_alone(batch: EyeBatch) -> EyeBatch:
    """Drop the pixels, so that a long pass over a store does not fill the memory."""
    return EyeBatch(
        batch.image[:, :, :0],
        batch.id,
        batch.origin,
        batch.gaze,
        batch.head,
        side=batch.side,
        subject=batch.subject,
    )


def mirror_average(
    fn: Callable[[Tensor], Tensor], target: str = "angles"
) -> Callable[[Tensor], Tensor]:
    """Return `fn` averaged over an image and its left-right mirror image.

    `target` says what `fn` returns: "angles" or "direction", a (cos, sin) pair.
    """

    def averaged(image: Tensor) -> Tensor:
        there, back = fn(image), fn(image.flip(-1))
        mirrored = mirror_angles(back) if target == "angles" else -mirror_angles(back)
        return (there + mirrored) / 2

    return averaged
