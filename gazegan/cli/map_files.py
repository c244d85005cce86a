"""Maps and their scores as pictures, arrays and text."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from gazegan.cli import gaze
from gazegan.cli.map_scores import MEASURES
from gazegan.cli.maps import RESULT

if TYPE_CHECKING:
    from gazegan.explain import Attribution
    from gazegan.plots import Panel
    from gazegan.schema import EyeBatch

_ACROSS, _BLOCKS = 8, 4
"""Eyes in a row of the sheet, and how often each row of a single method comes, at most."""
_NAMES = {
    "gradient_x_input": "gradient × input",
    "integrated_gradients": "integrated gradients",
    "smoothgrad": "SmoothGrad",
    "occlusion": "occlusion",
}
_RANDOM = "random order"


def save(out: Path, found: dict[str, Attribution], batch: EyeBatch, values: dict[str, Any]) -> None:
    """Write maps.npz, maps.png, curves.png and, last, explain.json."""
    import io

    import numpy as np

    from gazegan.data.files import write_atomic
    from gazegan.plots import curve_panels, png

    first = next(iter(found.values()))
    kept = {"id": batch.id, "image": batch.image, "map": first.map, "output_deg": first.output}
    if first.gradient is not None:
        kept["gradient"] = first.gradient
    kept |= {f"map_{name}": one.map for name, one in found.items() if one is not first}
    arrays = io.BytesIO()
    np.savez(arrays, **{name: value.numpy() for name, value in kept.items()})  # type: ignore[arg-type]
    write_atomic(out / "maps.npz", arrays.getvalue())
    write_atomic(out / "maps.png", png(_sheet(found, batch, values)))
    write_atomic(out / "curves.png", curve_panels(_panels(values)))
    gaze.save_json(out / RESULT, values)


def _sheet(found: dict[str, Attribution], batch: EyeBatch, values: dict[str, Any]) -> Any:
    from gazegan.plots import Row, contact_sheet, heat, overlay, tint

    rows, told, output = [], next(iter(found.values())).output, values["output"]
    end = min(len(batch), max(1, _BLOCKS // len(found)) * _ACROSS)
    for start in range(0, end, _ACROSS):
        chosen = range(start, min(start + _ACROSS, end))
        captions = [f"{told[i]:+.1f}°" for i in chosen]
        rows.append(Row("eye", [batch.image[i] for i in chosen], captions))
        if values["masks"] == "predicted" and batch.masks is not None:
            guessed = [tint(batch.image[i], batch.masks[i]) for i in chosen]
            rows.append(Row("predicted masks", guessed))
        for name, one in found.items():
            label = output if len(found) == 1 else _NAMES[name]
            rows.append(Row(label, [overlay(batch.image[i], one.map[i]) for i in chosen]))
            rows.append(Row("where", [heat(batch.image[i], one.map[i]) for i in chosen]))
    note = (
        f"red raises the predicted {output}, blue lowers it; orange: where either is strong,"
        " smoothed; each map in its own scale"
    )
    names = " and ".join(_NAMES[name] for name in found) if len(found) < 3 else "Maps"
    return contact_sheet(rows, f"{names[0].upper()}{names[1:]} of {output}", note)


def _panels(values: dict[str, Any]) -> list[Panel]:
    """Return the curves of deletion, insertion and randomised weights."""
    from gazegan.plots import Panel

    every = {_NAMES[name]: score for name, score in values["methods"].items()}
    panels = []
    for kind, what in (("deletion", "taken away"), ("insertion", "put back")):
        lines = {
            name: _percent(score["curves"], f"{kind}_deg")
            for name, score in {**every, _RANDOM: values["chance"]}.items()
        }
        title = f"{kind.capitalize()} of the strongest pixels"
        axes = (f"pixels {what} (%)", f"change of the {values['output']} (degrees)")
        panels.append(Panel(title, *axes, lines, baseline=_RANDOM))
    fallen = {name: _fallen(score["randomised"]) for name, score in every.items()}
    axes = ("layers randomised, from the last (%)", "rank correlation of maps")
    return [*panels, Panel("Maps of randomised networks", *axes, fallen)]


def _percent(curves: dict[str, list[float]], kind: str) -> tuple[list[float], list[float]]:
    return [100 * share for share in curves["share"]], curves[kind]


def _fallen(stages: list[dict[str, float | None]]) -> tuple[list[float], list[float]]:
    """Return the share of randomised layers in percent and the correlation, where there is one."""
    known = [(100 * (s["layers"] or 0), c) for s in stages if (c := s["correlation"]) is not None]
    return [0.0, *(share for share, _ in known)], [1.0, *(c for _, c in known)]


def text(values: dict[str, Any], out: Path) -> str:
    """Say what was found: shares on masks, where known, and how good each method is."""
    head = f"{out}: maps of {values['count']} eyes ({values['output']})"
    parts = [head, _shares_text(values), _scores_text(values)]
    if values["masks"] is None:
        parts[0] += "; the store has no masks to share them among (see --predict-masks)"
    elif values["masks"] == "predicted":
        parts[0] += f"; masks predicted with {values['settings']['predict_masks']}, not known"
    return "\n\n".join(part for part in parts if part)


def _shares_text(values: dict[str, Any]) -> str:
    if values["area"] is None:
        return ""
    every = values["methods"].items()
    columns = {_NAMES[name]: score["shares"] for name, score in every if score["shares"]}
    joint = {name: values[name] for name in ("iris_and_pupil", "lids") if values[name]}
    for kind, title in zip(MEASURES[1:], ("gradient alone", "area"), strict=True):
        columns[title] = values[kind] | {name: share[kind] for name, share in joint.items()}
    rows = [
        [name.replace("_", " "), *(f"{100 * share[name]:.1f}%" for share in columns.values())]
        for name in (*values["area"], *joint)
    ]
    return gaze.table(["share on", *columns], rows)


def _scores_text(values: dict[str, Any]) -> str:
    columns = ["", "eye", "iris", "pupil", "deletion", "insertion", "gap", "randomised"]
    rows = []
    for name, score in {**values["methods"], _RANDOM: values["chance"]}.items():
        aims = score["pointing"] or {}
        told = [f"{100 * share:.0f}%" for share in aims.values()] or ["-"] * 3
        gap, last = score.get("completeness"), (score.get("randomised") or [{}])[-1]
        alike = last.get("correlation")
        rows.append(
            [
                _NAMES.get(name, name),
                *told,
                *(f"{score[kind]:.2f}" for kind in ("deletion_deg", "insertion_deg")),
                f"{gap['gap_deg']:.2f} of {gap['change_deg']:.2f}" if gap else "-",
                "-" if alike is None else f"{alike:+.2f}",
            ]
        )
    title = (
        "The strongest pixel lies on eye, iris or pupil; mean change in degrees under deletion and"
        " insertion;\nwhat is missing of the change; rank correlation with a randomised network"
    )
    return gaze.table(columns, rows, title)
