"""Copies of stores whose gaze labels are a network's answers: pseudo-labels, to learn from.

Lee, Pseudo-Label: the simple and efficient semi-supervised learning method for deep neural
networks (ICML workshop 2013).
"""

import hashlib
from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from gazegan.data.manifest import plan_of_copy
from gazegan.data.store import Store, write_store
from gazegan.schema import EyeBatch


def is_pseudo_labelled(store: Store) -> bool:
    """Whether the labels of a store, or of what it is a copy of, are a network's answers."""
    return "labels" in store.manifest.notes


def write_pseudo_labelled(
    source: Store,
    gaze: Tensor,
    out: Path,
    told: Mapping[str, Any],
    advance: Callable[[int], None] = lambda _: None,
) -> Store:
    """Write a copy of a store with `gaze` `[N, 2]` (pitch, yaw) rad for labels.

    Gaze in the head's frame and the optical axis, which would be of other gazes, are left out;
    `told` says in the manifest's notes where the labels come from. Repeating the call continues an
    unfinished copy. Raises UserError where `out` holds something else.
    """
    old = source.manifest
    digest = hashlib.sha256(gaze.numpy().tobytes()).hexdigest()
    labels = {**told, "sha256": digest}
    notes = {**old.notes, "labelled_from": old.sha256, "labels": labels}
    plan = plan_of_copy(old, notes=notes)

    def make(indices: range) -> EyeBatch:
        read = source.read(indices)
        return replace(read, gaze=gaze[torch.as_tensor(indices)], gaze_head=None, optical=None)

    return write_store(out, plan, make, shard_size=old.shard_size, progress=advance)
