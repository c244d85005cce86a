"""Measure how fast a GPU trains in each precision, plainly and compiled, and how busy it is.

    python experiments/speed_train/device.py --work DIR
    python experiments/speed_train/device.py --work DIR --device cpu --set device_steps=2

Data lie in the GPU's memory. The clock runs over the later half of the steps of a run, between
lines of its log, at which the device is waited for; the device is busy while any of its kernels
runs. Records replace those of the same in results.jsonl (with --set, in the work folder's).
"""

import shutil
import time
from itertools import product
from pathlib import Path
from typing import Any

import click
import torch
from run import HERE, Settings, circumstances, keep, machine, made
from torch.autograd import DeviceType
from torch.autograd.profiler_util import FunctionEvent
from torch.profiler import ProfilerActivity, profile

from gazegan import rng
from gazegan.config import load
from gazegan.errors import UserError
from gazegan.train.gaze import gaze_stage
from gazegan.train.gaze_settings import GazeTraining
from gazegan.train.loop import Stage, run
from gazegan.train.refiner import RefinerTraining, refiner_stage

_PROFILED = 5


@click.command()
@click.option("--work", type=click.Path(path_type=Path), required=True, help="For stores and runs.")
@click.option("--device", default="cuda", show_default=True)
@click.option("--set", "overrides", multiple=True, metavar="KEY=VALUE", help="Change a value.")
def main(work: Path, device: str, overrides: tuple[str, ...]) -> None:
    """Run the measurement and record it."""
    settings = load(Settings, HERE / "settings.toml", overrides)
    stores, steps = made(settings, work), settings.device_steps
    results = (work if overrides else HERE) / "results.jsonl"
    ways = product(settings.trainings, settings.batches, ("float32", "bf16"), settings.compiled)
    for training, batch, precision, fast in ways:
        known = {"batch": batch, "precision": precision, "compile_step": fast, "steps": steps}
        known |= {"log_every": max(1, steps // 2), "evaluate_every": steps, "save_every": steps}
        stage = staged(training, known, stores, device)
        how = f"{precision}, compiled" if fast else precision
        told = {"kind": "device", "training": training, "batch": batch, "loop": how}
        rate, busy = measured(stage, work / "run", device)
        line = {**told, "value": round(rate, 1), "busy": busy, "device": machine.named(device)}
        click.echo(str(line), err=True)
        threads = str(torch.get_num_threads())
        keep(results, tuple(told), [{**line, "threads": threads, **circumstances()}])


def staged(training: str, known: dict[str, Any], stores: Any, device: str) -> Stage[Any]:
    renders, photographs = stores
    if training == "gaze":
        return gaze_stage(GazeTraining(**known), renders, device, notify=fail)
    cfg = RefinerTraining(**known, critic_lead=0)
    return refiner_stage(cfg, renders, photographs, device, notify=fail)


def fail(message: str) -> None:
    raise UserError(message)


def measured(stage: Stage[Any], out: Path, device: str) -> tuple[float, float | None]:
    """Images a second of the later half of a run, and the share of the time a GPU is busy."""
    shutil.rmtree(out, ignore_errors=True)
    half, times = stage.config.steps // 2, []

    def advance(_: int) -> None:
        # One call before the first step, then one after each.
        if len(times) in (half, stage.config.steps) and device != "cpu":
            torch.cuda.synchronize(device)
        times.append(time.perf_counter())

    state = run(stage, out, advance)
    rate = (stage.config.steps - half) * stage.config.batch / (times[-1] - times[half])
    return rate, None if device == "cpu" else busy_share(stage, state, device)


def busy_share(stage: Stage[Any], state: Any, device: str) -> float:
    """Share of some steps' time in which at least one kernel runs."""
    torch.cuda.synchronize(device)
    with profile(activities=[ProfilerActivity.CPU, ProfilerActivity.CUDA]) as seen:
        for at in range(_PROFILED):
            stage.step(state, stage.batches(at), rng.stream(0, at))
        torch.cuda.synchronize(device)
    on_device = [
        e for e in seen.events() if e.device_type == DeviceType.CUDA and not e.is_user_annotation
    ]
    return round(covered(on_device), 3)


def covered(events: list[FunctionEvent]) -> float:
    """Share of the time from the first start to the last end that some event covers."""
    spans = sorted((e.time_range.start, e.time_range.end) for e in events)
    total, reached = 0.0, spans[0][0]
    for start, end in spans:
        total += max(0.0, end - max(start, reached))
        reached = max(reached, end)
    return total / (reached - spans[0][0])


if __name__ == "__main__":
    main()
