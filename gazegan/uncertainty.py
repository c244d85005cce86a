"""How well predicted standard deviations tell how far predictions are off."""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from gazegan.geometry import angular_error_deg, circular_difference_deg

NOMINAL = (0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9)
"""Shares that central intervals promise to hold."""
REJECTED = (0.1, 0.25, 0.5)
"""Shares of the least certain samples that are left out."""
_LEAST_DEG = 1e-6
"""Of a constant spread, so that its likelihood is finite where nothing is off."""


@dataclass(frozen=True)
class AxisSpread:
    """Predicted spreads of one angle beside its errors."""

    spread_deg: float
    """Mean of the predicted standard deviations."""
    coverage: tuple[float, ...]
    """Share in 0..1 of truths inside the central interval, for each of NOMINAL."""
    calibration_error: float
    nll: float
    """Mean negative log likelihood, nats, of truths in degrees."""
    constant_spread_deg: float
    """Root mean square error: the one spread for all samples of the largest likelihood."""
    constant_nll: float
    """Of that one spread, which is fitted to the very samples that it is scored on."""
    correlation: float | None
    """Spearman's, of predicted spread and absolute error."""

    def to_dict(self) -> dict[str, Any]:
        return {**self.__dict__, "coverage": list(self.coverage)}


@dataclass(frozen=True)
class Rejection:
    """The mean 3-D error of what is left without the least certain samples."""

    share: float
    """Left out, in 0..1."""
    mean_deg: float
    best_deg: float
    """Without the samples that are farthest off: no order could do better."""

    def to_dict(self) -> dict[str, float]:
        return dict(self.__dict__)


@dataclass(frozen=True)
class Uncertainty:
    """Everything that is said about the spreads of one network on one set of labelled eyes."""

    axes: Mapping[str, AxisSpread]
    """Pitch as "vertical" and yaw as "horizontal"."""
    correlation: float | None
    """Spearman's, of both spreads' root sum of squares and the 3-D error."""
    mean_deg: float
    """3-D error of all samples, and on average without any share of them left out at random."""
    rejected: tuple[Rejection, ...]

    def to_dict(self) -> dict[str, Any]:
        """Return plain values for JSON; None means undefined."""
        return {
            "nominal": list(NOMINAL),
            **{name: axis.to_dict() for name, axis in self.axes.items()},
            "correlation": self.correlation,
            "mean_deg": self.mean_deg,
            "rejected": [some.to_dict() for some in self.rejected],
        }


def uncertainty_report(predicted: Tensor, spread: Tensor, true: Tensor) -> Uncertainty:
    """Score predicted standard deviations `[N, 2]` of gazes `[N, 2]` (pitch, yaw) rad, N >= 1."""
    guess, truth, wide = (torch.rad2deg(x.double()) for x in (predicted, true, spread))
    off = circular_difference_deg(guess, truth)
    error = angular_error_deg(predicted.double(), true.double())
    doubt = wide.square().sum(1).sqrt()
    return Uncertainty(
        {"vertical": _axis(off[:, 0], wide[:, 0]), "horizontal": _axis(off[:, 1], wide[:, 1])},
        rank_correlation(doubt, error),
        float(error.mean()),
        tuple(
            Rejection(share, mean_left(error, doubt, share), mean_left(error, error, share))
            for share in REJECTED
        ),
    )


def _axis(error: Tensor, spread: Tensor) -> AxisSpread:
    inside = coverage(error, spread)
    constant = error.square().mean().sqrt().clamp(min=_LEAST_DEG)
    return AxisSpread(
        float(spread.mean()),
        tuple(inside.tolist()),
        calibration_error(inside),
        float(negative_log_likelihood(error, spread).mean()),
        float(constant),
        float(negative_log_likelihood(error, constant).mean()),
        rank_correlation(spread, error.abs()),
    )


def coverage(error: Tensor, spread: Tensor) -> Tensor:
    """Return the share of errors `[N]` inside the central interval, for each of NOMINAL `[9]`.

    The interval of a nominal share p holds it of a normal distribution with standard deviation
    `spread` `[N]`, in the error's unit.
    """
    nominal = torch.tensor(NOMINAL, dtype=error.dtype, device=error.device)
    reach = math.sqrt(2) * torch.erfinv(nominal)
    return ((error / spread).abs()[:, None] <= reach).to(error.dtype).mean(0)


def calibration_error(inside: Tensor) -> float:
    """Return the mean absolute difference of the shares `inside` `[9]` from NOMINAL.

    After Kuleshov et al., "Accurate uncertainties for deep learning using calibrated regression"
    (ICML 2018), with absolute differences, central intervals and equal weights.
    """
    return float((inside - torch.tensor(NOMINAL).to(inside)).abs().mean())


def negative_log_likelihood(error: Tensor, spread: Tensor) -> Tensor:
    """Return -log density `[N]`, nats, of errors `[N]` normal about 0; of their unit's measure."""
    return (error / spread).square() / 2 + spread.log() + math.log(2 * math.pi) / 2


def rank_correlation(a: Tensor, b: Tensor) -> float | None:
    """Return Spearman's rank correlation of `[N]` and `[N]`; None where one does not vary."""
    from scipy.stats import spearmanr  # half a second that other uses should not wait for

    if bool((a == a[0]).all()) or bool((b == b[0]).all()):
        return None
    return float(spearmanr(a.numpy(), b.numpy()).statistic)


def mean_left(error: Tensor, doubt: Tensor, share: float) -> float:
    """Return the mean of errors `[N]` without a share in 0..1 of those of most `doubt` `[N]`.

    The number left out is rounded; at least one is left.
    """
    left = max(1, len(error) - round(share * len(error)))
    return float(error[doubt.argsort(stable=True)[:left]].mean())
