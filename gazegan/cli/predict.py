"""`gazegan predict`: where eyes of photographs look, as a table, with or without labels."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import rich_click as click

from gazegan.cli import gaze, options
from gazegan.cli.answers import answers, changed
from gazegan.errors import UserError

if TYPE_CHECKING:
    from gazegan.predict import Predicted


@click.command()
@gaze.WEIGHTS
@click.option(
    "--data", type=options.PATH, multiple=True, required=True, metavar="STORE",
    help="Store of eyes, from `gazegan import`; repeatable.",
)  # fmt: skip
@options.out("Table of answers, a .csv file; else a new store that has them for labels.")
@gaze.BATCH
@gaze.MIRROR_AVERAGE
@gaze.BY_FACE
@gaze.ALIGN
@gaze.ALIGN_TO
@options.DEVICE
@options.JSON
def predict(
    weights: Path,
    data: tuple[Path, ...],
    out: Path,
    batch: int,
    mirror_average: bool,
    by_face: bool,
    align: bool,
    align_to: str | None,
    device: str,
    as_json: bool,
) -> None:
    """Tell where eyes look that nobody labelled.

    Writes a line an eye: its store, index, name, person, side and head pose, where known, and the
    answer in degrees; pitch is positive up and yaw toward the image's left, as in MPIIGaze.
    Networks trained with --spread tell a standard deviation of each angle too.

    Networks of renders are off for each eye as a whole, and timid. With photographs
    of each eye, and a notion of where people look, --align-to takes some of that away, the more
    the more there are; measure it with `gazegan evaluate` on labelled eyes where you can.

    An --out that is no .csv file is a copy of the store with the answers for labels: pseudo-labels,
    for `gazegan train gaze` to learn from beside renders (its `--adapt self` does all of it).
    Answers that --align-to moved are worth that; as they are, they hardly help.

    \b
    gazegan predict --weights runs/gaze --data stores/mine --out gaze.csv
    gazegan predict --weights runs/gaze --data stores/mine --mirror-average --out gaze.csv
    gazegan predict --weights runs/gaze --data stores/mine --align-to webcam --out gaze.csv
    gazegan predict --weights runs/gaze --data stores/mine --align --align-to webcam \\
        --mirror-average --out stores/labelled
    """
    from gazegan.cli.predictions import answers_csv, check_replaceable
    from gazegan.data.files import make_folder, write_atomic
    from gazegan.data.pseudo import write_pseudo_labelled

    options.check_once(data)
    network, stores = gaze.open_network(weights, data, device)
    is_table = out.suffix == ".csv"
    if is_table:
        check_replaceable(out)
    else:
        _check_learnable(out, network.target, len(stores), by_face)
    with options.progress("predict", sum(map(len, stores)), as_json) as advance:
        found = answers(network, stores, batch, mirror_average, device, advance)
    found = changed(network.target, found, stores, align, align_to, by_face, direction=False)
    make_folder(out.parent)
    if is_table:
        write_atomic(out, answers_csv(network.target, found, stores))
    else:
        told = {"weights": str(weights), "mirror_average": mirror_average}
        told |= {"align": align, "align_to": align_to}
        with options.progress("write", len(stores[0]), as_json) as advance:
            write_pseudo_labelled(stores[0], found[0].output, out, told, advance)
    values = {"count": sum(len(part.id) for part in found), "out": str(out)}
    values |= _summary(network.target, found)
    options.say(as_json, values, _text(values, "faces" if by_face else "eyes"))


def _check_learnable(out: Path, target: str, stores: int, by_face: bool) -> None:
    """Raise UserError where answers cannot be the labels of a store."""
    if out.suffix[1:].isalpha():
        raise UserError(f"--out {out}: name a .csv file, or a folder for a store")
    if target != "angles":
        raise UserError(
            f"--out {out}: this network answers directions, a store needs angles; name a .csv file"
        )
    if stores > 1:
        raise UserError(
            f"--out {out}: a store is a copy of one --data, and there are {stores};"
            " label one after the other, or name a .csv file"
        )
    if by_face:
        raise UserError(
            f"--out {out}: a store has labels of single eyes; leave out --by-face, or"
            " name a .csv file"
        )


def _summary(target: str, found: list[Predicted]) -> dict[str, Any]:
    """Mean and standard deviation of angles, degrees, which show what went wrong."""
    import torch

    if target != "angles":
        return {}
    output = torch.rad2deg(torch.cat([part.output for part in found]))
    return {
        f"{name}_{axis}_deg": float(values[k])
        for name, values in (("mean", output.mean(0)), ("sd", output.std(0, correction=0)))
        for k, axis in enumerate(("pitch", "yaw"))
    }


def _text(values: dict[str, Any], what: str) -> str:
    said = f"{values['count']} {what} in {values['out']}"
    if "mean_pitch_deg" not in values:
        return said
    angles = (
        f"{axis} {values[f'mean_{axis}_deg']:.1f} ± {values[f'sd_{axis}_deg']:.1f}"
        for axis in ("pitch", "yaw")
    )
    return f"{said}; mean ± spread, degrees: {', '.join(angles)}"
