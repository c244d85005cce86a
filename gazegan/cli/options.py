"""Options that mean the same in every command, and the two ways a command talks."""

import json
import math
import re
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import rich_click as click

_SECONDS_A_LINE = 60
"""How often a long command without a terminal says how far it is."""


class _Path(click.Path):
    """A path; an empty name, to Python the folder that one is in, is none."""

    def convert(self, value: Any, param: Any, ctx: Any) -> Any:
        if value == "":
            self.fail("the name is empty; give one", param, ctx)
        return super().convert(value, param, ctx)


PATH = _Path(path_type=Path)


def overrides(example: str) -> Callable[[Any], Any]:
    """Return the option `--set` of a command whose help shows this example."""
    return click.option(
        "--set",
        "overrides",
        multiple=True,
        metavar="KEY=VALUE",
        help=f"Override one setting, e.g. --set {example}; repeatable.",
    )


SEED = click.option("--seed", type=click.IntRange(0), default=0, show_default=True, help="Seed.")
DEVICE = click.option(
    "--device",
    default="cpu",
    show_default=True,
    metavar="cpu|cuda",
    help="Where tensors live; cuda:1 also works.",
)
PRECISION = click.option(
    "--precision",
    type=click.Choice(["float32", "bf16"]),
    help="Of networks' forward passes while they are trained; default: float32.",
)
COMPILE = click.option(
    "--compile",
    "compile_step",
    is_flag=True,
    default=None,
    help="Compile the networks first, which takes a minute; pays off in long trainings.",
)
JSON = click.option("--json", "as_json", is_flag=True, help="Print one JSON object and no more.")


def out(help_text: str) -> Callable[[Any], Any]:
    """The required `--out` option."""
    return click.option("--out", type=PATH, required=True, help=help_text)


class Number(click.FloatRange):
    """A finite number within bounds: beyond which NaN, to click, never lies."""

    def convert(self, value: Any, param: Any, ctx: Any) -> float:
        number = super().convert(value, param, ctx)
        if not math.isfinite(number):
            self.fail(f"{value!r} is not a finite number; write one such as 0.5", param, ctx)
        return number


class _Size(click.ParamType):  # type: ignore[type-arg]
    name = "HxW"

    def __init__(self, least: int) -> None:
        self.least = least

    def convert(self, value: Any, param: Any, ctx: Any) -> tuple[int, int]:
        if isinstance(value, tuple):
            return value
        sides = re.fullmatch("([0-9]{1,9})x([0-9]{1,9})", str(value).lower())
        if not sides:
            self.fail(f"{value!r} is not a size; write HEIGHTxWIDTH, e.g. 36x60", param, ctx)
        size = int(sides[1]), int(sides[2])
        if not all(self.least <= side <= 8192 for side in size):
            self.fail(f"{value!r}: sides must lie in {self.least}..8192 pixels", param, ctx)
        return size


SIZE = _Size(8)
SIDES = _Size(1)
"""Of maps, which may be smaller than images."""


def check_once(data: Sequence[Path]) -> None:
    """Raise UserError where a `--data` is named again, which would count twice."""
    from gazegan.errors import UserError

    for k, path in enumerate(data):
        if path in data[:k]:
            raise UserError(f"--data {path}: is given twice; leave one out")


def check_device(device: str) -> str:
    """Return a usable device name, or raise UserError naming `--device` and the cure."""
    import torch

    from gazegan.errors import UserError

    if device.partition(":")[0] not in ("cpu", "cuda"):
        raise UserError(f"--device {device}: write cpu, cuda or, of several, cuda:1")
    try:
        torch.empty(0, device=device)
    except (RuntimeError, AssertionError) as fault:
        reason = str(fault).splitlines()[0]
        raise UserError(f"--device {device}: {reason}; use --device cpu") from None
    return device


@contextmanager
def progress(label: str, total: int | None, quiet: bool = False) -> Iterator[Callable[[int], None]]:
    """Show a progress bar with rate and remaining time on a terminal; yields `advance(n)`.

    Where there is none, as in a job's log, a line a minute says how far it is.
    """
    from rich.console import Console
    from rich.progress import (
        BarColumn,
        MofNCompleteColumn,
        Progress,
        ProgressColumn,
        Task,
        TextColumn,
        TimeRemainingColumn,
    )

    class Rate(ProgressColumn):
        def render(self, task: Task) -> str:
            return f"{task.finished_speed or task.speed or 0:.0f}/s"

    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        Rate(),
        TimeRemainingColumn(),
    )
    console = Console(file=sys.stderr)
    if not quiet and not console.is_terminal:
        yield _lines(label, total)
        return
    with Progress(*columns, console=console, disable=quiet) as bar:
        task = bar.add_task(label, total=total)
        try:
            yield lambda n: bar.advance(task, n)
        except BaseException:
            # The line that says what was wrong should not have half a bar before it.
            bar.live.transient = True
            raise


def _lines(label: str, total: int | None) -> Callable[[int], None]:
    """Return what hears of each part done, and tells of the whole now and then."""
    done, told = 0, time.monotonic()

    def advance(count: int) -> None:
        nonlocal done, told
        done += count
        if (now := time.monotonic()) - told >= _SECONDS_A_LINE:
            told = now
            of = f" of {total}, {done / total:.0%}" if total else ""
            click.echo(f"{label}: {done}{of}", err=True)

    return advance


def say(as_json: bool, values: dict[str, Any], text: str) -> None:
    """Print `values` as one JSON object with `--json`, else `text`."""
    click.echo(json.dumps(values, allow_nan=False) if as_json else text)
