"""Stores of noise and trainings of a few steps, for tests of what commands make of them."""

import torch

from gazegan.data.manifest import Manifest
from gazegan.data.store import write_store
from gazegan.schema import MASKS, EyeBatch

TINY_GAZE = (
    "--steps", "12", "--batch", "8", "--set", "network.widths=[4,4,4,4,4]", "--set", "save_every=2",
    "--set", "evaluate_every=6", "--set", "held_out=0.2",
)  # fmt: skip
TINY_REFINER = (
    "--steps", "6", "--batch", "4", "--set", "network.widths=[4,8]", "--set", "critic.widths=[4,8]",
    "--set", "critic_lead=1", "--set", "history=6", "--set", "save_every=2",
)  # fmt: skip


def eyes(indices, seed, labelled=True, size=(16, 20), channels=1):
    g = torch.Generator().manual_seed(seed)
    count = len(indices)
    masks = torch.rand(count, len(MASKS), *size, generator=g)
    return EyeBatch(
        image=torch.rand(count, channels, *size, generator=g),
        id=torch.tensor(list(indices)),
        origin=torch.zeros(count, dtype=torch.int64),
        gaze=torch.randn(count, 2, generator=g) * 0.2 if labelled else None,
        masks=masks / masks.sum(1, keepdim=True) if labelled else None,
    )


def store_at(path, count=40, seed=0, labelled=True, channels=1, size=(16, 20)):
    plan = Manifest(
        kind="rendered" if labelled else "real", count=count, channels=channels,
        height=size[0], width=size[1], masks=MASKS if labelled else (),
    )  # fmt: skip
    make = lambda indices: eyes(indices, seed + indices.start, labelled, size, channels)  # noqa: E731
    return write_store(path, plan, make, shard_size=16)
