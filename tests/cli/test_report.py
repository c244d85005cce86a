"""The report of runs, stores and results: one page, true to their files, that asks for nothing."""

import json
import re
import shutil

import pytest
from click.testing import CliRunner
from webpages import Tags, check_self_contained

from gazegan.cli import main, sections
from gazegan.cli.tables import Table, tables, words

MARKUP = "<img src=x onerror=alert(1)> & co"
TOLD = ((0.4, 0.2), (0.5, 0.3), (0.6, 0.9))
"""Areas under the curve and p of three splits."""
CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser")


def invoke(*arguments, code=0):
    result = CliRunner().invoke(main, [*map(str, arguments)])
    assert result.exit_code == code, result.output
    assert "Traceback" not in result.output
    return result


@pytest.fixture(scope="module")
def folder(tmp_path_factory, places):
    """An evaluation, an attack, a run and a store, below a folder whose name is markup."""
    top = tmp_path_factory.mktemp("report") / MARKUP
    top.mkdir()
    angles, store = places / "angles.safetensors", places / "labelled"
    invoke("evaluate", "--weights", angles, "--data", store, "--out", top / "evaluate")
    invoke(
        "attack", "--weights", angles, "--data", store, "--out", top / "attack",
        "--count", 2, "--steps", 2,
    )  # fmt: skip
    shutil.copytree(store, top / "store")
    invoke(
        "train", "gaze", "--data", top / "store", "--out", top / "run", "--steps", 3,
        "--batch", 4, "--set", "network.widths=[4,4,4,4,4]", "--set", "log_every=1",
    )  # fmt: skip
    return top


@pytest.fixture(scope="module")
def page(folder, tmp_path_factory):
    out = tmp_path_factory.mktemp("page") / "all.html"
    said = json.loads(invoke("report", folder, "--out", out, "--title", MARKUP, "--json").stdout)
    assert [s["kind"] for s in said["sections"]] == [
        "Evaluation", "Attack", "Training of the gaze stage", "Store",
    ]  # fmt: skip
    return out


def test_the_page_tells_what_the_files_hold_and_escapes_names(page, folder):
    html = page.read_text()
    tags = check_self_contained(html)
    scored = json.loads((folder / "evaluate" / "evaluation.json").read_text())
    for key in ("mean_deg", "constant_deg", "horizontal_bias_deg"):
        assert f"{scored[key]:.2f}" in tags.text
    attacked = json.loads((folder / "attack" / "attack.json").read_text())
    assert f"{attacked['epsilons'][-1]['pgd_deg']:.2f}" in tags.text
    assert MARKUP in tags.text and MARKUP not in html
    pictures = [attributes for tag, attributes in tags.found if tag == "img"]
    drawn = len(list(folder.rglob("*.png")))
    assert len(pictures) == drawn + 2, "the course of training and the store's eyes"


@pytest.mark.skipif(CHROMIUM is None, reason="no Chromium installed")
def test_a_browser_asks_for_nothing_and_runs_nothing(page):
    from playwright.sync_api import sync_playwright

    asked, alerts = [], []
    with sync_playwright() as play:
        browser = play.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
        shown = browser.new_page()
        shown.on("request", lambda request: asked.append(request.url))
        shown.on("dialog", lambda dialog: (alerts.append(dialog.message), dialog.dismiss()))
        shown.goto(page.as_uri())
        broken = shown.evaluate("[...document.images].filter(i => !i.naturalWidth).length")
        headings = shown.locator("h1").all_text_contents()
        wide = shown.evaluate("document.documentElement.scrollWidth > innerWidth")
        browser.close()
    assert [url for url in asked if not url.startswith("data:")] == [page.as_uri()]
    assert (alerts, broken, wide) == ([], 0, False)
    assert headings == [MARKUP]


@pytest.mark.skipif(CHROMIUM is None, reason="no Chromium installed")
def test_tables_fit_wide_windows_and_show_the_error_in_narrow_ones(page):
    from playwright.sync_api import sync_playwright

    with sync_playwright() as play:
        browser = play.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
        shown = browser.new_page(viewport={"width": 1280, "height": 900})
        shown.goto(page.as_uri())
        cut = "[...document.querySelectorAll('.card')].filter(c => c.scrollWidth > c.clientWidth)"
        rows = "[...document.querySelectorAll('tr')]"
        most = shown.evaluate(f"Math.max(...{rows}.map(row => row.cells.length))")
        wide = shown.evaluate(f"{cut}.length")
        shown.set_viewport_size({"width": 390, "height": 900})
        right = shown.evaluate("document.querySelector('td.big').getBoundingClientRect().right")
        beyond = shown.evaluate("document.documentElement.scrollWidth")
        browser.close()
    assert most >= 12 and wide == 0
    assert right < 390 and beyond == 390


def test_many_records_are_rows_rather_than_columns():
    """Else a hundred parameters of a scene stand side by side."""
    values = {f"lid_{k}": {"slope_deg": 1.0 * k, "spread": 2.0} for k in range(30)}
    (table,) = tables({"parameters": values})
    assert table.columns == ("name", "slope, degrees", "spread")
    assert table.rows[3] == ("lid 3", "3.00", "2.00") and table.more == 6


def test_errors_of_gaze_and_of_directions_stand_apart(places, tmp_path):
    """They are on different scales, and options change what is scored."""
    runs = {
        "angles": [], "mirrored": ["--mirror-average"], "turned": ["--direction"], "direction": []
    }  # fmt: skip
    for name, options in runs.items():
        weights = places / f"{'direction' if name == 'direction' else 'angles'}.safetensors"
        start = ("evaluate", "--weights", weights, "--data", places / "labelled")
        invoke(*start, "--out", tmp_path / name, *options)
    values = json.loads((tmp_path / "angles" / "evaluation.json").read_text())
    values["settings"] |= {"align": True, "by_face": True, "align_to": "webcam"}
    (tmp_path / "aligned").mkdir()
    (tmp_path / "aligned" / "evaluation.json").write_text(json.dumps(values))
    invoke("report", tmp_path, "--out", tmp_path / "page.html")
    html = (tmp_path / "page.html").read_text()
    glance = html[html.index("Errors at a glance") : html.index("<section>")]
    assert check_self_contained(html) and glance.count("<caption>") == 2
    gaze, direction = glance.split("</table>")[:2]
    assert "<caption>Gaze: 3-D angle" in gaze and "<caption>Direction: along" in direction
    assert all(f"{name}<" in gaze for name in ("angles", "mirrored", "aligned"))
    assert all(f"{name}<" in direction for name in ("turned", "direction"))
    told = re.findall("<small>(.*?)</small>", glance.replace("\n", ""))
    assert told == ["by face, align, align to webcam", "mirror average", "direction"]
    assert "width: 100.0%" in gaze and "width: 100.0%" in direction


def test_what_tells_images_apart_is_on_the_page(tmp_path):
    halves = [{"counts": [8, 8], "linear_auc": auc, "p_value": p} for auc, p in TOLD]
    one = [{"counts": [16, 8], "linear_auc": 0.95, "p_value": 0.001}]
    apart = [{"images": "two halves", "splits": halves}, {"images": "a/b", "splits": one}]
    (tmp_path / "embed.json").write_text(json.dumps({"count": 3, "apart": apart}))
    *_, table = sections.read(tmp_path).tables
    assert table.columns == ("images", "splits", "linear, AUC", "p value")
    assert table.rows == (("two halves", "3", "0.5", "0.3"), ("a/b", "1", "0.95", "0.001"))


def test_an_explanation_of_scenes_is_not_told_as_one_of_pixels(tmp_path):
    (tmp_path / "explain.json").write_text(json.dumps({"parameters": {}}))
    assert "parameters of a scene" in sections.read(tmp_path).about
    (tmp_path / "explain.json").write_text(json.dumps({"methods": {}}))
    assert "pixels" in sections.read(tmp_path).about


def test_long_values_have_a_line_of_their_own(tmp_path):
    said = "The map keeps neighbourhoods, and a classifier tells the images apart."
    (tmp_path / "embed.json").write_text(json.dumps({"count": 3, "verdict": said}))
    invoke("report", tmp_path, "--out", tmp_path / "page.html")
    html = (tmp_path / "page.html").read_text()
    assert f'<div class="long"><dt>verdict</dt><dd>{said}</dd></div>' in html
    assert "<div><dt>count</dt><dd>3</dd></div>" in html


def test_the_same_folder_twice_is_one_section_and_a_page_is_replaced(folder, tmp_path):
    out = tmp_path / "page.html"
    out.write_text("old")
    said = invoke("report", folder / "store", folder / "store", "--out", out, "--json").stdout
    assert len(json.loads(said)["sections"]) == 1
    assert "old" not in Tags(out.read_text()).text


@pytest.mark.parametrize("made", [None, "empty"])
def test_what_has_nothing_to_show_is_refused_by_name(tmp_path, made):
    path = tmp_path / "here"
    if made:
        path.mkdir()
    said = invoke("report", path, "--out", tmp_path / "page.html", code=2).output
    assert str(path) in said and "name" in said
    assert not (tmp_path / "page.html").exists()


def test_a_folder_in_the_pages_place_is_refused(folder, tmp_path):
    said = invoke("report", folder, "--out", tmp_path, code=2).output
    assert "--out" in said and "report.html" in said


def test_damaged_results_are_told_by_name(tmp_path):
    (tmp_path / "evaluation.json").write_text('{"mean_deg": ')
    result = CliRunner().invoke(main, ["report", str(tmp_path), "--out", str(tmp_path / "x.html")])
    assert result.exit_code != 0 and "evaluation.json" in result.output
    assert not (tmp_path / "x.html").exists()


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("evaluation", '{"accuracy": 0.9}'),
        ("evaluation", '{"count": 1, "mean_deg": "a", "median_deg": 1, "constant_deg": 1}'),
        ("evaluation", '{"count": 1, "mean_deg": 1, "median_deg": 1, "constant_deg": 1}'),
        ("embed", '{"apart": [{"splits": []}]}'),
        ("embed", '{"apart": 3}'),
    ],
)
def test_results_of_another_program_are_told_by_name(tmp_path, name, text):
    (tmp_path / f"{name}.json").write_text(text)
    said = invoke("report", tmp_path, "--out", tmp_path / "x.html", code=1).output
    assert f"{name}.json: not as `gazegan` writes it" in said.replace("\n", "")
    assert not (tmp_path / "x.html").exists()


def test_folders_are_found_below_but_not_in_hidden_ones(tmp_path):
    for name in ("b/c", ".hidden", "a"):
        (tmp_path / name).mkdir(parents=True)
        (tmp_path / name / "explain.json").write_text("{}")
    found = sections.find(tmp_path)
    assert found == [tmp_path / "a", tmp_path / "b" / "c"]
    (tmp_path / "b" / "first").mkdir()
    for run in ("b", "b/first"):
        (tmp_path / run / "config.json").write_text("{}")
    assert sections.find(tmp_path) == [tmp_path / "a", tmp_path / "b", tmp_path / "b" / "c"]


def test_results_of_any_shape_become_tables():
    values = {
        "count": 3,
        "mean_deg": 0.5,
        "empty": [],
        "blind": None,
        "shares": {"iris": 0.25, "skin": 0.75},
        "area": {"iris": 0.1, "skin": 0.9},
        "rows": [{"epsilon_255": 1.0, "pgd_deg": 12.345}, {"epsilon_255": 2.0, "pgd_deg": 20.0}],
        "methods": {"occlusion": {"shares": {"a": 1.0}}},
    }
    found = list(tables(values))
    assert found == [
        Table("", ("", ""), (("count", "3"), ("mean, degrees", "0.50"), ("blind", "–"))),
        Table("", ("", "shares", "area"), (("iris", "0.25", "0.1"), ("skin", "0.75", "0.9"))),
        Table("rows", ("epsilon, /255", "pgd, degrees"), (("1.00", "12.35"), ("2.00", "20.00"))),
        Table("methods: occlusion: shares", ("", ""), (("a", "1.00"),)),
    ]  # fmt: skip


def test_long_tables_are_cut_and_say_so():
    (table,) = tables({"people": [{"name": str(i), "mean_deg": 1.0} for i in range(100)]})
    assert len(table.rows) + table.more == 100 and table.more > 0


def test_shares_within_some_degrees_are_told_as_shares():
    (table,) = tables({"within_5_deg": 0.03, "mean_deg": 12.5})
    assert table.rows == (("within 5 degrees", "3%"), ("mean, degrees", "12.50"))


def test_fields_are_named_in_words():
    assert words("pupil_shift/p95_px") == "pupil shift 95th percentile, pixels"
    assert words("mean_deg") == "mean, degrees"
    assert words("count") == "count"
