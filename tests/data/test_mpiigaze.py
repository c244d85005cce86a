"""MPIIGaze's normalised eyes, from files of its layout with made-up eyes in them."""

import contextlib
import math
import signal

import cv2
import numpy as np
import pytest
import torch
from days import write_day, write_list
from hypothesis import given, settings
from hypothesis import strategies as st
from safetensors import torch as safetensors
from scipy.io import loadmat, savemat
from scipy.spatial.transform import Rotation

from gazegan.data import matlab, matlab_worker
from gazegan.data.matlab import reader
from gazegan.data.mpiigaze import (
    DAYS,
    LISTS,
    count_days,
    find_persons,
    head_angles,
    import_mpiigaze,
    read_mpiigaze,
)
from gazegan.errors import DataError, UserError
from gazegan.geometry import rotation, vector_from_angles
from gazegan.render.prior import load_recipe
from gazegan.render.scene import render_indices


@pytest.fixture
def at_once(monkeypatch):
    """Read without a process of its own, whose start takes half a second."""

    @contextlib.contextmanager
    def here():
        def read(path):
            names, packed = matlab_worker.day(str(path))
            return tuple(names), safetensors.load(packed)

        yield read

    monkeypatch.setattr("gazegan.data.mpiigaze.reader", here)


@pytest.fixture
def tree(tmp_path):
    """Two people; one of the days holds a single photograph, and a list names an eye twice."""
    folder = tmp_path / "MPIIGaze"
    write_day(folder, "p00", "day01", 3)
    write_day(folder, "p00", "day02", 1)
    write_day(folder, "p00", "day03", 2)
    write_day(folder, "p03", "day07", 2)
    twice = "day02/0001.jpg left\nday01/0003.jpg right\nday02/0001.jpg left\nday01/0001.jpg left\n"
    write_list(folder, "p00", twice)
    write_list(folder, "p03", "day07/0002.jpg right\r\n\r\n")
    return folder


def slowly(folder, person, day, file, side):
    """Image, gaze and head of one eye, by scipy, OpenCV and the set's own formulas."""
    found = loadmat(folder / DAYS / person / f"{day}.mat", struct_as_record=False)
    names = [cell[0] for cell in found["filenames"][:, 0]]
    eyes = getattr(found["data"][0, 0], side)[0, 0]
    k = names.index(file)
    x, y, z = eyes.gaze[k]
    turn = cv2.Rodrigues(eyes.pose[k])[0]
    head = (math.asin(turn[1, 2]), math.atan2(turn[0, 2], turn[2, 2]))
    return eyes.image[k], (math.asin(-y), math.atan2(-x, -z)), head


def check(store, folder, wanted):
    assert len(store) == len(wanted)
    batch = store.read(range(len(store)))
    for i, (person, day, file, side) in enumerate(wanted):
        image, gaze, head = slowly(folder, person, day, file, side)
        np.testing.assert_array_equal((255 * batch.image[i, 0]).round().numpy(), image)
        np.testing.assert_allclose(batch.gaze[i], gaze, atol=1e-6)
        np.testing.assert_allclose(batch.head[i], head, atol=1e-6)
        assert batch.side[i] == ("right", "left").index(side)
        assert store.manifest.subjects[batch.subject[i]] == person
        assert store.manifest.names[i] == f"{person}/{day}/{file[:4]}_{side}.jpg"


def imported(folder, out, subjects=None, *, all_eyes=False, **more):
    persons = find_persons(folder, subjects, all_eyes=all_eyes)
    return import_mpiigaze(persons, read_mpiigaze(persons), out, **more)


def test_the_lists_choose_the_eyes_and_their_order(tree, tmp_path):
    seen = []
    persons = find_persons(tree)
    eyes = read_mpiigaze(persons, seen.append)
    assert len(seen) == count_days(persons) == 3  # day03 is in no list
    wanted = [
        ("p00", "day02", "0001.jpg", "left"),
        ("p00", "day01", "0003.jpg", "right"),
        ("p00", "day02", "0001.jpg", "left"),
        ("p00", "day01", "0001.jpg", "left"),
        ("p03", "day07", "0002.jpg", "right"),
    ]
    check(import_mpiigaze(persons, eyes, tmp_path / "store"), tree, wanted)


def test_all_eyes_need_no_lists(at_once, tree, tmp_path):
    (tree / LISTS / "p03.txt").unlink()
    days = {"day01": 3, "day02": 1, "day03": 2}
    wanted = [
        ("p00", day, f"{k + 1:04d}.jpg", side)
        for day, count in days.items()
        for side in ("right", "left")
        for k in range(count)
    ]
    check(imported(tree, tmp_path / "p00", {0}, all_eyes=True), tree, wanted)
    assert len(imported(tree, tmp_path / "both", all_eyes=True)) == 16


def test_repeating_resumes_and_another_import_is_refused(at_once, tree, tmp_path):
    out = tmp_path / "store"
    imported(tree, out)
    before = {p.name: p.stat().st_mtime_ns for p in out.iterdir()}
    imported(tree, out)
    assert before == {p.name: p.stat().st_mtime_ns for p in out.iterdir()}
    with pytest.raises(UserError, match="another configuration"):
        imported(tree, out, {0})
    with pytest.raises(UserError, match="equalised"):
        imported(tree, out, equalised=True)


def test_equalised_eyes_are_those_of_opencv(at_once, tree, tmp_path):
    batch = imported(tree, tmp_path / "store", {3}, equalised=True).read([0])
    image, *_ = slowly(tree, "p03", "day07", "0002.jpg", "right")
    found = (255 * batch.image[0, 0]).round().numpy()
    np.testing.assert_array_equal(found, cv2.equalizeHist(np.ascontiguousarray(image)))


def test_signs_of_gaze_and_head(at_once, tmp_path):
    """x to the image's right, y down, z away from the camera; no turn faces the camera."""
    up_left = np.array([[-0.5, -0.3, -0.8]])  # toward the image's left, upward, to the camera
    turned = Rotation.from_euler("y", 20, degrees=True).as_rotvec()[None]  # its -z goes left
    write_day(tmp_path, "p00", "day01", 1, left={"gaze": up_left, "pose": turned})
    eyes = imported(tmp_path, tmp_path / "s", all_eyes=True).read([1])
    assert eyes.gaze[0, 0] > 0.2 and eyes.gaze[0, 1] > 0.2
    np.testing.assert_allclose(torch.rad2deg(eyes.head[0]), (0, 20), atol=1e-4)
    assert eyes.side.item() == 1  # the left eye of a person is at the image's right


def test_renders_written_as_a_day_come_back_with_their_labels(at_once, tmp_path):
    eyes = render_indices(load_recipe("laptop", ("eyes.side=-1",)), 0, torch.arange(4))
    turn = rotation(eyes.head.double(), torch.zeros(4, dtype=torch.float64))
    left = {
        "image": (255 * eyes.image[:, 0]).round().byte().numpy(),
        "gaze": vector_from_angles(eyes.gaze.double()).numpy(),
        "pose": Rotation.from_matrix(turn.numpy()).as_rotvec(),
    }
    write_day(tmp_path, "p00", "day01", 4, left=left)
    found = imported(tmp_path, tmp_path / "s", all_eyes=True).read(range(4, 8))
    for name in ("gaze", "head", "side"):
        torch.testing.assert_close(getattr(found, name), getattr(eyes, name))
    torch.testing.assert_close(found.image, eyes.image, rtol=0, atol=0.502 / 255)


turns = st.lists(st.floats(-1.2, 1.2), min_size=3, max_size=3)


@given(turns)
@settings(deadline=None, max_examples=100)
def test_heads_face_where_their_rotation_turns_them(turn):
    facing = Rotation.from_rotvec(turn).apply((0, 0, -1))
    found = vector_from_angles(head_angles(torch.tensor(turn, dtype=torch.float64)))
    np.testing.assert_allclose(found, facing, atol=1e-12)


@pytest.mark.parametrize(
    ("left", "fault"),
    [
        ({"image": np.zeros((2, 60, 36), np.uint8)}, "left.image is 2 x 60 x 36, not 2 x 36 x 60"),
        ({"image": np.zeros((3, 36, 60), np.uint8)}, "left.image is 3 x 36 x 60"),
        ({"image": np.zeros((2, 36, 60))}, "left.image holds no bytes"),
        ({"gaze": np.zeros((2, 2))}, "left.gaze is 2 x 2, not 2 x 3"),
        ({"gaze": np.full((2, 3), np.nan)}, "left.gaze holds values that are not finite"),
        ({"gaze": np.zeros((2, 3))}, "a gaze vector has no length"),
        ({"pose": np.full((2, 3), np.inf)}, "left.pose holds values that are not finite"),
        ({"pose": np.zeros((2, 3), np.int32)}, "left.pose holds no floats"),
    ],
)
def test_arrays_that_cannot_be_right_are_named(at_once, tmp_path, left, fault):
    write_day(tmp_path, "p00", "day01", 2, left=left)
    with pytest.raises(DataError, match=rf"day01\.mat: {fault}"):
        read_mpiigaze(find_persons(tmp_path, all_eyes=True))


@pytest.mark.parametrize(
    ("damage", "fault"),
    [
        (lambda data: data[: len(data) // 2], "cannot be read as a day of MPIIGaze"),
        (lambda data: data[:700] + bytes(64) + data[764:], "cannot be read as a day of MPIIGaze"),
        (lambda data: b"", "cannot be read as a day of MPIIGaze"),
        (lambda data: np.random.default_rng(0).bytes(4096), "cannot be read as a day of MPIIGaze"),
    ],
)
def test_damaged_files_are_refused_by_one_line(tree, damage, fault):
    path = tree / DAYS / "p00" / "day02.mat"
    path.write_bytes(damage(path.read_bytes()))
    with pytest.raises(DataError, match=rf"day02\.mat: {fault}") as caught:
        read_mpiigaze(find_persons(tree))
    assert "\n" not in str(caught.value)


def test_other_contents_are_refused(tmp_path):
    path = write_day(tmp_path, "p00", "day01", 2, filenames=np.array(["0001.jpg", "0001.jpg"]))
    persons = find_persons(tmp_path, all_eyes=True)
    with pytest.raises(DataError, match="filenames are given twice or are none"):
        read_mpiigaze(persons)
    savemat(path, {"other": 1})
    with pytest.raises(DataError, match="KeyError: 'data'"):
        read_mpiigaze(persons)


def test_a_reader_that_is_killed_is_told_with_its_file(tree, monkeypatch):
    suicide = f"import os; os.kill(os.getpid(), {int(signal.SIGSEGV)})"
    monkeypatch.setattr(matlab, "_CODE", suicide)
    with pytest.raises(DataError, match=r"day01\.mat.*killed by signal 11"):
        read_mpiigaze(find_persons(tree, {0}))


def test_the_reader_ends_with_its_block(tree):
    with reader() as read:
        assert read(tree / DAYS / "p03" / "day07.mat")[0] == ("0001.jpg", "0002.jpg")
        names, arrays = read(tree / DAYS / "p00" / "day02.mat")
    assert names == ("0001.jpg",) and arrays["left.image"].shape == (1, 36, 60)
    with pytest.raises(ValueError, match="closed"):
        read(tree / DAYS / "p00" / "day02.mat")


@pytest.mark.parametrize(
    ("text", "fault"),
    [
        ("day01/0001.jpg left\nday99/0001.jpg left", r"p00\.txt line 2: .* lacks day99"),
        ("day01/0001.jpg middle", r"p00\.txt line 1: 'day01/0001.jpg middle' is not as day01"),
        ("day01/../0001.jpg left", r"line 1"),
        ("\n", r"p00\.txt: names no eyes"),
        ("day01/0009.jpg left", r"day01\.mat: lacks 0009\.jpg, which a list names"),
    ],
)
def test_lists_that_cannot_be_right_are_named(at_once, tree, text, fault):
    write_list(tree, "p00", text)
    with pytest.raises(DataError, match=fault):
        read_mpiigaze(find_persons(tree))


def test_folders_that_are_something_else_are_told_with_the_cure(tree, tmp_path):
    with pytest.raises(UserError, match="no such folder"):
        find_persons(tmp_path / "none")
    with pytest.raises(UserError, match="give MPIIGaze's own folder"):
        find_persons(tree / "Data")
    with pytest.raises(UserError, match=r"--subjects: .* holds p00, p03 only"):
        find_persons(tree, {1})
    (tree / LISTS / "p00.txt").unlink()
    with pytest.raises(UserError, match="--subset all"):
        find_persons(tree)
