"""Measure what compiled rendering moves through a GPU's memory, by its hardware counters.

    python experiments/speed_render/traffic.py --work DIR

Runs itself under NVIDIA's profiler Nsight Compute (`ncu`), which counts the bytes of every kernel
and times it alone, and records the share of the speed of a large copy. Records replace those of the
same size in results.jsonl.
"""

import csv
import io
import json
import shutil
import subprocess
import sys
from pathlib import Path

import click
from device import copy_speed, pixels_alone
from run import HERE, Settings, circumstances, fail, machine, records

from gazegan.config import load
from gazegan.render.compiled import compiled

BYTES, NANOSECONDS, BUSY = (
    "dram__bytes.sum",
    "gpu__time_duration.sum",
    "sm__throughput.avg.pct_of_peak_sustained_elapsed",
)
COUNTED = "regex:^(shared|loop[0-9]+)$"
NAME = "compiled, pixels alone, share of the memory's speed"


@click.command()
@click.option("--work", type=click.Path(path_type=Path), required=True, help="For the records.")
@click.option("--device", default="cuda", show_default=True)
@click.option("--render", default=None, metavar="SIZE", help="Only render, to be looked at.")
def main(work: Path, device: str, render: str | None) -> None:
    """Run the measurement and record it."""
    settings = load(Settings, HERE / "settings.toml")
    if render:
        size = next(size for size in settings.sizes if size.name == render)
        recipe = size.recipe(settings.recipes[0])
        pixels_alone(recipe, device, compiled(recipe, device, fail))
        return
    if shutil.which("ncu") is None:
        raise click.ClickException("no ncu; NVIDIA's Nsight Compute brings it")
    work.mkdir(parents=True, exist_ok=True)
    speed, lines = copy_speed(device), []
    for size in settings.sizes:
        found = counted(work, device, size.name)
        share = found["bytes"] / found["seconds"] / speed
        known = {"kind": "device", "size": size.name, "recipe": settings.recipes[0]}
        line = {**known, "renderer": NAME, "value": round(share, 3), **found}
        lines.append({**line, **circumstances(), "device": machine.named(device)})
        click.echo(str(line))
        (work / "traffic.jsonl").write_text("".join(f"{json.dumps(one)}\n" for one in lines))
    records.keep(HERE / "results.jsonl", ("kind", "size", "renderer"), lines)


def counted(work: Path, device: str, size: str) -> dict[str, float]:
    """Bytes and seconds of all kernels of one chunk of eyes, and how busy its processors were."""
    command = [sys.executable, __file__, "--work", str(work), "--device", device, "--render", size]
    counters = ["--metrics", ",".join((BYTES, NANOSECONDS, BUSY)), "--kernel-name", COUNTED]
    # Clocks and caches stay as they are where nobody looks.
    usual = ["--clock-control", "none", "--cache-control", "none"]
    done = subprocess.run(
        ["ncu", "--csv", "--print-units", "base", *counters, *usual, *command],
        check=True,
        stdout=subprocess.PIPE,
        text=True,
    )
    return summed(done.stdout)


def summed(text: str) -> dict[str, float]:
    """Add up what ncu prints of each kernel; busyness is weighted by time."""
    table = text[text.index('"ID"') :]
    kernels: dict[str, dict[str, float]] = {}
    for row in csv.DictReader(io.StringIO(table)):
        told = kernels.setdefault(row["ID"], {})
        told[row["Metric Name"]] = float(row["Metric Value"].replace(",", ""))
    took = sum(one[NANOSECONDS] for one in kernels.values())
    busy = sum(one[BUSY] * one[NANOSECONDS] for one in kernels.values()) / took
    moved = sum(one[BYTES] for one in kernels.values())
    return {"bytes": moved, "seconds": took / 1e9, "busy": round(busy / 100, 3)}


if __name__ == "__main__":
    main()
