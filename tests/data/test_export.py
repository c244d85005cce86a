"""Exports can be read without gazegan, say the same as the store, and repeat byte for byte."""

import csv
import json
import shutil
import subprocess
import sys

import numpy as np
import pytest
import torch
from PIL import Image

from gazegan.data.export import export_folder, export_npz
from gazegan.data.photographs import check_readable, import_photographs
from gazegan.data.readers import read_folder
from gazegan.data.store import write_store
from gazegan.errors import DataError, UserError
from gazegan.schema import MASKS, EyeBatch


def contents(path):
    files = [path] if path.is_file() else sorted(p for p in path.rglob("*") if p.is_file())
    return {str(file.relative_to(path)): file.read_bytes() for file in files}


def records(folder):
    return [json.loads(line) for line in (folder / "labels.jsonl").read_text().splitlines()]


def test_a_folder_says_what_the_store_says(store, eyes, tmp_path):
    export_folder(store, tmp_path / "out")
    batch, rows = eyes(10), records(tmp_path / "out")
    assert len(rows) == 10
    for k, row in enumerate(rows):
        pixels = np.asarray(Image.open(tmp_path / "out" / row["file"])) / 255
        np.testing.assert_allclose(pixels, batch.image[k, 0], atol=1e-6)
        cover = [np.asarray(Image.open(tmp_path / "out" / p)) for p in row["masks"].values()]
        assert (np.sum(cover, 0) == 255).all()
        np.testing.assert_allclose(np.stack(cover) / 255, batch.masks[k], atol=2.1 / 255)
        for name in ("depth", "normals"):
            values = np.load(tmp_path / "out" / row[name])
            np.testing.assert_array_equal(values, getattr(batch, name)[k])
        assert row["landmarks"]["pupil_centre"] == batch.landmarks[k, 0].tolist()
        assert row["visible"]["iris_31"] == bool(batch.visible[k, -1])
        assert row["params"] == dict(zip(("light", "lid"), batch.params[k].tolist(), strict=True))
        assert row["side"] == (None, "L", "R")[k % 3]
        assert row["subject"] == (None, "ann", "bob, jr")[k % 3]
        assert (row["head_yaw_deg"] is None) == (k % 3 == 0)


def test_an_exported_folder_is_imported_without_its_masks(store, eyes, tmp_path):
    export_folder(store, tmp_path / "out")
    listing = read_folder(tmp_path / "out", tmp_path / "out" / "labels.csv")
    assert len(listing.photos) == 10 and listing.skipped == ()
    assert len(read_folder(tmp_path / "out").photos) == 10


def test_a_folder_says_the_exact_labels_in_degrees_and_by_name(store, eyes, tmp_path):
    export_folder(store, tmp_path / "out")
    batch = eyes(10)
    for k, row in enumerate(records(tmp_path / "out")):
        in_head = [row["gaze_head_pitch_deg"], row["gaze_head_yaw_deg"]]
        np.testing.assert_allclose(np.deg2rad(in_head), batch.gaze_head[k])
        optical = [row["optical_pitch_deg"], row["optical_yaw_deg"]]
        np.testing.assert_allclose(np.deg2rad(optical), batch.optical[k])
        assert row["centres"] == dict(
            zip(("eyeball", "cornea", "iris", "pupil"), batch.centres[k].tolist(), strict=True)
        )
        assert list(row["intrinsics"].values()) == batch.intrinsics[k].tolist()
        lens = dict(zip(("k1", "k2", "p1", "p2"), batch.distortion[k].tolist(), strict=True))
        assert row["distortion"] == lens
        assert row["extrinsics"] == batch.extrinsics[k].tolist()
        iris = row["ellipses"]["iris"]
        assert [iris["cx"], iris["cy"], iris["semi_major"], iris["semi_minor"]] == batch.ellipses[
            k, 1, :4
        ].tolist()
        assert np.deg2rad(iris["angle_deg"]) == pytest.approx(float(batch.ellipses[k, 1, 4]))
        # A box without area means that nothing is seen.
        known = batch.boxes[k].tolist() if k % 2 else [None, None]
        assert row["boxes"] == dict(zip(("eye", "iris"), known, strict=True))


def test_angles_vectors_and_directions_agree_with_the_formulas(store, eyes, tmp_path):
    export_folder(store, tmp_path / "out")
    for row, (pitch, yaw) in zip(
        records(tmp_path / "out"), eyes(10).gaze.double().tolist(), strict=True
    ):
        assert (row["pitch_deg"], row["yaw_deg"]) == (np.rad2deg(pitch), np.rad2deg(yaw))
        x, y, z = row["vector"]
        assert x == pytest.approx(-np.cos(pitch) * np.sin(yaw))
        assert y == pytest.approx(-np.sin(pitch))
        assert np.hypot(np.hypot(x, y), z) == pytest.approx(1)
        assert row["direction_deg"] == pytest.approx(np.rad2deg(np.arctan2(-y, x)) % 360)
        assert row["eccentricity_deg"] == pytest.approx(np.rad2deg(np.arccos(-z)))


def test_arrays_say_what_the_store_says(store, eyes, tmp_path):
    export_npz(store, tmp_path / "eyes.npz")
    batch = eyes(10)
    with np.load(tmp_path / "eyes.npz", allow_pickle=False) as arrays:
        assert arrays["images"].dtype == np.uint8 and arrays["images"].shape == (10, 6, 10, 1)
        np.testing.assert_allclose(arrays["images"][..., 0] / 255, batch.image[:, 0], atol=1e-6)
        assert arrays["masks"].shape == (10, 6, 10, len(MASKS))
        assert (arrays["masks"].sum(-1, dtype=int) == 255).all()
        for name in ("gaze", "head", "side", "subject", "landmarks", "visible", "params", "id"):
            np.testing.assert_array_equal(arrays[name], getattr(batch, name).numpy())
        for name in ("gaze_head", "optical", "centres", "ellipses", "boxes"):
            np.testing.assert_array_equal(arrays[name], getattr(batch, name).numpy())
        for name in ("intrinsics", "distortion", "extrinsics"):
            np.testing.assert_array_equal(arrays[name], getattr(batch, name).numpy())
        pitch, yaw = batch.gaze.double().numpy().T
        x, y, z = -np.cos(pitch) * np.sin(yaw), -np.sin(pitch), -np.cos(pitch) * np.cos(yaw)
        direction = np.rad2deg(np.arctan2(-y, x)) % 360
        np.testing.assert_allclose(arrays["direction_deg"], direction, rtol=1e-5)
        np.testing.assert_allclose(arrays["eccentricity_deg"], np.rad2deg(np.arccos(-z)), rtol=1e-5)
        assert arrays["direction_deg"].dtype == arrays["eccentricity_deg"].dtype == np.float32
        assert arrays["centre_names"].tolist() == ["eyeball", "cornea", "iris", "pupil"]
        assert arrays["ellipse_names"].tolist() == ["pupil", "iris"]
        assert arrays["box_names"].tolist() == ["eye", "iris"]
        assert arrays["mask_names"].tolist() == list(MASKS)
        assert arrays["subject_names"].tolist() == ["ann", "bob, jr"]


@pytest.mark.parametrize(("export", "name"), [(export_folder, "out"), (export_npz, "out.npz")])
def test_repeating_changes_nothing_and_copies_are_equal(store, tmp_path, export, name):
    out, counted = tmp_path / name, []
    export(store, out, counted.append)
    before = contents(out)
    export(store, out)
    export(store, tmp_path / f"two-{name}")
    assert contents(out) == contents(tmp_path / f"two-{name}") == before
    assert sum(counted) == 10
    assert not list(tmp_path.glob(".*.part"))


@pytest.mark.parametrize(("export", "name"), [(export_folder, "out"), (export_npz, "out.npz")])
def test_anything_else_in_the_way_is_kept(store, eyes, plan, tmp_path, export, name):
    out = tmp_path / name
    other = write_store(tmp_path / "other", plan(3), lambda r: eyes(3))
    export(other, out)
    before = contents(out)
    with pytest.raises(UserError, match="differs from this export"):
        export(store, out)
    assert contents(out) == before
    thesis = tmp_path / "thesis"
    thesis.mkdir()
    (thesis / "chapter.txt").write_text("one")
    with pytest.raises(UserError, match="choose another --out"):
        export(store, thesis)
    assert contents(thesis) == {"chapter.txt": b"one"}


def test_an_export_cut_short_is_invisible_and_repeated(store, tmp_path):
    def stop(_):
        raise KeyboardInterrupt

    out = tmp_path / "out"
    with pytest.raises(KeyboardInterrupt):
        export_folder(store, out, stop)
    assert not out.exists()
    ended = subprocess.Popen([sys.executable, "-c", ""])
    ended.wait()
    stray = tmp_path / f".out.{ended.pid}.0123abcd.part"
    stray.mkdir()
    (stray / "left by a kill").touch()
    out.mkdir()
    export_folder(store, out)
    assert "left by a kill" not in contents(out) and not stray.exists()


def test_two_exports_at_a_time_do_not_disturb_each_other(store, tmp_path):
    out = tmp_path / "out"
    export_folder(store, out, lambda count: None if out.exists() else export_folder(store, out))
    export_folder(store, tmp_path / "alone")
    assert contents(out) == contents(tmp_path / "alone")
    assert not list(tmp_path.glob(".*.part"))


def test_a_damaged_store_is_not_exported(store, tmp_path):
    shard = store.path / store.manifest.shards[2].file
    shard.write_bytes(shard.read_bytes()[:-1])
    for export in (export_folder, export_npz):
        with pytest.raises(DataError, match=shard.name):
            export(store, tmp_path / "out")
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize("channels", [1, 3])
def test_an_export_imports_again_exactly(eyes, plan, tmp_path, channels):
    batch = eyes(10, channels)
    store = write_store(tmp_path / "a", plan(10, channels=channels), lambda r: batch[list(r)])
    export_folder(store, tmp_path / "out")
    listing, digest = check_readable(read_folder(tmp_path / "out", tmp_path / "out" / "labels.csv"))
    again = import_photographs(listing, digest, tmp_path / "b", size=(6, 10), channels=channels)
    got = again.read(range(10))
    assert again.manifest.subjects == ("ann", "bob, jr")
    for name in ("image", "gaze", "head", "side", "subject"):
        torch.testing.assert_close(
            getattr(got, name), getattr(batch, name), atol=0, rtol=0, equal_nan=True
        )


def test_unlabelled_eyes_export_with_nulls(eyes, plan, tmp_path):
    bare = EyeBatch(*(getattr(eyes(2), name) for name in ("image", "id", "origin")))
    names = {"kind": "real", "names": ("x.png", "y.png")}
    empty = dict.fromkeys(("masks", "landmarks", "param_names", "subjects"), ())
    store = write_store(tmp_path / "s", plan(2, **names, **empty), lambda r: bare[list(r)])
    export_folder(store, tmp_path / "out")
    export_npz(store, tmp_path / "out.npz")
    row = records(tmp_path / "out")[1]
    assert row.pop("file") == "images/000001.png"
    known = {"id": 1, "name": "y.png", "origin": "rendered"}
    assert {key: value for key, value in row.items() if value is not None} == known
    assert not (tmp_path / "out" / "labels.csv").exists()
    with np.load(tmp_path / "out.npz") as arrays:
        assert set(arrays) == {"images", "id", "origin", "origin_names", "side_names", "file_names"}


def test_the_table_has_the_columns_that_import_reads(store, tmp_path):
    export_folder(store, tmp_path / "out")
    with (tmp_path / "out" / "labels.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert rows[1]["subject"] == "ann" and rows[0]["subject"] == ""
    shutil.rmtree(tmp_path / "out")
