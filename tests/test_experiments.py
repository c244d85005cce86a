"""The experiments' tables say what their records say, and their recipes are runnable commands."""

import json
import statistics
from pathlib import Path

import pytest
from click.testing import CliRunner
from scripts import HERE, load

from gazegan.cli import main

RECIPES = sorted(HERE.glob("*/recipe.toml"))


run, table = load("run"), load("table")
MADE = {"gazegan": "0", "torch": "0", "threads": "1", "device": "cpu"}


@pytest.mark.parametrize("results", sorted(HERE.glob("*/results.jsonl")), ids=str)
def test_the_table_agrees_with_its_records(results: Path) -> None:
    text = (results.parent / "README.md").read_text()
    shown = text.partition(table.BEGIN)[2].partition(table.END)[0].strip()
    assert shown == table.tables(table.read(results))


def fabricated() -> list[dict[str, object]]:
    keys = ("vertical_bias_deg", "horizontal_bias_deg", "vertical_slope", "horizontal_slope")
    return [
        {
            "row": "raw", "column": "all", "seed": seed, "mean_deg": mean, "median_deg": 5.0,
            "p95_deg": 9.0, "constant_deg": 12.0, "gazegan": "0",
            "torch": "0", "device": "cpu", "threads": "1", **dict.fromkeys(keys, 0.5),
        }
        for seed, mean in enumerate((6.0, 7.0, 9.5))
    ]  # fmt: skip


def test_a_table_shows_mean_and_spread_beside_the_constant() -> None:
    text = table.tables(fabricated())
    spread = statistics.stdev((6.0, 7.0, 9.5))
    assert f"| raw | 7.50 ± {spread:.2f} |" in text
    assert "| raw | 5.00, 9.00 |" in text
    assert "| nothing: constant | 12.00 |" in text


def test_directions_have_neither_bias_nor_slope_in_the_table() -> None:
    plain = [{k: v for k, v in r.items() if "bias" not in k} for r in fabricated()]
    assert "bias" in table.tables(fabricated())
    text = table.tables(plain)
    assert "bias" not in text and "| raw | 7.50" in text


def test_the_mean_error_of_each_subject_is_kept() -> None:
    found = {"subjects": [{"subject": "0041", "mean_deg": 6.12345, "count": 3}]}
    assert run.by_person(found) == {"people": {"0041": 6.1235}}
    assert run.by_person({"subjects": []}) == run.by_person({}) == {}


def test_errors_after_some_samples_are_kept_and_shown() -> None:
    found = {"shots": [{"shots": 0, "mean_deg": 7.0}, {"shots": 5, "mean_deg": 5.12345}]}
    assert run.by_shots(found) == {"shots": {"0": 7.0, "5": 5.1235}}
    assert run.by_shots({}) == {}
    where = {"gazegan": "0", "torch": "0", "device": "cpu", "threads": "1"}
    shots = [
        {"row": "raw", "column": "few", "seed": seed, "shots": {"0": 7.0, "5": five}, **where}
        for seed, five in enumerate((5.0, 6.0))
    ]
    text = table.tables([*fabricated(), *shots])
    assert f"| raw | few | 7.00 | 5.50 ± {statistics.stdev((5, 6)):.2f} |" in text


def test_a_table_compares_rows_person_by_person() -> None:
    """By hand: means over the seeds of 0041 move by -0.5, of 0042 by 1.0: 0.25, SE 0.75."""
    raw = [{**r, "people": {"0041": 6.0, "0042": 7.0 + r["seed"]}} for r in fabricated()]
    other = [{**r, "row": "refined", "people": {"0041": 4.5 + r["seed"], "0042": 9.0}} for r in raw]
    text = table.tables([*raw, *other])
    assert "| refined minus raw | 0.25 ± 0.75, lower for 1 of 2 |" in text
    assert "person by person" not in table.tables(fabricated())


def test_a_table_compares_rows_seed_by_seed() -> None:
    """No spread is left where the second row is 0.5 lower with every seed."""
    raw = fabricated()
    refined = [{**r, "row": "refined", "mean_deg": r["mean_deg"] - 0.5} for r in raw]
    text = table.tables([*raw, *reversed(refined)])
    assert "| refined minus raw | -0.50 |" in text


def test_rows_of_unlike_numbers_of_seeds_say_so_and_share_seeds() -> None:
    """By hand: of seed 0 alone, 0041 moves by -1 and 0042 by 0."""
    raw = [{**r, "people": {"0041": 6.0 + 2 * r["seed"], "0042": 7.0}} for r in fabricated()]
    one = [{**r, "row": "refined", "people": {"0041": 5.0, "0042": 7.0}} for r in raw[:1]]
    text = table.tables([*raw, *one])
    assert f"| raw | {len(raw)} |" in text and "| refined | 1 |" in text
    assert f"1 to {len(raw)} seeds, spread" in text
    assert "| refined minus raw | -0.50 ± 0.50, lower for 1 of 2 |" in text
    assert "| seeds |" not in table.tables(raw)
    moved = [{**r, "seed": 9} for r in one]
    assert "| refined minus raw |  |" in table.tables([*raw, *moved])


def test_each_choice_of_samples_has_a_table() -> None:
    where = {"gazegan": "0", "torch": "0", "device": "cpu", "threads": "1", "seed": 0}
    few = {"row": "raw", "column": "few", "shots": {"0": 7.0, "5": 5.0}, **where}
    more = {"row": "raw", "column": "more", "shots": {"0": 7.0, "20": 6.0}, **where}
    text = table.tables([*fabricated(), few, more])
    assert "| 0 samples | 5 samples |" in text and "| raw | few | 7.00 | 5.00 |" in text
    assert "| 0 samples | 20 samples |" in text and "| raw | more | 7.00 | 6.00 |" in text


def test_refined_renders_are_compared_with_raw_ones_of_the_same_recipe() -> None:
    means = {"a, raw": 8.0, "a, refined": 7.0, "b, raw": 6.0, "b, refined": 5.75, "real": 5.0}
    rows = [
        {**r, "row": row, "mean_deg": mean} for row, mean in means.items() for r in fabricated()
    ]
    text = table.tables(rows)
    assert "| a, refined minus a, raw | -1.00 |" in text
    assert "| b, refined minus b, raw | -0.25 |" in text
    assert "| real minus a, raw | -3.00 |" in text
    assert "| b, raw minus a, raw | -2.00 |" in text


def test_a_part_left_out_is_compared_with_the_whole() -> None:
    means = {"first": 9.0, "whole": 8.0, "whole, without a part": 8.5}
    rows = [
        {**r, "row": row, "mean_deg": mean} for row, mean in means.items() for r in fabricated()
    ]
    text = table.tables(rows)
    assert "| whole, without a part minus whole | 0.50 |" in text
    assert "| whole minus first | -1.00 |" in text


def test_a_table_of_recovered_eyes_shows_medians_beside_the_constant() -> None:
    gaze = [0.5, 1.5, 0.7, 3.0, 0.9]
    lists = {"gaze_deg": gaze, "constant_gaze_deg": [9.0] * 5}
    where = {"gazegan": "0", "torch": "0", "device": "cpu", "threads": "1", "cpu_s": 2.0}
    halves = [
        {"row": "all", "first": at, **where, **{k: v[at : at + 3] for k, v in lists.items()}}
        for at in (3, 0)
    ]
    text = table.tables(halves)
    assert f"| all | 5 | {statistics.median(gaze):.2f} (0." in text
    assert "| 3.00 | 60% | 2.0 |" in text
    assert "| constant | 5 | 9.00 (9.00 to 9.00) |" in text


@pytest.mark.slow
def test_inverse_runs_small_and_resumes(tmp_path: Path) -> None:
    words = ["--work", str(tmp_path), "--set", "count=2", "--set", "batch=2", "--set", "starts=2"]
    words += ["--set", "kept=1", "--set", "coarse=2", "--set", "fine=2"]
    inverse = load("inverse/run")
    for _ in range(2):
        done = CliRunner().invoke(inverse.main, words)
        assert done.exit_code == 0, done.output
        records = table.read(tmp_path / "results.jsonl")
        assert len(records) == len({r["row"] for r in records}) == 3
    assert "| constant | 2 |" in table.tables(records)
    assert len(list(tmp_path.glob("*.png"))) == 3


@pytest.mark.parametrize("path", RECIPES, ids=lambda path: path.parent.name)
def test_recipes_are_commands_that_exist(path: Path) -> None:
    experiment = run.load(run.Experiment, path)
    places = {**experiment.values, "real": ".", "work": "w", "run": "w/0", "seed": "0"}
    commands = [*experiment.once, *experiment.each, *(m.command for m in experiment.cells)]
    for command in commands:
        words = run.worded(command, places, "cpu")
        group, rest = main, words
        while hasattr(group, "get_command") and not rest[0].startswith("-"):
            group, rest = group.get_command(None, rest[0]), rest[1:]
        group.make_context("gazegan", [*rest, "--json"])


def test_a_measurement_taken_again_replaces_the_old_one(tmp_path: Path) -> None:
    results = tmp_path / "results.jsonl"
    measure = run.Measure(row="raw", column="all", command="evaluate")
    for mean in (8.0, 7.0):
        run.record(results, measure, 0, {"mean_deg": mean, "ignored": 1}, MADE)
    run.record(results, measure, 1, {"mean_deg": 6.0}, MADE)
    lines = [json.loads(line) for line in results.read_text().splitlines()]
    assert [(line["seed"], line["mean_deg"]) for line in lines] == [(0, 7.0), (1, 6.0)]
    assert "ignored" not in lines[0]


def test_a_table_of_speeds_shows_ratios_beside_their_bars() -> None:
    where = {"gazegan": "0", "torch": "0", "threads": "1", "processor": "P", "vectors": "V"}
    speeds = {"eager": [400.0, 500.0, 450.0], "compiled": [900.0, 950.0, 800.0]}
    speeds |= {"Blender Cycles": [4.5, 4.5, 4.5]}
    records = [
        {"kind": "speed", "size": "36x60 grey", "recipe": "webcam", "renderer": name}
        | {"repeat": repeat, "value": value, **where}
        for name, values in speeds.items()
        for repeat, value in enumerate(values)
    ]
    records.append({"kind": "memory", "count": 7, "value": 11.4, **where})
    edges = {"kind": "alias", "size": "36x60 grey", "recipe": "webcam", "value": 38.04}
    records += [{**edges, "blur": blur, **where} for blur in (True, False)]
    gpu = {"kind": "device", "size": "36x60 grey", "renderer": "eager", "device": "G", "value": 9.0}
    text = table.tables([{**gpu, **where, "processor": "its own"}, *records])
    assert "1 thread of P (V)" in text
    assert "| G | 36x60 grey | eager | 9.00 (9.00 to 9.00) |" in text
    assert "| eager | 450 (400 to 500) | 1.0 | 1.90 (1.78 to 2.25) | 500 images/s |" in text
    assert "| compiled | 900 (800 to 950) | 2.0 | 1.00 (1.00 to 1.00) | 6 times eager |" in text
    slow = "| 4.50 (4.50 to 4.50) | 0.01 | 200 (178 to 211) | 300 times as long |"
    assert f"| Blender Cycles {slow}" in text
    assert "webcam, 36x60 grey, with the camera's blur | 38.0 |" in text
    assert "webcam, 36x60 grey, without blur | 38.0 |" in text
    assert "| peak memory, MB, of writing a store of 7 images, 36x60 | 11 |" in text


def test_a_table_of_trainings_shows_ours_over_plain() -> None:
    where = {"gazegan": "0", "torch": "0", "cores": "2", "processor": "P", "device": "cpu"}
    what = {"training": "gaze", "threads": "1", **where}
    seconds = {"ours": [2.2, 2.0, 2.1], "plain": [2.0, 2.0, 2.0]}
    records = [
        {"kind": "training", "loop": name, "repeat": i, "steps": 10, "batch": 64} | what
        | {"cpu_s": cpu}
        for name, all_of in seconds.items()
        for i, cpu in enumerate(all_of)
    ]  # fmt: skip
    records.append({"kind": "pause", "loop": "saving", "value": 1.0, "cpu_s": 2.1, **what})
    text = table.tables(records)
    assert "| gaze | 1 | 304.8 (290.9 to 320.0) | 320.0 (320.0 to 320.0) |" in text
    assert "| 1.050 (1.00 to 1.10) | 1.050 | at most 1.05 |" in text
    assert "| gaze | 1 | saving | 2.10 | 5.0% |" in text
    gpu = {"kind": "device", "loop": "bf16", "batch": 64, "value": 9.6, "busy": 0.5}
    text = table.tables([{**what, **gpu, "device": "G", "processor": "its own"}, *records])
    assert "2 cores of P." in text
    assert "| G | gaze | 64 | bf16 | 10 | 50% |" in text


def test_what_a_profiler_counts_of_kernels_is_added_up(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(str(HERE / "speed_render"))
    traffic = load("speed_render/traffic")
    head = '"ID","Kernel Name","Metric Name","Metric Unit","Metric Value"'
    told = [("0", "shared", "1,000", "500", "10.0"), ("1", "loop0", "3,000", "1,500", "50.0")]
    lines = ["==PROF== Connected to process 7", head]
    for number, name, moved, took, busy in told:
        lines.append(f'"{number}","{name}","{traffic.BYTES}","byte","{moved}"')
        lines.append(f'"{number}","{name}","{traffic.NANOSECONDS}","ns","{took}"')
        lines.append(f'"{number}","{name}","{traffic.BUSY}","%","{busy}"')
    assert traffic.summed("\n".join(lines)) == {"bytes": 4000, "seconds": 2e-6, "busy": 0.4}


@pytest.mark.slow
def test_speed_train_runs_small(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(str(HERE / "speed_train"))
    words = ["--work", str(tmp_path), "--set", "repeats=1", "--set", "steps=1"]
    words += ["--set", "renders=64", "--set", "photographs=64", "--set", "threads=[1]"]
    done = CliRunner().invoke(load("speed_train/run").main, words)
    assert done.exit_code == 0, done.output
    words += ["--set", "batches=[8]", "--set", "device_steps=2", "--set", "compiled=[false]"]
    done = CliRunner().invoke(load("speed_train/device").main, [*words, "--device", "cpu"])
    assert done.exit_code == 0, done.output
    text = table.tables(table.read(tmp_path / "results.jsonl"))
    assert "| gaze | 1 |" in text and "| cpu | refiner | 8 | bf16 |" in text


def test_the_largest_size_of_an_attack_is_kept(tmp_path: Path) -> None:
    found = {"mean_deg": 6.0, "noise_deg": 7.0, "pgd_deg": 20.0, "worst_deg": 30.0}
    run.record(tmp_path / "r.jsonl", run.Measure(row="a", column="b", command="c"), 0, found, MADE)
    line = json.loads((tmp_path / "r.jsonl").read_text())
    assert {key: line[key] for key in found} == found
