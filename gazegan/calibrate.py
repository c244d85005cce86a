"""Correct a gaze network for one eye from a few labelled samples; measure what that gains."""

import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from gazegan import rng
from gazegan.geometry import angular_error_deg
from gazegan.schema import UNKNOWN


@dataclass(frozen=True)
class Beliefs:
    """How far a network is believed to be off for an eye before any sample is seen.

    Standard deviations, about what networks trained on renders showed on 30 eyes of 15 people of
    the Columbia Gaze Data Set.
    """

    offset_deg: float = 4.0
    """Of the offset of each angle."""
    slope: float = 0.4
    """Of what the answers' slope lacks."""
    cross: float = 0.15
    """Of how pitch answers lack yaw, and yaw answers pitch."""
    head: float = 0.2
    """Of how answers lack a share of the head's yaw."""
    noise_deg: float = 4.5
    """Of single answers about the corrected ones."""


def fit(
    output: Tensor, gaze: Tensor, head: Tensor | None = None, beliefs: Beliefs | None = None
) -> Tensor:
    """Return the correction `[4, 2]` (by angle) from K samples of an eye, for `correct`.

    Its rows are an offset in rad and weights of pitch answer, yaw answer and head yaw. `output`
    and `gaze` `[K, 2]` are (pitch, yaw) rad, `head` `[K, 2]` likewise, NaN where unknown. The
    posterior mean of a linear model of gaze - output (Bishop, Pattern Recognition and Machine
    Learning, equations 3.53 and 3.54); without samples it is zero.
    """
    believed = beliefs or Beliefs()
    noise, offset = math.radians(believed.noise_deg), math.radians(believed.offset_deg)
    x, lacks, columns = _design(output, head), (gaze - output).double(), []
    for angle in range(2):
        spreads = [offset, believed.cross, believed.cross, believed.head]
        spreads[1 + angle] = believed.slope
        spread = torch.tensor(spreads, dtype=torch.float64)
        inverse = spread.square().reciprocal().diag() + x.mT @ x / noise**2
        columns.append(torch.linalg.solve(inverse, x.mT @ lacks[:, angle] / noise**2))
    return torch.stack(columns, dim=1).to(output.dtype)


def correct(output: Tensor, correction: Tensor, head: Tensor | None = None) -> Tensor:
    """Return answers `[N, 2]` (pitch, yaw) rad with an eye's `correction` `[4, 2]` applied."""
    corrected: Tensor = output + (_design(output, head) @ correction.double()).to(output.dtype)
    return corrected


def _design(output: Tensor, head: Tensor | None) -> Tensor:
    """Return what a correction weighs `[N, 4]` float64; an unknown head counts as one ahead."""
    ones = output.new_ones(len(output), 1)
    turned = 0 * ones if head is None else head[:, 1:].nan_to_num(0.0)
    return torch.cat((ones, output, turned), dim=1).double()


Learn = Callable[[Tensor, Tensor, Tensor | None], Tensor]
"""Answers and gazes `[K, 2]` of an eye, and its heads' or None, to the correction `[4, 2]`."""


@dataclass(frozen=True)
class Shots:
    """Errors of all people after so many samples of each of their eyes."""

    count: int
    people_deg: tuple[float, ...]
    """Mean 3-D error of each person, over draws, eyes and their other samples."""

    @property
    def mean_deg(self) -> float:
        """Mean over people."""
        return sum(self.people_deg) / len(self.people_deg)

    @property
    def se_deg(self) -> float | None:
        """Standard error over people; None of a single one."""
        count = len(self.people_deg)
        if count == 1:
            return None
        spread = torch.tensor(self.people_deg, dtype=torch.float64).std().item()
        return float(spread / count**0.5)

    def to_dict(self) -> dict[str, Any]:
        return {"shots": self.count, "mean_deg": self.mean_deg, "se_deg": self.se_deg}


def by_shots(
    output: Tensor,
    gaze: Tensor,
    subject: Tensor,
    shots: Sequence[int],
    draws: int = 20,
    seed: int = 0,
    learn: Learn = fit,
    side: Tensor | None = None,
    head: Tensor | None = None,
) -> tuple[Shots, ...]:
    """Measure the error after each number of `shots`, drawn `draws` times for each eye.

    `learn` makes the corrections, but for no samples, where there is none. `output`, `gaze` and
    `head` `[N, 2]` are (pitch, yaw) rad; `subject` and `side` `[N]` int64, -1 where unknown: eyes
    of unknown people are left out, those of unknown side are a person's one
    eye. A draw of more shots holds those of fewer, and all are measured on the same remaining
    samples. Raises ValueError where there is nobody, or an eye has too few samples.
    """
    eyes = eyes_of(subject, side)
    names, most = sorted({who for who, _ in eyes}), max(shots)
    if not names:
        raise ValueError("it is not known which eyes are whose")
    if (fewest := min(len(own) for _, own in eyes)) <= most:
        raise ValueError(f"one eye has only {fewest} samples, too few for {most} shots")
    errors: dict[int, list[list[float]]] = {who: [] for who in names}
    for number, (who, own) in enumerate(eyes):
        for draw in range(draws):
            order = torch.randperm(len(own), generator=rng.stream(seed, "calibrate", number, draw))
            errors[who].append(list(_falling(output, gaze, own[order], shots, learn, head)))
    means = [torch.tensor(errors[who], dtype=torch.float64).mean(0).tolist() for who in names]
    return tuple(Shots(n, row) for n, row in zip(shots, zip(*means, strict=True), strict=True))


def constant_deg(gaze: Tensor, subject: Tensor) -> float:
    """Return the error of always answering the mean gaze of people, averaged over them.

    `gaze` `[N, 2]` (pitch, yaw) rad; `subject` `[N]` int64, those with -1 are left out.
    """
    known = subject != UNKNOWN
    gaze, subject = gaze[known], subject[known]
    off = angular_error_deg(gaze.mean(0).expand_as(gaze), gaze)
    return float(torch.stack([off[subject == who].mean() for who in torch.unique(subject)]).mean())


def eyes_of(subject: Tensor, side: Tensor | None) -> list[tuple[int, Tensor]]:
    """Return whose each known eye is, a subject's on one side, and where its samples are `[K]`.

    `subject` and `side` are `[N]` int64, -1 where unknown; without `side` each person has one eye.
    """
    sides = torch.full_like(subject, UNKNOWN) if side is None else side
    pairs = sorted(set(zip(subject.tolist(), sides.tolist(), strict=True)))
    return [
        (who, ((subject == who) & (sides == which)).nonzero().flatten())
        for who, which in pairs
        if who != UNKNOWN
    ]


def enough(
    subject: Tensor, side: Tensor | None, most: int
) -> tuple[Tensor, list[tuple[int, int, int]]]:
    """Return where samples `[K]` of eyes are that have more than `most`, and tell of other eyes.

    Of each: whose it is, its side (-1 where unknown) and how many samples it has. `subject` and
    `side` `[N]` int64 as in `eyes_of`. Raises ValueError where no eye has enough.
    """
    eyes = eyes_of(subject, side)
    if not eyes:
        raise ValueError("it is not known which eyes are whose")
    kept = [own for _, own in eyes if len(own) > most]
    if not kept:
        fullest = max(len(own) for _, own in eyes)
        raise ValueError(f"no eye has more than {fullest} samples, too few for {most} shots")
    few = [
        (who, UNKNOWN if side is None else int(side[own[0]]), len(own))
        for who, own in eyes
        if len(own) <= most
    ]
    return torch.cat(kept).sort().values, few


def _falling(
    output: Tensor,
    gaze: Tensor,
    order: Tensor,
    shots: Sequence[int],
    learn: Learn,
    head: Tensor | None,
) -> Iterator[float]:
    """Yield the error on the last of an eye's samples after each number of the first ones."""
    rest = order[max(shots) :]
    for count in shots:
        known = order[:count]
        there, here = (None if head is None else head[where] for where in (known, rest))
        answers = output[rest]
        if count:
            answers = correct(answers, learn(output[known], gaze[known], there), here)
        yield float(angular_error_deg(answers, gaze[rest]).mean())
