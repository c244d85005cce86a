"""Errors of evaluations side by side: those of one kind on one scale."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from gazegan.cli.tables import words

_TARGETS = {
    "angles": "Gaze: 3-D angle between answer and truth, degrees; smaller is better",
    "direction": "Direction: along the circle of 0..360, degrees; smaller is better",
}
"""What errors are of, by the target of an evaluation."""
_CHANGES = ("mirror_average", "by_face", "align", "align_to", "direction")
"""Options of an evaluation that change what is scored."""


@dataclass(frozen=True)
class Score:
    """Errors of one evaluation, degrees, beside those of the constant predictor."""

    folder: str
    network: str
    options: str
    """Those that change what is scored, in words."""
    about: str
    """What the errors are of: those of another kind are on another scale."""
    count: int
    mean_deg: float
    median_deg: float
    constant_deg: float


@dataclass(frozen=True)
class Glance:
    """Scores that stand side by side: errors of one kind, on one scale."""

    about: str
    scores: tuple[Score, ...]

    @property
    def widest(self) -> float:
        """The error of the longest bar, degrees."""
        return max(1e-9, *(score.mean_deg for score in self.scores))


def glances(scores: Sequence[Score]) -> list[Glance]:
    """Return scores by what they are of, gaze first."""
    kinds = {about: tuple(s for s in scores if s.about == about) for about in _TARGETS.values()}
    return [Glance(about, some) for about, some in kinds.items() if some]


def score_of(folder: Path, values: Mapping[str, Any], settings: Mapping[str, Any]) -> Score:
    """Return the errors of an evaluation; raises KeyError, TypeError or ValueError if damaged."""
    degrees = (float(values[key]) for key in ("mean_deg", "median_deg", "constant_deg"))
    return Score(
        str(folder),
        str(settings.get("weights", "")),
        ", ".join(_told(name, settings[name]) for name in _CHANGES if settings.get(name)),
        _TARGETS[values["target"]],
        int(values["count"]),
        *degrees,
    )


def _told(name: str, value: object) -> str:
    return words(name) if value is True else f"{words(name)} {value}"
