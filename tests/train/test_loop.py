"""The loop: exact resumption, one owner a folder, and stopping without loss."""

import json
import os
import signal
from dataclasses import replace

import pytest
import torch

from gazegan.data.files import only_writer
from gazegan.errors import DataError, UserError
from gazegan.train.checkpoint import WEIGHTS, load_sealed, load_weights
from gazegan.train.log import read_log
from gazegan.train.loop import Interrupted, _save, run

LAST = "state-000000006.safetensors"


def artefacts(run_dir):
    return (run_dir / LAST).read_bytes(), (run_dir / WEIGHTS).read_bytes()


def stop_after(steps, stage, how=signal.SIGTERM):
    """An `advance` that sends the process a signal once so many steps are done."""
    done = [0]

    def advance(images):
        done[0] += images
        if done[0] == steps * stage.config.batch:
            os.kill(os.getpid(), how)

    return advance


def test_six_steps_equal_three_and_three(tmp_path, make_stage):
    run(make_stage(), tmp_path / "whole")
    with pytest.raises(Interrupted, match="step 3"):
        run(make_stage(), tmp_path / "parts", stop_after(3, make_stage()))
    run(make_stage(), tmp_path / "parts", notify=pytest.fail)
    assert artefacts(tmp_path / "whole") == artefacts(tmp_path / "parts")


def test_speed_is_that_of_steps_without_evaluating_and_saving(tmp_path, make_stage, monkeypatch):
    """By a clock on which a step takes one second, an evaluation and a saving a hundred."""
    now, stage = [0.0], make_stage()

    def slow(seconds, act):
        def acted(*given):
            now[0] += seconds
            return act(*given)

        return acted

    monkeypatch.setattr("gazegan.train.loop.time.perf_counter", lambda: now[0])
    monkeypatch.setattr("gazegan.train.loop._save", slow(100, _save))
    run(
        replace(stage, step=slow(1, stage.step), evaluate=slow(100, stage.evaluate)),
        tmp_path / "run",
    )
    told = [line["images_per_s"] for line in read_log(tmp_path / "run") if "images_per_s" in line]
    assert told == [stage.config.batch] * 6


def test_six_steps_equal_five_lost_at_four_and_two(tmp_path, make_stage):
    """A crash without warning falls back to the checkpoint before it."""
    run(make_stage(), tmp_path / "whole")
    stage = make_stage()

    def fails(state, batches, generator):
        if state.step == 5:
            raise RuntimeError("crash")
        return stage.step(state, batches, generator)

    with pytest.raises(RuntimeError, match="crash"):
        run(replace(stage, step=fails), tmp_path / "parts")
    run(make_stage(), tmp_path / "parts")
    assert artefacts(tmp_path / "whole") == artefacts(tmp_path / "parts")
    steps = [line["step"] for line in read_log(tmp_path / "parts") if "images_per_s" in line]
    assert steps == [1, 2, 3, 4, 5, 6]


def test_a_damaged_checkpoint_costs_only_the_steps_since_the_one_before(tmp_path, gaze_of):
    run(gaze_of(), tmp_path / "whole")
    run(gaze_of(), tmp_path / "parts")
    (tmp_path / "parts" / LAST).write_bytes(b"torn")
    told = []
    run(gaze_of(), tmp_path / "parts", notify=told.append)
    assert len(told) == 1
    assert artefacts(tmp_path / "whole") == artefacts(tmp_path / "parts")


def test_repeating_a_finished_run_changes_nothing_and_restores_lost_weights(tmp_path, gaze_of):
    run(gaze_of(), tmp_path)
    before, log = artefacts(tmp_path), (tmp_path / "log.jsonl").read_bytes()
    (tmp_path / WEIGHTS).unlink()
    run(gaze_of(), tmp_path)
    assert artefacts(tmp_path) == before
    assert (tmp_path / "log.jsonl").read_bytes() == log


def test_seeds_differ(tmp_path, gaze_of):
    for seed in (0, 1):
        run(gaze_of(seed=seed), tmp_path / str(seed))
    assert artefacts(tmp_path / "0") != artefacts(tmp_path / "1")


@pytest.mark.parametrize(("how", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_signals_save_and_say_so(tmp_path, how, code, gaze_of):
    usual = signal.getsignal(how)
    with pytest.raises(Interrupted, match=f"{how.name}: saved at step 1; repeat") as stopped:
        run(gaze_of(), tmp_path, stop_after(1, gaze_of(), how))
    assert stopped.value.exit_code == code
    assert (tmp_path / "state-000000001.safetensors").exists()
    assert signal.getsignal(how) is usual


def test_another_configuration_is_refused_with_its_differences(
    tmp_path, gaze_of, refiner_of, make_eyes
):
    run(gaze_of(), tmp_path)
    with pytest.raises(UserError, match=r"config\.batch: 8 -> 9; config\.seed: 0 -> 3"):
        run(gaze_of(batch=9, seed=3), tmp_path)
    with pytest.raises(UserError, match=r"data: others than .* \(count: 40 -> 41\)"):
        run(gaze_of(make_eyes(41)), tmp_path)
    with pytest.raises(UserError, match=r"data: others than the run began with; name another"):
        run(gaze_of(make_eyes(seed=5)), tmp_path)
    with pytest.raises(UserError, match="stage: 'gaze' -> 'refiner'"):
        run(refiner_of(), tmp_path)


def test_another_number_of_threads_is_said(tmp_path, gaze_of):
    run(gaze_of(), tmp_path)
    torch.set_num_threads(2)
    told = []
    run(gaze_of(), tmp_path, notify=told.append)
    assert told == ["resuming with threads: 1 -> 2: bits may differ from an uninterrupted run"]


@pytest.mark.parametrize("mine", ["thesis.txt", "thesis.tmp"])
def test_foreign_and_damaged_folders_are_refused_untouched(tmp_path, gaze_of, mine):
    (tmp_path / mine).write_text("precious")
    with pytest.raises(UserError, match="holds something else"):
        run(gaze_of(), tmp_path)
    with pytest.raises(UserError, match="cannot be made a folder"):
        run(gaze_of(), tmp_path / mine)
    assert [p.name for p in tmp_path.iterdir()] == [mine]
    for text in ("{", "[]", '{"a": NaN}'):
        (tmp_path / "config.json").write_text(text)
        with pytest.raises(DataError, match=r"config\.json"):
            run(gaze_of(), tmp_path)


def test_two_processes_cannot_share_a_run(tmp_path, gaze_of):
    with only_writer(tmp_path), pytest.raises(UserError, match="another process"):
        run(gaze_of(), tmp_path)


def test_stray_temporaries_are_cleared(tmp_path, gaze_of):
    run(gaze_of(), tmp_path)
    (tmp_path / "state-000000009.safetensors.tmp").write_bytes(b"torn")
    run(gaze_of(), tmp_path)
    assert not list(tmp_path.glob("*.tmp"))


def test_a_loss_that_is_not_finite_stops_the_run_and_keeps_the_batch(tmp_path, gaze_of):
    stage = gaze_of()

    def breaks(state, batches, generator):
        scalars = stage.step(state, batches, generator)
        return {**scalars, "loss": float("nan")} if state.step == 4 else scalars

    with pytest.raises(DataError, match="loss is nan at step 4") as fault:
        run(replace(stage, step=breaks), tmp_path)
    assert "\n" not in str(fault.value)
    tensors, info = load_sealed(tmp_path / "failed-000000004.safetensors")
    assert info["step"] == 4
    assert torch.equal(tensors["data/image"], stage.batches(4)["data"].image)
    assert load_weights(tmp_path, "gaze")[1]["step"] == 4


def test_a_loss_between_two_log_lines_is_found_before_anything_is_saved(tmp_path, gaze_of):
    stage = gaze_of(steps=12, log_every=100, evaluate_every=100)

    def breaks(state, batches, generator):
        scalars = stage.step(state, batches, generator)
        return {**scalars, "loss": scalars["loss"] / 0} if state.step >= 4 else scalars

    with pytest.raises(DataError, match="loss is inf at step 4"):
        run(replace(stage, step=breaks), tmp_path)
    tensors, _ = load_sealed(tmp_path / "failed-000000004.safetensors")
    assert torch.equal(tensors["data/image"], stage.batches(4)["data"].image)
    assert load_weights(tmp_path, "gaze")[1]["step"] == 4
    assert sorted(p.name for p in tmp_path.glob("state-*"))[-1] == "state-000000004.safetensors"


def test_weights_that_explode_are_caught(tmp_path, gaze_of):
    stage = gaze_of()

    def explodes(state, batches, generator):
        with torch.no_grad():
            state.regressor.head[-1].weight.mul_(1e30)
        return stage.step(state, batches, generator)

    with pytest.raises(DataError, match=r"is (inf|nan) at step 0"):
        run(replace(stage, step=explodes), tmp_path)


def test_log_and_folder_hold_what_is_promised(tmp_path, refiner_of):
    run(refiner_of(), tmp_path)
    lines = read_log(tmp_path)
    unmoved = {f"pupil_shift/{name}": 0.0 for name in ("median_px", "p95_px")}
    expected = {"step": 0, "change": 0.0, **unmoved, "pupil_shift/located": 1.0}
    likeness = {name for name in lines[0] if name.startswith("likeness/")}
    assert len(likeness) == 6
    others = {name: value for name, value in lines[0].items() if name not in likeness}
    assert others == pytest.approx(expected, abs=1e-6)
    assert {"wasserstein", "critic/loss", "refiner/loss", "refiner/keep", "images_per_s"} <= set(
        lines[-2]
    )
    config = json.loads((tmp_path / "config.json").read_text())
    assert config["config"]["steps"] == 6
    assert config["environment"]["threads"] == 1
    assert list((tmp_path / "tensorboard").iterdir())
    assert len(list(tmp_path.glob("state-*"))) == 2


def test_tensorboard_shows_scalars_and_the_fixed_grid(tmp_path, refiner_of):
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    run(refiner_of(), tmp_path)
    events = EventAccumulator(str(tmp_path / "tensorboard"))
    events.Reload()
    assert {"wasserstein", "images_per_s", "critic/gradient"} <= set(events.Tags()["scalars"])
    assert [e.step for e in events.Images("raw_refined_real")] == [0, 3, 6]
    logged = [line["wasserstein"] for line in read_log(tmp_path) if "wasserstein" in line]
    shown = [e.value for e in events.Scalars("wasserstein")]
    assert shown == pytest.approx(logged, rel=1e-6)


def test_torn_log_lines_are_passed_over(tmp_path):
    (tmp_path / "log.jsonl").write_text('{"step": 1}\n[1]\nnull\n{"step": 2, "lo')
    assert read_log(tmp_path) == [{"step": 1}]
    assert read_log(tmp_path / "nowhere") == []
