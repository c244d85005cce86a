"""Apply a trained refiner to a store: the same labels, new images, and how far pupils moved."""

from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from gazegan import rng
from gazegan.data.store import Store, annotate, write_store
from gazegan.drift import pupil_shift, summary
from gazegan.errors import UserError
from gazegan.modes import evaluating
from gazegan.nets.refiner import Refiner
from gazegan.schema import ORIGINS, EyeBatch

_CHUNK = 256


FULLY = (1.0, 1.0)
"""The strength that takes the whole change."""


def refine_batch(
    refiner: Refiner, batch: EyeBatch, strength: tuple[float, float] = FULLY
) -> EyeBatch:
    """Return the batch with refined images; every label stays as it is.

    Each image takes a share of its change that is drawn evenly from `strength` (low, high) by
    its `id`: one refinement then yields a whole range between render and target.
    """
    device = next(refiner.parameters()).device
    with evaluating(refiner), torch.no_grad():
        parts = [refiner(part.to(device)).cpu() for part in torch.split(batch.image, _CHUNK)]
    image, (low, high) = torch.cat(parts), strength
    if strength != FULLY:
        share = low + (high - low) * rng.uniform(batch.id, 0, "strength")
        image = batch.image + share.view(-1, 1, 1, 1) * (image - batch.image)
    origin = torch.full_like(batch.origin, ORIGINS.index("refined"))
    return replace(batch, image=image.clamp(0, 1), origin=origin)


def refine_store(
    source: Store,
    refiner: Refiner,
    info: Mapping[str, Any],
    out: Path,
    advance: Callable[[int], None] = lambda _: None,
    strength: tuple[float, float] = FULLY,
) -> Store:
    """Write a refined copy of a store; repeating the call continues an unfinished one.

    `info` is what `load_weights` told of the refiner, `strength` is that of `refine_batch`. Raises
    UserError where channels differ or `out` holds something else.
    """
    channels = info["data"]["channels"]
    if channels != source.channels:
        raise UserError(
            f"{source.path}: has {source.channels} channels, the refiner was trained on {channels};"
            " render the store with as many"
        )
    old = source.manifest
    notes = {
        **old.notes,
        "refined_from": old.sha256,
        "refiner": info["sha256"],
        "strength": list(strength),
    }
    plan = old.model_copy(
        update={"kind": "refined", "notes": notes, "fields": (), "shards": (), "sha256": ""}
    )
    return write_store(
        out,
        plan,
        lambda indices: refine_batch(refiner, source.read(indices), strength),
        shard_size=old.shard_size,
        progress=advance,
    )


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
