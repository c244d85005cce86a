"""`gazegan inspect`: what a network is made of and sees, and how a learning rate will fall."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import rich_click as click

from gazegan.cli import layers as show
from gazegan.cli import options, training
from gazegan.errors import UserError

if TYPE_CHECKING:
    from torch import nn

REGRESSORS = ("small", "lenet", "resnet", "resnet18", "landmarks")
NETWORKS = (*REGRESSORS, "refiner", "critic")
_SIZE = (36, 60)
_POINTS = 720


class _Inspect(click.RichGroup):
    """A group that takes what is none of its commands as arguments of `network`."""

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        return super().resolve_command(
            ctx, args if args[0] in self.commands else ["network", *args]
        )


@click.group(cls=_Inspect, context_settings={"ignore_unknown_options": True})
def inspect() -> None:
    """Show a network's layers, cost and receptive fields, or a planned learning rate.

    `gazegan inspect X` is short for `gazegan inspect network X`.

    \b
    gazegan inspect resnet --size 36x60
    gazegan inspect runs/gaze --draw fields.png
    gazegan inspect stack "conv 1 8 5x9 stride 2; pool max 2" --wanted 15x10
    gazegan inspect schedule --lr 0.01 --lr-every 2 --epochs 8
    """


_SIZED = click.option(
    "--size", type=options.SIZE, metavar="HxW", help="Size of the image. [default: 36x60, a run's]"
)
_WANTED = click.option(
    "--wanted", type=options.SIDES, metavar="HxW",
    help="Also tell which image sizes give maps of this size.",
)  # fmt: skip
_DRAW = click.option(
    "--draw", type=options.PATH, metavar="FILE.png",
    help="Draw receptive fields on a rendered eye of that size; an older picture is replaced.",
)  # fmt: skip
_TEXT = click.option(
    "--text", is_flag=True, help="Draw one in the terminal: the last that ends within the eye."
)


@inspect.command()
@click.argument("name", metavar="NETWORK|RUN")
@_SIZED
@click.option("--channels", type=click.Choice(["1", "3"]), help="Grey (default) or colour.")
@_WANTED
@_DRAW
@_TEXT
@options.overrides("widths=[16,32]")
@options.JSON
def network(
    name: str,
    size: tuple[int, int] | None,
    channels: str | None,
    wanted: tuple[int, int] | None,
    draw: Path | None,
    text: bool,
    overrides: tuple[str, ...],
    as_json: bool,
) -> None:
    """Tell the layers of one of our networks, or of a trained one.

    NETWORK is small, lenet, resnet, resnet18, landmarks, refiner or critic; RUN is a run folder or
    a .safetensors file of it. Multiply-adds are of one image. A receptive field is what one place
    of a map can see, its stride how many pixels two neighbours are apart; what adds several paths
    sees what any of them sees.

    \b
    gazegan inspect network small
    gazegan inspect network resnet --size 96x160 --channels 3 --set blocks=2
    gazegan inspect network refiner --set widths=[16,32,64] --draw fields.png
    gazegan inspect network runs/gaze --text
    gazegan inspect network lenet --wanted 6x12
    """
    if name in NETWORKS:
        found, count = _build(name, int(channels or 1), overrides), int(channels or 1)
    else:
        if channels or overrides:
            given = "--channels" if channels else "--set"
            raise UserError(f"{given}: a trained network is as it is; leave it out")
        found, count, trained = _load(Path(name))
        size = size or trained
    size = size or _SIZE
    if name in REGRESSORS:
        _check_size(name, size, _view(found))
    _show(name, found, count, size, wanted, draw, text, as_json)


@inspect.command()
@click.argument("layers")
@_SIZED
@_WANTED
@_DRAW
@_TEXT
@options.JSON
def stack(
    layers: str,
    size: tuple[int, int] | None,
    wanted: tuple[int, int] | None,
    draw: Path | None,
    text: bool,
    as_json: bool,
) -> None:
    """Tell the layers of a stack that is written as text.

    LAYERS stand between semicolons; SIZE is HEIGHTxWIDTH or one number; nothing is padded unless
    it says so, `half` is half the kernel, and pooling strides by its size:

    \b
      conv IN OUT SIZE [stride SIZE] [pad SIZE|half] [dilation SIZE] [groups N]
      transposed IN OUT SIZE [output_pad SIZE] [and those of conv]
      pool max|mean SIZE [stride SIZE] [pad SIZE|half] [dilation SIZE]
      relu

    \b
    gazegan inspect stack "conv 3 100 5x9 stride 2; conv 100 200 3x3 pad 1; pool max 2"
    gazegan inspect stack "conv 1 8 5x9 stride 2 pad half" --wanted 30x20
    gazegan inspect stack "conv 1 8 4 stride 2 pad 1; transposed 8 1 4 stride 2 pad 1" --text
    """
    import torch

    from gazegan.inspect.stack import check_fits, parse_stack

    size = size or _SIZE
    with torch.device("meta"):  # Sizes alone are asked for: nothing is computed.
        found, channels = parse_stack(layers)
        check_fits(found, torch.empty(1, channels, *size))
    _show("stack", found, channels, size, wanted, draw, text, as_json)


def _build(name: str, channels: int, overrides: Sequence[str]) -> nn.Module:
    """Return an untrained network by its name."""
    from gazegan.config import apply_overrides, check_used, validate
    from gazegan.nets.critic import Critic, CriticConfig
    from gazegan.nets.refiner import Refiner, RefinerConfig
    from gazegan.nets.regressor import Regressor, RegressorConfig

    values = apply_overrides({}, overrides)
    match name:
        case "refiner":
            return Refiner(validate(RefinerConfig, values, "--set"), channels)
        case "critic":
            return Critic(validate(CriticConfig, values, "--set"), channels)
        case _:
            config = validate(RegressorConfig, {"kind": name, **values}, "--set")
            if config.kind != name:
                raise UserError(f"--set kind={config.kind}: {name} is asked for; name that instead")
            check_used(config, values)
            return Regressor(config, channels)


def _load(run: Path) -> tuple[nn.Module, int, tuple[int, int]]:
    """Return the network of a run, its channels and the size of its images."""
    from gazegan.train.checkpoint import WEIGHTS, load_sealed, load_weights

    path = run / WEIGHTS if run.is_dir() else run
    if not path.is_file():
        raise UserError(
            f"{run}: neither a network ({', '.join(NETWORKS)}) nor a run folder with weights"
        )
    _, info = load_sealed(path)
    found: nn.Module
    if info.get("stage") == "refiner":
        found, info = load_weights(run, "refiner")
    else:
        found, info = load_weights(run, "gaze")
    data = info["data"]
    return found, data["channels"], (data["height"], data["width"])


def _view(network: nn.Module) -> float:
    """Return the share of an image's sides, about its middle, that a network looks at."""
    return float(getattr(getattr(network, "config", None), "view", 1))


def _check_size(name: str, size: tuple[int, int], view: float) -> None:
    from gazegan.nets.regressor import LEAST_SIDE

    seen = show.size_of(show.middle_of(size, view))
    if min(seen) < (least := LEAST_SIDE[name]):
        cut = f", of which view leaves {seen[0]}x{seen[1]}" if view < 1 else ""
        raise UserError(f"--size {size[0]}x{size[1]}{cut}: {name} needs sides of at least {least}")


def _show(
    name: str,
    network: nn.Module,
    channels: int,
    size: tuple[int, int],
    wanted: tuple[int, int] | None,
    draw: Path | None,
    text: bool,
    as_json: bool,
) -> None:
    import torch

    from gazegan.inspect.trace import inspect as inspect_network

    weight = next(network.parameters(), torch.empty(0))
    image = torch.rand(1, channels, *size, generator=torch.Generator().manual_seed(0))
    trunk = getattr(network, "trunk", None) if name != "critic" else None
    view = _view(network)
    found = inspect_network(network, image.to(weight.device), trunk)
    colour = {1: "grey", 3: "colour"}.get(channels, f"of {channels} channels")
    values = {"network": name, "size": size, "channels": channels, **show.values_of(found)}
    said = [
        show.text_of(found, f"{name}, {size[0]}x{size[1]} {colour}"),
        *show.notes_on(found, trunk is not None, size, view),
    ]
    if wanted is not None:
        maps = getattr(network, "trunk", network)
        ranges = show.ranges_of(maps, channels, size, wanted, view)
        values["wanted"], line = show.wanted_of(wanted, ranges)
        said.append(line)
    if draw is not None or text:
        said += show.drawing_of(found, name, channels == 3, size, view, draw, text)
        values["drawing"] = None if draw is None else str(draw)
    options.say(as_json, values, "\n".join(said))


@inspect.command()
@click.option(
    "--schedule", "kind", type=click.Choice(["step", "cosine"]), default="step", show_default=True,
    help="Cuts, or half a cosine down to 0 at the last step.",
)  # fmt: skip
@click.option("--lr", type=options.Number(0, min_open=True), default=1e-3, show_default=True,
              help="Initial learning rate.")  # fmt: skip
@click.option("--lr-cut", type=options.Number(0, 1, min_open=True), help="Factor of each cut.")
@click.option(
    "--lr-every",
    type=options.Number(0, min_open=True),
    help="Epochs between two cuts; default: a quarter of the training.",
)
@click.option("--warm-up", type=options.Number(0), help="Epochs over which it rises from 0.")
@click.option(
    "--epochs", type=options.Number(0, 1e6, min_open=True), default=8.0, show_default=True,
    help="Epochs of the whole training.",
)  # fmt: skip
@click.option(
    "--draw", type=options.PATH, metavar="FILE.png", help="Write the curve as a picture too."
)
@options.JSON
def schedule(
    kind: str,
    lr: float,
    lr_cut: float | None,
    lr_every: float | None,
    warm_up: float | None,
    epochs: float,
    draw: Path | None,
    as_json: bool,
) -> None:
    """Draw how the learning rate of a training will go.

    Options are those of `gazegan train gaze`, `--warm-up` is its schedule.warm_up. A training
    writes the same curve to TensorBoard before its first step, as lr_planned beside lr.

    \b
    gazegan inspect schedule --lr 0.05 --lr-cut 0.3 --lr-every 2 --epochs 8
    gazegan inspect schedule --schedule cosine --warm-up 0.5 --epochs 6 --draw schedule.png
    """
    from gazegan.config import validate
    from gazegan.optim import ScheduleConfig, learning_rate

    given = {"kind": kind, "cut": lr_cut, "every": lr_every, "warm_up": warm_up}
    plan = validate(ScheduleConfig, {k: v for k, v in given.items() if v is not None}, "settings")
    training.check_schedule(plan)
    # Steps are many in truth: the share of the training that is done is that of its epochs.
    times = [epochs * k / _POINTS for k in range(_POINTS)]
    rates = [learning_rate(lr, plan, time, time / epochs) for time in times]
    text = show.schedule_text(plan, rates, epochs)
    values = {"schedule": plan.model_dump(), "lr": lr, "epoch": times, "rate": rates}
    if draw is not None:
        show.draw_schedule(draw, times, rates)
        text, values = f"{text}\n{draw}: the curve as a picture", {**values, "drawing": str(draw)}
    options.say(as_json, values, text)
