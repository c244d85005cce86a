"""Measure how fast our loop trains, beside a plain loop of the same networks in torch.

    python experiments/speed_train/run.py --work DIR
    python experiments/speed_train/run.py --work DIR --set repeats=2 --set steps=2

Ours is one run of `gazegan.train.loop.run`, whose `advance` hands over to the plain loop after
every `steps` steps and back, so that what else the machine does falls on both. Records go to
results.jsonl (with --set, to the work folder's); the table in README.md is made from there by
`python experiments/table.py`.
"""

import os
import shutil
import sys
import time
from collections.abc import Iterator
from functools import partial
from itertools import product
from pathlib import Path
from typing import Any

import click
import plain
import torch

from gazegan.config import Config, load
from gazegan.data.rendered import write_rendered
from gazegan.data.store import Store, open_store
from gazegan.render.prior import load_recipe
from gazegan.train.gaze import gaze_stage
from gazegan.train.gaze_settings import GazeTraining
from gazegan.train.loop import Stage, run
from gazegan.train.refiner import RefinerTraining, refiner_stage
from gazegan.train.state import save_state

sys.path.append(str(Path(__file__).parent.parent))  # after its own folder
import machine
from records import keep

HERE = Path(__file__).parent
Times = tuple[float, float]
"""By the clock and of the processor, s."""


class Settings(Config):
    """The experiment."""

    trainings: tuple[str, ...]
    threads: tuple[int, ...]
    repeats: int
    steps: int
    renders: int
    photographs: int
    seed: int
    batches: tuple[int, ...]
    device_steps: int
    compiled: tuple[bool, ...]


@click.command()
@click.option("--work", type=click.Path(path_type=Path), required=True, help="For stores and runs.")
@click.option("--threads", type=int, multiple=True, help="Measure with so many alone; repeatable.")
@click.option("--set", "overrides", multiple=True, metavar="KEY=VALUE", help="Change a value.")
def main(work: Path, threads: tuple[int, ...], overrides: tuple[str, ...]) -> None:
    """Run the experiment and record what was measured."""
    settings = load(Settings, HERE / "settings.toml", overrides)
    stores = made(settings, work)
    results = (work if overrides else HERE) / "results.jsonl"
    for training, some in product(settings.trainings, threads or settings.threads):
        torch.set_num_threads(some)
        what = {"training": training, "threads": str(some), "device": "cpu"}
        lines = [*turns(settings, training, stores, work / "run")]
        keep(results, tuple(what), [{**line, **what, **circumstances()} for line in lines])


def made(settings: Settings, work: Path) -> tuple[Store, Store]:
    """Render what is trained on, once."""
    wanted = {"webcam": settings.renders, "standin": settings.photographs}
    for name, count in wanted.items():
        write_rendered(load_recipe(name), settings.seed, count, work / f"{name}-{count}")
    renders, photographs = (open_store(work / f"{n}-{count}") for n, count in wanted.items())
    return renders, photographs


def turns(
    settings: Settings, training: str, stores: tuple[Store, Store], out: Path
) -> Iterator[dict[str, Any]]:
    """Speed of both loops in each repeat, of which the first is not counted, and of their pauses.

    Evaluating and saving, for which the plain loop has no counterpart, are measured apart.
    """
    shutil.rmtree(out, ignore_errors=True)
    whole = (settings.repeats + 1) * settings.steps
    known = {"seed": settings.seed, "steps": whole, "evaluate_every": whole, "save_every": whole}
    stage, other = contenders(training, known, stores)
    taken: list[tuple[Times, Times]] = []
    since, done = now(), 0

    def advance(images: int) -> None:
        nonlocal since, done
        done += images > 0
        if not images or done % settings.steps:
            return
        ours, since = apart(since), now()
        for _ in range(settings.steps):
            next(other)
        taken.append((ours, apart(since)))
        since = now()

    state = run(stage, out, advance)
    batch = {"batch": stage.config.batch, "steps": settings.steps}
    for repeat, both in enumerate(taken[1:]):
        for name, (wall, cpu) in zip(("ours", "plain"), both, strict=True):
            rate = round(settings.steps * stage.config.batch / wall, 2)
            told = {"repeat": repeat, **batch, "value": rate, "cpu_s": round(cpu, 4)}
            yield {"kind": "training", "loop": name, **told}
    for name, act in (("evaluating", stage.evaluate), ("saving", partial(save_state, out))):
        since = now()
        act(state)
        wall, cpu = apart(since)
        yield {"kind": "pause", "loop": name, "value": round(wall, 4), "cpu_s": round(cpu, 4)}


def contenders(
    training: str, known: dict[str, Any], stores: tuple[Store, Store]
) -> tuple[Stage[Any], Iterator[None]]:
    renders, photographs = stores
    seen = renders.read(range(len(renders)))
    if training == "gaze":
        cfg = GazeTraining(**known)
        return gaze_stage(cfg, renders), plain.gaze(cfg, seen)
    cfg = RefinerTraining(**known, critic_lead=0)
    real = photographs.read(range(len(photographs)))
    return refiner_stage(cfg, renders, photographs), plain.refiner(cfg, seen, real)


def now() -> Times:
    return time.perf_counter(), time.process_time()


def apart(since: Times) -> Times:
    wall, cpu = now()
    return wall - since[0], cpu - since[1]


def circumstances() -> dict[str, str]:
    """What a result depends on."""
    cores = str(len(os.sched_getaffinity(0)))
    return {**machine.versions(), "cores": cores, "processor": machine.processor()}


if __name__ == "__main__":
    main()
