"""Experiments' commands are run in order, side by side, and what they make is measured."""

import json
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner
from scripts import load

from gazegan.train.checkpoint import load_sealed, save_sealed

run, records, hindered = load("run"), load("records"), load("commands").hindered
MADE = {"gazegan": "0", "torch": "0", "threads": "1", "device": "cpu"}


@pytest.mark.parametrize("jobs", [1, 3])
def test_commands_wait_for_those_that_make_what_they_read(tmp_path: Path, jobs: int) -> None:
    eyes, gaze = tmp_path / "eyes", tmp_path / "gaze"
    commands = [
        f"train gaze --data {eyes} --steps 1 --batch 4 --out {gaze}",
        f"render webcam --count 8 --out {eyes}",
        f"render laptop --count 4 --out {tmp_path / 'more'}",
    ]
    done = [at for at, _ in run.make([run.worded(c, {}, "cpu") for c in commands], jobs)]
    assert sorted(done) == [0, 1, 2] and done.index(1) < done.index(0)
    ((_, found),) = run.make([["evaluate", "--weights", str(gaze), "--data", str(eyes)]], jobs)
    assert found["count"] == 8 and (tmp_path / "more").is_dir()


def test_what_two_commands_make_they_make_one_after_the_other(tmp_path: Path) -> None:
    """As where what `refine` prints is measured again: the second finds it done."""
    words = ["render", "webcam", "--count", "8", "--out", str(tmp_path / "eyes")]
    assert [found["count"] for _, found in run.make([words, words], 2)] == [8, 8]
    one, other = ["refine", "a", "--out", "b"], ["train", "--data", "b/part"]
    assert hindered(one, [one], [])
    assert not hindered(one, [], [one])
    assert hindered(other, [], [one])


def test_a_command_that_fails_ends_the_run(tmp_path: Path) -> None:
    words = ["render", "nowhere.toml", "--out", str(tmp_path / "eyes")]
    with pytest.raises(SystemExit) as ended:
        list(run.make([words], 1))
    assert ended.value.code == 2


def test_networks_are_measured_by_the_commands_of_all_columns() -> None:
    experiment = run.Experiment(
        seeds=(0,), values={}, once=(), each=(),
        networks={"raw": "{run}/a", "real": "{run}/b"},
        columns={
            "all": "evaluate --weights {network} --data {work}/test", "some": "embed {network}",
        },
    )  # fmt: skip
    cells = [(m.row, m.column, m.command) for m in experiment.cells]
    assert cells == [
        ("raw", "all", "evaluate --weights {run}/a --data {work}/test"),
        ("raw", "some", "embed {run}/a"),
        ("real", "all", "evaluate --weights {run}/b --data {work}/test"),
        ("real", "some", "embed {run}/b"),
    ]


def test_a_device_is_named_to_commands_that_take_one() -> None:
    assert run.worded("render x --out {run}", {"run": "'a b'"}, "cuda")[-3:] == [
        "a b",
        "--device",
        "cuda",
    ]
    assert "--device" in run.worded("train gaze --data x --out y", {}, "cuda")
    assert "--device" not in run.worded("import columbia x --out y", {}, "cuda")


def test_what_was_trained_is_measured_and_what_is_not_there_left_out(tmp_path: Path) -> None:
    experiment = run.Experiment(
        seeds=(3,), values={}, once=(),
        each=(
            "render webcam --count 8 --seed {seed} --out {run}/eyes",
            "train gaze --data {run}/eyes --steps 1 --batch 4 --out {run}/gaze",
        ),
        networks={"raw": "{run}/gaze", "real": "{run}/absent", "more": "{run}/stopped"},
        columns={"all": "evaluate --weights {network} --data {run}/eyes"},
    )  # fmt: skip
    here, results = {3: {"seed": "3", "run": tmp_path / "3"}}, tmp_path / "results.jsonl"
    (tmp_path / "3").mkdir()
    (tmp_path / "3" / run.MADE_WITH).write_text(json.dumps({**MADE, "device": "a GPU"}))
    run.go_through(experiment, here, tmp_path, results, "cpu", 2, "trainings")
    assert not results.exists()
    (tmp_path / "3" / "stopped").mkdir()
    weights, info = load_sealed(tmp_path / "3" / "gaze" / "weights.safetensors")
    info = {**info, "config": {**info["config"], "steps": 2}}
    save_sealed(tmp_path / "3" / "stopped" / "weights.safetensors", weights, info)
    run.go_through(experiment, here, tmp_path, results, "cpu", 2, "measures")
    (found,) = records.read(results)
    assert (found["row"], found["seed"], found["count"], found["device"]) == ("raw", 3, 8, "a GPU")


def test_what_has_a_record_is_not_missing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    experiment = run.Experiment(
        seeds=(0, 1), values={}, once=(), each=("render webcam --out {run}/eyes",),
        networks={"raw": "", "real": ""}, columns={"all": "evaluate {run} {network}"},
    )  # fmt: skip
    here, results = {}, tmp_path / "results.jsonl"
    for seed in (0, 1):
        here[seed] = {"run": str(tmp_path / str(seed))}
        (tmp_path / str(seed)).mkdir()
        (tmp_path / str(seed) / run.MADE_WITH).write_text(json.dumps(MADE))
    run.record(results, run.Measure(row="real", column="all", command="c"), 0, {}, MADE)
    made = []

    def make(commands: list[list[str]], jobs: int) -> Iterator[tuple[int, dict[str, Any]]]:
        made.extend(commands)
        yield from enumerate([{"mean_deg": 1.0}] * len(commands))

    monkeypatch.setattr(run, "make", make)
    run.go_through(experiment, here, tmp_path, results, "cpu", 1, "missing")
    assert [words[1] for words in made] == [str(tmp_path / str(seed)) for seed in (0, 1, 1)]
    found = [(line["row"], line["seed"]) for line in records.read(results)]
    assert found == [("raw", 0), ("real", 0), ("raw", 1), ("real", 1)]


def test_an_experiment_on_photographs_asks_for_them(tmp_path: Path) -> None:
    done = CliRunner().invoke(run.main, ["columbia", "--work", str(tmp_path)])
    assert done.exit_code == 2 and "--real" in done.output


def test_records_stand_in_the_order_of_the_recipe(tmp_path: Path) -> None:
    results, order = tmp_path / "results.jsonl", [("raw", "a"), ("raw", "b"), ("real", "a")]
    for seed, (row, column) in [(1, order[2]), (0, order[2]), (1, order[0]), (0, order[1])]:
        measure = run.Measure(row=row, column=column, command="c")
        run.record(results, measure, seed, {"mean_deg": 1.0}, MADE, order)
    found = [(r["seed"], r["row"], r["column"]) for r in records.read(results)]
    assert found == [(0, "raw", "b"), (0, "real", "a"), (1, "raw", "a"), (1, "real", "a")]


def test_records_kept_at_once_are_all_kept(tmp_path: Path) -> None:
    """Two who measure into one file would else write what the other has not read."""
    results = tmp_path / "results.jsonl"

    def measured(who: int) -> None:
        for seed in range(60):
            records.keep(results, ("who", "seed"), [{"who": who, "seed": seed}])

    with ThreadPoolExecutor(4) as pool:
        list(pool.map(measured, range(4)))
    assert len(records.read(results)) == 4 * 60
