"""Gaze errors and what stands beside them: the constant predictor, axes, subjects, head poses.

Two constants are reported. `zero_deg` is the error of always looking straight into the camera, for
which nothing need be known. `constant_deg` is the error of always predicting the mean gaze vector
of the very labels under evaluation, which a predictor blind to the image could not know: nearly
always the harder bar of the two, and the one to beat.
"""

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from gazegan import geometry

LIMITS_DEG = (5, 7, 10)
"""Limits of which a report gives the share of errors within."""
_MOST_POSES = 24
"""Head poses that are told apart to a degree."""

MIN_ECCENTRICITY_DEG = 1.0
"""Gazes nearer to the camera axis than this have no direction worth scoring."""


Labels = Mapping[str, str | int]


@dataclass(frozen=True)
class Errors:
    """Absolute errors `degrees [N]`, float64, and the numbers that sum them up."""

    degrees: Tensor

    def __len__(self) -> int:
        return len(self.degrees)

    @property
    def mean_deg(self) -> float:
        return float(self.degrees.mean())

    @property
    def median_deg(self) -> float:
        return self.quantile(0.5)

    @property
    def p95_deg(self) -> float:
        return self.quantile(0.95)

    def quantile(self, share: float) -> float:
        """Return the error in degrees below which a share in 0..1 lies, linearly interpolated."""
        return float(torch.quantile(self.degrees, share))

    def within(self, limit_deg: float) -> float:
        """Return the share in 0..1 of errors of at most `limit_deg`."""
        return float((self.degrees <= limit_deg).double().mean())

    def curve(self, limits_deg: Tensor) -> Tensor:
        """Return the share `[L]` in 0..1 of errors of at most each of `limits_deg` `[L]`."""
        ordered = self.degrees.sort().values
        at_most = torch.searchsorted(ordered, limits_deg.to(ordered), right=True)
        return at_most / len(self)

    def to_dict(self) -> dict[str, Any]:
        return {
            "count": len(self),
            "mean_deg": self.mean_deg,
            "median_deg": self.median_deg,
            "p95_deg": self.p95_deg,
        }


@dataclass(frozen=True)
class Axis:
    """Signed errors along one angle: prediction less truth."""

    mean_abs_deg: float
    bias_deg: float
    slope: float | None
    """Least-squares slope of prediction on truth; None where the truth does not vary."""

    def to_dict(self, name: str) -> dict[str, Any]:
        return {
            f"{name}_deg": self.mean_abs_deg,
            f"{name}_bias_deg": self.bias_deg,
            f"{name}_slope": self.slope,
        }


@dataclass(frozen=True)
class Group:
    """The samples that share some labels, such as one subject or one head pose."""

    labels: Labels
    errors: Errors
    constant: Errors
    axes: Mapping[str, Axis]

    def to_dict(self) -> dict[str, Any]:
        return {
            **self.labels,
            **self.errors.to_dict(),
            "constant_deg": self.constant.mean_deg,
            **_axes_dict(self.axes),
        }


@dataclass(frozen=True)
class Report:
    """Everything `gazegan evaluate` says about one network on one set of labelled eyes."""

    target: str
    """"angles" or "direction"."""
    errors: Errors
    constant: Errors
    """Of the mean gaze vector (or the circular mean direction) of the evaluated labels."""
    zero: Errors | None
    """Of looking straight into the camera; None for directions, which it has not."""
    axes: Mapping[str, Axis]
    """Pitch as "vertical" and yaw as "horizontal"; or the one "direction"."""
    subjects: tuple[Group, ...] = ()
    heads: tuple[Group, ...] = ()
    left_out: int = 0
    """Samples not scored because their gaze has no direction."""

    def to_dict(self) -> dict[str, Any]:
        """Return plain values for JSON; the shares lie in 0..1, None means unknown."""
        return {
            "target": self.target,
            "left_out": self.left_out,
            **self.errors.to_dict(),
            **{f"within_{limit}_deg": self.errors.within(limit) for limit in LIMITS_DEG},
            **_axes_dict(self.axes),
            "constant_deg": self.constant.mean_deg,
            "constant_median_deg": self.constant.median_deg,
            "constant_p95_deg": self.constant.p95_deg,
            "zero_deg": None if self.zero is None else self.zero.mean_deg,
            "subjects": [group.to_dict() for group in self.subjects],
            "heads": [group.to_dict() for group in self.heads],
        }


def _axes_dict(axes: Mapping[str, Axis]) -> dict[str, Any]:
    return {key: value for name, axis in axes.items() for key, value in axis.to_dict(name).items()}


def gaze_report(
    predicted: Tensor,
    true: Tensor,
    head: Tensor | None = None,
    subject: Tensor | None = None,
    subject_names: Sequence[str] = (),
) -> Report:
    """Score predicted against true gazes, both `[N, 2]` (pitch, yaw) rad, N >= 1.

    `head` `[N, 2]` rad (NaN where unknown) and `subject` `[N]` int64 (negative where unknown,
    else an index into `subject_names`) add groups. Raises ValueError where shapes disagree, where
    N is 0, or where a value is not finite.
    """
    _check(predicted, true)
    predicted, true = predicted.double(), true.double()
    errors = geometry.angular_error_deg(predicted, true)
    constant = geometry.angular_error_deg(mean_gaze(true).expand_as(true), true)

    def axes(rows: Tensor) -> dict[str, Axis]:
        return {
            "vertical": _axis(predicted[rows, 0], true[rows, 0]),
            "horizontal": _axis(predicted[rows, 1], true[rows, 1]),
        }

    return Report(
        "angles",
        Errors(errors),
        Errors(constant),
        Errors(geometry.angular_error_deg(torch.zeros_like(true), true)),
        axes(torch.arange(len(true))),
        _groups(_subject_labels(subject, subject_names), errors, constant, axes),
        _groups(_head_labels(head), errors, constant, axes),
    )


def direction_report(
    predicted: Tensor,
    true: Tensor,
    head: Tensor | None = None,
    subject: Tensor | None = None,
    subject_names: Sequence[str] = (),
) -> Report:
    """Score predicted directions, (cos, sin) `[N, 2]`, against true gazes `[N, 2]` rad.

    Errors are circular, 0..180 degrees; guessing gives 90. Gazes within MIN_ECCENTRICITY_DEG of
    the camera axis have no direction: they are left out and counted. Groups and faults as in
    `gaze_report`; ValueError too where no gaze has a direction.
    """
    _check(predicted, true)
    kept = geometry.eccentricity_deg(true.double()) >= MIN_ECCENTRICITY_DEG
    if not kept.any():
        raise ValueError(f"every gaze is within {MIN_ECCENTRICITY_DEG} degrees of the camera axis")
    guess = geometry.direction_from_cos_sin(predicted[kept].double())
    truth = geometry.direction_deg(true[kept].double())
    signed = geometry.circular_difference_deg(guess, truth)
    errors, mean = signed.abs(), mean_direction_deg(truth)
    constant = geometry.circular_difference_deg(mean, truth).abs()

    def axes(rows: Tensor) -> dict[str, Axis]:
        return {"direction": Axis(float(errors[rows].mean()), float(signed[rows].mean()), None)}

    return Report(
        "direction",
        Errors(errors),
        Errors(constant),
        None,
        axes(torch.arange(len(errors))),
        _groups(_subject_labels(subject, subject_names, kept), errors, constant, axes),
        _groups(_head_labels(head, kept), errors, constant, axes),
        int((~kept).sum()),
    )


def mean_gaze(angles: Tensor) -> Tensor:
    """Return the (pitch, yaw) `[2]` rad of the mean of the unit vectors of gazes `[N, 2]`."""
    return geometry.angles_from_vector(geometry.vector_from_angles(angles).mean(0))


def mean_direction_deg(degrees: Tensor) -> Tensor:
    """Return the circular mean `[]` in 0..360 of directions `[N]` in degrees."""
    radians = torch.deg2rad(degrees)
    pair = torch.stack((radians.cos().mean(), radians.sin().mean()))
    return geometry.direction_from_cos_sin(pair)


def least_squares_slope(x: Tensor, y: Tensor) -> float | None:
    """Return the slope of `y` on `x`, both `[N]`; None where `x` does not vary."""
    dx, dy = x - x.mean(), y - y.mean()
    spread = float((dx * dx).sum())
    resolution = float(x.abs().max()) * torch.finfo(x.dtype).eps * len(x)
    return float((dx * dy).sum()) / spread if spread > resolution**2 else None


def _axis(predicted: Tensor, true: Tensor) -> Axis:
    guess, truth = torch.rad2deg(predicted), torch.rad2deg(true)
    signed = geometry.circular_difference_deg(guess, truth)
    slope = least_squares_slope(truth, truth + signed)
    return Axis(float(signed.abs().mean()), float(signed.mean()), slope)


def _check(predicted: Tensor, true: Tensor) -> None:
    if true.ndim != 2 or true.shape[1] != 2 or predicted.shape != true.shape or not len(true):
        shapes = f"{tuple(predicted.shape)} and {tuple(true.shape)}"
        raise ValueError(f"predicted and true must both be [N, 2] with N >= 1, not {shapes}")
    for name, value in (("predicted", predicted), ("true", true)):
        if not bool(torch.isfinite(value).all()):
            raise ValueError(f"{name} gaze holds values that are not finite")


def _subject_labels(
    subject: Tensor | None, names: Sequence[str], kept: Tensor | None = None
) -> list[Labels | None]:
    """Name each sample's subject; None where it is unknown."""
    rows = [] if subject is None else _rows(subject, kept)
    return [None if i < 0 else {"subject": names[i] if i < len(names) else str(i)} for i in rows]


def _head_labels(head: Tensor | None, kept: Tensor | None = None) -> list[Labels | None]:
    """Name each sample's head pose in whole degrees, of many poses in tens; None if unknown."""
    rows = [] if head is None else _rows(torch.rad2deg(head.double()), kept)
    known = [None if math.isnan(pitch + yaw) else (pitch, yaw) for pitch, yaw in rows]
    poses = {(round(pose[0]), round(pose[1])) for pose in known if pose}
    step = 1 if len(poses) <= _MOST_POSES else 10
    return [None if pose is None else _pose(*pose, step) for pose in known]


def _rows(values: Tensor, kept: Tensor | None) -> list[Any]:
    chosen: list[Any] = (values if kept is None else values[kept]).tolist()
    return chosen


def _pose(pitch: float, yaw: float, step: int) -> Labels:
    return {f"head_{k}_deg": step * round(x / step) for k, x in (("yaw", yaw), ("pitch", pitch))}


def _groups(
    labels: Sequence[Labels | None],
    errors: Tensor,
    constant: Tensor,
    axes: Callable[[Tensor], dict[str, Axis]],
) -> tuple[Group, ...]:
    """Gather samples with equal labels into groups, in the order of their labels."""
    members: dict[tuple[tuple[str, str | int], ...], list[int]] = {}
    for row, label in enumerate(labels):
        if label is not None:
            members.setdefault(tuple(label.items()), []).append(row)
    groups = []
    for key in sorted(members):
        rows = torch.tensor(members[key])
        groups.append(Group(dict(key), Errors(errors[rows]), Errors(constant[rows]), axes(rows)))
    return tuple(groups)
