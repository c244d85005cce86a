"""Run an experiment: a recipe of ordinary gazegan commands, repeated for several seeds.

    python experiments/run.py columbia --real DIR --work DIR
    python experiments/run.py columbia --real DIR --work DIR --set renders=200 --set epochs=0.1
    python experiments/run.py stability --work DIR
    python experiments/run.py columbia --real DIR --work DIR --device cuda --only trainings

Repeating it resumes. Every measurement is appended to the experiment's results.jsonl (with --set,
to the work folder's: a smoke run is no result); the table in its README.md is made from there by
`python experiments/table.py`.
"""

import io
import json
import multiprocessing
import os
import shlex
import sys
from collections import deque
from collections.abc import Iterator, Sequence
from contextlib import redirect_stdout, suppress
from multiprocessing import connection
from multiprocessing.process import BaseProcess
from pathlib import Path
from typing import Annotated, Any

import click
import torch
from machine import named, versions
from pydantic import Field

from gazegan.cli import main as gazegan
from gazegan.config import Config, load
from gazegan.train.checkpoint import WEIGHTS, load_weights

HERE = Path(__file__).parent
RESULTS, MADE_WITH = "results.jsonl", "made_with.json"
FORK = multiprocessing.get_context("fork")
"""Commands run in processes of their own, which find torch imported."""
KEPT = (
    "count", "mean_deg", "median_deg", "p95_deg", "constant_deg", "zero_deg", "vertical_deg",
    "horizontal_deg", "vertical_bias_deg", "horizontal_bias_deg", "vertical_slope",
    "horizontal_slope", "vertical_wasserstein_deg", "horizontal_wasserstein_deg",
    "vertical_constant_wasserstein_deg", "horizontal_constant_wasserstein_deg",
    "median_px", "p95_px", "located",
    "pupil_shift/median_px", "pupil_shift/p95_px", "pupil_shift/located",
    *(f"likeness/{side}_{measure}" for side in ("raw", "refined")
      for measure in ("sliced_wasserstein", "kernel_distance", "auc")),
    *(f"{who}{measure}" for who in ("", "halves/")
      for measure in ("sliced_wasserstein", "kernel_distance", "auc")),
    "noise_deg", "fgsm_deg", "pgd_deg", "nominal_deg", "drawn_deg", "worst_deg",
)  # fmt: skip


class Measure(Config):
    """A command that prints one JSON object, and the cell of the table that it fills."""

    row: str
    column: str
    command: str
    network: str = ""

    def ready(self, places: dict[str, Any]) -> bool:
        """Whether the network that it measures, if it names one, is trained to the end."""
        if not self.network:
            return True
        folder = Path(self.network.format(**places))
        if not (folder / WEIGHTS).exists():
            return False
        _, info = load_weights(folder, "gaze")
        return bool(info["step"] == info["config"]["steps"])


class Experiment(Config):
    """Commands with {real}, {work}, {run} (the work folder of a seed), {seed} and any value."""

    seeds: Annotated[tuple[int, ...], Field(min_length=1)]
    values: dict[str, str | int | float]
    once: tuple[str, ...]
    each: tuple[str, ...]
    networks: dict[str, str] = Field(default_factory=dict)
    """Row -> what is filled in for {network} in the commands of `columns`."""
    columns: dict[str, str] = Field(default_factory=dict)
    measures: tuple[Measure, ...] = ()

    @property
    def cells(self) -> Iterator[Measure]:
        """Every network measured by every column's command, then `measures`."""
        for row, network in self.networks.items():
            for column, command in self.columns.items():
                filled = command.replace("{network}", network)
                yield Measure(row=row, column=column, command=filled, network=network)
        yield from self.measures


@click.command()
@click.argument("name")
@click.option("--real", type=click.Path(path_type=Path, exists=True), help="Photographs.")
@click.option("--work", type=click.Path(path_type=Path), required=True, help="For stores and runs.")
@click.option("--device", default="cpu", show_default=True, help="Of trainings.")
@click.option("--jobs", type=click.IntRange(1), default=1, help="Commands at a time; default: 1.")
@click.option(
    "--only",
    type=click.Choice(["trainings", "measures"]),
    help="Do not measure, or measure what is there.",
)
@click.option("--set", "overrides", multiple=True, metavar="KEY=VALUE", help="Change a value.")
def main(
    name: str,
    real: Path | None,
    work: Path,
    device: str,
    jobs: int,
    only: str | None,
    overrides: tuple[str, ...],
) -> None:
    """Run experiment NAME and record its measurements."""
    changes = [f"{'' if item.startswith('seeds=') else 'values.'}{item}" for item in overrides]
    recipe = HERE / name / "recipe.toml"
    experiment = load(Experiment, recipe, changes)
    if real is None and "{real}" in recipe.read_text():
        raise click.UsageError(f"{name} needs photographs; add --real DIR")
    results = (work if overrides else HERE / name) / RESULTS
    places = {**experiment.values, **quoted(real=real, work=work)}
    deque(make([worded(command, places, device) for command in experiment.once], jobs), maxlen=0)
    seeds = experiment.seeds
    for some in [seeds] if jobs > 1 else [(seed,) for seed in seeds]:
        here = {s: {**places, "seed": str(s), **quoted(run=work / str(s))} for s in some}
        if only != "measures":
            for seed in here:
                (work / str(seed)).mkdir(parents=True, exist_ok=True)
                (work / str(seed) / MADE_WITH).write_text(json.dumps(circumstances(device)))
        go_through(experiment, here, work, results, device, jobs, only)


def go_through(
    experiment: Experiment,
    here: dict[int, dict[str, Any]],
    work: Path,
    results: Path,
    device: str,
    jobs: int,
    only: str | None,
) -> None:
    """Train for each seed, whose places are `here`, and record what is measured as it comes."""
    commands, cells = [], dict[int, tuple[int, Measure]]()
    for seed, place in here.items():
        if only != "trainings":  # first, to be measured as soon as they can
            found = [cell for cell in experiment.cells if not only or cell.ready(place)]
            cells |= {len(commands) + at: (seed, cell) for at, cell in enumerate(found)}
            commands += [worded(cell.command, place, "cpu") for cell in found]
        if only != "measures":
            commands += [worded(command, place, device) for command in experiment.each]
    for at, told in make(commands, jobs):
        if at in cells:
            seed, cell = cells[at]
            made_with = json.loads((work / str(seed) / MADE_WITH).read_text())
            record(results, cell, seed, flat(told), made_with)


def flat(found: dict[str, Any]) -> dict[str, Any]:
    """Return what a command printed, with what it says of pupils, of attacks and of likeness."""
    attacked = (found.get("epsilons") or [{}])[-1]
    return {**found, **found.get("pupil_shift", {}), **attacked, **compared(found)}


def quoted(**paths: Path | None) -> dict[str, str]:
    """Return paths as single words of a command."""
    return {name: shlex.quote(str(path)) for name, path in paths.items()}


def worded(command: str, places: dict[str, Any], device: str) -> list[str]:
    """Return the words of a command, places filled in."""
    words = shlex.split(command.format(**places))
    return words + (["--device", device] if device != "cpu" and takes_device(words) else [])


def make(commands: Sequence[list[str]], jobs: int) -> Iterator[tuple[int, dict[str, Any]]]:
    """Run commands, as many at a time as `jobs`, each after those that make what it reads.

    Yields the number of each that is done, and what it printed.
    """
    waiting, running = dict(enumerate(commands)), dict[Any, tuple[int, BaseProcess]]()
    while waiting or running:
        going = [at for at, _ in running.values()]
        unmade = {made_by(commands[at]) for at in [*waiting, *going]} - {None}
        ready = [at for at, w in waiting.items() if not set(w) & (unmade - {made_by(w)})]
        for at in ready[: jobs - len(running)]:
            child, said = started(waiting.pop(at))
            running[said] = at, child
        for said in connection.wait(list(running)):
            at, child = running.pop(said)
            with suppress(EOFError):
                text = said.recv()  # type: ignore[union-attr]
            child.join()
            if child.exitcode:
                for _, other in running.values():
                    other.terminate()
                sys.exit(1 if child.exitcode < 0 else child.exitcode)
            click.echo(f"    done: {shlex.join(commands[at])}", err=True)
            yield at, json.loads(text.splitlines()[-1])


def made_by(words: Sequence[str]) -> str | None:
    """Return what a command makes."""
    return words[words.index("--out") + 1] if "--out" in words else None


def started(words: list[str]) -> tuple[BaseProcess, connection.Connection]:
    """Start one command in a process of its own; returns it, and where it sends what it prints."""
    click.echo(f"gazegan {shlex.join(words)}", err=True)
    ours, its = FORK.Pipe(duplex=False)
    child = FORK.Process(target=printed, args=([*words, "--json"], its))
    child.start()
    its.close()
    return child, ours


def printed(words: Sequence[str], to: connection.Connection) -> None:
    """Run one command and send what it prints; the process ends with the command's exit code."""
    said = io.StringIO()
    with redirect_stdout(said):
        try:
            gazegan.main(words)
        except SystemExit as end:
            if end.code == 0:
                to.send(said.getvalue())
            raise


def takes_device(words: Sequence[str]) -> bool:
    """Whether a command has the option --device."""
    command: Any = gazegan
    for word in words:
        if not hasattr(command, "get_command"):
            break
        command = command.get_command(None, word)
    return any("--device" in parameter.opts for parameter in command.params)


def compared(found: dict[str, Any]) -> dict[str, Any]:
    """Return what `compare` says of its last images, and of two halves of the photographs."""
    if not found.get("rows"):
        return {}
    halves, *_, last = found["rows"]
    return {**last, **{f"halves/{key}": value for key, value in halves.items()}}


def circumstances(device: str) -> dict[str, str]:
    """Return what a training depends on, beside its settings."""
    threads = os.environ.get("OMP_NUM_THREADS", str(torch.get_num_threads()))
    with FORK.Pool(1) as other:  # once a GPU is in use here, processes made from here cannot use it
        name = other.apply(named, (device,))
    return {**versions(), "threads": threads, "device": name}


def record(
    results: Path,
    measure: Measure,
    seed: int,
    found: dict[str, Any],
    made_with: dict[str, str],
) -> None:
    """Put one measurement into the results, replacing an earlier one of the same cell and seed."""
    line = {
        "row": measure.row,
        "column": measure.column,
        "seed": seed,
        **{key: round(found[key], 4) for key in KEPT if found.get(key) is not None},
        **by_person(found),
        **by_shots(found),
        **made_with,
    }
    same = ("row", "column", "seed")
    old = (
        [json.loads(text) for text in results.read_text().splitlines()] if results.exists() else []
    )
    kept = [entry for entry in old if any(entry[key] != line[key] for key in same)]
    written = results.with_suffix(".tmp")
    written.write_text("".join(json.dumps(entry) + "\n" for entry in [*kept, line]))
    written.replace(results)


def by_person(found: dict[str, Any]) -> dict[str, dict[str, float]]:
    """Return the mean error of each subject, where they are known."""
    errors = {g["subject"]: round(g["mean_deg"], 4) for g in found.get("subjects", ())}
    return {"people": errors} if errors else {}


def by_shots(found: dict[str, Any]) -> dict[str, dict[str, float]]:
    """Return the mean error after each number of labelled samples, where it was measured."""
    errors = {str(one["shots"]): round(one["mean_deg"], 4) for one in found.get("shots", ())}
    return {"shots": errors} if errors else {}


if __name__ == "__main__":
    main()
