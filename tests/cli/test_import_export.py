"""`gazegan import` and `gazegan export` as a user meets them."""

import json
import re

import click
import cv2
import numpy as np
import pytest
from click.testing import CliRunner
from days import write_day, write_list
from PIL import Image

from gazegan.cli import COMMANDS, main
from gazegan.data.store import open_store


def run(*arguments, code=0):
    done = CliRunner().invoke(main, [str(a) for a in arguments])
    assert done.exit_code == code, done.output
    assert done.exception is None or isinstance(done.exception, SystemExit)
    assert "Traceback" not in done.output
    return done


def said(done):
    """The message of a fault without spaces, line breaks and the frame drawn around it."""
    return "".join(done.stderr.replace("│", "").split())


def photograph(path, seed=0):
    pixels = np.random.default_rng(seed).integers(0, 256, (64, 64, 3), dtype=np.uint8)
    Image.fromarray(pixels).save(path)


@pytest.fixture
def crops(tmp_path):
    folder = tmp_path / "crops"
    folder.mkdir()
    for k, name in enumerate(
        ("0026_2m_0P_10V_-15H_L", "0027_2m_15P_0V_0H_R", "0030_2m_0P_0V_5H_R")
    ):
        photograph(folder / f"{name}.jpg", k)
    return folder


def test_import_columbia_and_repeat(crops, tmp_path):
    out = tmp_path / "store"
    (crops / "0031_2m_0P_0V_0H_L.jpg").write_bytes(b"torn")
    done = run("import", "columbia", crops, "--out", out)
    assert "3 eyes" in done.output and "skipped 1" in done.output
    assert "skipped 0031_2m_0P_0V_0H_L.jpg: not a PNG or JPEG" in done.output
    store = open_store(out)
    assert (store.size, store.channels) == ((36, 60), 1)
    assert store.manifest.subjects == ("0026", "0027", "0030")
    before = {p.name: p.stat().st_mtime_ns for p in out.iterdir()}
    values = json.loads(run("import", "columbia", crops, "--out", out, "--json").stdout)
    assert (values["count"], values["skipped_count"]) == (3, 1)
    assert before == {p.name: p.stat().st_mtime_ns for p in out.iterdir()}


def test_import_columbia_options(crops, tmp_path):
    out = tmp_path / "store"
    some = ("--subjects", "0026-0027", "--head-yaw", "-15", "--size", "20x30", "--colour")
    run("import", "columbia", crops, "--out", out, *some)
    store = open_store(out)
    assert (len(store), store.size, store.channels) == (1, (20, 30), 3)
    assert store.manifest.names == ("0027_2m_15P_0V_0H_R.jpg",)


def test_strict_fails_and_writes_nothing(crops, tmp_path):
    (crops / "holiday.png").write_bytes(b"")
    done = run("import", "columbia", crops, "--out", tmp_path / "s", "--strict", code=1)
    assert "--strict" in done.output and not (tmp_path / "s").exists()


def test_import_folder_with_and_without_labels(crops, tmp_path):
    table = tmp_path / "labels.csv"
    table.write_text("file,pitch_deg,yaw_deg,subject\n0027_2m_15P_0V_0H_R.jpg,5,-7,ann\n")
    labelled, bare = tmp_path / "labelled", tmp_path / "bare"
    run("import", "folder", crops, "--labels", table, "--out", labelled)
    run("import", "folder", crops, "--out", bare)
    assert open_store(labelled).fields == ("image", "id", "origin", "gaze", "subject")
    assert (len(open_store(labelled)), len(open_store(bare))) == (1, 3)
    assert open_store(bare).fields == ("image", "id", "origin")


def test_import_equalises_what_opencv_equalises(crops, tmp_path):
    stores = [tmp_path / name for name in ("plain", "even")]
    run("import", "folder", crops, "--out", stores[0])
    run("import", "folder", crops, "--out", stores[1], "--equalise")
    plain, even = ((open_store(s).read(range(3)).image * 255).round().byte() for s in stores)
    known = [cv2.equalizeHist(image[0].numpy()) for image in plain]
    np.testing.assert_array_equal(even[:, 0], known)
    for store, more in zip(stores, (("--equalise",), ()), strict=True):
        done = run("import", "folder", crops, "--out", store, *more, code=2)
        assert "otherphotographs,labelsor--equalise" in said(done)


@pytest.fixture
def days(tmp_path):
    folder = tmp_path / "MPIIGaze"
    write_day(folder, "p00", "day01", 2)
    write_day(folder, "p01", "day05", 1)
    write_list(folder, "p00", "day01/0002.jpg left\n")
    write_list(folder, "p01", "day05/0001.jpg right\nday05/0001.jpg left\n")
    return folder


def test_import_mpiigaze_and_repeat(days, tmp_path):
    out = tmp_path / "store"
    done = run("import", "mpiigaze", days, "--out", out)
    assert "3 eyes of 2 people, labels: gaze, head, side, subject" in done.output
    before = {p.name: p.stat().st_mtime_ns for p in out.iterdir()}
    values = json.loads(run("import", "mpiigaze", days, "--out", out, "--json").stdout)
    assert (values["count"], values["subjects"]) == (3, ["p00", "p01"])
    assert before == {p.name: p.stat().st_mtime_ns for p in out.iterdir()}
    some = ("--subjects", "p00", "--subset", "all", "--equalise")
    run("import", "mpiigaze", days, "--out", tmp_path / "all", *some)
    assert len(open_store(tmp_path / "all")) == 4


def test_faults_of_mpiigaze_are_one_line(days, tmp_path):
    out = ("--out", tmp_path / "store")
    assert (
        "givempiigaze'sownfolder"
        in said(run("import", "mpiigaze", days / "Data", *out, code=2)).lower()
    )
    assert "--subjects" in said(run("import", "mpiigaze", days, "--subjects", "7", *out, code=2))
    write_list(days, "p00", "day01/0003.jpg left")
    assert "lacks0003.jpg" in said(run("import", "mpiigaze", days, *out, code=1))
    assert not out[1].exists()


@pytest.mark.parametrize(
    ("arguments", "code", "fault"),
    [
        (("folder", "{crops}/none"), 2, "no such folder"),
        (("folder", "{crops}/.."), 2, "holds no PNG or JPEG"),
        (("folder", "{crops}", "--labels", "{crops}/none.csv"), 2, "--labels"),
        (("folder", "{crops}", "--size", "0x9"), 2, "--size"),
        (("folder", "{crops}", "--size", "nan"), 2, "--size"),
        (("columbia", "{crops}", "--subjects", "x"), 2, "--subjects"),
        (("columbia", "{crops}", "--subjects", "0001"), 2, "--subjects"),
        (("columbia", "{crops}", "--head-yaw", "nan"), 2, "--head-yaw"),
        (("columbia", "{crops}", "--size", "36x61"), 2, "width: 60 -> 61"),
        (("columbia", "{crops}", "--equalise", "--colour"), 2, "leave --colour out"),
    ],
)
def test_faults_are_one_line(crops, tmp_path, arguments, code, fault):
    out = tmp_path / "store"
    if "36x61" in arguments:
        run("import", "columbia", crops, "--out", out)
    if "{crops}/.." in arguments:
        for file in crops.iterdir():
            file.unlink()
    filled = [a.format(crops=crops) for a in arguments]
    done = run("import", *filled, "--out", out, code=code)
    assert fault.replace(" ", "") in said(done)


def test_export_and_repeat(crops, tmp_path):
    store = tmp_path / "store"
    run("import", "columbia", crops, "--out", store)
    for format_, out in (("folder", tmp_path / "plain"), ("npz", tmp_path / "eyes.npz")):
        run("export", store, "--format", format_, "--out", out)
        again = run("export", store, "--format", format_, "--out", out, "--json")
        assert json.loads(again.stdout) == {"out": str(out), "format": format_, "count": 3}
    assert len(list((tmp_path / "plain" / "images").iterdir())) == 3


def test_export_faults_are_one_line(crops, tmp_path):
    run("export", tmp_path / "none", "--format", "npz", "--out", tmp_path / "o", code=2)
    run("export", crops, "--format", "tar", "--out", tmp_path / "o", code=2)
    done = run("export", crops, "--format", "npz", "--out", tmp_path / "o", code=2)
    assert "notastore" in said(done)
    store = tmp_path / "store"
    run("import", "columbia", crops, "--out", store)
    shard = next(store.glob("shard-*"))
    shard.write_bytes(shard.read_bytes()[:-1] + b"\xff\xff")
    done = run("export", store, "--format", "npz", "--out", tmp_path / "o", code=1)
    assert shard.name in said(done)


def leaves(group, path=()):
    context = click.Context(group)
    for name in group.list_commands(context):
        command, place = group.get_command(context, name), (*path, name)
        if isinstance(command, click.Group):
            yield from leaves(command, place)
        else:
            yield place


@pytest.mark.parametrize("command", list(leaves(main)), ids=" ".join)
def test_help_shows_worked_examples(command):
    assert f"gazegan {' '.join(command)} " in run(*command, "--help").output


def test_every_command_bears_the_name_it_is_called_by():
    listed = run("--help").stdout.split("Commands")[1]
    for name in COMMANDS:
        assert re.search(rf"^\W*{name} +\w", listed, re.MULTILINE), name
