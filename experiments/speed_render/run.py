"""Measure how fast eyes are rendered, beside two ray tracers, and what a render's time goes into.

    python experiments/speed_render/run.py --work DIR
    python experiments/speed_render/run.py --work DIR --llvm LIBLLVM --blender PYTHON
    python experiments/speed_render/run.py --work DIR --set repeats=1 --set compile=false

One core and one thread; contenders take turns, so that what else the machine does falls on all.
Records go to results.jsonl and replace those of their kind (with --set, in the work folder's);
the table in README.md is made from there by `python experiments/table.py`. `--blender` names a
Python that can import `bpy`; without it, or where Mitsuba finds no LLVM, those rows are left out.
"""

import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Container, Iterator
from functools import partial
from itertools import product
from pathlib import Path
from typing import Any

import click
import torch
from measures import alias, floor, gradient, memory, processes, store

from gazegan.config import Config, load
from gazegan.errors import UserError
from gazegan.render.compiled import compiled
from gazegan.render.params import PARAM_NAMES
from gazegan.render.prior import Recipe, load_recipe, sample
from gazegan.render.scene import plainly, render_indices

sys.path.append(str(Path(__file__).parent.parent))  # after its own folder
import machine
import records

HERE = Path(__file__).parent
KINDS = (
    *("speed", "gradient", "store", "processes", "processes, compiled"),
    *("memory", "floor", "alias"),
)


class Size(Config):
    """A size of images, and how many of them a measurement renders; none compiled if 0."""

    name: str
    height: int
    width: int
    channels: int
    eager: int
    compiled: int
    traced: int
    device: int
    """How many a GPU renders at once."""

    def recipe(self, name: str) -> Recipe:
        keys = ("height", "width", "channels")
        return load_recipe(name, [f"image.{key}={getattr(self, key)}" for key in keys])


class Settings(Config):
    """The experiment."""

    recipes: tuple[str, ...]
    repeats: int
    seed: int
    compile: bool
    gradient_count: int
    store_count: int
    processes_count: int
    memory_counts: tuple[int, ...]
    alias_count: int
    alias_fine: int
    copy_mb: int
    sizes: tuple[Size, ...]


Contender = tuple[str, int, Callable[[int], float]]
"""Name, images a measurement, and what renders those of a repeat and returns CPU seconds."""


@click.command()
@click.option("--work", type=click.Path(path_type=Path), required=True, help="For stores.")
@click.option("--llvm", type=click.Path(exists=True), help="libLLVM for Mitsuba.")
@click.option("--blender", type=click.Path(exists=True), help="A Python with bpy.")
@click.option("--only", multiple=True, type=click.Choice(KINDS), help="Measure these alone.")
@click.option("--set", "overrides", multiple=True, metavar="KEY=VALUE", help="Change a value.")
def main(
    work: Path,
    llvm: str | None,
    blender: str | None,
    only: tuple[str, ...],
    overrides: tuple[str, ...],
) -> None:
    """Run the experiment and record what was measured."""
    settings = load(Settings, HERE / "settings.toml", overrides)
    work.mkdir(parents=True, exist_ok=True)
    torch.set_num_threads(1)
    # Mitsuba keeps its kernels at home, where those of earlier runs must not be found.
    os.environ["HOME"] = tempfile.mkdtemp(dir=work)
    if llvm:
        os.environ["DRJIT_LIBLLVM_PATH"] = llvm
    results = (work if overrides else HERE) / "results.jsonl"
    fresh = work / "results.new.jsonl"
    fresh.unlink(missing_ok=True)
    kinds = only or KINDS
    for line in measured(settings, work, blender, kinds):
        with fresh.open("a") as file:
            file.write(json.dumps({**line, **circumstances()}) + "\n")
        click.echo(json.dumps(line), err=True)
    lines = [json.loads(line) for line in fresh.read_text().splitlines()]
    records.keep(results, ("kind",), lines)


def measured(
    settings: Settings, work: Path, blender: str | None, kinds: Container[str]
) -> Iterator[dict[str, Any]]:
    """Every record of some kinds, without its circumstances."""
    sizes, names = settings.sizes, settings.recipes
    for size, name in product(sizes if "speed" in kinds else (), names):
        yield from turns(settings, size, name, blender)
    small = sizes[0].recipe(names[0])
    counted = {
        "gradient": partial(gradient, small, settings.gradient_count),
        "store": partial(store, small, settings.store_count, work / "store"),
        "processes": partial(processes, small, settings.processes_count, fast=False),
        "processes, compiled": partial(processes, small, 8 * settings.processes_count, fast=True),
    }
    for kind, repeat in product(counted, range(settings.repeats)):
        if kind in kinds:
            yield {"kind": kind, "repeat": repeat, "value": round(counted[kind](), 4)}
    for count in settings.memory_counts if "memory" in kinds else ():
        peak = memory(small, count, work / "store")
        yield {"kind": "memory", "count": count, "value": round(peak, 1)}
    for size in sizes if "floor" in kinds else ():
        recipe = size.recipe(names[0])
        found = floor(recipe, max(1, size.eager // 4), settings.copy_mb)
        yield {"kind": "floor", "size": size.name, **found}
    for size, name, blur in product(sizes[:2] if "alias" in kinds else (), names, (True, False)):
        ratio = alias(size.recipe(name), settings.alias_count, settings.alias_fine, blur)
        told = {"size": size.name, "recipe": name, "blur": blur, "value": round(ratio, 2)}
        yield {"kind": "alias", **told}


def turns(
    settings: Settings, size: Size, name: str, blender: str | None
) -> Iterator[dict[str, Any]]:
    """Let the contenders render by turns."""
    recipe, rivals = size.recipe(name), []
    rivals.append(("eager", size.eager, partial(ours, recipe, size.eager, plainly)))
    if settings.compile and size.compiled and name == settings.recipes[0]:
        since = time.perf_counter()
        fast = compiled(recipe, "cpu", fail)
        rivals.append(("compiled", size.compiled, partial(ours, recipe, size.compiled, fast)))
        ours(recipe, size.compiled, fast, -1)
        spent = round(time.perf_counter() - since, 1)
        yield {"kind": "compile", "size": size.name, "recipe": name, "value": spent}
    if name == settings.recipes[0]:
        rivals += [*mitsuba(recipe, size), *cycles(recipe, size, blender)]
    for repeat in range(-1, settings.repeats):  # the first is not counted
        for rival, count, spend in rivals:
            speed = count / spend(settings.seed + repeat + 1)
            if repeat >= 0:
                what = {"kind": "speed", "size": size.name, "recipe": name, "renderer": rival}
                yield {**what, "repeat": repeat, "value": round(speed, 3)}


def ours(recipe: Recipe, count: int, renderer: Any, seed: int) -> float:
    since = time.process_time()
    render_indices(recipe, max(seed, 0), torch.arange(count), renderer=renderer)
    return time.process_time() - since


def fail(message: str) -> None:
    raise UserError(message)


def mitsuba(recipe: Recipe, size: Size) -> list[Contender]:
    """Mitsuba, where it can be imported and has LLVM: the comparable eye, and the bare one.

    It compiles a kernel for most new scenes of the bare eye and keeps it, so that it renders each
    repeat's twice.
    """
    try:
        import traced
        import traced_bare
    except ImportError as fault:
        click.echo(f"without Mitsuba: {fault}", err=True)
        return []
    name, count = f"Mitsuba {traced.NAME}", size.traced
    bare = partial(traced_bare.rendered, recipe, count)
    return [
        (name, count, partial(traced.rendered, recipe, count)),
        (f"{name}, bare eye", count, bare),
        (f"{name}, bare eye, again", count, bare),
    ]


def cycles(recipe: Recipe, size: Size, blender: str | None) -> list[Contender]:
    """Blender's Cycles in a process of its own, which tells the CPU seconds of its images."""
    if blender is None:
        return []
    count, shape = size.traced, (str(size.height), str(size.width))
    env = {k: v for k, v in os.environ.items() if k != "PYTHONPATH"}

    def told(script: str, *words: str, eyes: str = "") -> float:
        line = [blender, str(HERE / script), *shape, *words]
        done = subprocess.run(line, input=eyes, capture_output=True, text=True, check=True, env=env)
        return float(done.stdout.strip().splitlines()[-1])

    def comparable(seed: int) -> float:
        flat = sample(recipe, seed, torch.arange(count)).flat().double().tolist()
        eyes = json.dumps([dict(zip(PARAM_NAMES, row, strict=True)) for row in flat])
        return told("blender.py", str(size.channels), str(seed), eyes=eyes)

    def bare(seed: int) -> float:
        return told("blender_bare.py", str(count), str(seed))

    return [
        ("Blender Cycles", count, comparable),
        ("Blender Cycles, bare eye", count, bare),
    ]


def circumstances() -> dict[str, str]:
    """What a result depends on."""
    return {
        **machine.versions(),
        "threads": str(torch.get_num_threads()),
        "device": "cpu",
        "processor": machine.processor(),
        "vectors": torch.backends.cpu.get_cpu_capability(),
    }


if __name__ == "__main__":
    main()
