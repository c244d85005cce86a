"""Correct a gaze network for one person from a few labelled samples; measure what that gains."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from gazegan import rng
from gazegan.geometry import angular_error_deg


@dataclass(frozen=True)
class Beliefs:
    """How far a network is believed to be off for a person before any sample is seen.

    About what networks trained on renders showed on 15 people of the Columbia Gaze Data Set.
    """

    offset_deg: float = 2.5
    """Standard deviation of the offset of each angle."""
    slope: float = 0.3
    """Standard deviation of what the answers' slope lacks."""
    noise_deg: float = 6.0
    """Standard deviation of single answers about the person's line."""


def fit(output: Tensor, gaze: Tensor, beliefs: Beliefs) -> Tensor:
    """Return the correction `[2, 2]` (offset rad, slope; by angle) from K samples of a person.

    `output` and `gaze` `[K, 2]` are (pitch, yaw) rad. The posterior mean of a line fitted to
    gaze - output (Bishop, Pattern Recognition and Machine Learning, equations 3.53 and 3.54);
    without samples it is zero.
    """
    sd = torch.tensor([beliefs.offset_deg, beliefs.noise_deg], dtype=torch.float64).deg2rad()
    precision = torch.stack((sd[0], sd.new_tensor(beliefs.slope))).square().reciprocal().diag()
    lacks, lines = (gaze - output).double(), []
    for angle in range(2):
        x = torch.stack((torch.ones(len(output)).double(), output[:, angle].double()), 1)
        inverse = precision + x.mT @ x / sd[1] ** 2
        lines.append(torch.linalg.solve(inverse, x.mT @ lacks[:, angle] / sd[1] ** 2))
    return torch.stack(lines, dim=1).to(output.dtype)


def correct(output: Tensor, correction: Tensor) -> Tensor:
    """Return answers `[N, 2]` (pitch, yaw) rad with a person's correction `[2, 2]` applied."""
    offset, slope = correction
    corrected: Tensor = output + offset + slope * output
    return corrected


@dataclass(frozen=True)
class Shots:
    """Errors of all people after so many labelled samples of each."""

    count: int
    people_deg: tuple[float, ...]
    """Mean 3-D error of each person, over draws and that person's other samples."""

    @property
    def mean_deg(self) -> float:
        """Mean over people."""
        return sum(self.people_deg) / len(self.people_deg)

    @property
    def se_deg(self) -> float | None:
        """Standard error over people; None of a single one."""
        count = len(self.people_deg)
        spread = torch.tensor(self.people_deg, dtype=torch.float64).std().item()
        return spread / count**0.5 if count > 1 else None

    def to_dict(self) -> dict[str, Any]:
        return {"shots": self.count, "mean_deg": self.mean_deg, "se_deg": self.se_deg}


def by_shots(
    output: Tensor,
    gaze: Tensor,
    subject: Tensor,
    shots: Sequence[int],
    draws: int = 20,
    seed: int = 0,
    beliefs: Beliefs | None = None,
) -> tuple[Shots, ...]:
    """Measure the error after each number of `shots`, drawn `draws` times for each person.

    `output` and `gaze` `[N, 2]` are (pitch, yaw) rad; `subject` `[N]` int64, -1 where
    unknown, which are left out. A draw of more shots holds those of fewer, and all are measured on
    the same remaining samples. Raises ValueError where there is nobody, or one has too few samples.
    """
    names = sorted(set(subject.tolist()) - {-1})
    people = [(subject == who).nonzero().flatten() for who in names]
    most, how = max(shots), beliefs or Beliefs()
    if not people:
        raise ValueError("it is not known which eyes are whose")
    if (fewest := min(map(len, people))) <= most:
        raise ValueError(f"one person has only {fewest} samples, too few for {most} shots")
    errors = torch.zeros(len(shots), len(people), draws, dtype=torch.float64)
    for i, own in enumerate(people):
        for draw in range(draws):
            order = torch.randperm(len(own), generator=rng.stream(seed, "calibrate", i, draw))
            rest = own[order[most:]]
            for k, count in enumerate(shots):
                known = own[order[:count]]
                line = fit(output[known], gaze[known], how)
                errors[k, i, draw] = angular_error_deg(
                    correct(output[rest], line), gaze[rest]
                ).mean()
    means = errors.mean(2).tolist()
    return tuple(Shots(n, tuple(row)) for n, row in zip(shots, means, strict=True))
