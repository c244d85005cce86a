"""The demo walks the whole road, tells what it found as it found it, and can be repeated."""

import io
import json
import shlex
from dataclasses import replace
from pathlib import Path

import click
import pytest
import torch
from click.testing import CliRunner
from PIL import Image
from webpages import Tags, check_self_contained

from gazegan.cli import demo_report, main
from gazegan.cli.demo_report import Results, Score, page, text, verdict
from gazegan.cli.figures import Figure
from gazegan.cli.road import QUICK, Target, find_target, stops
from gazegan.data.store import open_store
from gazegan.errors import UserError
from gazegan.render.prior import load_recipe
from gazegan.render.scene import render_indices

_SMALL = ("--batch", "4", "--set", "network.widths=[4,4,4,4,4]")
TINY = replace(
    QUICK, renders=24, target=12, scored=16, gaze_steps=6, refiner_steps=4, explained=2,
    attacked=2, attack_steps=2, exported=2, gaze=_SMALL,
    refiner=("--batch", "4", "--set", "network.widths=[4]", "--set", "critic_lead=1"),
)  # fmt: skip
MARKUP = '<b onclick=x>eyes</b> & "co"'


def run(*arguments, code=0):
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("gazegan.cli.demo.QUICK", TINY)
        result = CliRunner().invoke(main, ["demo", "--quick", *map(str, arguments)])
    assert result.exit_code == code, result.output
    assert "Traceback" not in result.output
    return result


@pytest.fixture(scope="module")
def walked(tmp_path_factory):
    """A finished walk to the stand-in: its folder and what it printed."""
    out = tmp_path_factory.mktemp("demo") / "demo"
    return out, json.loads(run("--out", out, "--json").stdout)


@pytest.fixture(scope="module")
def columbia(tmp_path_factory):
    """A folder of JPEGs of four people, named as in the Columbia set but made from renders."""
    folder = tmp_path_factory.mktemp("real") / MARKUP.replace("/", "")
    folder.mkdir()
    eyes = render_indices(load_recipe("columbia"), 3, torch.arange(16)).image[:, 0]
    names = [
        f"{person:04d}_2m_0P_{vertical}V_{horizontal}H_L.jpg"
        for person in (3, 4, 7, 9)
        for vertical, horizontal in ((0, -10), (10, 0), (-10, 5), (0, 15))
    ]
    for name, eye in zip(names, eyes, strict=True):
        Image.fromarray((eye * 255).to(torch.uint8).numpy()).save(folder / name)
    return folder


def times(out: Path) -> dict[str, int]:
    """When each file below a demo's folder was written, but for its record and report."""
    return {
        str(path): path.stat().st_mtime_ns
        for path in out.rglob("*")
        if path.is_file() and path.parent != out
    }


def test_the_table_tells_what_the_evaluations_recorded(walked):
    out, values = walked
    for name in ("raw", "refined"):
        record = json.loads((out / f"results/evaluate-{name}/evaluation.json").read_text())
        score = values["scores"][name]
        assert [score[k] for k in ("mean_deg", "median_deg", "p95_deg")] == [
            record["mean_deg"], record["median_deg"], record["p95_deg"]
        ]  # fmt: skip
        assert values["scores"]["constant"]["mean_deg"] == record["constant_deg"]
    tags = check_self_contained((out / "report.html").read_text())
    for score in values["scores"].values():
        assert f"{score['mean_deg']:.2f}" in tags.text and f"{score['p95_deg']:.2f}" in tags.text
    assert sum(tag == "img" for tag, _ in tags.found) == 7
    assert "figures on this page mean nothing" in " ".join(tags.text.split())
    assert "figures mean nothing" in values["verdict"]


def test_the_networks_saw_what_the_road_says(walked):
    out, _ = walked
    stores = {path.name: open_store(path) for path in (out / "stores").iterdir()}
    assert stores["renders"].manifest.recipe["name"] == "webcam"
    assert stores["target"].manifest.recipe["name"] == "standin"
    assert stores["target"].manifest.seed != stores["scored"].manifest.seed
    configs = [
        json.loads((out / f"runs/gaze-{name}/config.json").read_text())
        for name in ("raw", "refined")
    ]
    assert configs[0]["config"] == configs[1]["config"], "the same training for both"
    assert configs[0]["data"]["sha256"] == stores["renders"].manifest.sha256
    assert configs[1]["data"]["sha256"] == stores["refined"].manifest.sha256
    assert len(list((out / "export" / "images").glob("*.png"))) == 2


def test_every_command_of_the_report_is_one_that_was_run(walked):
    out, values = walked
    road = stops(Target("stand-in"), TINY, out, 0, "cpu")
    shown = Tags((out / "report.html").read_text()).text
    for stop in road:
        assert values["stops"][stop.key]["finished"]
        for command in stop.commands:
            assert shlex.join(("gazegan", *command)) in shown


def test_repeating_the_command_changes_nothing_and_mends_what_is_gone(walked):
    out, values = walked
    before = times(out)
    again = run("--out", out)
    assert times(out) == before
    assert again.output.count(": done") == len(values["stops"])
    assert f"{values['scores']['refined']['mean_deg']:.2f}" in again.output
    attack = out / "results" / "attack" / "attack.json"
    record = attack.read_bytes()
    attack.unlink()
    run("--out", out)
    assert attack.read_bytes() == record


def test_another_configuration_and_a_foreign_folder_are_refused(walked, tmp_path):
    out, _ = walked
    before = times(out)
    said = run("--out", out, "--seed", "5", code=2).output
    assert "seed: 0 -> 5" in said and said.count("\n") == 1
    assert times(out) == before
    (tmp_path / "diary.txt").write_text("mine")
    assert "holds something else" in run("--out", tmp_path, code=2).output
    assert [path.name for path in tmp_path.iterdir()] == ["diary.txt"]
    assert "no such folder" in run("--real", tmp_path / "none", "--out", tmp_path, code=2).output
    assert "no PNG or JPEG" in run("--real", tmp_path, "--out", tmp_path / "x", code=2).output


def test_an_interrupted_walk_is_resumable_and_says_so(tmp_path, monkeypatch):
    def interrupted(command, as_json):
        raise click.Abort

    out = tmp_path / "demo"
    monkeypatch.setattr("gazegan.cli.demo._run", interrupted)
    assert "repeat the command to resume" in run("--out", out, code=130).output
    record = json.loads((out / "demo.json").read_text())
    assert record["stops"]["render"]["finished"] is False
    assert not list(out.rglob("*.tmp"))


def test_labelled_photographs_are_scored_on_other_people(columbia, tmp_path):
    out = tmp_path / "demo"
    values = json.loads(run("--real", columbia, "--out", out, "--json").stdout)
    assert values["target"] == "photographs"
    toward, scored = (open_store(out / "stores" / name) for name in ("target", "scored"))
    assert toward.manifest.subjects == ("0003", "0004")
    assert scored.manifest.subjects == ("0007", "0009")
    assert open_store(out / "stores" / "renders").manifest.recipe["name"] == "columbia"
    html = (out / "report.html").read_text()
    check_self_contained(html)
    assert columbia.name not in html
    assert columbia.name in Tags(html).text
    again = run("--real", columbia, "--out", out)
    assert again.output.count(": done") == 9


def test_photographs_without_labels_are_refined_toward_but_not_scored(columbia, tmp_path):
    for i, path in enumerate(sorted(columbia.iterdir())):
        (tmp_path / f"{i}.jpg").write_bytes(path.read_bytes())
    target = find_target(tmp_path)
    assert target.kind == "unlabelled photographs"
    assert "no gaze labels" in target.why_no_score
    commands = {stop.key: stop.commands for stop in stops(target, TINY, Path("o"), 0, "cpu")}
    assert commands["target"][0][:3] == ("import", "folder", str(tmp_path))
    assert commands["target"][1][:2] == ("render", "webcam")
    assert "--seed" in commands["target"][1]
    assert commands["target"][1] != commands["render"][0], "scored eyes are held out"
    for path in columbia.glob("0003*"):
        (tmp_path / "one").mkdir(exist_ok=True)
        (tmp_path / "one" / path.name).write_bytes(path.read_bytes())
    assert "one person" in find_target(tmp_path / "one").why_no_score


def test_a_missing_folder_is_named():
    with pytest.raises(UserError, match="--real nowhere: no such folder"):
        find_target(Path("nowhere"))


def fabricated(raw=9.0, refined=8.5, **more) -> Results:
    scores = (
        Score("constant", 12, 11, 20),
        Score("raw", raw, 8, 17),
        Score("refined", refined, 7, 16),
    )
    return Results(Target("stand-in"), False, 4, 321, scores, 12.75, **more)


@pytest.mark.parametrize(
    ("results", "said"),
    [
        (fabricated(), "helped: the mean error fell by 0.50, from 9.00 to 8.50"),
        (fabricated(8.5, 9.0), "did not help: the mean error rose by 0.50, from 8.50 to 9.00"),
        (fabricated(8.5, 8.45), "made no clear difference"),
        (fabricated(13.0, 8.5), "Trained on raw renders, the network does not beat the constant"),
        (fabricated(13.0, 14.0), "Trained on raw and refined renders, the network does not beat"),
        (fabricated(pupil_shift={"median_px": 0.8}), "iris and pupil moved by 0.80 px"),
        (replace(fabricated(), quick=True), "these figures mean nothing"),
        (fabricated(), "one seed proves little"),
        (fabricated(), "On 321 stand-in eyes"),
        (
            replace(fabricated(), target=Target("unlabelled photographs", why_no_score="so")),
            "helped on your photographs cannot be told without labels",
        ),
    ],
)
def test_the_verdict_tells_the_truth_either_way(results, said):
    assert said in verdict(results)


def test_the_page_escapes_names_and_holds_every_figure():
    target = Target("unlabelled photographs", Path(MARKUP), why_no_score="<i>why</i>")
    results = replace(
        fabricated(heads=[(MARKUP, 3, 12.0, 9.0, 8.0)], slopes={"raw": (0.5, None)}), target=target
    )
    pixel = io.BytesIO()
    Image.new("RGB", (2, 2)).save(pixel, "PNG")
    names = ("renders", "refined", "errors", "training", "maps", "attack", "examples")
    figures = {name: Figure(pixel.getvalue(), f"{name} {MARKUP}") for name in names}
    road = stops(target, TINY, Path(MARKUP), 4, "cpu")
    html = page(results, figures, road, {"render": {"seconds": 61.0}})
    tags = check_self_contained(html)
    assert "b" not in {tag for tag, _ in tags.found} and "i" not in {tag for tag, _ in tags.found}
    assert "<i>why</i>" in tags.text and "1 min 01 s" in tags.text and "seed 4" in tags.text
    assert [a["alt"] for tag, a in tags.found if tag == "img"].count(f"maps {MARKUP}") == 1
    assert "12.00" in tags.text and "8.50" in tags.text and "mean nothing" not in tags.text
    assert "held-out renders" in text(results) and "<i>why</i>" in text(results)


def test_few_head_poses_are_shown_and_many_are_not():
    pose = {"head_yaw_deg": -15, "count": 4, "constant_deg": 12.0, "mean_deg": 9.0}
    other = {**pose, "head_yaw_deg": 0}
    assert [row[0] for row in demo_report._heads([pose, other], [pose, other])] == ["-15°", "0°"]
    assert demo_report._heads([pose] * 30, [pose] * 30) == []
