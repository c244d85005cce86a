"""`gazegan calibrate`: what a few samples of each eye are worth, with labels or without."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import rich_click as click

from gazegan.cli import gaze, options
from gazegan.cli.answers import answers, supposed

if TYPE_CHECKING:
    from torch import Tensor

    from gazegan.align import Gazes
    from gazegan.calibrate import Learn, Shots
    from gazegan.data.store import Store
    from gazegan.predict import Predicted

RESULT = "calibration.json"
_BATCH = 256
_NAMED = 8
"""Eyes that are left out and told by name."""


@click.command()
@gaze.WEIGHTS
@click.option(
    "--data", type=options.PATH, required=True, metavar="STORE",
    help="Labelled store that says whose each eye is.",
)  # fmt: skip
@click.option(
    "--shots", type=click.IntRange(0), multiple=True, metavar="K",
    help="Samples of each eye; repeatable. Default 0, 1, 5, 9; with --align-to 0, 5, 10, 20.",
)  # fmt: skip
@click.option(
    "--align-to", default=None, metavar="RECIPE|STORE",
    help="Use no label of the samples: suppose that each eye's gazes come from the range of"
    " these, and shift and scale answers toward that.",
)  # fmt: skip
@click.option(
    "--draws", type=click.IntRange(1), default=20, show_default=True,
    help="How often each eye's samples are drawn.",
)  # fmt: skip
@click.option(
    "--out", type=options.PATH, default=None, help="Folder for calibration.json and curve.png."
)
@options.SEED
@options.DEVICE
@options.JSON
def calibrate(
    weights: Path,
    data: Path,
    shots: tuple[int, ...],
    align_to: str | None,
    draws: int,
    out: Path | None,
    seed: int,
    device: str,
    as_json: bool,
) -> None:
    """Measure how a correction for each eye, from K labelled samples, lowers the error.

    The correction is linear in the answer and in the head's yaw, drawn toward none where samples
    are few. Where it is not known which side an eye is, a person has one correction. It is
    measured on the eye's other samples, the same for every K, and averaged over people; the
    spread is the standard error over people. Eyes with no sample beyond the largest K are left out
    of all, and named. The constant predictor beside it always answers the
    mean gaze of all. With --align-to samples need no label: the correction moves the mean and the
    spread of their answers, along the heads' yaw where that is known, toward those of the gazes of
    a recipe or of a labelled store, the farther the more samples there are.

    \b
    gazegan calibrate --weights runs/gaze --data stores/people
    gazegan calibrate --weights runs/gaze --data stores/people --shots 0 --shots 3 --out results/few
    gazegan calibrate --weights runs/gaze --data stores/people --align-to webcam
    """
    from gazegan.calibrate import by_shots, constant_deg, fit

    network, (store,) = gaze.open_network(weights, (data,), device)
    gaze.need_labels((store,))
    if network.target != "angles":
        raise click.UsageError("--weights: answers in directions; train one with --target angles")
    if "subject" not in store.fields:
        raise click.UsageError(
            f"--data {data}: does not say whose each eye is, as renders never do; import"
            " photographs with that (`gazegan import folder --labels CSV`)"
        )
    counts = sorted(set(shots or ((0, 5, 10, 20) if align_to else (0, 1, 5, 9))))
    learn = _unlabelled(supposed(align_to)) if align_to else fit
    settings: dict[str, Any] = {"weights": str(weights), "data": str(data), "shots": counts}
    settings |= {"draws": draws, "seed": seed, **({"align_to": align_to} if align_to else {})}
    if out:
        gaze.claim(out, RESULT, settings)
    with options.progress("predict", len(store), as_json) as advance:
        (found,) = answers(network, [store], _BATCH, False, device, advance)
    found, left_out = _with_enough(found, store, counts[-1])
    assert found.gaze is not None and found.subject is not None
    measured = by_shots(
        found.output, found.gaze, found.subject, counts, draws, seed, learn, found.side, found.head
    )
    constant = constant_deg(found.gaze, found.subject)
    shown = {"shots": [one.to_dict() for one in measured], "constant_deg": constant}
    people = len(measured[0].people_deg)
    values = {**shown, "people": people, "left_out": left_out, "settings": settings}
    what = f"{'unlabelled' if align_to else 'labelled'} samples of an eye"
    if out:
        _save(out, measured, constant, what, values)
    options.say(as_json, values, _text(measured, constant, what, f"{weights} on {data}"))


def _with_enough(
    found: Predicted, store: Store, most: int
) -> tuple[Predicted, list[dict[str, Any]]]:
    """Leave out eyes with too few samples for `most` shots, and tell which; also returns them.

    Raises DataError where none is left.
    """
    from dataclasses import fields, replace

    from gazegan.calibrate import enough
    from gazegan.errors import DataError
    from gazegan.schema import SIDES

    assert found.subject is not None
    try:
        kept, few = enough(found.subject, found.side, most)
    except ValueError as fault:
        advice = "name fewer --shots or other eyes"
        raise DataError(f"--data {store.path}: {fault}; {advice}") from None
    names = store.manifest.subjects
    left_out = [
        {"subject": names[who], "side": SIDES[side] if side >= 0 else None, "samples": count}
        for who, side, count in few
    ]
    if few:
        click.echo(_told(left_out, most), err=True)
    parts = {f.name: getattr(found, f.name) for f in fields(found)}
    rows = {name: part[kept] for name, part in parts.items() if part is not None}
    return replace(found, **rows), left_out


def _told(left_out: list[dict[str, Any]], most: int) -> str:
    """Say which eyes are left out, the first by name."""
    eyes = [
        f"{one['subject']}{' ' + one['side'] if one['side'] else ''} ({one['samples']})"
        for one in left_out
    ]
    more = f" and {len(eyes) - _NAMED} more" if len(eyes) > _NAMED else ""
    many = "1 eye" if len(eyes) == 1 else f"{len(eyes)} eyes"
    which = ", ".join(eyes[:_NAMED]) + more
    return f"left out {many} with too few samples for --shots {most}: {which}"


def _unlabelled(goals: tuple[Gazes | None, Gazes]) -> Learn:
    from gazegan.align import estimate

    def learn(output: Tensor, gaze: Tensor, head: Tensor | None) -> Tensor:
        return estimate(output, None if head is None else head[:, 1], *goals)

    return learn


def _save(
    out: Path, measured: tuple[Shots, ...], constant: float, what: str, values: dict[str, Any]
) -> None:
    from gazegan.data.files import write_atomic
    from gazegan.plots import shots_curve

    curve = shots_curve(
        [one.count for one in measured],
        [one.mean_deg for one in measured],
        [one.se_deg or 0.0 for one in measured],
        constant,
        what,
    )
    write_atomic(out / "curve.png", curve)
    gaze.save_json(out / RESULT, values)


def _text(measured: tuple[Shots, ...], constant: float, what: str, heading: str) -> str:
    people = len(measured[0].people_deg)
    rows = [
        [str(one.count), f"{one.mean_deg:.2f}", "-" if one.se_deg is None else f"{one.se_deg:.2f}"]
        for one in measured
    ]
    table = gaze.table([what, "error", "± over people"], rows)
    return f"{heading}: {people} people, degrees\n\n{table}\n\nConstant: mean gaze {constant:.2f}."
