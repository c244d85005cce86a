"""Scenes written as COCO, read by pycocotools."""

import json
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from gazegan.data.coco import EYE, HEAD, IRIS, write_coco
from gazegan.data.files import make_folder, write_atomic
from gazegan.errors import UserError
from gazegan.render.crowd import render_scenes
from gazegan.render.prior import load_recipe
from gazegan.schema import LANDMARKS, MASKS

RECIPE = load_recipe("crowd", ("image.height=90", "image.width=120", "eyes.distance=[400, 900]"))


@pytest.fixture(scope="module")
def scenes():
    return render_scenes(RECIPE, 3, torch.arange(4))


@pytest.fixture
def folder(scenes, tmp_path):
    assert write_coco(lambda k: scenes[k : k + 1], 4, tmp_path / "coco", {"seed": 3}) == 4
    return tmp_path / "coco"


def test_pycocotools_reads_every_eye(scenes, folder, capsys):
    coco = pytest.importorskip("pycocotools.coco").COCO(folder / "annotations.json")
    evaluation = pytest.importorskip("pycocotools.cocoeval").COCOeval
    assert {c["name"]: c["id"] for c in coco.loadCats(coco.getCatIds())} == {
        "head": HEAD, "eye": EYE, "iris": IRIS}  # fmt: skip
    for k in range(4):
        eyes = coco.loadAnns(coco.getAnnIds(imgIds=[k], catIds=[EYE]))
        heads = coco.loadAnns(coco.getAnnIds(imgIds=[k], catIds=[HEAD]))
        here = scenes.present[k].nonzero().flatten().tolist()
        assert len(eyes) == len(here) == 2 * len(heads)
        for eye, e in zip(eyes, here, strict=True):
            points = np.array(eye["keypoints"]).reshape(-1, 3)
            np.testing.assert_allclose(points[:, :2], scenes.landmarks[k, e], rtol=1e-6)
            np.testing.assert_array_equal(points[:, 2] == 2, scenes.visible[k, e])
            x, y, wide, high = eye["bbox"]
            lids = points[2:18]
            seen = lids[lids[:, 2] == 2][:, :2]
            assert (seen >= (x - 1e-3, y - 1e-3)).all()
            assert (seen <= (x + wide + 1e-3, y + high + 1e-3)).all()
            assert np.radians(eye["gaze_yaw_deg"]) == pytest.approx(float(scenes.gaze[k, e, 1]))
            assert eye["side"] == ("L", "R")[e % 2]
    # Detections that repeat the labels are perfect; shifted by half their width they are not.
    for shift, least, most in ((0, 1, 1), (0.5, 0, 0.5)):
        found = [
            {"image_id": a["image_id"], "category_id": a["category_id"], "score": 1.0,
             "bbox": [a["bbox"][0] + shift * a["bbox"][2], *a["bbox"][1:]]}
            for a in coco.dataset["annotations"]]  # fmt: skip
        judged = evaluation(coco, coco.loadRes(found), "bbox")
        judged.evaluate()
        judged.accumulate()
        judged.summarize()
        assert least <= judged.stats[0] <= most
    capsys.readouterr()


def test_images_and_masks_are_those_of_the_scenes(scenes, folder):
    known = json.loads((folder / "annotations.json").read_text())
    assert [image["file_name"] for image in known["images"]] == [
        f"images/{k:06d}.png" for k in range(4)
    ]
    for k in range(4):
        with Image.open(folder / "images" / f"{k:06d}.png") as picture:
            pixels = np.asarray(picture) / 255
        np.testing.assert_allclose(pixels, scenes.image[k].movedim(0, -1), atol=0.51 / 255)
        with Image.open(folder / "masks" / "iris" / f"{k:06d}.png") as picture:
            iris = np.asarray(picture) / 255
        np.testing.assert_allclose(iris, scenes.masks[k, MASKS.index("iris")], atol=0.51 / 255)


def test_boxes_stay_within_the_image(folder):
    known = json.loads((folder / "annotations.json").read_text())
    ids = [a["id"] for a in known["annotations"]]
    assert len(set(ids)) == len(ids)
    for annotation in known["annotations"]:
        x, y, wide, high = annotation["bbox"]
        assert x >= 0 and y >= 0 and x + wide <= 120 and y + high <= 90
        assert annotation["area"] == pytest.approx(wide * high) and annotation["area"] > 0
    eye = next(a for a in known["annotations"] if a["category_id"] == EYE)
    assert eye["num_keypoints"] == len(LANDMARKS) == len(eye["keypoints"]) // 3


def files(folder):
    return {f.relative_to(folder): f.read_bytes() for f in folder.rglob("*") if f.is_file()}


def test_finished_folders_are_left_alone_and_other_scenes_refused(folder):
    before = files(folder)
    with pytest.raises(UserError, match=r"holds other scenes \(seed: 3 -> 4\)"):
        write_coco(lambda k: pytest.fail("rendered"), 4, folder, {"seed": 4})
    (folder / "parts").mkdir()  # as if killed before its last step
    (folder / "plan.json").write_text("{}")
    write_coco(lambda k: pytest.fail("rendered again"), 4, folder, {"seed": 3})
    assert files(folder) == before and not (folder / "parts").exists()
    (folder / "parts").mkdir()
    (folder / "plan.json").write_text("somebody's")
    for foreign in ("{}", "[]", '{"info": 1}'):
        (folder / "annotations.json").write_text(foreign)
        with pytest.raises(UserError, match="holds other scenes"):
            write_coco(lambda k: pytest.fail("rendered"), 4, folder, {"seed": 3})
        # What somebody else made is not cleared away.
        assert (folder / "parts").is_dir() and (folder / "plan.json").read_text() == "somebody's"
    for name in ("annotations.json", "plan.json"):
        (folder / name).unlink()
    with pytest.raises(UserError, match="not empty and no folder of scenes"):
        write_coco(lambda k: pytest.fail("rendered"), 4, folder, {"seed": 3})


def test_scenes_of_one_panorama_go_on_from_another_folder(scenes, tmp_path):
    def made_of(path, sha256):
        return {"recipe": {"name": "room", "light": {"panorama": path, "sha256": sha256}}}

    def scene(k):
        return scenes[k : k + 1]

    write_coco(scene, 1, tmp_path / "out", made_of("rooms/room.npy", "5a"))
    write_coco(scene, 1, tmp_path / "out", made_of("room.npy", "5a"))
    with pytest.raises(UserError, match="sha256: '5a' -> '6b'"):
        write_coco(scene, 1, tmp_path / "out", made_of("rooms/room.npy", "6b"))
    (tmp_path / "out" / "annotations.json").write_text('{"info": {"made_of": {"recipe": 1}}}')
    with pytest.raises(UserError, match="holds other scenes"):
        write_coco(scene, 1, tmp_path / "out", made_of("room.npy", "5a"))


def test_a_scene_is_said_to_be_there_when_its_pictures_have_reached_the_disk(
    scenes, tmp_path, monkeypatch
):
    written = []

    def note(path, data):
        written.append(path.relative_to(tmp_path / "out"))
        write_atomic(path, data)

    monkeypatch.setattr("gazegan.data.coco.write_atomic", note)
    write_coco(lambda k: scenes[k : k + 1], 2, tmp_path / "out", {"seed": 3})
    for k in range(2):
        before = written[: written.index(Path(f"parts/{k:06d}.json"))]
        assert {Path(f"{of}/{k:06d}.png") for of in ("images", "masks/iris")} <= set(before)


def test_a_folder_cut_short_goes_on_where_it_stopped(scenes, folder, tmp_path):
    made = []

    def scene(k):
        made.append(k)
        if made == [0, 1, 2]:
            raise KeyboardInterrupt
        return scenes[k : k + 1]

    out, heard = tmp_path / "cut", []
    with pytest.raises(KeyboardInterrupt):
        write_coco(scene, 4, out, {"seed": 3})
    with pytest.raises(UserError, match="holds other scenes"):
        write_coco(scene, 5, out, {"seed": 3})
    write_coco(scene, 4, out, {"seed": 3}, heard.append)
    assert made == [0, 1, 2, 2, 3] and heard == [1] * 4
    assert files(out) == files(folder)


@pytest.mark.parametrize("survived", [1, 2, 4])
def test_a_folder_whose_beginning_was_cut_short_is_finished(
    scenes, folder, tmp_path, monkeypatch, survived
):
    left, usual = list(range(survived)), {"make_folder": make_folder, "write_atomic": write_atomic}

    def until_killed(name):
        def step(path, *data):
            if not left:
                if data:
                    path.with_name(f"{path.name}.tmp").write_bytes(b"half")
                raise KeyboardInterrupt
            left.pop()
            usual[name](path, *data)

        return step

    with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
        for name in usual:
            patch.setattr(f"gazegan.data.coco.{name}", until_killed(name))
        write_coco(lambda k: scenes[k : k + 1], 4, tmp_path / "cut", {"seed": 3})
    write_coco(lambda k: scenes[k : k + 1], 4, tmp_path / "cut", {"seed": 3})
    assert files(tmp_path / "cut") == files(folder)
