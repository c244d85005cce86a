"""Inspections of networks, and learning rates, as text, plain values and pictures."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from fractions import Fraction
from itertools import groupby
from math import ceil
from pathlib import Path
from typing import TYPE_CHECKING, Any

from gazegan.cli.gaze import table
from gazegan.errors import UserError

if TYPE_CHECKING:
    from torch import nn

    from gazegan.inspect.sizes import Range
    from gazegan.inspect.trace import Inspection, Layer
    from gazegan.optim import ScheduleConfig

_BOXES, _COLUMNS = 5, 72
_RECIPE = "webcam"

Size = tuple[int, int]
Box = tuple[int, int, int, int]


def values_of(found: Inspection) -> dict[str, Any]:
    """Return an inspection as plain values; `field` and `stride` are None where `sees` tells."""
    return {
        "parameters": found.parameters,
        "multiply_adds": found.multiply_adds,
        "layers": [_layer_values(layer) for layer in found.layers],
    }


def _layer_values(layer: Layer) -> dict[str, Any]:
    from gazegan.inspect.fields import Field

    seen = layer.seen
    return {
        "name": layer.name,
        "kind": layer.kind,
        "output": list(layer.shape),
        "parameters": layer.parameters,
        "multiply_adds": layer.multiply_adds,
        "field": list(seen.size) if isinstance(seen, Field) else None,
        "stride": [float(side) for side in seen.stride] if isinstance(seen, Field) else None,
        "sees": None if isinstance(seen, Field) else seen.reason,
    }


def text_of(found: Inspection, title: str) -> str:
    """Write an inspection as a table with totals in its title."""
    width = max((len(layer.name) for layer in found.layers), default=0)
    columns = ("layer", "output", "parameters", "multiply-adds", "field", "stride")
    rows = [
        (
            f"{(layer.name or '·').ljust(width)}  {layer.kind}",
            _by(layer.shape),
            f"{layer.parameters:,}",
            f"{layer.multiply_adds:,}",
            *_field_words(layer),
        )
        for layer in found.layers
    ]
    total = f"{found.parameters:,} parameters, {found.multiply_adds:,} multiply-adds an image"
    return table(columns, rows, f"{title}: {total}")


def _field_words(layer: Layer) -> tuple[str, str]:
    from gazegan.inspect.fields import Field

    if not isinstance(layer.seen, Field):
        return layer.seen.reason, ""
    down, across = layer.seen.stride
    return _by(layer.seen.size), str(down) if down == across else _by((down, across))


def middle_of(size: Size, view: float) -> Box:
    """Return the box of an image of `size` that a network looks at."""
    from gazegan.nets.layers import rim

    top, left = (rim(side, view) for side in size)
    return top, left, size[0] - top, size[1] - left


def size_of(box: Box) -> Size:
    """Return (height, width) of a box."""
    return box[2] - box[0], box[3] - box[1]


def notes_on(found: Inspection, prepared: bool, size: Size, view: float) -> list[str]:
    """Say what the table leaves out; `prepared` images have their histogram changed first.

    Of images of `size` the network looks at the middle `view` of both sides.
    """
    notes = []
    if view < 1:
        notes.append(
            f"The network looks at the middle {_by(size_of(middle_of(size, view)))} of the image"
            f" alone (view {view:g}): maps and fields are of that; the rest it never sees."
        )
    if prepared:
        notes.append(
            "Fields are counted from the prepared image, each pixel of which depends on the whole"
            " image's histogram."
        )
    if found.normalises:
        notes.append(
            "Fields are those of kernels; normalising by the spread of whole maps reaches"
            " everywhere."
        )
    return notes


def ranges_of(
    network: nn.Module, channels: int, size: Size, wanted: Size, view: float
) -> tuple[Range, Range]:
    """Return which heights and widths of images give the wanted ones.

    `network` gets the middle `view` of their sides. Raises UserError where none does.
    """
    from gazegan.inspect.sizes import input_ranges

    seen = size_of(middle_of(size, view))
    try:
        rows, columns = input_ranges(network, channels, seen, wanted)
    except ValueError as fault:
        raise UserError(f"--wanted {_by(wanted)}: {fault}; ask for less") from None
    return _uncut(rows, view), _uncut(columns, view)


def _uncut(found: Range, view: float) -> Range:
    """Return the sides of images whose middle is in a range, the most that follow each other.

    Rims are whole pixels, so that a larger image can have a smaller middle.
    """
    from gazegan.nets.layers import rim

    if found.empty:
        return found
    sides = range(found.low, ceil((found.high + 2) / view))
    fits = [n for n in sides if found.low <= n - 2 * rim(n, view) <= found.high]
    runs = groupby(enumerate(fits), lambda pair: pair[1] - pair[0])
    longest = max(([n for _, n in run] for _, run in runs), key=len)
    return replace(found, low=longest[0], high=longest[-1])


def wanted_of(wanted: tuple[int, int], ranges: Sequence[Range]) -> tuple[dict[str, Any], str]:
    """Return ranges of input sides as plain values and as a sentence."""
    values: dict[str, Any] = {"output": list(wanted)}
    said = []
    for name, side, found in zip(("heights", "widths"), wanted, ranges, strict=True):
        values[name] = None if found.empty else [found.low, found.high]
        if found.empty:
            near = " or ".join(str(one) for one in (found.below, found.above) if one)
            said.append(f"no {name} give {side} ({near} can be had)")
        else:
            said.append(f"{name} {found.low} to {found.high}")
    return values, f"Maps of {_by(wanted)}: {', '.join(said)}."


def drawing_of(
    found: Inspection,
    name: str,
    colour: bool,
    size: Size,
    view: float,
    draw: Path | None,
    in_text: bool,
) -> list[str]:
    """Draw receptive fields on a rendered eye, of which the network looks at the middle `view`.

    As PNG into `draw`, the last that ends within the eye as text. Raises UserError where no layer
    has any.
    """
    from gazegan.data.files import write_atomic
    from gazegan.plots import receptive_fields, text_image

    middle = middle_of(size, view)
    boxes = _boxes(found.layers, middle)
    if not boxes:
        raise UserError("--draw, --text: no layer has a receptive field of a size of its own")
    eye, said = _eye(size, colour), []
    if in_text:
        shown = _shown(boxes, size)
        said += ["", text_image(eye, boxes[shown]), f"What the middle of a map sees: {shown}."]
    if draw is not None:
        ends = None if view == 1 else middle
        title = f"{name}: what the middle of a map sees{'' if ends else ' (grey: padding)'}"
        write_atomic(draw, receptive_fields(eye, boxes, title, ends))
        said.append(f"{draw}: {len(boxes)} receptive fields on an eye of {_by(size)}")
    return said


def schedule_text(plan: ScheduleConfig, rates: Sequence[float], epochs: float) -> str:
    """Draw evenly spaced learning rates of a training as text, under a line that sums them up."""
    from gazegan.plots import text_curve

    few = rates[:: len(rates) // _COLUMNS]
    what = "along half a cosine"
    if plan.kind == "step":
        what = f"times {plan.cut:g} every {plan.every or epochs / 4:g} epochs"
    risen = f", risen over {plan.warm_up:g} epochs" if plan.warm_up else ""
    title = f"Learning rate {what}{risen}: {max(rates):.3g} at most, {rates[-1]:.3g} at the end"
    return f"{title}\n{text_curve(few, f'{epochs:g} epochs')}"


def draw_schedule(path: Path, epochs: Sequence[float], rates: Sequence[float]) -> None:
    """Write a curve of learning rates as PNG."""
    from gazegan.data.files import write_atomic
    from gazegan.plots import schedule_curve

    write_atomic(path, schedule_curve(epochs, rates))


def _boxes(layers: Sequence[Layer], middle: Box) -> dict[str, Box]:
    """Choose up to five layers whose fields grow, the last one among them; name -> its box.

    Fields are counted from the corner of the image's `middle` that is seen, boxes from the image's.
    """
    from gazegan.inspect.fields import Field

    largest, grown = (0, 0), []
    for layer in layers:
        seen = layer.seen
        if isinstance(seen, Field) and seen.size > largest:
            largest = seen.size
            grown.append(layer)
    count = min(_BOXES, len(grown))
    chosen = [grown[(k + 1) * len(grown) // count - 1] for k in range(count)]
    return {
        f"{layer.name or layer.kind}, {_by(layer.seen.size)} px": _moved(box, middle[:2])
        for layer in chosen
        if isinstance(layer.seen, Field)
        and (box := layer.seen.box(layer.shape[-2] // 2, layer.shape[-1] // 2))
    }


def _moved(box: Box, by: Size) -> Box:
    return box[0] + by[0], box[1] + by[1], box[2] + by[0], box[3] + by[1]


def _shown(boxes: Mapping[str, Box], size: tuple[int, int]) -> str:
    """Return the last box of which a side lies within the image, the last of all if none does."""
    height, width = size
    within = [
        name
        for name, (top, left, bottom, right) in boxes.items()
        if top >= 0 or left >= 0 or bottom <= height or right <= width
    ]
    return (within or list(boxes))[-1]


def _eye(size: tuple[int, int], colour: bool) -> Any:
    """Render an eye `[C, H, W]` of the ordinary recipe."""
    import torch

    from gazegan.render.prior import load_recipe
    from gazegan.render.scene import render_indices

    sides = (f"image.height={size[0]}", f"image.width={size[1]}")
    recipe = load_recipe(_RECIPE, (*sides, f"image.channels={3 if colour else 1}"))
    return render_indices(recipe, seed=4, indices=torch.arange(1)).image[0]


def _by(values: Sequence[int | Fraction]) -> str:
    return "x".join(map(str, values))
