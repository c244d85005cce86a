"""`gazegan explain`: which pixels move the gaze."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import rich_click as click

from gazegan.cli import gaze, options
from gazegan.errors import UserError

if TYPE_CHECKING:
    from gazegan.explain import Attribution, Fn
    from gazegan.nets.regressor import Regressor
    from gazegan.schema import EyeBatch

_ACROSS, _AT_ONCE = 8, 64
_MEASURES = ("attribution", "gradient", "area")
RESULT = "explain.json"


@click.command()
@gaze.WEIGHTS
@click.option(
    "--data", type=options.PATH, required=True, metavar="STORE",
    help="Store to choose eyes from; labels are not needed.",
)  # fmt: skip
@options.out("Folder for maps.png, maps.npz and explain.json.")
@click.option(
    "--count", type=click.IntRange(1), default=16, show_default=True, help="How many eyes."
)
@click.option(
    "--output", type=click.Choice(["pitch", "yaw", "direction"]), default=None,
    help="What to explain; by default pitch, or direction for networks that predict it.",
)  # fmt: skip
@options.SEED
@options.DEVICE
@options.JSON
def explain(
    weights: Path,
    data: Path,
    out: Path,
    count: int,
    output: str | None,
    seed: int,
    device: str,
    as_json: bool,
) -> None:
    """Map which pixels move the predicted gaze, by gradient times input.

    Red pixels raise the output in degrees, blue ones lower it. Where the store has masks, the
    share of the attribution on iris and pupil is told beside their share of the area, which
    attribution spread evenly would reach, and beside the share of the gradient alone: the
    product is small on dark pixels, so a black pupil shows in the gradient only.

    \b
    gazegan explain --weights runs/gaze --data stores/test --out results/maps
    gazegan explain --weights runs/gaze --data stores/test --out results/yaw --output yaw --count 32
    """
    import torch

    network, (store,) = gaze.open_network(weights, [data], device)
    output = output or ("pitch" if network.target == "angles" else "direction")
    pick = _output(output, network.target, weights)
    settings = {
        "weights": str(weights), "data": str(data), "count": count, "output": output, "seed": seed
    }  # fmt: skip
    gaze.claim(out, RESULT, settings)
    batch = store.read(gaze.choose(torch.arange(len(store)), count, seed, "explain"))
    with options.progress("explaining", len(batch), as_json) as advance:
        found = _attribute(network, batch, pick, device, advance)
    values = {"count": len(batch), "output": output, **_shares(found, batch), "settings": settings}
    _save(out, found, batch, output, values)
    options.say(as_json, values, _text(values, out))


def _output(name: str, target: str, weights: Path) -> Fn:
    """Return the function that picks the named output; raises UserError where there is none."""
    from gazegan import explain as ex

    if target == "direction":
        if name != "direction":
            raise UserError(
                f"--output {name}: {weights} predicts directions only; write --output direction"
            )
        return ex.pair_direction_deg
    return {"pitch": ex.pitch_deg, "yaw": ex.yaw_deg, "direction": ex.gaze_direction_deg}[name]


def _attribute(
    network: Regressor, batch: EyeBatch, pick: Fn, device: str, advance: Any
) -> Attribution:
    import torch

    from gazegan.explain import Attribution, gradient_x_input

    parts = []
    for start in range(0, len(batch), _AT_ONCE):
        chunk = batch[start : start + _AT_ONCE].to(device)
        parts.append(gradient_x_input(gaze.of_heads(network, chunk), chunk.image, pick))
        advance(len(chunk))
    names = ("map", "gradient", "output")
    return Attribution(*(torch.cat([getattr(p, name) for p in parts]).cpu() for name in names))


def _shares(found: Attribution, batch: EyeBatch) -> dict[str, Any]:
    """Return mean shares of attribution, gradient alone and area by mask; None where unknown."""
    from dataclasses import replace

    from gazegan.explain import mask_shares
    from gazegan.schema import MASKS

    unknown = dict.fromkeys((*_MEASURES, "iris_and_pupil"))
    if batch.masks is None:
        return unknown
    shares = mask_shares(found, batch.masks)
    slopes = mask_shares(replace(found, map=found.gradient), batch.masks)
    kept = ~(shares.attribution + slopes.attribution).isnan().any(1)
    if not kept.any():
        return unknown
    by_mask = {
        name: dict(zip(MASKS, share[kept].mean(0).tolist(), strict=True))
        for name, share in zip(
            _MEASURES, (shares.attribution, slopes.attribution, shares.area), strict=True
        )
    }
    both = {name: share["iris"] + share["pupil"] for name, share in by_mask.items()}
    return {**by_mask, "iris_and_pupil": both}


def _save(
    out: Path, found: Attribution, batch: EyeBatch, output: str, values: dict[str, Any]
) -> None:
    import io

    import numpy as np

    from gazegan.data.files import write_atomic
    from gazegan.plots import png

    arrays = io.BytesIO()
    np.savez(
        arrays,
        id=batch.id.numpy(),
        image=batch.image.numpy(),
        map=found.map.numpy(),
        gradient=found.gradient.numpy(),
        output_deg=found.output.numpy(),
    )
    write_atomic(out / "maps.npz", arrays.getvalue())
    write_atomic(out / "maps.png", png(_sheet(found, batch, output)))
    gaze.save_json(out / RESULT, values)


def _sheet(found: Attribution, batch: EyeBatch, output: str) -> Any:
    from gazegan.plots import Row, contact_sheet, heat, overlay

    rows = []
    for start in range(0, len(batch), _ACROSS):
        chosen = range(start, min(start + _ACROSS, len(batch)))
        captions = [f"{found.output[i]:+.1f}°" for i in chosen]
        rows.append(Row("eye", [batch.image[i] for i in chosen]))
        maps = [overlay(batch.image[i], found.map[i]) for i in chosen]
        rows.append(Row(output, maps))
        rows.append(Row("where", [heat(batch.image[i], found.map[i]) for i in chosen], captions))
    note = (
        f"red raises the predicted {output}, blue lowers it; orange: where either is strong,"
        " smoothed; each map in its own scale"
    )
    return contact_sheet(rows, f"Gradient × input of {output}", note)


def _text(values: dict[str, Any], out: Path) -> str:
    head = f"{out}: maps of {values['count']} eyes ({values['output']})"
    if values["area"] is None:
        return f"{head}; the store has no masks to share them among"
    shares = {name: [values[kind][name] for kind in _MEASURES] for name in values["area"]}
    shares["iris and pupil"] = [values["iris_and_pupil"][kind] for kind in _MEASURES]
    rows = [[name, *(f"{100 * s:.1f}%" for s in share)] for name, share in shares.items()]
    columns = ["share on", "gradient x input", "gradient alone", "area"]
    return f"{head}\n\n{gaze.table(columns, rows)}"
