"""Measure how fast a GPU renders eyes, plainly and compiled, and how near that is to its memory.

    python experiments/speed_render/device.py --work DIR

The clock stops when the device is idle. Records replace those of the same size and renderer in
results.jsonl; on a machine without a GPU nothing is changed.
"""

import json
import time
from collections.abc import Callable, Iterator
from functools import partial
from itertools import product
from pathlib import Path
from typing import Any

import click
import torch
from measures import Traffic
from run import HERE, Settings, circumstances, fail, machine, records

from gazegan import rng
from gazegan.config import load
from gazegan.render import effects
from gazegan.render.compiled import compiled
from gazegan.render.params import EyeParams
from gazegan.render.prior import Recipe, sample
from gazegan.render.scene import Renderer, Rows, chunk, plainly, render_indices

_COPY = 2**30


@click.command()
@click.option("--work", type=click.Path(path_type=Path), required=True, help="For the records.")
@click.option("--device", default="cuda", show_default=True)
@click.option("--repeats", default=5, show_default=True)
@click.option("--compile/--no-compile", "fast", default=True, help="Takes seconds for each size.")
def main(work: Path, device: str, repeats: int, fast: bool) -> None:
    """Run the measurement and record it."""
    settings = load(Settings, HERE / "settings.toml", () if fast else ("compile=false",))
    work.mkdir(parents=True, exist_ok=True)
    lines = []
    for line in measured(settings, device, repeats):
        lines.append({**line, **circumstances(), "device": machine.named(device)})
        click.echo(str(line))
        (work / "device.jsonl").write_text("".join(f"{json.dumps(one)}\n" for one in lines))
    records.keep(HERE / "results.jsonl", ("kind", "size", "renderer"), lines)


def measured(settings: Settings, device: str, repeats: int) -> Iterator[dict[str, Any]]:
    """Every record, the plain and the compiled renderer by turns."""
    copied = copy_speed(device)
    for size in settings.sizes:
        recipe = size.recipe(settings.recipes[0])
        count = size.device
        known = {"kind": "device", "size": size.name, "recipe": recipe.name, "count": count}
        with Traffic() as traffic:
            render_indices(recipe, 0, torch.arange(count), device)
        rivals: dict[str, Renderer] = {"eager": plainly}
        if settings.compile and size.compiled:
            rivals["compiled"] = compiled(recipe, device, fail)
        for repeat, (name, renderer) in product(range(-1, repeats), rivals.items()):
            render = partial(render_indices, recipe, 0, torch.arange(count), device, renderer)
            took = seconds(render, device)
            if repeat < 0:  # is not counted
                continue
            yield {**known, "renderer": name, "repeat": repeat, "value": round(count / took, 1)}
            if name == "eager":
                share = {"value": round(traffic.moved / copied / took, 3)}
                yield {**known, "renderer": "eager, share of the memory's speed", **share}
            else:
                alone = {"value": round(pixels_alone(recipe, device, renderer), 1)}
                yield {**known, "renderer": "compiled, pixels alone", "repeat": repeat, **alone}


def pixels_alone(recipe: Recipe, device: str, renderer: Renderer) -> float:
    """Images a second of most eyes where neither parameters nor labels are made."""
    count, kind = chunk(recipe.image, device), effects.kinds(effects.of_recipe(recipe))[0]
    indices = torch.arange(count)
    params = EyeParams.from_flat(sample(recipe, 0, indices).flat().to(device))
    seed, rows = rng.bits(indices, 0).to(device), Rows.new(recipe.image, count, device)
    return count / seconds(lambda: renderer(params, seed, recipe.image, kind, rows), device)


def seconds(act: Callable[[], object], device: str) -> float:
    """Time of an act, and of what it left the device to do."""
    wait(device)
    since = time.perf_counter()
    act()
    wait(device)
    return time.perf_counter() - since


def copy_speed(device: str) -> float:
    """Bytes a second that a large copy reads and writes."""
    source = torch.ones(_COPY // 4, device=device)
    target = torch.empty_like(source)
    best = min(seconds(lambda: target.copy_(source), device) for _ in range(6))
    return 2 * _COPY / best


def wait(device: str) -> None:
    if torch.device(device).type == "cuda":
        torch.cuda.synchronize(device)


if __name__ == "__main__":
    main()
