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
from gazegan.data.stream import Samples
from gazegan.schema import EyeBatch

_PROBES = 32
_CHUNK = 128


@contextmanager
def seeded(seed: int, *names: str) -> Iterator[None]:
    """Initialise networks inside: their weights then depend on `seed` and `names` alone."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(rng.mix(seed, *names, "init"))
        yield


def describe(samples: Samples) -> dict[str, Any]:
    """Return `channels`, `height`, `width`, `count` and `sha256`, which tell data sets apart.

    The digest is a store's own; of other samples it covers 32 evenly spaced images.
    """
    height, width = samples.size
    return {
        "channels": samples.channels,
        "height": height,
        "width": width,
        "count": len(samples),
        "sha256": samples.manifest.sha256 if isinstance(samples, Store) else _digest(samples),
    }


def _digest(samples: Samples) -> str:
    indices = torch.linspace(0, len(samples) - 1, min(_PROBES, len(samples))).long()
    batch = samples.read(indices)
    image = (batch.image * 255).round().to(torch.uint8).contiguous()
    gaze = b"" if batch.gaze is None else batch.gaze.contiguous().numpy().tobytes()
    return hashlib.sha256(image.numpy().tobytes() + gaze).hexdigest()


@dataclass(frozen=True)
class HeldSamples:
    """Samples in memory, images and masks as bytes."""

    packed: EyeBatch

    def __len__(self) -> int:
        return len(self.packed)

    @property
    def size(self) -> tuple[int, int]:
        """(height, width) in pixels."""
        return self.packed.size

    @property
    def channels(self) -> int:
        return self.packed.channels

    def read(self, indices: Tensor | Sequence[int]) -> EyeBatch:
        """Return the eyes at `indices` [B], in that order."""
        return unpack(self.packed[torch.as_tensor(indices, dtype=torch.int64)])


def hold(samples: Samples, advance: Callable[[int], None] = lambda _: None) -> HeldSamples:
    """Read all samples once and keep them, for those that are slow to read again."""
    parts = []
    for indices in torch.split(torch.arange(len(samples)), _CHUNK):
        parts.append(EyeBatch(**pack(samples.read(indices))))
        advance(len(indices))
    return HeldSamples(EyeBatch.cat(parts))


def stack_rows(*rows: Tensor) -> Tensor:
    """Lay rows of N images `[N, C, H, W]` one above the other: `[C, rows * H, N * W]`."""
    return torch.cat([torch.cat(row.detach().cpu().unbind(), dim=2) for row in rows], dim=1)
