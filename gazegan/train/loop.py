"""The loop that every training shares: clock, seed, log, save, resume. It knows no losses."""

import math
import signal
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any, Generic, TypeVar

from pydantic import Field
from torch import Generator, Tensor, nn

from gazegan import rng
from gazegan.config import Config
from gazegan.data.files import make_folder, only_writer
from gazegan.errors import DataError, UserError
from gazegan.schema import EyeBatch
from gazegan.train.checkpoint import WEIGHTS, StageName, save_sealed, save_weights
from gazegan.train.log import Log
from gazegan.train.rundir import claim
from gazegan.train.state import State, load_state, save_state

S = TypeVar("S", bound=State)
Batches = Mapping[str, EyeBatch]
Scalars = dict[str, float]
Images = dict[str, Tensor]

_PLANNED = 200
"""Steps, evenly spread, whose plan is shown."""


class LoopConfig(Config):
    """What the loop needs to know; a stage's configuration extends it."""

    seed: int = Field(0, ge=0)
    steps: int = Field(1000, ge=1)
    batch: int = Field(32, ge=2, le=65536)
    """Images a step; the clock counts images."""
    log_every: int = Field(10, ge=1)
    evaluate_every: int = Field(200, ge=1)
    save_every: int = Field(200, ge=1)


@dataclass(frozen=True)
class Stage(Generic[S]):
    """A kind of training, as functions of its state."""

    name: StageName
    config: LoopConfig
    data: dict[str, Any]
    """Plain description of the training data; other data are another run."""
    init: Callable[[], S]
    batches: Callable[[int], Batches]
    """Step -> the batches of that step."""
    step: Callable[[S, Batches, Generator], Scalars]
    """Update the state in place, drawing from the generator; returns what to log."""
    evaluate: Callable[[S], tuple[Scalars, Images]]
    weights: Callable[[S], nn.Module]
    """The network that the run is for."""
    plan: Callable[[int], Scalars] = lambda _: {}
    """Step -> what is known of it before the training, such as its learning rate."""


class Interrupted(UserError):  # noqa: N818 (it is no error)
    """The run was told to stop; it was saved and can be resumed. Exit code 128 + signal."""

    def __init__(self, signum: int, step: int) -> None:
        name = signal.Signals(signum).name
        super().__init__(f"{name}: saved at step {step}; repeat the command to resume")
        self.exit_code = 128 + signum


def run(
    stage: Stage[S],
    run_dir: Path,
    advance: Callable[[int], None] = lambda _: None,
    notify: Callable[[str], None] = lambda _: None,
) -> S:
    """Train until `config.steps`, continuing whatever `run_dir` holds; returns the final state.

    `advance` is told of each batch of images done, `notify` of what a user should know. Raises
    UserError where the folder holds another run, DataError where a loss is not finite, and
    Interrupted, after saving, on Ctrl-C or SIGTERM.
    """
    cfg = stage.config
    record = {"stage": stage.name, "config": cfg.model_dump(mode="json"), "data": stage.data}
    make_folder(run_dir)
    with only_writer(run_dir), _stop_signals() as stopped:
        claim(run_dir, record, notify)
        state = load_state(run_dir, stage.init, notify)
        advance(state.step * cfg.batch)
        with Log(run_dir, state.step) as log:
            for at in range(state.step, cfg.steps, math.ceil(cfg.steps / _PLANNED)):
                log.plan(at + 1, stage.plan(at))
            _train(stage, state, run_dir, log, advance, stopped)
        _save(stage, state, run_dir)
    return state


def _train(
    stage: Stage[S],
    state: S,
    run_dir: Path,
    log: Log,
    advance: Callable[[int], None],
    stopped: list[int],
) -> None:
    cfg = stage.config
    if state.step == 0:
        log.write(0, *stage.evaluate(state))
    since = time.perf_counter(), state.step
    while state.step < cfg.steps:
        scalars = _take(stage, state, run_dir)
        advance(cfg.batch)
        if _due(state, cfg, cfg.log_every):
            now = time.perf_counter(), state.step
            rate = (now[1] - since[1]) * cfg.batch / (now[0] - since[0])
            log.write(state.step, {**scalars, "images_per_s": rate})
            since = now
        if _due(state, cfg, cfg.evaluate_every):
            log.write(state.step, *stage.evaluate(state))
        if state.step % cfg.save_every == 0 or stopped:
            _save(stage, state, run_dir)
        if stopped and state.step < cfg.steps:
            raise Interrupted(stopped[0], state.step)


def _due(state: State, cfg: LoopConfig, every: int) -> bool:
    return state.step % every == 0 or state.step == cfg.steps


def _take(stage: Stage[S], state: S, run_dir: Path) -> Scalars:
    batches = stage.batches(state.step)
    generator = rng.stream(stage.config.seed, stage.name, "step", state.step)
    scalars = stage.step(state, batches, generator)
    for name, value in scalars.items():
        if not math.isfinite(value):
            path = run_dir / f"nonfinite-{state.step:09d}.safetensors"
            save_sealed(path, _tensors(batches), {"kind": "batch", "step": state.step})
            raise DataError(
                f"{name} is {value} at step {state.step}; its batch is in {path}; "
                "start anew with a lower learning rate and another --out"
            )
    state.step += 1
    return scalars


def _tensors(batches: Batches) -> dict[str, Tensor]:
    return {
        f"{name}/{f.name}": value
        for name, batch in batches.items()
        for f in fields(batch)
        if (value := getattr(batch, f.name)) is not None
    }


def _save(stage: Stage[S], state: S, run_dir: Path) -> None:
    # Weights first: a crash in between leaves a state that will write them again.
    info = {
        "step": state.step,
        "config": stage.config.model_dump(mode="json"),
        "data": stage.data,
    }
    save_weights(run_dir / WEIGHTS, stage.weights(state), stage.name, info)
    save_state(run_dir, state)


@contextmanager
def _stop_signals() -> Iterator[list[int]]:
    """Collect Ctrl-C and SIGTERM in a list instead of dying; a second one acts as usual."""
    stopped: list[int] = []
    if threading.current_thread() is not threading.main_thread():
        yield stopped
        return
    usual = {s: signal.getsignal(s) for s in (signal.SIGINT, signal.SIGTERM)}

    def note(signum: int, _: object) -> None:
        stopped.append(signum)
        signal.signal(signum, usual[signal.Signals(signum)])

    for s in usual:
        signal.signal(s, note)
    try:
        yield stopped
    finally:
        for s, handler in usual.items():
            signal.signal(s, handler)
