"""What a demo found, read from its records, as a table, a sentence and a page."""

from __future__ import annotations

import shlex
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from gazegan.cli import gaze, pages
from gazegan.cli.road import Stop, Target

if TYPE_CHECKING:
    from gazegan.cli.figures import Figure

_UNCLEAR_DEG = 0.3
"""Smaller differences of two means are within what another seed would change."""
_MOVED_PX = 0.3
_MOST_HEADS = 8


@dataclass(frozen=True)
class Score:
    """Errors of one predictor on the scored eyes, degrees."""

    name: str
    mean_deg: float
    median_deg: float
    p95_deg: float


@dataclass(frozen=True)
class Results:
    """Everything the report says in numbers."""

    target: Target
    quick: bool
    seed: int
    count: int
    """Scored eyes."""
    scores: tuple[Score, Score, Score]
    """Of the constant predictor, of the network trained on raw and of that on refined renders."""
    zero_deg: float
    """Mean error of always looking into the camera."""
    slopes: Mapping[str, tuple[float | None, float | None]] = field(default_factory=dict)
    """Name -> vertical and horizontal slope of prediction on truth."""
    heads: Sequence[tuple[str, int, float, float, float]] = ()
    """Head pose, eyes, and mean errors of constant, raw and refined."""
    pupil_shift: Mapping[str, float] = field(default_factory=dict)
    explained: Mapping[str, Any] = field(default_factory=dict)
    attacked: Mapping[str, Any] = field(default_factory=dict)

    def to_dict(self) -> dict[str, Any]:
        """Return plain values for JSON."""
        return {
            "target": self.target.kind,
            "scored_on": self.target.scored_eyes,
            "quick": self.quick,
            "seed": self.seed,
            "count": self.count,
            "scores": {score.name: asdict(score) for score in self.scores},
            "zero_deg": self.zero_deg,
            "pupil_shift": dict(self.pupil_shift),
            "verdict": verdict(self),
        }


def read_results(out: Path, target: Target, quick: bool, seed: int) -> Results:
    """Read the results of a finished demo; raises DataError where a record is damaged."""
    from gazegan.data.store import open_store

    results = out / "results"
    raw, refined = (
        gaze.read_json(results / f"evaluate-{n}/evaluation.json") for n in ("raw", "refined")
    )
    constant = {
        "mean_deg": raw["constant_deg"],
        "median_deg": raw["constant_median_deg"],
        "p95_deg": raw["constant_p95_deg"],
    }
    return Results(
        target,
        quick,
        seed,
        raw["count"],
        (_score("constant", constant), _score("raw", raw), _score("refined", refined)),
        raw["zero_deg"],
        {
            name: (values["vertical_slope"], values["horizontal_slope"])
            for name, values in (("raw", raw), ("refined", refined))
        },
        _heads(raw["heads"], refined["heads"]),
        open_store(out / "stores" / "refined").manifest.notes.get("pupil_shift", {}),
        gaze.read_json(results / "explain" / "explain.json"),
        gaze.read_json(results / "attack" / "attack.json"),
    )


def _score(name: str, values: Mapping[str, float]) -> Score:
    return Score(name, values["mean_deg"], values["median_deg"], values["p95_deg"])


def _heads(
    raw: Sequence[Mapping[str, Any]], refined: Sequence[Mapping[str, Any]]
) -> list[tuple[str, int, float, float, float]]:
    """Pair the head poses of both evaluations, where they are few enough to be read."""
    if not 2 <= len(raw) <= _MOST_HEADS:
        return []
    return [
        (
            f"{a['head_yaw_deg']:+d}°" if a["head_yaw_deg"] else "0°",
            a["count"],
            *(a["constant_deg"], a["mean_deg"], b["mean_deg"]),
        )
        for a, b in zip(raw, refined, strict=True)
    ]


def verdict(results: Results) -> str:
    """Say in words whether refinement helped, by how much, and what that is worth."""
    constant, raw, refined = (score.mean_deg for score in results.scores)
    told = _told(results, raw, refined)
    worse = [n for n, e in (("raw", raw), ("refined", refined)) if e >= constant]
    if worse:
        told += (
            f" Trained on {' and '.join(worse)} renders, the network does not beat the constant"
            f" predictor ({constant:.2f})."
        )
    moved = results.pupil_shift.get("median_px", 0)
    if moved > _MOVED_PX:
        told += f" Refinement cost labels: iris and pupil moved by {moved:.2f} px in the median."
    told += " One run with one seed proves little: another seed moves each figure by some tenths."
    return f"Quick walk: these figures mean nothing. {told}" if results.quick else told


def _told(results: Results, raw: float, refined: float) -> str:
    where = f"On {results.count} {results.target.scored_eyes}"
    if results.target.why_no_score:
        return (
            "Whether refinement helped on your photographs cannot be told without labels."
            f" {where} the mean error is {raw:.2f} degrees when trained on raw renders, which are"
            f" like them, and {refined:.2f} when trained on refined ones."
        )
    figures = f"from {raw:.2f} to {refined:.2f} degrees"
    if abs(raw - refined) < _UNCLEAR_DEG:
        return f"{where}, refinement made no clear difference: the mean error went {figures}."
    did, way = ("helped", "fell") if refined < raw else ("did not help", "rose")
    by = f"{abs(raw - refined):.2f}"
    return f"{where}, refinement {did}: the mean error {way} by {by}, {figures}."


def text(results: Results) -> str:
    """Return the table and the verdict as text for a terminal."""
    names = {"constant": "constant predictor", "raw": "raw renders", "refined": "refined renders"}
    rows = [
        [names[s.name], *(f"{v:.2f}" for v in (s.mean_deg, s.median_deg, s.p95_deg))]
        for s in results.scores
    ]
    title = f"3-D angular error on {results.count} {results.target.scored_eyes}, degrees"
    table = gaze.table(["trained on", "mean", "median", "p95"], rows, title)
    notes = [f"Always looking into the camera: mean {results.zero_deg:.2f}."]
    if results.target.why_no_score:
        notes.append(f"No errors on your photographs: {results.target.why_no_score}.")
    return "\n\n".join((table, " ".join(notes), verdict(results)))


def write(
    path: Path,
    results: Results,
    road: Sequence[Stop],
    took: Mapping[str, Mapping[str, Any]],
    out: Path,
) -> None:
    """Write the report of a finished demo as one page that needs no other file."""
    from gazegan.cli.figures import draw
    from gazegan.data.files import write_atomic

    write_atomic(path, page(results, draw(out, results), road, took).encode(errors="replace"))


def page(
    results: Results,
    figures: Mapping[str, Figure],
    road: Sequence[Stop],
    took: Mapping[str, Mapping[str, Any]],
) -> str:
    """Return the report as HTML; every name in it is escaped, every picture inline."""
    return pages.page(
        "demo.html",
        results=results,
        target=results.target,
        verdict=verdict(results),
        widest=max(1e-9, *(score.mean_deg for score in results.scores)),
        figures={
            name: {"source": pages.inline(figure.png), "about": figure.about}
            for name, figure in figures.items()
        },
        stops=[_stop(stop, took.get(stop.key, {})) for stop in road],
        total=_clock(sum(part.get("seconds", 0.0) for part in took.values())),
    )


def _stop(stop: Stop, took: Mapping[str, Any]) -> dict[str, Any]:
    commands = [shlex.join(("gazegan", *command)) for command in stop.commands]
    title = stop.title[0].upper() + stop.title[1:]
    return {"title": title, "commands": commands, "took": _clock(took.get("seconds", 0.0))}


def _clock(seconds: float) -> str:
    whole = round(seconds)
    return f"{whole // 60} min {whole % 60:02d} s" if whole >= 60 else f"{seconds:.1f} s"
