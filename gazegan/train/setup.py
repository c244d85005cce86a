"""What both stages need before their first step and for their pictures."""

import hashlib
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from gazegan import rng
from gazegan.data.shards import pack, unpack
from gazegan.data.store import Store
from gazegan.data.stream import JoinedSamples, RenderedSamples, Samples
from gazegan.schema import EyeBatch
from gazegan.train.sources import evenly

_PROBES = 32
_TOLD = ("gaze", "head", "landmarks")
"""Labels that trainings learn or read."""
_CHUNK = 128


@contextmanager
def seeded(seed: int, *names: str) -> Iterator[None]:
    """Initialise networks inside: their weights then depend on `seed` and `names` alone."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(rng.mix(seed, *names, "init"))
        yield


def describe(samples: Samples) -> dict[str, Any]:
    """Return `channels`, `height`, `width`, `count` and `sha256`, which tell data sets apart.

    The digest is a store's own, and of several sources that of theirs; of other samples it covers
    32 evenly spaced images and what is learned of them.
    """
    height, width = samples.size
    return {
        "channels": samples.channels,
        "height": height,
        "width": width,
        "count": len(samples),
        "sha256": _digest(samples),
    }


def _digest(samples: Samples) -> str:
    if isinstance(samples, Store):
        return samples.manifest.sha256
    if isinstance(samples, JoinedSamples):
        parts = [[len(part), _digest(part)] for part in samples.parts]
        return hashlib.sha256(repr(parts).encode()).hexdigest()
    indices = evenly(torch.arange(len(samples)), _PROBES)
    batch = samples.read(indices)
    image = (batch.image * 255).round().to(torch.uint8)
    known = (image, *(getattr(batch, name) for name in _TOLD))
    told = [b"" if one is None else one.contiguous().numpy().tobytes() for one in known]
    return hashlib.sha256(b"".join(told)).hexdigest()


@dataclass(frozen=True)
class HeldSamples:
    """Samples in the memory of a device, images and masks as bytes."""

    packed: EyeBatch

    def __len__(self) -> int:
        return len(self.packed)

    @property
    def size(self) -> tuple[int, int]:
        """(height, width) in pixels."""
        return self.packed.size

    @property
    def channels(self) -> int:
        """Channels of the images: 1 (grey) or 3 (RGB)."""
        return self.packed.channels

    def read(self, indices: Tensor | Sequence[int]) -> EyeBatch:
        """Return the eyes at `indices` `[B]`, in that order."""
        index = torch.as_tensor(indices, dtype=torch.int64)
        return unpack(self.packed[index.to(self.packed.image.device, non_blocking=True)])


def hold(samples: Samples, advance: Callable[[int], None] = lambda _: None) -> HeldSamples:
    """Read all samples once and keep them, for those that are slow to read again."""
    parts = []
    for indices in torch.split(torch.arange(len(samples)), _CHUNK):
        parts.append(EyeBatch(**pack(samples.read(indices))))
        advance(len(indices))
    return HeldSamples(EyeBatch.cat(parts))


def at_hand(samples: Samples, device: str) -> Samples:
    """Hold samples in a GPU's memory where they take less than half of what is free.

    Those that are rendered when they are read stay so, and those for a CPU as they are.
    """
    parts = samples.parts if isinstance(samples, JoinedSamples) else (samples,)
    rendered = any(isinstance(part, RenderedSamples) for part in parts)
    if torch.device(device).type != "cuda" or rendered:
        return samples
    each = sum(value.nbytes for value in pack(samples.read([0])).values())
    free, _ = torch.cuda.mem_get_info(device)
    if 2 * each * len(samples) > free:
        return samples
    return HeldSamples(hold(samples).packed.to(device))


def stack_rows(*rows: Tensor) -> Tensor:
    """Lay rows of N images `[N, C, H, W]` one above the other: `[C, rows * H, N * W]`."""
    return torch.cat([torch.cat(row.detach().cpu().unbind(), dim=2) for row in rows], dim=1)
