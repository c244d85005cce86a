"""Stores of a schema that knew four masks are refined, labelled and exported as those of today."""

import json

import numpy as np
import pytest
import torch
from PIL import Image
from stores import read_all, with_four_masks

from gazegan.data.export import export_folder, export_npz
from gazegan.data.pseudo import write_pseudo_labelled
from gazegan.data.store import write_store
from gazegan.nets.refiner import Refiner, RefinerConfig
from gazegan.schema import MASKS, SCHEMA_VERSION
from gazegan.train.apply import refine_store


@pytest.fixture
def old(plan, eyes, tmp_path):
    batch = eyes(6, height=16, width=20)
    whole = plan(6, height=16, width=20)
    return with_four_masks(write_store(tmp_path / "old", whole, lambda rows: batch[list(rows)]))


def test_a_refined_copy_is_of_today(old, tmp_path):
    refiner = Refiner(RefinerConfig(widths=(4, 8), blocks=1), channels=1)
    info = {"data": {"channels": 1}, "sha256": "0" * 64}
    refined = refine_store(old, refiner, info, tmp_path / "refined")
    assert refined.manifest.schema_version == SCHEMA_VERSION
    assert torch.equal(read_all(refined.path).masks, read_all(old.path).masks)


def test_a_labelled_copy_is_of_today(old, tmp_path):
    gaze = torch.rand(6, 2)
    found = read_all(write_pseudo_labelled(old, gaze, tmp_path / "labelled", {}).path)
    assert torch.equal(found.gaze, gaze)
    assert found.masks.shape == (6, len(MASKS), 16, 20)


def test_exports_hold_all_masks_the_later_ones_empty(old, tmp_path):
    export_folder(old, tmp_path / "out")
    export_npz(old, tmp_path / "out.npz")
    record = json.loads((tmp_path / "out" / "labels.jsonl").read_text().splitlines()[0])
    masks = {
        name: np.asarray(Image.open(tmp_path / "out" / record["masks"][name])) for name in MASKS
    }
    assert not any(masks[name].any() for name in MASKS[4:])
    with np.load(tmp_path / "out.npz") as arrays:
        assert arrays["mask_names"].tolist() == list(MASKS)
        np.testing.assert_array_equal(arrays["masks"][0], np.stack(list(masks.values()), -1))
