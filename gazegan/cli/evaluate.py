"""`gazegan evaluate`: how far off a gaze network is, beside the constant predictor."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import rich_click as click

from gazegan.cli import gaze, options
from gazegan.cli.answers import answers, changed, names_of, together
from gazegan.cli.uncertainty import save_diagram, score_spread, spread_text

if TYPE_CHECKING:
    from gazegan.data.store import Store
    from gazegan.metrics import Axis, Errors, Group, Report
    from gazegan.predict import Predicted
    from gazegan.uncertainty import Uncertainty

_MOST_ROWS = 24
RESULT = "evaluation.json"


@click.command()
@gaze.WEIGHTS
@click.option(
    "--data", type=options.PATH, multiple=True, required=True, metavar="STORE",
    help="Labelled store; repeatable, several are scored as one.",
)  # fmt: skip
@click.option(
    "--out", type=options.PATH, default=None,
    help="Folder for evaluation.json, curve.png, scatter.png and predictions.csv;"
    " calibration.png of networks trained with --spread.",
)  # fmt: skip
@gaze.BATCH
@gaze.MIRROR_AVERAGE
@gaze.BY_FACE
@gaze.ALIGN
@gaze.ALIGN_TO
@click.option(
    "--direction", is_flag=True,
    help="Score the direction in 0..360 degrees of answers in pitch and yaw.",
)  # fmt: skip
@options.DEVICE
@options.JSON
def evaluate(
    weights: Path,
    data: tuple[Path, ...],
    out: Path | None,
    batch: int,
    mirror_average: bool,
    by_face: bool,
    align: bool,
    align_to: str | None,
    direction: bool,
    device: str,
    as_json: bool,
) -> None:
    """Score a gaze network on labelled eyes, beside the constant predictor.

    Errors are 3-D angles between predicted and true gaze, in degrees; for networks trained on
    directions they are circular, and gazes into the camera are left out. The constant predictor
    always answers the mean gaze of these very labels (constant_deg), or looks straight into the
    camera (zero_deg). Slope is that of prediction on truth: below 1, the network is timid. So
    it is where the Wasserstein distance of all answers from all truths is near the constant's.

    Networks trained with --spread also tell how uncertain each answer is. Shown are how many true
    angles lie inside the central 10% to 90% of the predicted normal distributions, the mean
    distance of these shares from what they should be (calibration error), the mean negative log
    likelihood (NLL; nats, of degrees; less is better) beside that of one spread for all eyes, and
    the error without the least certain eyes. That one spread is fitted to these very errors, which
    favours it. With --mirror-average, variances are averaged too; --by-face leaves spreads out.

    \b
    gazegan evaluate --weights runs/gaze --data stores/test
    gazegan evaluate --weights runs/gaze --data stores/test --out results/test
    gazegan evaluate --weights runs/gaze --data stores/test --mirror-average --by-face
    gazegan evaluate --weights runs/gaze --data stores/test --align --by-face
    gazegan evaluate --weights runs/gaze --data stores/test --align-to webcam
    gazegan evaluate --weights runs/gaze --data stores/test --direction
    gazegan evaluate --weights runs/gaze --data stores/test --json
    """
    options.check_once(data)
    network, stores = gaze.open_network(weights, data, device)
    gaze.need_labels(stores)
    settings: dict[str, Any] = {"weights": str(weights), "data": [str(path) for path in data]}
    more = {"by_face": by_face, "align": align, "align_to": align_to, "direction": direction}
    settings |= {"mirror_average": mirror_average, **{k: v for k, v in more.items() if v}}
    if out:
        gaze.claim(out, RESULT, settings)
    with options.progress("evaluating", sum(map(len, stores)), as_json) as advance:
        found = answers(network, stores, batch, mirror_average, device, advance)
    found = changed(network.target, found, stores, align, align_to, by_face, direction)
    what = "faces" if by_face else "eyes"
    report = _score("direction" if direction else network.target, found, stores, weights)
    apart = _distances(report, found)
    unsure = score_spread(found)
    told = {"uncertainty": unsure.to_dict()} if unsure else {}
    values = {**report.to_dict(), **apart, **told, "settings": settings}
    if out:
        save_diagram(out, unsure)
        _save(out, report, found, stores, values)
    heading = f"{weights} on {', '.join(map(str, data))}"
    options.say(as_json, values, _text(report, heading, what, apart, unsure))


def _score(target: str, found: list[Predicted], stores: list[Store], weights: Path) -> Report:
    """Score all stores as one set; raises DataError where that is impossible."""
    from gazegan.errors import DataError
    from gazegan.metrics import direction_report, gaze_report

    whole, names = together(found, stores), names_of(stores)
    score = gaze_report if target == "angles" else direction_report
    assert whole.gaze is not None
    try:
        return score(whole.output, whole.gaze, whole.head, whole.subject, names)
    except ValueError as fault:
        raise DataError(f"{weights} cannot be scored on these eyes: {fault}") from None


def _distances(report: Report, found: list[Predicted]) -> dict[str, float]:
    """Return how far all answers are from all truths, degrees, beside the constant predictor's.

    Exact 1-Wasserstein distances: of pitch and of yaw on the line, of directions on the circle.
    """
    import torch

    from gazegan import geometry, metrics
    from gazegan.losses.transport import wasserstein_1d, wasserstein_circle

    output = torch.cat([part.output for part in found]).double()
    true = torch.cat([part.gaze for part in found if part.gaze is not None]).double()
    if report.target == "angles":
        constant = metrics.mean_gaze(true)[None]
        guesses = [torch.rad2deg(guess) for guess in (output, constant)]
        apart = [wasserstein_1d(guess, torch.rad2deg(true)) for guess in guesses]
    else:
        kept = geometry.eccentricity_deg(true) >= metrics.MIN_ECCENTRICITY_DEG
        truth = geometry.direction_deg(true[kept])[:, None]
        constant = metrics.mean_direction_deg(truth[:, 0]).view(1, 1)
        guesses = [geometry.direction_from_cos_sin(output[kept])[:, None], constant]
        apart = [wasserstein_circle(guess, truth, 360) for guess in guesses]
    return {
        f"{axis}_{prefix}wasserstein_deg": float(value)
        for prefix, values in zip(("", "constant_"), apart, strict=True)
        for axis, value in zip(report.axes, values, strict=True)
    }


def _save(
    out: Path, report: Report, found: list[Predicted], stores: list[Store], values: dict[str, Any]
) -> None:
    import torch

    from gazegan.cli.predictions import predictions_csv
    from gazegan.data.files import write_atomic
    from gazegan.plots import error_curve, truth_scatter

    kind = "gaze" if report.target == "angles" else "direction"
    title = f"Cumulative {kind} error of {len(report.errors)} samples"
    curve = error_curve({"network": report.errors.degrees}, report.constant.degrees, title)
    write_atomic(out / "predictions.csv", predictions_csv(report.target, found, stores))
    write_atomic(out / "curve.png", curve)
    # What a network that answered otherwise has left
    (out / "scatter.png").unlink(missing_ok=True)
    if report.target == "angles":
        predicted = torch.rad2deg(torch.cat([part.output for part in found]))
        true = torch.rad2deg(torch.cat([p.gaze for p in found if p.gaze is not None]))
        write_atomic(out / "scatter.png", truth_scatter(predicted, true))
    gaze.save_json(out / RESULT, values)


def _text(
    report: Report, heading: str, what: str, apart: dict[str, float], unsure: Uncertainty | None
) -> str:
    left_out = f" ({report.left_out} without a direction left out)" if report.left_out else ""
    parts = [
        f"{heading}: {len(report.errors)} {what}{left_out}, degrees",
        _summary(report),
        _axes(report),
        _apart(report, apart),
        spread_text(unsure),
        _groups("subject", report.subjects),
        _groups("head yaw, pitch", report.heads),
    ]
    return "\n\n".join(part for part in parts if part)


def _summary(report: Report) -> str:
    mean = "mean gaze" if report.target == "angles" else "mean direction"
    rows = [_errors("network", report.errors), _errors(f"constant: {mean}", report.constant)]
    if report.zero:
        rows.append(_errors("constant: into the camera", report.zero))
    return gaze.table(["", "mean", "median", "p95", "<= 5", "<= 7", "<= 10"], rows)


def _errors(name: str, errors: Errors) -> list[str]:
    shares = (f"{100 * errors.within(limit):.0f}%" for limit in (5, 7, 10))
    numbers = (errors.mean_deg, errors.median_deg, errors.p95_deg)
    return [name, *(f"{number:.2f}" for number in numbers), *shares]


def _axes(report: Report) -> str:
    rows = [[name, *_axis(axis)] for name, axis in report.axes.items()]
    return gaze.table(["", "error", "bias", "slope"], rows)


def _apart(report: Report, apart: dict[str, float]) -> str:
    parts = [
        f"{axis} {apart[f'{axis}_wasserstein_deg']:.2f}"
        f" (constant {apart[f'{axis}_constant_wasserstein_deg']:.2f})"
        for axis in report.axes
    ]
    return f"Wasserstein distance of all answers from all truths: {', '.join(parts)}"


def _axis(axis: Axis) -> list[str]:
    slope = "-" if axis.slope is None else f"{axis.slope:.2f}"
    return [f"{axis.mean_abs_deg:.2f}", f"{axis.bias_deg:+.2f}", slope]


def _groups(name: str, groups: tuple[Group, ...]) -> str:
    if not groups:
        return ""
    if len(groups) > _MOST_ROWS:
        return f"{len(groups)} groups by {name}: too many to show; --json and --out hold them"
    biases = [f"{axis} bias" for axis in groups[0].axes]
    rows = [
        [
            ", ".join(map(str, group.labels.values())),
            str(len(group.errors)),
            *(f"{e:.2f}" for e in (group.errors.mean_deg, group.errors.median_deg)),
            *(f"{e:.2f}" for e in (group.errors.p95_deg, group.constant.mean_deg)),
            *(f"{axis.bias_deg:+.2f}" for axis in group.axes.values()),
        ]
        for group in groups
    ]
    return gaze.table([name, "count", "mean", "median", "p95", "constant", *biases], rows)
