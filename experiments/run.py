"""Run an experiment: a recipe of ordinary gazegan commands, repeated for several seeds.

    python experiments/run.py columbia --real DIR --work DIR
    python experiments/run.py columbia --real DIR --work DIR --set renders=200 --set rounds=1
    python experiments/run.py stability --work DIR
    python experiments/run.py columbia --real DIR --work DIR --device cuda --only trainings
    python experiments/run.py columbia --real DIR --work DIR --only missing

Repeating it resumes. Every measurement is appended to the experiment's results.jsonl (with --set,
to the work folder's: a smoke run is no result); the table in its README.md is made from there by
`python experiments/table.py`.
"""

import json
import os
import shlex
from collections import deque
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Annotated, Any

import click
import torch
from commands import make, worded
from machine import named, versions
from pydantic import Field
from records import keep, read

from gazegan.config import Config, load
from gazegan.train.checkpoint import WEIGHTS, load_sealed

HERE = Path(__file__).parent
RESULTS, MADE_WITH = "results.jsonl", "made_with.json"
TRAINING = (None, "trainings")
"""What `--only` says where networks are trained."""
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
    """The run that it measures; with `--only measures` one that has not ended is left out."""

    def ready(self, places: dict[str, Any]) -> bool:
        """Whether the network that it measures, if it names one, is trained to the end."""
        if not self.network:
            return True
        folder = Path(self.network.format(**places))
        if not (folder / WEIGHTS).exists():
            return False
        _, info = load_sealed(folder / WEIGHTS)
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
    type=click.Choice(["trainings", "measures", "missing"]),
    help="Do not measure; measure what is there; or what is there and has no record.",
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
        if only in TRAINING:
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
    commands: list[list[str]] = []
    cells: dict[int, tuple[int, Measure]] = {}
    known = {(line["row"], line["column"], line["seed"]) for line in read(results)}
    for seed, place in here.items():
        if only != "trainings":  # first, to be measured as soon as they can
            found = [cell for cell in experiment.cells if not only or cell.ready(place)]
            if only == "missing":
                found = [cell for cell in found if (cell.row, cell.column, seed) not in known]
            cells |= {len(commands) + at: (seed, cell) for at, cell in enumerate(found)}
            commands += [worded(cell.command, place, "cpu") for cell in found]
        if only in TRAINING:
            commands += [worded(command, place, device) for command in experiment.each]
    order = [(cell.row, cell.column) for cell in experiment.cells]
    for at, told in make(commands, jobs):
        if at in cells:
            seed, cell = cells[at]
            made_with = json.loads((work / str(seed) / MADE_WITH).read_text())
            record(results, cell, seed, flat(told), made_with, order)


def flat(found: dict[str, Any]) -> dict[str, Any]:
    """Return what a command printed, with what it says of pupils, of attacks and of likeness."""
    attacked = (found.get("epsilons") or [{}])[-1]
    return {**found, **found.get("pupil_shift", {}), **attacked, **compared(found)}


def quoted(**paths: Path | None) -> dict[str, str]:
    """Return paths as single words of a command."""
    return {name: shlex.quote(str(path)) for name, path in paths.items()}


def compared(found: dict[str, Any]) -> dict[str, Any]:
    """Return what `compare` says of its last images, and of two halves of the photographs."""
    if not found.get("rows"):
        return {}
    halves, *_, last = found["rows"]
    return {**last, **{f"halves/{key}": value for key, value in halves.items()}}


def circumstances(device: str) -> dict[str, str]:
    """Return what a training depends on, beside its settings."""
    threads = os.environ.get("OMP_NUM_THREADS", str(torch.get_num_threads()))
    return {**versions(), "threads": threads, "device": named(device)}


def record(
    results: Path,
    measure: Measure,
    seed: int,
    found: dict[str, Any],
    made_with: dict[str, str],
    order: Sequence[tuple[str, str]] = (),
) -> None:
    """Put one measurement into the results, replacing an earlier one of the same cell and seed.

    Seeds and, in the `order` that tables show, rows and columns follow each other however they
    were measured.
    """
    line = {
        "row": measure.row,
        "column": measure.column,
        "seed": seed,
        **{key: round(found[key], 4) for key in KEPT if found.get(key) is not None},
        **by_person(found),
        **by_shots(found),
        **made_with,
    }

    def place(entry: dict[str, Any]) -> tuple[int, int]:
        cell = (entry["row"], entry["column"])
        return entry["seed"], order.index(cell) if cell in order else len(order)

    keep(results, ("row", "column", "seed"), [line], place)


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
