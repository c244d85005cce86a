"""`gazegan render` writes stores and previews."""

import json
from functools import partial

import numpy as np
import pytest
from click.testing import CliRunner
from PIL import Image

from gazegan.cli import main
from gazegan.data.store import open_store
from gazegan.render import compiled, native, scene


def render(*arguments, code=0):
    result = CliRunner().invoke(main, ["render", *map(str, arguments)])
    assert result.exit_code == code, result.output
    assert "Traceback" not in result.output
    return result


def test_a_preview_needs_no_store(tmp_path):
    file = tmp_path / "new" / "eyes.png"
    values = json.loads(render("standin", "--preview", file, "--size", "12x20", "--json").stdout)
    assert values == {"preview": str(file)}
    assert [path.name for path in tmp_path.rglob("*") if path.is_file()] == ["eyes.png"]
    picture = np.asarray(Image.open(file).convert("RGB")).astype(int)
    # Four rows of six eyes, each enlarged to 240 x 144.
    assert picture.shape[1] > 6 * 240 and picture.shape[0] > 4 * 144
    arrow = np.abs(picture - (255, 112, 67)).max(-1) < 10
    assert arrow.any(), "gaze arrows are drawn"


def test_a_preview_shows_the_eyes_of_the_store(tmp_path):
    common = ("webcam", "--size", "12x20", "--seed", "3")
    both = ("--out", tmp_path / "store", "--count", "3", "--preview", tmp_path / "a.png")
    said = render(*common, *both).output
    assert "3 eyes" in said and "a.png" in said
    assert len(open_store(tmp_path / "store")) == 3
    render(*common, "--preview", tmp_path / "b.png", "--count", "3")
    assert (tmp_path / "a.png").read_bytes() == (tmp_path / "b.png").read_bytes()
    render(*common[:-1], "4", "--preview", tmp_path / "b.png", "--count", "3")
    assert (tmp_path / "a.png").read_bytes() != (tmp_path / "b.png").read_bytes()


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        ((), "--preview"),
        (("--out", "store"), "--count"),
        (("--count", "3"), "--out"),
        (("--preview", "store"), "ends in .png"),
        (("--preview", "folder.png"), "is a folder"),
    ],
)
def test_bad_requests_are_told_in_one_line(arguments, said, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "folder.png").mkdir()
    message = render("webcam", *arguments, code=2).output
    assert said in message and message.count("\n") == 1
    assert [path.name for path in tmp_path.iterdir()] == ["folder.png"]


def test_compile_without_a_compiler_says_so_and_renders(tmp_path, monkeypatch):
    def missing():
        raise compiled.InvalidCxxCompiler

    monkeypatch.setattr(native, "get_cpp_compiler", missing)
    asked = ("webcam", "--count", "3", "--size", "16x24")
    result = render(*asked, "--compile", "--out", tmp_path / "fast")
    assert "no compiler that works" in result.output
    render(*asked, "--out", tmp_path / "plain")
    fast, plain = (tmp_path / name / "manifest.json" for name in ("fast", "plain"))
    assert fast.read_bytes() == plain.read_bytes()


def test_a_compiled_store_is_not_taken_for_a_plain_one(tmp_path, monkeypatch):
    """Their images differ in the last bits, so one may not continue the other."""

    def other(recipe, device, notify):
        return partial(scene.plainly)

    monkeypatch.setattr(compiled, "compiled", other)
    asked = ("webcam", "--count", "3", "--size", "16x24", "--out", tmp_path / "eyes")
    render(*asked, "--compile")
    assert open_store(tmp_path / "eyes").manifest.notes == {"compiled": True}
    assert "compiled" in render(*asked, code=2).output


def test_a_preview_of_strips_shows_each_face_once(tmp_path):
    file = tmp_path / "strips.png"
    render("portrait", "--preview", file, "--size", "12x36", "--count", "8")
    with Image.open(file) as picture:
        width, height = picture.size
    # A row of three faces and a row of one, each enlarged 13 times.
    assert 3 * 468 < width < 4 * 468 and 2 * 156 < height < 3 * 156


def test_scenes_are_previewed_and_written_as_coco(tmp_path):
    asked = ("crowd", "--size", "45x60", "--count", "2", "--seed", "1")
    file, out = tmp_path / "scenes.png", tmp_path / "coco"
    said = render(*asked, "--preview", file, "--out", out).output
    assert "2 scenes of recipe 'crowd'" in said and "as COCO" in said
    with Image.open(file) as picture:
        assert picture.width > 2 * 480
    known = json.loads((out / "annotations.json").read_text())
    assert len(known["images"]) == 2 and known["annotations"]
    values = json.loads(render(*asked, "--out", out, "--json").stdout)
    assert values == {"count": 2, "folder": str(out)}
    assert "leave them out" in render(*asked, "--out", out, "--workers", "2", code=2).output
