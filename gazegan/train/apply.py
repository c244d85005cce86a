"""Apply a trained refiner to a store: the same labels, new images, and how far pupils moved."""

import hashlib
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from gazegan import rng
from gazegan.data.faces import in_pairs
from gazegan.data.manifest import plan_of_copy
from gazegan.data.store import Store, annotate, write_store
from gazegan.drift import pupil_shift, summary
from gazegan.errors import UserError
from gazegan.geometry import angular_error_deg
from gazegan.modes import evaluating
from gazegan.nets.refiner import Refiner
from gazegan.schema import ORIGINS, EyeBatch

_CHUNK = 256
_OF_ONE_REFINEMENT = ("pupil_shift", "gaze_shift_deg", "kept")
"""Notes that say nothing of a refinement of what was refined already."""


@dataclass(frozen=True)
class Strength:
    """Which share of its change each eye takes: drawn evenly from `low` to `high`, by its id.

    One refinement then yields a whole range between render and target.
    """

    low: float = 1.0
    high: float = 1.0
    seed: int = 0

    def of(self, ids: Tensor) -> Tensor:
        """Return the shares `[N]` of eyes or faces `[N]` int64."""
        return self.low + (self.high - self.low) * rng.uniform(ids, self.seed, "strength")


FULLY = Strength()
"""The whole change."""


def refine_batch(
    refiner: Refiner, batch: EyeBatch, strength: Strength = FULLY, faces: bool = False
) -> EyeBatch:
    """Return the batch with refined images; every label stays as it is.

    Where eyes are `faces` by twos, both eyes of one take the same share of their change.
    """
    device = next(refiner.parameters()).device
    with evaluating(refiner), torch.no_grad():
        parts = [refiner(part.to(device)).cpu() for part in torch.split(batch.image, _CHUNK)]
    image = torch.cat(parts)
    if strength != FULLY:
        share = strength.of(batch.id // 2 if faces else batch.id)
        image = batch.image + share.view(-1, 1, 1, 1) * (image - batch.image)
    origin = torch.full_like(batch.origin, ORIGINS.index("refined"))
    return replace(batch, image=image.clamp(0, 1), origin=origin)


def check_channels(source: Store, info: Mapping[str, Any]) -> None:
    """Raise UserError where a store's channels are not those that a refiner was trained on."""
    channels = info["data"]["channels"]
    if channels != source.channels:
        raise UserError(
            f"{source.path}: has {source.channels} channels, the refiner was trained on {channels};"
            " render the store with as many"
        )


def refine_store(
    source: Store,
    refiner: Refiner,
    info: Mapping[str, Any],
    out: Path,
    advance: Callable[[int], None] = lambda _: None,
    strength: Strength = FULLY,
    kept: Tensor | None = None,
) -> Store:
    """Write a refined copy of a store; repeating the call continues an unfinished one.

    `info` is what `load_weights` told of the refiner. With `kept` `[K]` int64, ascending, the copy
    holds these eyes alone. Raises UserError where channels differ or `out` holds something else.
    """
    check_channels(source, info)
    old = source.manifest
    notes: dict[str, Any] = {
        **{name: value for name, value in old.notes.items() if name not in _OF_ONE_REFINEMENT},
        "refined_from": old.sha256,
        "refiner": info["sha256"],
        "strength": asdict(strength),
    }
    changes: dict[str, Any] = {"kind": "refined", "notes": notes}
    if kept is not None:
        which = hashlib.sha256(kept.numpy().tobytes()).hexdigest()
        notes["kept"] = {"of": len(source), "sha256": which}
        changes |= {"count": len(kept), "names": tuple(old.names[i] for i in kept if old.names)}
    plan = plan_of_copy(old, **changes)

    def make(indices: range) -> EyeBatch:
        rows = torch.as_tensor(indices) if kept is None else kept[list(indices)]
        refined = refine_batch(refiner, source.read(rows), strength, in_pairs(source))
        return refined if kept is None else replace(refined, id=torch.as_tensor(indices))

    return write_store(
        out,
        plan,
        make,
        shard_size=old.shard_size,
        progress=advance,
    )


@dataclass(frozen=True)
class Drift:
    """How far a refinement moved what labels are about, for each of N eyes; NaN where unknown."""

    pupil_px: Tensor
    """[N] how far iris and pupil moved."""
    gaze_deg: Tensor
    """[N] how far the answer of an independent gaze network moved."""

    def within(self, pupil_px: float | None, gaze_deg: float | None) -> Tensor:
        """Return which eyes `[N]` did not move beyond either limit; the unknown count as near."""
        near = torch.ones(len(self.pupil_px), dtype=torch.bool)
        for moved, limit in ((self.pupil_px, pupil_px), (self.gaze_deg, gaze_deg)):
            if limit is not None:
                near &= ~(moved > limit)
        return near


def measure_drift(
    source: Store,
    refiner: Refiner,
    strength: Strength = FULLY,
    judge: nn.Module | None = None,
    advance: Callable[[int], None] = lambda _: None,
) -> Drift:
    """Refine every eye of a store without writing it, and measure how far it moved.

    `judge` maps images `[B, C, H, W]` to (pitch, yaw) `[B, 2]` rad.
    """
    pupils, gazes = [], []
    for before in source.batches(_CHUNK):
        after = refine_batch(refiner, before, strength, in_pairs(source))
        unknown = torch.full((len(before),), torch.nan)
        shift = None
        if before.masks is not None:
            shift = pupil_shift(before.image, after.image, before.masks).norm(dim=1)
        pupils.append(unknown if shift is None else shift)
        gazes.append(unknown if judge is None else _moved_deg(judge, before.image, after.image))
        advance(len(before))
    return Drift(torch.cat(pupils), torch.cat(gazes))


def _moved_deg(judge: nn.Module, before: Tensor, after: Tensor) -> Tensor:
    device = next(judge.parameters()).device
    with evaluating(judge), torch.no_grad():
        one, other = (judge(image.to(device)).cpu() for image in (before, after))
    return angular_error_deg(one, other)


def whole_faces(near: Tensor) -> Tensor:
    """Return `near` `[N]` without eyes whose partner (2k and 2k + 1 are a face) is far.

    The last of an odd number has none.
    """
    paired, last = near[: len(near) // 2 * 2], near[len(near) // 2 * 2 :]
    return torch.cat((paired.view(-1, 2).all(1).repeat_interleave(2), last))


def measure_shift(
    raw: Store, refined: Store, advance: Callable[[int], None] = lambda _: None
) -> tuple[Store, dict[str, float]]:
    """Note in the refined store's manifest how far the pupils moved, and return both.

    The numbers are `median_px`, `p95_px` and `located`, the share of eyes open enough to tell.
    A store without masks has none of the three.
    """
    if "masks" not in raw.fields:
        return refined, {}
    shifts: list[Tensor] = []
    for before, after in zip(raw.batches(_CHUNK), refined.batches(_CHUNK), strict=True):
        assert before.masks is not None
        shifts.append(pupil_shift(before.image, after.image, before.masks).norm(dim=1))
        advance(len(before))
    moved = summary(torch.cat(shifts))
    return annotate(refined, {"pupil_shift": moved}), moved
