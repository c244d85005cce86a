"""Small made-up eyes and photographs for the tests of `gazegan.data`."""

from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from gazegan.data.manifest import Manifest
from gazegan.data.store import write_store
from gazegan.schema import BOXES, CENTRES, ELLIPSES, LANDMARKS, MASKS, EyeBatch

PARAMS = ("light", "lid")


def make_eyes(count, channels=1, height=6, width=10):
    """Eyes with every label, images on exact uint8 levels."""
    g = torch.Generator().manual_seed(count + channels)
    masks = torch.rand(count, len(MASKS), height, width, generator=g)
    levels = torch.randint(0, 256, (count, channels, height, width), generator=g)
    return EyeBatch(
        image=levels / 255,
        id=torch.arange(count),
        origin=torch.zeros(count, dtype=torch.int64),
        gaze=torch.rand(count, 2, generator=g) - 0.5,
        head=torch.where(torch.arange(count)[:, None] % 3 == 0, torch.nan, 0.25).repeat(1, 2),
        side=torch.arange(count) % 3 - 1,
        subject=torch.arange(count) % 3 - 1,
        masks=masks / masks.sum(1, keepdim=True),
        landmarks=torch.rand(count, len(LANDMARKS), 2, generator=g) * width,
        visible=torch.rand(count, len(LANDMARKS), generator=g) > 0.5,
        params=torch.randn(count, len(PARAMS), generator=g),
        gaze_head=torch.rand(count, 2, generator=g) - 0.5,
        optical=torch.rand(count, 2, generator=g) - 0.5,
        centres=torch.randn(count, len(CENTRES), 3, generator=g),
        ellipses=torch.rand(count, len(ELLIPSES), 5, generator=g),
        intrinsics=torch.rand(count, 4, generator=g),
        distortion=torch.randn(count, 4, generator=g),
        extrinsics=torch.randn(count, 3, 4, generator=g),
        boxes=torch.rand(count, len(BOXES), 4, generator=g)
        * (torch.arange(count) % 2)[:, None, None],
        depth=600 + torch.rand(count, 1, height, width, generator=g),
        normals=torch.randn(count, 3, height, width, generator=g),
    )


def make_plan(count, **changes):
    plan = {
        "kind": "rendered",
        "count": count,
        "channels": 1,
        "height": 6,
        "width": 10,
        "recipe": {"name": "made up", "blur": 0.5},
        "seed": 3,
        "masks": MASKS,
        "landmarks": LANDMARKS,
        "param_names": PARAMS,
        "subjects": ("ann", "bob, jr"),
    }
    return Manifest(**{**plan, **changes})


@pytest.fixture
def eyes():
    return make_eyes


@pytest.fixture
def plan():
    return make_plan


@pytest.fixture
def store(tmp_path):
    """Ten eyes in shards of four."""
    batch = make_eyes(10)
    return write_store(tmp_path / "store", make_plan(10), lambda r: batch[list(r)], shard_size=4)


@pytest.fixture
def photos(tmp_path):
    """Stand-ins for Columbia crops, one of them damaged, one with a foreign name."""
    folder = tmp_path / "photos"
    folder.mkdir()
    names = ("0026_2m_-30P_10V_-15H_L", "0026_2m_0P_-10V_5H_R", "0031_2m_15P_0V_0H_L")
    for k, name in enumerate(names):
        pixels = np.random.default_rng(k).integers(0, 256, (64, 64, 3), dtype=np.uint8)
        Image.fromarray(pixels).save(folder / f"{name}.jpg")
    whole = (folder / f"{names[0]}.jpg").read_bytes()
    (folder / "0040_2m_0P_0V_0H_R.jpg").write_bytes(whole[: len(whole) // 2])
    (folder / "holiday.jpg").write_bytes(whole)
    return folder


@pytest.fixture
def columbia():
    """The genuine crops, where they are at hand."""
    for parent in Path(__file__).resolve().parents:
        folder = parent / "shared" / "real_eyes" / "columbia"
        if folder.is_dir():
            return folder
    pytest.skip("the Columbia crops are not on this machine")
