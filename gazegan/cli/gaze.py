"""What commands share that run a gaze network: options, the network, its data, their results."""

from __future__ import annotations

import contextlib
import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import rich_click as click

from gazegan.cli import options
from gazegan.errors import UserError

if TYPE_CHECKING:
    from torch import Tensor

    from gazegan.attack import ErrorDeg
    from gazegan.data.store import Store
    from gazegan.nets.regressor import Regressor
    from gazegan.schema import EyeBatch

WEIGHTS = click.option(
    "--weights", type=options.PATH, required=True, metavar="RUN",
    help="Run folder of `gazegan train gaze`, or a .safetensors file of it.",
)  # fmt: skip
BATCH = click.option(
    "--batch", type=click.IntRange(1, 65536), default=256, show_default=True,
    help="Eyes at a time.",
)  # fmt: skip
MIRROR_AVERAGE = click.option(
    "--mirror-average", is_flag=True,
    help="Average each eye with its left-right mirror image.",
)  # fmt: skip
BY_FACE = click.option(
    "--by-face", is_flag=True,
    help="Take the mean answer of both eyes of each face; single eyes are left out.",
)  # fmt: skip
ALIGN = click.option(
    "--align", is_flag=True,
    help="Shift the answers of each eye so that the means of all agree: needs no labels, but"
    " supposes that everyone looks at the same places.",
)  # fmt: skip
ALIGN_TO = click.option(
    "--align-to", default=None, metavar="RECIPE|STORE",
    help="Shift and scale the answers of each eye toward the mean and the spread of these gazes,"
    " along the heads' yaw where that is known, the farther the more answers it has: needs no"
    " labels, but supposes that each eye's gazes come from this range. With --align all the way:"
    " each eye looks at all of these places.",
)  # fmt: skip


def open_network(weights: Path, data: Sequence[Path], device: str) -> tuple[Regressor, list[Store]]:
    """Load a gaze network and open the stores it is to see.

    Raises UserError where a store differs in size or colour from the eyes of the training.
    """
    from gazegan.data.store import open_store
    from gazegan.nets.regressor import Regressor
    from gazegan.train.checkpoint import load_weights

    network, info = load_weights(weights, "gaze", options.check_device(device))
    assert isinstance(network, Regressor)
    stores = [open_store(path) for path in data]
    for store in stores:
        name = f"--data {store.path}"
        check_suits(f"--weights {weights}", info, name, store.size, store.channels)
        check_heads(f"--weights {weights}", network, name, "head" in store.fields)
    return network, stores


def check_heads(weights: str, network: Regressor, images: str, told: bool) -> None:
    """Raise UserError where a network reads the head's yaw, and images do not tell it.

    Both are named as a user does.
    """
    if network.config.head_yaw and not told:
        raise UserError(
            f"{weights} reads the head's yaw, which {images} does not tell; train a network"
            " without --head-yaw"
        )


def check_suits(
    network: str, info: Mapping[str, Any], images: str, size: tuple[int, int] | None, channels: int
) -> None:
    """Raise UserError where images are not like those that a network was trained on.

    Both are named as a user does; `info` is what `load_weights` told of the network. Without a
    `size` any will do.
    """
    of = info["data"]
    wanted = _looks((of["height"], of["width"]) if size else None, of["channels"])
    if (found := _looks(size, channels)) != wanted:
        raise UserError(
            f"{network}: was trained on {wanted} eyes, but {images}: {found}; make these {wanted},"
            " or train on eyes like them"
        )


def _looks(size: tuple[int, int] | None, channels: int) -> str:
    colour = "grey" if channels == 1 else "colour"
    return f"{size[0]}x{size[1]} {colour}" if size else colour


def of_heads(network: Regressor, batch: EyeBatch) -> Callable[[Tensor], Tensor]:
    """Return a network of images alone: if it reads the head's yaw, with those of a batch.

    It maps the batch's images `[B, C, H, W]` to `[B, 2]`.
    """
    from functools import partial

    from gazegan.predict import head_turn

    return partial(network, turn=head_turn(batch)) if network.config.head_yaw else network


def truth_of(true: Tensor, target: str) -> tuple[Tensor, ErrorDeg]:
    """Return what a network should say of gazes `[N, 2]` rad, and the error in degrees."""
    from gazegan.attack import angle_error_deg, direction_error_deg
    from gazegan.losses.gaze import direction_vector

    if target == "angles":
        return true, angle_error_deg
    return direction_vector(true), direction_error_deg


def constant_deg(true: Tensor, target: str) -> float:
    """Return the error of the constant predictor on these very gazes `[N, 2]` rad."""
    from gazegan.metrics import direction_report, gaze_report

    score = gaze_report if target == "angles" else direction_report
    return score(true, true).constant.mean_deg


def need_labels(stores: Sequence[Store]) -> None:
    """Raise UserError naming the first store without gaze labels, or with a network's answers."""
    from gazegan.data.pseudo import is_pseudo_labelled

    for store in stores:
        if is_pseudo_labelled(store):
            raise UserError(
                f"--data {store.path}: its labels are the answers of a network (`gazegan predict`),"
                " not where eyes look; name the store that these eyes are from, if it is labelled"
            )
        if "gaze" not in store.fields:
            raise UserError(
                f"--data {store.path}: these eyes have no gaze labels;"
                " name a rendered store, or import with --labels"
            )


def choose(candidates: Tensor, count: int, seed: int, name: str) -> Tensor:
    """Draw up to `count` of the indices `[N]` at random, returned in ascending order."""
    import torch

    from gazegan import rng

    order = torch.randperm(len(candidates), generator=rng.stream(seed, name, "choose"))
    return candidates[order[:count]].sort().values


def claim(out: Path, file: str, settings: dict[str, Any]) -> None:
    """Make the folder `out`, or find that its `file` records the same settings.

    To the command's end it is held against other writers; a folder that was made and stayed empty
    then goes. Raises UserError where `file` records others, or another file results of another
    command: results of another question are not overwritten.
    """
    from gazegan.config import differences
    from gazegan.data.files import parse_json, read_bytes

    context = click.get_current_context()
    assert context is not None
    context.with_resource(_made(out))
    if others := sorted(path.name for path in out.glob("*.json") if path.name != file):
        raise UserError(
            f"--out {out}: holds results of another command ({others[0]}); choose another --out"
        )
    if not (out / file).exists():
        return
    old = parse_json(read_bytes(out / file, 1 << 30), out / file)
    before = old.get("settings", {}) if isinstance(old, dict) else {}
    if found := differences(before, json.loads(json.dumps(settings))):
        raise UserError(
            f"--out {out}: holds results of other settings ({'; '.join(found[:3])});"
            " choose another --out or delete it"
        )
    for stray in out.glob("*.tmp"):
        stray.unlink(missing_ok=True)


@contextlib.contextmanager
def _made(out: Path) -> Iterator[None]:
    """Make and hold a folder and its parents; in the end those of them that are empty go again."""
    from gazegan.data.files import make_folder, only_writer

    new = [folder for folder in (out, *out.parents) if not folder.exists()]
    make_folder(out)
    try:
        with only_writer(out):
            yield
    finally:
        for folder in new:
            with contextlib.suppress(OSError):  # not empty
                folder.rmdir()


def save_json(path: Path, values: dict[str, Any]) -> None:
    """Write results as JSON without NaN, atomically."""
    from gazegan.data.files import write_atomic

    write_atomic(path, (json.dumps(values, indent=1, allow_nan=False) + "\n").encode())


def read_json(path: Path) -> dict[str, Any]:
    """Read results that a command has left; raises DataError where they are damaged."""
    from gazegan.data.files import parse_json, read_bytes
    from gazegan.errors import DataError

    values = parse_json(read_bytes(path, 1 << 28), path)
    if not isinstance(values, dict):
        raise DataError(f"{path}: damaged; make it again")
    return values


def table(columns: Sequence[str], rows: Sequence[Sequence[str]], title: str = "") -> str:
    """Lay out text in columns under a rule; the first is flush left, the others flush right."""
    grid = [list(columns), *map(list, rows)]
    widths = [max(len(row[i]) for row in grid) for i in range(len(columns))]
    lines = [
        "  ".join(
            cell.rjust(width) if i else cell.ljust(width)
            for i, (cell, width) in enumerate(zip(row, widths, strict=True))
        ).rstrip()
        for row in grid
    ]
    rule = "─" * (sum(widths) + 2 * len(widths) - 2)
    return "\n".join([*([title] if title else []), lines[0], rule, *lines[1:]])
