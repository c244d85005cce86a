"""The eyes of several sources side by side: which they are, and what is known of each."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from math import isnan
from pathlib import Path
from typing import TYPE_CHECKING, Any

from gazegan.cli import gaze, options
from gazegan.errors import UserError

if TYPE_CHECKING:
    from torch import Tensor

    from gazegan.data.stream import Samples
    from gazegan.schema import EyeBatch

PANELS = ("origin", "gaze", "subject")
"""What colours may tell."""
_LEAST = 16


@dataclass(frozen=True)
class Group:
    """The eyes of one --data."""

    name: str
    eyes: EyeBatch
    names: tuple[str, ...]
    """Of their files, where they are known."""
    subjects: tuple[str, ...]
    """Whose each eye is; empty where that is unknown."""

    @property
    def origin(self) -> str:
        from gazegan.schema import ORIGINS

        return ORIGINS[int(self.eyes.origin[0])]


def read_groups(data: Sequence[Path], count: int, seed: int) -> list[Group]:
    """Read up to `count` eyes of each source, drawn at random where there are more.

    Folders of photographs and recipes take the size and colour of the stores. Raises UserError
    where a source is too small, is named twice, or differs from the others in size or colour.
    """
    from gazegan.data.stream import open_together

    options.check_once(data)
    opened = open_together(*data, seed=seed, count=count)
    return [
        _group(path, source, k, count, seed)
        for k, (path, source) in enumerate(zip(data, opened, strict=True))
    ]


def _group(path: Path, source: Samples, number: int, count: int, seed: int) -> Group:
    import torch

    from gazegan.data.store import Store

    if len(source) < _LEAST:
        raise UserError(
            f"--data {path}: {len(source)} eyes are too few; at least {_LEAST} are needed"
        )
    # Not the same eyes of renders and of their refinements: such pairs would lie on each other.
    chosen = gaze.choose(torch.arange(len(source)), count, seed, f"embed {number}")
    eyes = source.read(chosen)
    manifest = source.manifest if isinstance(source, Store) else None
    files = manifest.names if manifest else ()
    names = tuple(files[i] if files else "" for i in eyes.id.tolist())
    whose = [-1] * len(eyes) if eyes.subject is None else eyes.subject.tolist()
    people = manifest.subjects if manifest else ()
    return Group(str(path), eyes, names, tuple(people[i] if i >= 0 else "" for i in whose))


def features_of(groups: Sequence[Group], kind: str) -> Tensor:
    """Return what is mapped of all eyes `[N, D]`; features other than pixels in their spreads."""
    import torch

    from gazegan import compare
    from gazegan.nets.features import RandomFeatures

    image = torch.cat([group.eyes.image for group in groups])
    if kind == "pixels":
        return image.flatten(1)
    if kind == "network":
        seen = compare.features_of(RandomFeatures(image.shape[1]), image, lambda count: None)
    else:
        seen = _read_by(Path(kind), groups)
    if compare.alike(seen):
        raise UserError(f"--data: to --features {kind} these eyes are all alike; name others")
    return compare.in_spreads(seen, seen)[0]


def columns_of(groups: Sequence[Group]) -> dict[str, list[str]]:
    """Return what is known of each eye, in words."""
    import torch

    gazes = torch.cat([_gaze(group) for group in groups])
    numbers = {
        name: ["" if isnan(x) else f"{x:.2f}" for x in values.tolist()]
        for name, values in zip(("pitch_deg", "yaw_deg"), torch.rad2deg(gazes).mT, strict=True)
    }
    return {
        "origin": [group.origin for group in groups for _ in group.names],
        "data": [group.name for group in groups for _ in group.names],
        "index": [str(i) for group in groups for i in group.eyes.id.tolist()],
        "name": [name for group in groups for name in group.names],
        "subject": [subject for group in groups for subject in group.subjects],
        **numbers,
    }


def panels_of(groups: Sequence[Group], wanted: Sequence[str]) -> list[Any]:
    """Return the wanted colourings, or all that are known."""
    import torch

    from gazegan.geometry import direction_deg, eccentricity_deg
    from gazegan.plots import Directions, Kinds

    gazes = torch.cat([_gaze(group) for group in groups])
    origins = [group.origin for group in groups]
    alone = len(set(origins)) == len(origins)
    labels = [o if alone else f"{o}: {g.name}" for o, g in zip(origins, groups, strict=True)]
    subjects = [subject for group in groups for subject in group.subjects]
    known: dict[str, Any] = {
        "origin": Kinds("Origin", [x for x, g in zip(labels, groups, strict=True) for _ in g.names])
    }
    if not gazes.isnan().all():
        known["gaze"] = Directions("Gaze", direction_deg(gazes), eccentricity_deg(gazes))
    if any(subjects):
        known["subject"] = Kinds("Subject", subjects)
    for name in wanted:
        if name not in known:
            raise UserError(f"--colour {name}: no --data knows it; leave it out")
    return [known[name] for name in PANELS if name in (wanted or known)]


def _gaze(group: Group) -> Tensor:
    """Return (pitch, yaw) `[N, 2]` rad, NaN where unknown."""
    import torch

    known = group.eyes.gaze
    return torch.full((len(group.eyes), 2), torch.nan) if known is None else known


def _read_by(run: Path, groups: Sequence[Group]) -> Tensor:
    """Return what the last layer of a gaze network reads of all eyes `[N, hidden]`."""
    import torch

    from gazegan.modes import evaluating
    from gazegan.nets.features import last_hidden
    from gazegan.predict import head_turn
    from gazegan.train.checkpoint import load_weights

    if not run.exists():
        raise UserError(f"--features {run}: neither pixels, network nor a run of `train gaze`")
    network, info = load_weights(run, "gaze")
    for name, eyes in ((f"--data {g.name}", g.eyes) for g in groups):
        gaze.check_suits(f"--features {run}", info, name, eyes.size, eyes.channels)
        gaze.check_heads(f"--features {run}", network, name, eyes.head is not None)
    with evaluating(network), torch.no_grad():
        parts = [last_hidden(network, g.eyes.image, head_turn(g.eyes)) for g in groups]
    return torch.cat(parts)
