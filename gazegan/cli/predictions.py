"""Predictions as a table in CSV, one line an eye."""

from __future__ import annotations

import csv
import io
import math
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from gazegan.errors import UserError

if TYPE_CHECKING:
    from torch import Tensor

    from gazegan.data.store import Store
    from gazegan.predict import Predicted

WHICH = ("store", "index", "name", "subject", "side", "head_pitch_deg", "head_yaw_deg")
"""Columns that say which eye it is."""
COLUMNS = {
    "angles": ("pitch_deg", "yaw_deg", "predicted_pitch_deg", "predicted_yaw_deg", "error_deg"),
    "direction": ("direction_deg", "predicted_direction_deg", "error_deg"),
}
"""Columns of each target, after those that say which eye it is."""
SPREADS = ("spread_pitch_deg", "spread_yaw_deg")
"""Columns of networks that answer standard deviations, after those."""


def predictions_csv(target: str, found: Sequence[Predicted], stores: Sequence[Store]) -> bytes:
    """Write one line an eye: where it lies, whose it is, truth, prediction and error in degrees.

    Unknown values are empty, as is the error of a direction that the gaze does not have. Where
    there are predicted spreads, they come last.
    """
    return _table(COLUMNS[target], partial(_numbers, target), found, stores)


def answers_csv(target: str, found: Sequence[Predicted], stores: Sequence[Store]) -> bytes:
    """Write one line an eye: what `predictions_csv` does, but for truth and error."""
    columns = tuple(name for name in COLUMNS[target] if name.startswith("predicted"))
    return _table(columns, partial(_answers, target), found, stores)


def check_replaceable(path: Path) -> None:
    """Raise UserError where `path` is a file that is not a table of eyes, such as one of labels."""
    head = ",".join(WHICH).encode()
    if path.exists() and not (path.is_file() and path.read_bytes().startswith(head)):
        raise UserError(f"--out {path}: exists and is no table of answers; choose another")


def _table(
    columns: Sequence[str],
    numbers: Callable[[Predicted], Tensor],
    found: Sequence[Predicted],
    stores: Sequence[Store],
) -> bytes:
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    spread = SPREADS if any(part.spread is not None for part in found) else ()
    writer.writerow((*WHICH, *columns, *spread))
    for part, store in zip(found, stores, strict=True):
        for who, row in zip(_which(part, store), numbers(part).tolist(), strict=True):
            writer.writerow((*who, *map(_number, row)))
    return text.getvalue().encode()


def _answers(target: str, part: Predicted) -> Tensor:
    """Return the answers [N, ...] in degrees, spreads behind angles where there are any."""
    import torch

    from gazegan import geometry

    if target != "angles":
        return geometry.direction_from_cos_sin(part.output)[:, None]
    told = (part.output,) if part.spread is None else (part.output, part.spread)
    return torch.rad2deg(torch.cat(told, dim=1))


def _numbers(target: str, part: Predicted) -> Tensor:
    """Return the columns of `target` [N, ...] in degrees; NaN where undefined."""
    import torch

    from gazegan import geometry
    from gazegan.metrics import MIN_ECCENTRICITY_DEG

    assert part.gaze is not None
    said = _answers(target, part)
    if target == "angles":
        error = geometry.angular_error_deg(part.output, part.gaze)[:, None]
        return torch.cat((torch.rad2deg(part.gaze), said[:, :2], error, said[:, 2:]), dim=1)
    true = geometry.direction_deg(part.gaze)[:, None]
    error = geometry.circular_difference_deg(said, true).abs()
    defined = geometry.eccentricity_deg(part.gaze)[:, None] >= MIN_ECCENTRICITY_DEG
    return torch.cat((true, said, error.where(defined, torch.nan)), dim=1)


def _which(part: Predicted, store: Store) -> Iterator[tuple[Any, ...]]:
    import torch

    from gazegan.schema import SIDES

    names, subjects = store.manifest.names, store.manifest.subjects
    heads = [] if part.head is None else torch.rad2deg(part.head).tolist()
    whose, sides = ([] if of is None else of.tolist() for of in (part.subject, part.side))
    for row, index in enumerate(part.id.tolist()):
        name = names[index] if names else ""
        subject = subjects[whose[row]] if whose and whose[row] >= 0 else ""
        side = SIDES[sides[row]] if sides and sides[row] >= 0 else ""
        head = [_number(angle) for angle in heads[row]] if heads else ["", ""]
        yield (str(store.path), index, name, subject, side, *head)


def _number(value: float) -> str:
    return "" if math.isnan(value) else f"{value:.4f}"
