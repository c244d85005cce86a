"""Correct answers for each eye without a label, by what is supposed of where people look.

What an eye's answers have in common, their mean, how far they spread and how they go along with the
head, is the network's own where everyone looks at the same places. Matching moments is what
correlation alignment does to features (Sun, Feng & Saenko, Return of frustratingly easy domain
adaptation, AAAI 2016); eye trackers that need no calibration match the patterns of people's gazes
(Alnajar et al., Calibration-free gaze estimation using human gaze patterns, ICCV 2013).

Where all are asked to look at the same places, their moments are known exactly (`match`).
Where gazes only come from a known range, those of a few answers differ from its own by chance, and
what networks are believed to be off by says how far to follow them (`estimate`).
"""

import math
from collections.abc import Callable
from dataclasses import dataclass, replace

import torch
from scipy.optimize import minimize_scalar
from torch import Tensor

from gazegan.calibrate import Beliefs, correct, eyes_of
from gazegan.predict import Predicted

LEAST = 10
"""Answers of an eye below which their spread says little."""
_SAME = 1e-6
"""Spread, rad, below which answers are all the same, and there is nothing to scale."""
_SCALE = 0.2
"""Standard deviation of the scale that timid answers lack, in logarithms, before any is seen."""
_NARROW = math.radians(0.5)
"""Spread of supposed gazes below which they are not believed to be known."""
_TURNS = math.radians(2)
"""Standard deviation of the heads' yaw below which it counts as the same for all."""


@dataclass(frozen=True)
class Gazes:
    """Where people look: moments of (pitch, yaw), rad, as lines along the head's yaw."""

    middle: Tensor
    """[2] where the head faces the camera."""
    along: Tensor
    """[2] rad a rad of the head's yaw; 0 where that does not vary or is unknown."""
    spread: Tensor
    """[2] standard deviations about the line."""


def gazes_of(gaze: Tensor, turn: Tensor | None = None) -> Gazes:
    """Return the moments of gazes `[N, 2]` (pitch, yaw) rad and the heads' yaw `[N]` rad."""
    values = gaze.double()
    if turn is None or not bool(turn.isfinite().all()) or not _varies(turn):
        return Gazes(values.mean(0), torch.zeros_like(values[0]), values.std(0, correction=0))
    turns = turn.double()
    from_mean = turns - turns.mean()
    along = (from_mean[:, None] * values).sum(0) / from_mean.square().sum()
    middle = values.mean(0) - along * turns.mean()
    left = values - middle - along * turns[:, None]
    return Gazes(middle, along, left.square().mean(0).sqrt())


def _varies(turn: Tensor) -> bool:
    """Whether heads whose yaw is known `[N]` rad are turned differently."""
    return len(turn) > 1 and float(turn.std()) >= _TURNS


def supposed_of(gaze: Tensor, turn: Tensor | None) -> tuple[Gazes | None, Gazes]:
    """Return the moments of gazes `[N, 2]` rad along the heads' yaw `[N]` rad, and those of all.

    The first are of the heads that are known, NaN being unknown; None where these do not vary, so
    that nothing is told of how gazes go along with them.
    """
    whole = gazes_of(gaze)
    if turn is None:
        return None, whole
    known = turn.isfinite()
    return (gazes_of(gaze[known], turn[known]) if _varies(turn[known]) else None), whole


def aligned(found: Predicted) -> Predicted:
    """Shift the answers, (pitch, yaw), of each eye so that the mean answers of all eyes agree.

    An eye is a subject's on one side. What puts an eye off as a whole goes, without a label; so
    does how its own mean gaze differs from others', which is right only where all look at the same
    places. Raises ValueError where it is not known whose each eye is.
    """
    eyes, output = _eyes(found), found.output.clone()
    means = [output[own].mean(0) for own in eyes]
    for own, mean in zip(eyes, means, strict=True):
        output[own] += torch.stack(means).mean(0) - mean
    return replace(found, output=output)


def match(output: Tensor, turn: Tensor | None, turned: Gazes | None, whole: Gazes) -> Tensor:
    """Return the correction `[4, 2]` for `calibrate.correct` from answers of one eye, unlabelled.

    `output` `[K, 2]` are (pitch, yaw), `turn` `[K]` the heads' yaw, rad, NaN where unknown. The
    answers then have the moments `turned` along the heads' yaw, or those of `whole` where either is
    unknown. Raises ValueError for fewer than `LEAST` answers.
    """
    if len(output) < LEAST:
        raise ValueError(f"an eye has only {len(output)} answers; their spread takes {LEAST}")
    turn, goal = _supposed(turn, turned, whole)
    said = gazes_of(output, turn)
    scale = torch.where(said.spread < _SAME, 1.0, goal.spread / said.spread)
    along = (0 if turn is None else goal.along) - scale * said.along
    rows = (goal.middle - scale * said.middle, *(scale - 1).diag(), along)
    return torch.stack(rows).to(output.dtype)


def _supposed(
    turn: Tensor | None, turned: Gazes | None, whole: Gazes
) -> tuple[Tensor | None, Gazes]:
    """Return the heads' yaw, None unless all are known and count, and the gazes supposed then."""
    if turn is None or turned is None or not bool(turn.isfinite().all()):
        return None, whole
    return turn, turned


def matched(found: Predicted, turned: Gazes | None, whole: Gazes) -> Predicted:
    """Shift and scale the answers, (pitch, yaw), of each eye to the moments of known gazes.

    `turned` are those along the head's yaw, `whole` those of all. Also undoes that networks are
    timid, as they have to be with eyes that they do not know. Right only where each eye looks at
    these places. Raises ValueError where it is not known whose each eye is, or as `match` does.
    """
    return _corrected(found, lambda output, turn: match(output, turn, turned, whole))


def estimate(output: Tensor, turn: Tensor | None, turned: Gazes | None, whole: Gazes) -> Tensor:
    """Return the most probable correction `[4, 2]` for `calibrate.correct`, without a label.

    `output` `[K, 2]` are (pitch, yaw) of one eye, `turn` `[K]` the heads' yaw, rad, NaN where
    unknown. Its gazes are supposed to be drawn from normal distributions of the moments `turned`
    along the heads' yaw, or `whole` where either is unknown; offset, weight of the head's
    yaw and scale to be off as `calibrate.Beliefs` and `_SCALE` say (maximum a posteriori). The
    more answers, the closer it comes to `match`.
    """
    turn, goal = _supposed(turn, turned, whole)
    turns = torch.zeros(len(output)).double() if turn is None else turn.double()
    x = torch.stack((torch.ones_like(turns), turns), 1)
    aims = goal.middle + goal.along * turns[:, None]
    rows = torch.zeros(4, 2, dtype=torch.float64)
    for angle in range(2):
        noise = max(float(goal.spread[angle]), _NARROW)
        scale, line = _most_probable(output[:, angle].double(), x, aims[:, angle], noise)
        rows[0, angle], rows[3, angle], rows[1 + angle, angle] = line[0], line[1], scale - 1
    return rows.to(output.dtype)


def _most_probable(answers: Tensor, x: Tensor, aims: Tensor, noise: float) -> tuple[float, Tensor]:
    """Return the scale and the line along `x` `[K, 2]` that bring answers `[K]` to their aims.

    For a scale the line is the posterior mean of a linear model, as in `calibrate.fit`.
    """
    believed = Beliefs()
    off = x.new_tensor((math.radians(believed.offset_deg), believed.head)).square().reciprocal()
    inverse = off.diag() + x.mT @ x / noise**2
    sides = x.mT @ torch.stack((aims, -answers), 1) / noise**2
    fixed, scaled = torch.linalg.solve(inverse, sides).unbind(1)

    def surprise(log_scale: float) -> float:
        """Minus the logarithm of the posterior, but for a constant."""
        scale = math.exp(log_scale)
        line = fixed + scale * scaled
        left = scale * answers + x @ line - aims
        told = (left.square().sum() / noise**2 + (off * line.square()).sum()) / 2
        return float(told) - len(answers) * log_scale + (log_scale / _SCALE) ** 2 / 2

    scale = math.exp(minimize_scalar(surprise, bounds=(-2, 2), method="bounded").x)
    return scale, fixed + scale * scaled


def estimated(found: Predicted, turned: Gazes | None, whole: Gazes) -> Predicted:
    """Correct the answers, (pitch, yaw), of each eye as `estimate` does from all of them.

    Right only where the eyes' gazes come from the distribution supposed. Raises ValueError where
    it is not known whose each eye is.
    """
    return _corrected(found, lambda output, turn: estimate(output, turn, turned, whole))


def _corrected(found: Predicted, learn: Callable[[Tensor, Tensor | None], Tensor]) -> Predicted:
    """Correct each eye by what `learn` makes of its answers and its heads' yaw."""
    output = found.output.clone()
    for own in _eyes(found):
        head = None if found.head is None else found.head[own]
        correction = learn(found.output[own], None if head is None else head[:, 1])
        output[own] = correct(found.output[own], correction, head)
    return replace(found, output=output, spread=None)


def _eyes(found: Predicted) -> list[Tensor]:
    """Return where the answers of each eye are."""
    if found.subject is None or bool((found.subject < 0).any()):
        raise ValueError("it is not known whose each eye is")
    return [own for _, own in eyes_of(found.subject, found.side)]
