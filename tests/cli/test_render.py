"""`gazegan render` as a user meets it."""

import json

import pytest
import torch
from click.testing import CliRunner

from gazegan.cli import main
from gazegan.data import rendered
from gazegan.data.store import open_store
from gazegan.render.params import PARAM_NAMES
from gazegan.render.prior import load_recipe
from gazegan.render.scene import render_indices

TINY = ("--size", "12x20")


def run(*arguments, code=0):
    done = CliRunner().invoke(main, ["render", *(str(a) for a in arguments)])
    assert done.exit_code == code, done.output
    assert done.exception is None or isinstance(done.exception, SystemExit)
    return done


def fault_of(*arguments, code=2):
    """The one line with which a command refuses."""
    done = run(*arguments, code=code)
    lines = [line for line in done.stderr.splitlines() if not line.startswith("rendering ")]
    assert len(lines) == 1 and lines[0].startswith("Error: ") and done.stdout == ""
    return lines[0]


def contents(folder):
    return {p.name: p.read_bytes() for p in folder.iterdir() if p.is_file()}


def test_a_store_with_every_label(tmp_path):
    out = tmp_path / "store"
    assert "7 eyes of recipe 'webcam'" in run("webcam", "--count", 7, "--out", out, *TINY).stdout
    store = open_store(out)
    assert (len(store), store.size, store.channels) == (7, (12, 20), 1)
    assert store.manifest.param_names == PARAM_NAMES and store.manifest.seed == 0
    assert {"gaze", "head", "side", "masks", "landmarks", "visible", "params"} <= set(store.fields)
    recipe = load_recipe("webcam", ("image.height=12", "image.width=20"))
    assert store.manifest.recipe == recipe.model_dump(mode="json")
    known, read = render_indices(recipe, 0, torch.arange(7)), store.read(range(7))
    for name in ("gaze", "landmarks", "visible", "params", "id"):
        assert torch.equal(getattr(read, name), getattr(known, name)), name
    assert (read.image - known.image).abs().max() <= 0.5 / 255 + 1e-6


def test_eye_i_is_the_same_in_a_store_of_5_and_of_50(tmp_path):
    few, many = tmp_path / "few", tmp_path / "many"
    run("standin", "--count", 5, "--out", few, "--seed", 4, *TINY)
    run("standin", "--count", 50, "--out", many, "--seed", 4, *TINY)
    a, b = open_store(few).read(range(5)), open_store(many).read(range(5))
    for name in ("image", "gaze", "masks", "landmarks", "params"):
        assert torch.equal(getattr(a, name), getattr(b, name)), name


def test_seed_size_set_and_json(tmp_path):
    out = tmp_path / "store"
    wanted = ("--set", "eyes.gaze_pitch=[5, 25]", "--set", "image.channels=3", "--seed", 8)
    done = run("webcam", "--count", 9, "--out", out, "--size", "16X24", *wanted, "--json")
    said = json.loads(done.stdout)
    assert said["count"] == 9 and said["size"] == [16, 24] and said["store"] == str(out)
    store = open_store(out)
    assert (store.size, store.channels, store.manifest.seed) == ((16, 24), 3, 8)
    pitch = torch.rad2deg(store.read(range(9)).gaze[:, 0])
    assert pitch.min() >= 5 and pitch.max() <= 25


def test_a_recipe_of_ones_own(tmp_path):
    recipe = tmp_path / "mine.toml"
    recipe.write_text('name = "mine"\n[image]\nheight = 12\nwidth = 20\n[eyes]\nside = 1\n')
    out = tmp_path / "store"
    run(recipe, "--count", 4, "--out", out)
    assert (open_store(out).read(range(4)).side == 0).all()


def test_an_interrupted_run_resumes_to_the_same_bytes(tmp_path, monkeypatch):
    whole, torn = tmp_path / "whole", tmp_path / "torn"
    monkeypatch.setattr("gazegan.data.writing._default_shard_size", lambda plan: 4)
    options = ("webcam", "--count", 10, *TINY)
    run(*options, "--out", whole)
    calls = []

    def interrupt(recipe, seed, indices, *rest):
        calls.append(indices.tolist())
        if len(calls) == 2:
            raise KeyboardInterrupt
        return render_indices(recipe, seed, indices, *rest)

    with monkeypatch.context() as patch:
        patch.setattr(rendered, "render_indices", interrupt)
        done = run(*options, "--out", torn, code=130)
        assert "repeat the command to resume" in done.stderr
        assert not (torn / "manifest.json").exists()
        calls[:] = [None, None, None]
        run(*options, "--out", torn)
    assert [call[0] for call in calls[3:]] == [4, 8]  # the finished shard is not made again
    assert contents(torn) == contents(whole)
    before = {p: p.stat().st_mtime_ns for p in torn.iterdir()}
    run(*options, "--out", torn)
    assert before == {p: p.stat().st_mtime_ns for p in torn.iterdir()}


BAD = [
    (("webcm",), "no such recipe"),
    (("none.toml",), "none.toml: no such file"),
    (("webcam", "--count", "0"), "--count"),
    (("webcam", "--count", "-3"), "--count"),
    (("webcam", "--count", "nan"), "--count"),
    (("webcam", "--count", "1e3"), "--count"),
    (("webcam", "--count", 10**30), "--count"),
    (("webcam", "--seed", "-1"), "--seed"),
    (("webcam", "--seed", "x"), "--seed"),
    (("webcam", "--size", "36"), "--size"),
    (("webcam", "--size", "0x9"), "--size"),
    (("webcam", "--size", "-36x60"), "--size"),
    (("webcam", "--size", "nanxnan"), "--size"),
    (("webcam", "--size", "\u00b2x60"), "--size"),
    (("webcam", "--size", f"{'9' * 5000}x60"), "--size"),
    (("webcam", "--size", "99999x60"), "--size"),
    (("webcam", "--set", "eyes.blurr=1"), "did you mean 'eyes.blur'?"),
    (("webcam", "--set", "eyes.blur=nan"), "finite"),
    (("webcam", "--set", "eyes.blur=[2, 1]"), "swap them"),
    (("webcam", "--set", "eyes.blur=-1"), "0 .. 4"),
    (("webcam", "--set", "eyes.blur=soft"), "give a number"),
    (("webcam", "--set", "eyes.blur.x=1"), "unknown key 'eyes.blur.x'"),
    (("webcam", "--set", "blur"), "KEY=VALUE"),
    (("webcam", "--set", "image.height=7"), "height"),
    (("webcam", "--set", "eyes.limbus_radius=6.4", "--set", "eyes.cornea_radius=6.5", "--set",
      "eyes.pupil_radius=4.2", "--set", "eyes.eyeball_radius=nan"), "finite"),
    (("webcam", "--device", "abacus"), "--device"),
    (("webcam", "--colour"), "--colour"),
]  # fmt: skip


@pytest.mark.parametrize(("arguments", "fault"), BAD, ids=[" ".join(map(str, b[0])) for b in BAD])
def test_bad_input_is_refused_in_one_line(tmp_path, monkeypatch, arguments, fault):
    monkeypatch.chdir(tmp_path)
    count = () if "--count" in arguments else ("--count", "3")
    assert fault in fault_of(*arguments, *count, "--out", "store")
    assert not (tmp_path / "store").exists()


def test_missing_options_are_named(tmp_path):
    assert "--out" in fault_of("webcam", "--count", 3)
    assert "--count" in fault_of("webcam", "--out", tmp_path / "store")
    assert "RECIPE" in fault_of("--count", 3, "--out", tmp_path / "store")


@pytest.mark.parametrize(
    ("text", "fault", "code"),
    [
        (b"name = ", "not valid TOML", 2),
        (b"[eyes]\nblurr = 1\n", "did you mean 'eyes.blur'?", 2),
        (b"[eyes]\nblur = nan\n", "finite", 2),
        (b"[eyes]\nblur = inf\n", "finite", 2),
        (b"eyes = 3\n", "eyes", 2),
        (b"[image]\nheight = -36\n", "height", 2),
        (b"\xff\xfe\x00", "cannot be read", 1),
    ],
)
def test_broken_recipes_are_refused_in_one_line(tmp_path, text, fault, code):
    recipe = tmp_path / "mine.toml"
    recipe.write_bytes(text)
    line = fault_of(recipe, "--count", 3, "--out", tmp_path / "store", code=code)
    assert fault in line and "mine.toml" in line and not (tmp_path / "store").exists()


def test_what_lies_at_out_is_never_harmed(tmp_path):
    out = tmp_path / "store"
    run("webcam", "--count", 3, "--out", out, *TINY)
    before = contents(out)
    for other, named in (
        (("--count", 4), "count: 3 -> 4"),
        (("--count", 3, "--seed", 1), "seed: 0 -> 1"),
        (("--count", 3, "--set", "eyes.blur=1"), "eyes.blur"),
    ):
        line = fault_of("webcam", *other, "--out", out, *TINY)
        assert named in line and "choose another --out" in line
        assert ("another --seed" in line) == ("--count 4" in f"{other[0]} {other[1]}")
    assert contents(out) == before
    photographs, file = tmp_path / "photographs", tmp_path / "file"
    photographs.mkdir()
    (photographs / "me.jpg").write_bytes(b"me")
    file.write_bytes(b"text")
    for place in (photographs, file):
        assert place.name in fault_of("webcam", "--count", 3, "--out", place, *TINY)
    assert contents(photographs) == {"me.jpg": b"me"} and file.read_bytes() == b"text"


def test_help_shows_worked_examples():
    assert "gazegan render webcam --count" in run("--help").output
