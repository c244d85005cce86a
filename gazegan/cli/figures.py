"""The pictures of a demo's report, drawn from what the demo left on disk."""

from __future__ import annotations

import csv
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from torch import Tensor

    from gazegan.cli.demo_report import Results

_LABELLED, _COMPARED = 5, 7


@dataclass(frozen=True)
class Figure:
    """A picture as PNG, and what it shows for those who cannot see it."""

    png: bytes
    about: str


def draw(out: Path, results: Results) -> dict[str, Figure]:
    """Draw every figure of the demo in the folder `out`, by name."""
    stores, found = out / "stores", out / "results"
    return {
        "renders": Figure(_renders(stores / "renders"), "Renders, their labels and their masks"),
        "refined": Figure(
            _refined(stores, results.target.kind), "Renders, their refinements and target eyes"
        ),
        "errors": Figure(_errors(found, results), "Share of eyes within each error"),
        "training": Figure(_training(out / "runs"), "The course of the trainings"),
        "maps": Figure((found / "explain" / "maps.png").read_bytes(), "Attribution maps"),
        "attack": Figure((found / "attack" / "curve.png").read_bytes(), "Error against epsilon"),
        "examples": Figure((found / "attack" / "examples.png").read_bytes(), "Attacked eyes"),
    }


def _renders(store: Path) -> bytes:
    from gazegan.data.store import open_store
    from gazegan.plots import Row, annotate, contact_sheet, png, tint

    source = open_store(store)
    eyes = source.read(range(min(_LABELLED, len(source))))
    assert eyes.gaze is not None and eyes.landmarks is not None
    assert eyes.visible is not None and eyes.masks is not None
    labels = zip(eyes.image, eyes.gaze, eyes.landmarks, eyes.visible, strict=True)
    captions = [f"pitch {p:+.0f}°, yaw {y:+.0f}°" for p, y in eyes.gaze.rad2deg().tolist()]
    rows = [
        Row("render", list(eyes.image)),
        Row("labels", [annotate(*label, scale=3) for label in labels], captions),
        Row("masks", [tint(*pair) for pair in zip(eyes.image, eyes.masks, strict=True)]),
    ]
    note = "green: lids or sclera; blue: iris; red: pupil; arrow: gaze as the camera sees it"
    return png(contact_sheet(rows, note=note, cell=180))


def _refined(stores: Path, kind: str) -> bytes:
    from gazegan.data.store import open_store
    from gazegan.plots import Row, contact_sheet, png

    raw, refined = (_first(open_store(stores / name)) for name in ("renders", "refined"))
    last = "stand-in" if kind == "stand-in" else "photograph"
    rows = [
        Row("raw", list(raw)),
        Row("refined", list(refined)),
        Row("change x 3", list((0.5 + 3 * (refined - raw)).clamp(0, 1))),
        Row(last, list(_spread(open_store(stores / "target")))),
    ]
    note = "change: grey is none, brighter was added, darker was taken away"
    return png(contact_sheet(rows, note=note, cell=120))


def _first(samples: Any) -> Tensor:
    image: Tensor = samples.read(range(min(_COMPARED, len(samples)))).image
    return image


def _spread(samples: Any) -> Tensor:
    """Return target eyes from all over the store, since neighbours show the same person."""
    count = min(_COMPARED, len(samples))
    image: Tensor = samples.read([i * len(samples) // count for i in range(count)]).image
    return image


def _errors(found: Path, results: Results) -> bytes:
    import torch

    from gazegan.metrics import gaze_report
    from gazegan.plots import error_curve

    named = {"raw renders": "raw", "refined renders": "refined"}
    tables = {
        name: _columns(found / f"evaluate-{run}" / "predictions.csv") for name, run in named.items()
    }
    first = tables["raw renders"]
    true = torch.deg2rad(torch.tensor([first["pitch_deg"], first["yaw_deg"]]).T)
    errors = {name: table["error_deg"] for name, table in tables.items()}
    constant = gaze_report(true, true).constant.degrees
    return error_curve(errors, constant, f"Cumulative error on {results.count} eyes")


def _columns(path: Path) -> dict[str, list[float]]:
    with path.open(encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file))
    names = ("pitch_deg", "yaw_deg", "error_deg")
    return {name: [float(row[name]) for row in rows] for name in names}


def _training(runs: Path) -> bytes:
    from gazegan.plots import training_curves
    from gazegan.train.log import read_log

    refiner = read_log(runs / "refiner")
    gaze = {name: read_log(runs / f"gaze-{name}") for name in ("raw", "refined")}
    return training_curves(
        {
            "Critic's Wasserstein estimate": _lines((refiner, "wasserstein", "estimate")),
            "Refiner's losses": _lines(
                (refiner, "refiner/adversarial", "adversarial"),
                (refiner, "refiner/keep", "keep the labels"),
            ),
            "Gaze error in training (degrees)": _lines(
                *((log, "train_deg", f"{name} renders") for name, log in gaze.items())
            ),
        }
    )


def _lines(
    *wanted: tuple[Sequence[Mapping[str, Any]], str, str],
) -> dict[str, tuple[list[int], list[float]]]:
    """Pick values out of logs: each a log, the value's name there, and the name to show."""
    found = {}
    for log, key, name in wanted:
        known = [line for line in log if key in line]
        found[name] = [line["step"] for line in known], [line[key] for line in known]
    return found
