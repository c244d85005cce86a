"""The loop that every training shares: clock, seed, log, save, resume. It knows no losses."""

import math
import signal
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any, Generic, NoReturn, TypeVar

import torch
from pydantic import Field
from torch import Generator, Tensor, nn

from gazegan import rng
from gazegan.config import Config
from gazegan.data.files import make_folder, only_writer
from gazegan.errors import DataError, UserError
from gazegan.schema import EyeBatch
from gazegan.train import processes
from gazegan.train.calls import Precision
from gazegan.train.checkpoint import WEIGHTS, StageName, load_sealed, save_sealed, save_weights
from gazegan.train.log import Log
from gazegan.train.processes import ToldElsewhere
from gazegan.train.rundir import claim
from gazegan.train.state import State, load_state, save_state

S = TypeVar("S", bound=State)
Batches = Mapping[str, EyeBatch]
Scalars = dict[str, float]
Measured = dict[str, Tensor | float]
"""Scalars of a step by name, `[]` and without gradient where they still lie on its device."""
Images = dict[str, Tensor]

MOST_STEPS = 10**9
"""More than any training takes; far more could not be counted by what writes the log."""
_PLANNED = 200
"""Steps, evenly spread, whose plan is shown."""


class LoopConfig(Config):
    """What the loop needs to know; a stage's configuration extends it."""

    seed: int = Field(0, ge=0)
    steps: int = Field(1000, ge=1, le=MOST_STEPS)
    batch: int = Field(32, ge=2, le=65536)
    """Images a step; the clock counts images."""
    log_every: int = Field(10, ge=1)
    """Steps between lines of the log, at which all since the one before are checked as finite."""
    precision: Precision = "float32"
    """Of what networks compute forward while they are trained."""
    compile_step: bool = False
    """Whether that is compiled; takes a minute at the start."""
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
    step: Callable[[S, Batches, Generator], Measured]
    """Update the state in place, drawing from the generator; returns what to log."""
    evaluate: Callable[[S], tuple[Scalars, Images]]
    weights: Callable[[S], nn.Module]
    """The network that the run is for."""
    plan: Callable[[int], Scalars] = lambda _: {}
    """Step -> what is known of it before the training, such as its learning rate."""
    fault: Callable[[int, Scalars], str | None] = lambda step, scalars: None
    """Why a step that measured these ends the training, and what to do; None where it goes on."""


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
    given: Mapping[str, str] | None = None,
) -> S:
    """Train until `config.steps`, continuing whatever `run_dir` holds; returns the final state.

    `advance` is told of each batch of images done, `notify` of what a user should know; by
    which words the user named the data is `given`, as they are called in `Stage.data`. Raises
    UserError where the folder holds another run, DataError where a loss is not finite, and
    Interrupted, after saving, on Ctrl-C or SIGTERM. Of several processes only the first writes;
    the others raise ToldElsewhere in the place of these.
    """
    cfg = stage.config
    record = {"stage": stage.name, "config": cfg.model_dump(mode="json"), "data": stage.data}
    with ExitStack() as held, _stop_signals() as stopped:

        def begin() -> None:
            make_folder(run_dir)
            held.enter_context(only_writer(run_dir))
            claim(run_dir, record, notify, given or {})

        processes.after_first(begin)
        state = load_state(run_dir, stage.init, notify)
        processes.largest(0)  # none writes before all have read
        advance(state.step * cfg.batch)
        log = held.enter_context(Log(run_dir, state.step)) if processes.rank() == 0 else None
        if log:
            for at in range(state.step, cfg.steps, math.ceil(cfg.steps / _PLANNED)):
                log.plan(at + 1, stage.plan(at))
        _train(stage, state, run_dir, log, advance, stopped)
        if log:
            _save(stage, state, run_dir)
    return state


def _train(
    stage: Stage[S],
    state: S,
    run_dir: Path,
    log: Log | None,
    advance: Callable[[int], None],
    stopped: list[int],
) -> None:
    """Train to the end or a signal; a process without a log only takes its part in the steps."""
    cfg = stage.config
    if log and state.step == 0:
        log.write(0, *stage.evaluate(state))
    since, unread = (time.perf_counter(), state.step), list[Measured]()
    while state.step < cfg.steps:
        unread.append(_take(stage, state))
        advance(cfg.batch)
        signum = processes.largest(stopped[0] if stopped else 0)
        due = [state.step % every == 0 for every in (cfg.log_every, cfg.evaluate_every)]
        save = signum or state.step % cfg.save_every == 0
        last = state.step == cfg.steps
        if not (save or last or any(due)):
            continue
        scalars = _read(stage, state, unread, run_dir)
        if log and (due[0] or last):
            rate = (state.step - since[1]) * cfg.batch / (time.perf_counter() - since[0])
            log.write(state.step, {**scalars, "images_per_s": rate})
        if log and (due[1] or last):
            log.write(state.step, *stage.evaluate(state))
        if log and save:
            _save(stage, state, run_dir)
        since = time.perf_counter(), state.step  # evaluating and saving are no training
        if signum and not last:
            raise Interrupted(signum, state.step) if log else ToldElsewhere(128 + signum)


def _take(stage: Stage[S], state: S) -> Measured:
    generator = rng.stream(stage.config.seed, stage.name, "step", state.step)
    measured = stage.step(state, stage.batches(state.step), generator)
    state.step += 1
    return measured


def _read(stage: Stage[S], state: S, unread: list[Measured], run_dir: Path) -> Scalars:
    """Empty the list of what steps measured, fetch all at once, and return the last step's.

    To fetch each step's at its end would let a GPU wait for the next one. Raises DataError naming
    the first step that was not finite, or that the stage finds fault with; nothing was saved since.
    """
    held = [value for one in unread for value in one.values() if isinstance(value, Tensor)]
    fetched = iter(processes.averaged(torch.stack(held)).tolist() if held else ())
    scalars = Scalars()
    for at, one in enumerate(unread, state.step - len(unread)):
        scalars = {k: next(fetched) if isinstance(v, Tensor) else v for k, v in one.items()}
        if (why := _wrong(stage, at, scalars)) is not None:
            _refuse(stage.batches(at), why, at, run_dir)
    unread.clear()
    return scalars


def _wrong(stage: Stage[S], at: int, scalars: Scalars) -> str | None:
    for name, value in scalars.items():
        if not math.isfinite(value):
            return f"{name} is {value} at step {at}; lower the learning rate"
    return stage.fault(at, scalars)


def _refuse(batches: Batches, why: str, at: int, run_dir: Path) -> NoReturn:
    path = run_dir / f"failed-{at:09d}.safetensors"
    tensors = {name: processes.gathered(rows) for name, rows in _tensors(batches).items()}
    fault = DataError(f"{why}, and start anew with another --out; {_left(path, run_dir)}")
    if processes.rank():
        raise ToldElsewhere(fault.exit_code)
    save_sealed(path, tensors, {"kind": "batch", "step": at})
    raise fault


def _left(batch: Path, run_dir: Path) -> str:
    told = f"its batch is in {batch}"
    if not (run_dir / WEIGHTS).exists():
        return told
    _, info = load_sealed(run_dir / WEIGHTS)
    return f"{told}; the weights of step {info['step']} are kept"


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
