"""Which of the images a gaze training learns from, and from which source each comes."""

from collections.abc import Sequence
from itertools import pairwise
from typing import Literal

import torch
from torch import Tensor

from gazegan.data.stream import JoinedSamples, Samples, check_alike, share_counts
from gazegan.errors import UserError
from gazegan.nets.layers import middle
from gazegan.nets.regressor import LEAST_SIDE, RegressorConfig
from gazegan.train.adapt.settings import AdaptConfig


def evenly(indices: Tensor, most: int) -> Tensor:
    """Return up to `most` of the indices `[N]`, evenly spaced: every source has its part."""
    count = min(most, len(indices))
    return indices[torch.linspace(0, len(indices) - 1, count, dtype=torch.float64).long()]


def by_source(
    shares: Sequence[float], batch_size: int, data: Samples, train: Tensor
) -> list[Tensor]:
    """Return which of the indices `train` belong to each source that has a share of its own.

    Raises UserError where there are not as many shares as sources, or one of them would have no
    image in a batch.
    """
    parts = data.parts if isinstance(data, JoinedSamples) else (data,)
    if shares and len(shares) != len(parts):
        raise UserError(f"--share: {len(shares)} shares for {len(parts)} --data; give one for each")
    ends = torch.tensor([0, *map(len, parts)]).cumsum(0).tolist()
    sources = [train[(train >= a) & (train < b)] for a, b in pairwise(ends)]
    for k, count in enumerate(share_counts(shares, batch_size) if shares else ()):
        if not count:
            raise UserError(
                f"--share {shares[k]:g}: is less than one of the {batch_size} images of a batch;"
                " raise it or --batch, or leave that --data out"
            )
        if not len(sources[k]):
            raise UserError(
                f"--data: of number {k + 1}, {len(parts[k])} images, all are held out; lower --set"
                " held_out, or leave it out"
            )
    return sources


Axes = Literal["both", "pitch", "yaw"]
"""Which angles of a source's labels are learned."""


def taught(axes: Sequence[Axes], shares: Sequence[float], batch_size: int) -> Tensor:
    """Return which angles `[batch_size, 2]` (pitch, yaw) of a batch in `shares` are learned."""
    rows = torch.tensor([[one != "yaw", one != "pitch"] for one in axes])
    return rows.repeat_interleave(torch.tensor(share_counts(shares, batch_size)), dim=0)


def check_learnable(network: RegressorConfig, data: Samples) -> None:
    """Raise UserError where a network cannot learn from images of this size or of such labels."""
    rows, columns = middle(torch.empty(data.size), network.view).shape
    if min(rows, columns) < (least := LEAST_SIDE[network.kind]):
        cut = f", of which network.view leaves {rows}x{columns}," if network.view < 1 else ""
        raise UserError(
            f"--data: images of {data.size[0]}x{data.size[1]}{cut} are too small for network.kind"
            f" {network.kind!r}, which needs {least}; take another kind"
        )
    if network.head_yaw and data.read([0]).head is None:
        raise UserError("--data: does not say how heads are turned; leave --head-yaw out")
    if network.kind == "landmarks" and data.read([0]).landmarks is None:
        raise UserError(
            "--data: has no landmarks, which --network landmarks learns to find; render eyes"
            " (`gazegan render`), or take another --network"
        )


def check_adaptable(
    network: RegressorConfig, how: AdaptConfig, averages: bool, data: Samples, real: Samples
) -> None:
    """Raise UserError where a network cannot be adapted to photographs.

    `averages` says whether there is an average of its weights.
    """
    check_alike(data, real)
    # fourier takes light and shade of photographs alone, wherever their heads are turned.
    turned = network.head_yaw and how.method != "fourier"
    if turned and real.read([0]).head is None:
        raise UserError(
            "--real: does not say how heads are turned, which --head-yaw reads; import photographs"
            " whose heads' pose is known, or leave --head-yaw out"
        )
    if network.kind == "landmarks" and how.method == "adversarial":
        raise UserError(
            "--adapt adversarial: --network landmarks keeps all but landmarks from its trunk; take"
            " another --network or another --adapt"
        )
    if how.method in ("adversarial", "fourier"):
        return
    if network.target != "angles":
        raise UserError(
            f"--real: of --target direction nothing can be taught by --adapt {how.method}; leave"
            " --target direction out, or take --adapt adversarial or fourier"
        )
    if not averages:
        raise UserError(
            f"--real: --adapt {how.method} needs the average of the weights; set average above 0"
        )
