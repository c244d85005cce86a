"""What `gazegan evaluate` says of networks that answer how uncertain they are."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from gazegan.cli import gaze

if TYPE_CHECKING:
    from torch import Tensor

    from gazegan.nets.regressor import Regressor
    from gazegan.predict import Predicted
    from gazegan.uncertainty import AxisSpread, Uncertainty


def with_spread(network: Regressor) -> Callable[..., Tensor]:
    """Return a network as a function to `[B, 4]`, spreads behind the angles, if it answers them."""
    if not network.config.spread:
        return network

    def told(image: Tensor, *turn: Tensor) -> Tensor:
        import torch

        answer = network.answer(image, *turn)
        assert answer.spread is not None
        return torch.cat((answer.output, answer.spread), dim=1)

    return told


def score_spread(found: Sequence[Predicted]) -> Uncertainty | None:
    """Score the spreads of all stores as one set; None where there are none."""
    import torch

    from gazegan.uncertainty import uncertainty_report

    rows = [(p.output, p.spread, p.gaze) for p in found if p.spread is not None]
    known = [(output, spread, true) for output, spread, true in rows if true is not None]
    if not known:
        return None
    output, spread, true = (torch.cat(parts) for parts in zip(*known, strict=True))
    return uncertainty_report(output, spread, true)


def save_diagram(out: Path, found: Uncertainty | None) -> None:
    """Write the reliability diagram, if there is anything to draw; else none is left there."""
    from gazegan.data.files import write_atomic
    from gazegan.plots import reliability_diagram
    from gazegan.uncertainty import NOMINAL

    (out / "calibration.png").unlink(missing_ok=True)
    if found is not None:
        inside = {name: axis.coverage for name, axis in found.axes.items()}
        write_atomic(out / "calibration.png", reliability_diagram(NOMINAL, inside))


def spread_text(found: Uncertainty | None) -> str:
    """Lay out how far predicted spreads are to be trusted; empty where there are none."""
    if found is None:
        return ""
    columns = [
        "predicted spread, degrees",
        "mean",
        "calibration error",
        "NLL",
        "constant NLL",
        "rank corr.",
    ]
    axes = gaze.table(columns, [[name, *_axis(axis)] for name, axis in found.axes.items()])
    return "\n\n".join((axes, _coverage(found), _rejection(found)))


def _axis(axis: AxisSpread) -> list[str]:
    numbers = (axis.spread_deg, axis.calibration_error, axis.nll, axis.constant_nll)
    return [*(f"{number:.2f}" for number in numbers), _signed(axis.correlation)]


def _coverage(found: Uncertainty) -> str:
    from gazegan.uncertainty import NOMINAL

    rows = [
        [name, *(f"{100 * share:.0f}%" for share in axis.coverage)]
        for name, axis in found.axes.items()
    ]
    return gaze.table(["truths inside the central", *(f"{100 * p:.0f}%" for p in NOMINAL)], rows)


def _rejection(found: Uncertainty) -> str:
    means = [(some, (some.mean_deg, found.mean_deg, some.best_deg)) for some in found.rejected]
    rows = [
        [f"{100 * some.share:.0f}%", *(f"{mean:.2f}" for mean in degrees)]
        for some, degrees in means
    ]
    title = f"rank correlation of spread and 3-D error: {_signed(found.correlation)}"
    columns = ["mean error without", "least certain", "as many at random", "farthest off"]
    return gaze.table(columns, rows, title)


def _signed(value: float | None) -> str:
    return "-" if value is None else f"{value:+.2f}"
