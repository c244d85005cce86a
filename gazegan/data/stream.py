"""Eyes by index from disk, memory or the renderer, and the order in which steps see them."""

from collections.abc import Collection, Sequence
from dataclasses import dataclass, replace
from functools import cached_property, lru_cache
from pathlib import Path
from typing import Any, Protocol, TypedDict

import torch
from torch import Tensor

from gazegan import rng
from gazegan.data.manifest import MANIFEST, PLAN
from gazegan.data.photographs import Photographs
from gazegan.data.readers import read_folder
from gazegan.data.shards import FIELDS, REQUIRED
from gazegan.data.store import Store, gather, open_store
from gazegan.errors import DataError, UserError
from gazegan.render.prior import Recipe, load_recipe
from gazegan.render.scene import render_indices
from gazegan.schema import EyeBatch


class Samples(Protocol):
    """Labelled or unlabelled eyes of one size and colour that can be read by index."""

    def __len__(self) -> int: ...

    @property
    def size(self) -> tuple[int, int]: ...

    @property
    def channels(self) -> int: ...

    def read(self, indices: Tensor | Sequence[int]) -> EyeBatch: ...


@dataclass(frozen=True)
class MemorySamples:
    """Samples held in memory as one batch."""

    batch: EyeBatch

    def __len__(self) -> int:
        return len(self.batch)

    @property
    def size(self) -> tuple[int, int]:
        """(height, width) in pixels."""
        return self.batch.size

    @property
    def channels(self) -> int:
        """Channels of the images: 1 (grey) or 3 (RGB)."""
        return self.batch.channels

    def read(self, indices: Tensor | Sequence[int]) -> EyeBatch:
        """Return the eyes at `indices` `[B]`, in that order."""
        return self.batch[torch.as_tensor(indices, dtype=torch.int64)]


@dataclass(frozen=True)
class RenderedSamples:
    """The first `count` eyes of a recipe, rendered when they are read."""

    recipe: Recipe
    seed: int
    count: int

    def __len__(self) -> int:
        return self.count

    @property
    def size(self) -> tuple[int, int]:
        """(height, width) in pixels."""
        return self.recipe.image.height, self.recipe.image.width

    @property
    def channels(self) -> int:
        """Channels of the images: 1 (grey) or 3 (RGB)."""
        return self.recipe.image.channels

    def read(self, indices: Tensor | Sequence[int]) -> EyeBatch:
        """Render the eyes at `indices` `[B]`, in that order."""
        return render_indices(self.recipe, self.seed, torch.as_tensor(indices, dtype=torch.int64))


@dataclass(frozen=True)
class JoinedSamples:
    """Several sources one after the other; a label that one of them lacks is absent.

    `subject` is always absent, since its codes mean different people in each source; `id` remains
    the index in its own source. Raises UserError where sizes or colours differ.
    """

    parts: tuple[Samples, ...]

    def __post_init__(self) -> None:
        for part in self.parts[1:]:
            check_alike(self.parts[0], part)

    def __len__(self) -> int:
        return sum(len(part) for part in self.parts)

    @property
    def size(self) -> tuple[int, int]:
        """(height, width) in pixels."""
        return self.parts[0].size

    @property
    def channels(self) -> int:
        """Channels of the images: 1 (grey) or 3 (RGB)."""
        return self.parts[0].channels

    def read(self, indices: Tensor | Sequence[int]) -> EyeBatch:
        """Return the eyes at `indices` `[B]`, counted through all parts, in that order."""
        return gather(indices, [len(part) for part in self.parts], self._rows)

    def _rows(self, part: int, rows: Tensor) -> EyeBatch:
        batch = self.parts[part].read(rows)
        absent: dict[str, Any] = dict.fromkeys(self._absent)
        return replace(batch, **absent)

    @cached_property
    def _absent(self) -> tuple[str, ...]:
        first = [part.read([0]) for part in self.parts]
        lacking = {name for name in FIELDS for batch in first if getattr(batch, name) is None}
        if len({batch.params.shape[1] for batch in first if batch.params is not None}) > 1:
            lacking.add("params")
        return tuple(sorted(lacking | {"subject"}))


def only(samples: Samples, labels: Collection[str]) -> Samples:
    """Return the same eyes, of which a store's have no labels but these: it is faster to read.

    What is verified of a store already is not verified again.
    """
    if isinstance(samples, Store):
        return replace(samples, wanted=(*REQUIRED, *labels), _cache={})
    if isinstance(samples, JoinedSamples):
        return JoinedSamples(tuple(only(part, labels) for part in samples.parts))
    return samples


def check_alike(a: Samples, b: Samples) -> None:
    """Raise UserError naming both sides where two sources differ in size or colour."""
    if (a.size, a.channels) != (b.size, b.channels):
        raise UserError(
            f"{_describe(a)} and {_describe(b)} do not fit together;"
            " make one of them again with the other's size and colour"
        )


def _describe(samples: Samples) -> str:
    name = str(samples.path) if isinstance(samples, Store) else type(samples).__name__
    return f"{name} ({_format(samples.size, samples.channels)})"


def _format(size: tuple[int, int], channels: int) -> str:
    return f"{size[0]}x{size[1]} {'grey' if channels == 1 else 'colour'}"


def batch_indices(count: int, batch_size: int, step: int, seed: int, name: str) -> Tensor:
    """Return batch number `step` `[batch_size]` int64 of an endless, reshuffled sequence.

    Every index in 0..count-1 comes once an epoch; a batch may straddle epochs. Depends on the
    arguments alone, so training resumes at any step with nothing to restore.
    """
    position = torch.arange(step * batch_size, (step + 1) * batch_size)
    epoch = position // count
    first, last = int(epoch[0]), int(epoch[-1])
    orders = torch.stack([_order(count, seed, name, e) for e in range(first, last + 1)])
    return orders[epoch - first, position % count]


def shared_indices(
    sources: Sequence[Tensor], shares: Sequence[float], batch_size: int, step: int, seed: int
) -> Tensor:
    """Return batch number `step` `[batch_size]` of sources of indices, in fixed shares.

    `sources` are `[N_k]` int64 each; `shares` are positive and need no sum of 1. A source is gone
    through in its own, endless and reshuffled order. Shares are met to one image in each batch.
    """
    parts, counts = [], share_counts(shares, batch_size)
    for k, (source, count) in enumerate(zip(sources, counts, strict=True)):
        if count:
            chosen = batch_indices(len(source), count, step, seed, f"share-{k}")
            parts.append(source[chosen])
    return torch.cat(parts)


def share_counts(shares: Sequence[float], batch_size: int) -> list[int]:
    """Return how many images of a batch come from each source, one source after the other."""
    ends = (torch.tensor([0.0, *shares]).double().cumsum(0) / sum(shares) * batch_size).round()
    return [int(count) for count in ends.diff()]


@lru_cache(maxsize=8)
def _order(count: int, seed: int, name: str, epoch: int) -> Tensor:
    return torch.randperm(count, generator=rng.stream(seed, "order", name, epoch))


def open_samples(
    source: Path | str,
    *,
    size: tuple[int, int] | None = None,
    channels: int | None = None,
    seed: int = 0,
    count: int = 100_000,
) -> Samples:
    """Open what `--real` and `--synthetic` accept: a store, a folder of images, or a recipe.

    A folder of PNG or JPEG files is converted to `size` (36x60 unless given) and `channels`
    (grey unless given) and held in memory, unlabelled. A recipe, by file or by the name of one
    that ships, is `count` eyes rendered with `seed`, in that size and colour if given. Raises
    UserError where the source is missing or a store of another size or colour, DataError where it
    is damaged.
    """
    path = Path(source)
    samples: Samples
    if is_store(path):
        samples = open_store(path)
    elif path.is_dir():
        samples = _photographs(path, size or (36, 60), channels or 1)
    elif path.suffix == ".toml" or not path.exists():
        recipe = _recipe(path)
        look = size or (recipe.image.height, recipe.image.width), channels or recipe.image.channels
        samples = RenderedSamples(recipe.seen_as(*look), seed, count)
    else:
        raise UserError(f"{path}: neither a store, a folder of images nor a .toml recipe")
    wanted = _format(size or samples.size, channels or samples.channels)
    if wanted != (got := _format(samples.size, samples.channels)):
        raise UserError(f"{path}: is {got}, but {wanted} is needed; import or render it so")
    return samples


class Look(TypedDict, total=False):
    """How images look, as `open_samples` takes it."""

    size: tuple[int, int]
    channels: int


def look_of(*sources: Path) -> Look:
    """Return the look in which sources go together: that of the first store.

    Without a store it is the first recipe's, and of folders of photographs alone any.
    """
    stores = [path for path in sources if is_store(path)]
    fixed = [*stores, *(path for path in sources if not path.is_dir())]
    if not fixed:
        return {}
    first = open_samples(fixed[0], count=1)
    return {"size": first.size, "channels": first.channels}


def open_together(*sources: Path, seed: int = 0, count: int = 100_000) -> list[Samples]:
    """Open sources that go together, each as `open_samples` does, in the look of the first store.

    Raises UserError naming both sides where stores differ in size or colour.
    """
    look = look_of(*sources)
    opened = [
        open_samples(path, seed=seed, count=count, **({} if is_store(path) else look))
        for path in sources
    ]
    for samples in opened[1:]:
        check_alike(opened[0], samples)
    return opened


def is_store(path: Path) -> bool:
    """Whether a store lies at `path`, finished or not."""
    return (path / MANIFEST).exists() or (path / PLAN).exists()


def _recipe(path: Path) -> Recipe:
    try:
        return load_recipe(path)
    except UserError as fault:
        if path.suffix == ".toml":
            raise
        raise UserError(f"{path}: no such store or folder, and {fault}") from None


def _photographs(folder: Path, size: tuple[int, int], channels: int) -> MemorySamples:
    photographs = Photographs(read_folder(folder).photos, size, channels)
    try:
        return MemorySamples(photographs.read(range(len(photographs))))
    except DataError as fault:
        cure = f"`gazegan import folder {folder} --out STORE` skips such files"
        raise DataError(f"{fault}; {cure}") from None
