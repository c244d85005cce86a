"""Run an experiment: a recipe of ordinary gazegan commands, repeated for several seeds.

    python experiments/run.py columbia --real DIR --work DIR
    python experiments/run.py columbia --real DIR --work DIR --set renders=200 --set epochs=0.1
    python experiments/run.py stability --work DIR

Repeating it resumes. Every measurement is appended to the experiment's results.jsonl (with --set,
to the work folder's: a smoke run is no result); the table in its README.md is made from there by
`python experiments/table.py`.
"""

import json
import os
import shlex
import subprocess
import sys
import time
from pathlib import Path
from typing import Annotated, Any

import click
import torch
from machine import versions
from pydantic import Field

from gazegan.config import Config, load

HERE = Path(__file__).parent
RESULTS = "results.jsonl"
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


class Experiment(Config):
    """Commands with {real}, {work}, {run} (the work folder of a seed), {seed} and any value."""

    seeds: Annotated[tuple[int, ...], Field(min_length=1)]
    values: dict[str, str | int | float]
    once: tuple[str, ...]
    each: tuple[str, ...]
    measures: tuple[Measure, ...]


@click.command()
@click.argument("name")
@click.option("--real", type=click.Path(path_type=Path, exists=True), help="Photographs.")
@click.option("--work", type=click.Path(path_type=Path), required=True, help="For stores and runs.")
@click.option("--set", "overrides", multiple=True, metavar="KEY=VALUE", help="Change a value.")
def main(name: str, real: Path | None, work: Path, overrides: tuple[str, ...]) -> None:
    """Run experiment NAME and record its measurements."""
    changes = [f"{'' if item.startswith('seeds=') else 'values.'}{item}" for item in overrides]
    recipe = HERE / name / "recipe.toml"
    experiment = load(Experiment, recipe, changes)
    if real is None and "{real}" in recipe.read_text():
        raise click.UsageError(f"{name} needs photographs; add --real DIR")
    results = (work if overrides else HERE / name) / RESULTS
    places = {**experiment.values, "real": str(real), "work": str(work)}
    for command in experiment.once:
        run(command, places)
    for seed in experiment.seeds:
        here = {**places, "seed": str(seed), "run": str(work / str(seed))}
        for command in experiment.each:
            run(command, here)
        for measure in experiment.measures:
            record(results, measure, seed, run(measure.command, here))


def run(command: str, places: dict[str, Any]) -> dict[str, Any]:
    """Run one command in a process of its own; returns what it printed."""
    words = [word.format(**places) for word in shlex.split(command)]
    click.echo(f"gazegan {shlex.join(words)}", err=True)
    since = time.perf_counter()
    done = subprocess.run(
        [sys.executable, "-m", "gazegan", *words, "--json"], stdout=subprocess.PIPE, check=False
    )
    if done.returncode:
        sys.exit(done.returncode)
    found = json.loads(done.stdout.splitlines()[-1])
    click.echo(f"    {time.perf_counter() - since:.0f} s", err=True)
    attacked = (found.get("epsilons") or [{}])[-1]
    return {**found, **found.get("pupil_shift", {}), **attacked, **compared(found)}


def compared(found: dict[str, Any]) -> dict[str, Any]:
    """Return what `compare` says of its last images, and of two halves of the photographs."""
    if not found.get("rows"):
        return {}
    halves, *_, last = found["rows"]
    return {**last, **{f"halves/{key}": value for key, value in halves.items()}}


def record(results: Path, measure: Measure, seed: int, found: dict[str, Any]) -> None:
    """Put one measurement into the results, replacing an earlier one of the same cell and seed."""
    line = {
        "row": measure.row,
        "column": measure.column,
        "seed": seed,
        **{key: round(found[key], 4) for key in KEPT if found.get(key) is not None},
        **by_person(found),
        **by_shots(found),
        **versions(),
        "threads": os.environ.get("OMP_NUM_THREADS", str(torch.get_num_threads())),
        "device": "cpu",
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
