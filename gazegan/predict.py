"""Run a gaze network over samples and keep its outputs beside their labels."""

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Protocol

import torch
from torch import Tensor

from gazegan.geometry import (
    angles_from_vector,
    direction_deg,
    mirror_angles,
    vector_from_angles,
)
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
    spread: Tensor | None = None
    """[N, 2] standard deviations of pitch and yaw, rad, where the network answers them."""


def predict(
    fn: Callable[..., Tensor],
    samples: Samples,
    batch: int = 256,
    device: torch.device | str = "cpu",
    advance: Callable[[int], object] = lambda count: None,
    turned: bool = False,
) -> Predicted:
    """Run `fn` over all samples in order, in evaluation mode and without gradients.

    `fn` maps images `[B, C, H, W]` in 0..1 to `[B, 2]`, or to `[B, 4]` where spreads stand behind
    the angles, and if `turned` is given the heads' yaws `[B]` rad too; `advance` hears of each
    finished batch.
    """
    outputs: list[Tensor] = []
    labels: list[EyeBatch] = []
    with evaluating(fn), torch.no_grad():
        for indices in torch.split(torch.arange(len(samples)), batch):
            read = samples.read(indices)
            beside = (head_turn(read).to(device),) if turned else ()
            outputs.append(fn(read.image.to(device), *beside).cpu())
            labels.append(_labels_alone(read))
            advance(len(indices))
    known, said = EyeBatch.cat(labels), torch.cat(outputs)
    return Predicted(
        said[:, :2],
        known.id,
        known.gaze,
        known.head,
        known.subject,
        known.side,
        said[:, 2:] if said.shape[1] > 2 else None,
    )


def head_turn(batch: EyeBatch) -> Tensor:
    """Return the yaw `[B]` rad of heads, NaN where it is unknown."""
    if batch.head is None:
        return batch.image.new_full((len(batch),), torch.nan)
    return batch.head[:, 1]


def by_face(found: Predicted, face: Tensor) -> Predicted:
    """Return the mean answers and labels of both eyes of each face; others are left out.

    `face` `[N]` int64 says which eyes belong together. What puts one eye off toward the nose puts
    the other off to the other side of the image. `id` is that of a face's first eye. There is no
    spread: the errors of both eyes go together to an unknown degree. Raises ValueError where no
    face has two eyes.
    """
    order = face.argsort(stable=True)
    numbers, counts = torch.unique_consecutive(face[order], return_counts=True)
    whole = torch.isin(face[order], numbers[counts == 2])
    if not whole.any():
        raise ValueError("no face has both eyes")
    pairs = order[whole].view(-1, 2)

    def mean(values: Tensor | None) -> Tensor | None:
        return None if values is None else values[pairs].mean(1)

    subject = None if found.subject is None else found.subject[pairs[:, 0]]
    output = found.output[pairs].mean(1)
    return Predicted(
        output, found.id[pairs[:, 0]], mean(found.gaze), mean(found.head), subject, None
    )


def as_directions(found: Predicted) -> Predicted:
    """Turn answers in pitch and yaw into (cos, sin) of the direction in which they point."""
    theta = torch.deg2rad(direction_deg(found.output))
    return replace(found, output=torch.stack((theta.cos(), theta.sin()), dim=1), spread=None)


def in_range(found: Predicted) -> Predicted:
    """Name gazes that were answered beyond 90 degrees of pitch or 180 of yaw by angles within.

    Networks are not bound to those, and answer anything on images unlike what they learned from.
    """
    beyond = (found.output.abs() > found.output.new_tensor([torch.pi / 2, torch.pi])).any(1)
    within = angles_from_vector(vector_from_angles(found.output.double())).to(found.output)
    return replace(found, output=torch.where(beyond[:, None], within, found.output))


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


def mirror_average(fn: Callable[..., Tensor], target: str = "angles") -> Callable[..., Tensor]:
    """Return `fn` averaged over an image and its left-right mirror image.

    It maps images `[B, C, H, W]` to `[B, 2]`, or to `[B, 4]` with spreads. `target` says what `fn`
    returns: "angles" or "direction", a (cos, sin) pair. Where `fn` takes the heads' yaws `[B]` too,
    so does what is returned. Spreads behind the angles become the root of the mean of both
    variances: as if the errors on the two images were one, so they do not shrink.
    """

    def averaged(image: Tensor, *turn: Tensor) -> Tensor:
        there, back = fn(image, *turn), fn(image.flip(-1), *(-way for way in turn))
        sign, rest = 1 if target == "angles" else -1, slice(2, None)
        mean = (there[:, :2] + sign * mirror_angles(back[:, :2])) / 2
        spread = ((there[:, rest].square() + back[:, rest].square()) / 2).sqrt()
        return torch.cat((mean, spread), dim=1)

    return averaged
