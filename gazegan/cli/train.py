"""`gazegan train refiner`, and the group that `gazegan train gaze` belongs to."""

from pathlib import Path

import rich_click as click

from gazegan.cli import training
from gazegan.cli.options import (
    COMPILE,
    DEVICE,
    JSON,
    PATH,
    PRECISION,
    SEED,
    out,
    overrides,
    progress,
)
from gazegan.cli.pretrained import PRETRAINED, begun, judge_of
from gazegan.cli.train_gaze import gaze


@click.group()
def train() -> None:
    """Train the refiner or the gaze network into a run folder.

    \b
    A run is resumed by repeating its command; Ctrl-C saves first. Watch it with
      tensorboard --logdir RUN
    Several processes share the work of each batch, to the same result, when torchrun starts them:
      torchrun --nproc-per-node 2 -m gazegan train gaze ...
    """


@train.command()
@click.option("--synthetic", type=PATH, required=True, help="Store of renders, or a recipe.")
@click.option("--real", type=PATH, required=True, help="Store or folder of real eyes; no labels.")
@out("Run folder; resumed if it holds this run.")
@click.option(
    "--count",
    type=click.IntRange(1),
    default=4096,
    show_default=True,
    help="Eyes to render where --synthetic is a recipe; a store is used whole.",
)
@click.option(
    "--judge",
    type=PATH,
    metavar="RUN",
    help="Run of a gaze network on pitch and yaw; its answers are kept where they are.",
)
@PRETRAINED
@training.STEPS
@training.BATCH
@SEED
@DEVICE
@PRECISION
@COMPILE
@overrides("keep=0.2")
@JSON
def refiner(
    synthetic: Path,
    real: Path,
    out: Path,
    count: int,
    judge: Path | None,
    pretrained: Path | None,
    steps: int | None,
    batch: int | None,
    seed: int,
    device: str,
    precision: str | None,
    compile_step: bool | None,
    overrides: tuple[str, ...],
    as_json: bool,
) -> None:
    """Learn to make renders look like real eyes while they keep their labels.

    \b
    Examples:
      gazegan train refiner --synthetic stores/renders --real stores/columbia --out runs/refiner
      gazegan train refiner --synthetic columbia --real photographs/ --out runs/r --steps 2000
      gazegan train refiner ... --judge runs/gaze --set gaze=0.1
      gazegan train refiner ... --pretrained runs/refiner --steps 500 --out runs/further
      gazegan train refiner ... --device cuda --precision bf16 --compile
      gazegan train refiner ... --set loss=least_squares --set history=512 --set keep=0.02
    """
    from gazegan.data.store import Store
    from gazegan.data.stream import open_together
    from gazegan.train.refiner import refiner_stage
    from gazegan.train.refiner_settings import RefinerTraining
    from gazegan.train.setup import hold

    values = {"steps": steps, "batch": batch, "seed": seed}
    how = {"precision": precision, "compile_step": compile_step}
    with training.together(device) as own:
        begins = begun(pretrained, "refiner", own)
        cfg = training.configure(RefinerTraining, {**values, **how}, {}, overrides, begins)
        renders, eyes = open_together(synthetic, real, seed=cfg.seed, count=count)
        if not isinstance(renders, Store):
            with progress("render", len(renders), quiet=as_json) as advance:
                renders = hold(renders, advance)
        kept = None if judge is None else judge_of(judge, renders.channels, own)
        first = begins.suited("--synthetic", None, renders.channels) if begins else None
        stage = refiner_stage(cfg, renders, eyes, own, kept, training.notify, first)
        named = training.given(real=(real,), judge=(judge,), pretrained=(pretrained,))
        named["data"] = f"--synthetic {synthetic}"
        training.tell_if_useless(cfg, training.train_into(stage, out, as_json, named))


train.add_command(gaze)
