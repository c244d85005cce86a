"""What `gazegan attack` tells: values, a curve, a sheet of eyes, and text."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from gazegan.cli import attack_methods as methods_of
from gazegan.cli import gaze
from gazegan.cli.attack_methods import KINDS, METHODS, SIZES, Choices, Victims

if TYPE_CHECKING:
    from torch import Tensor

    from gazegan.attack import Sweep
    from gazegan.nets.regressor import Regressor
    from gazegan.schema import EyeBatch

_SHOWN = 8
RESULT = "attack.json"


def results(
    swept: Sweep, batch: EyeBatch, network: Regressor, sizes: list[float], how: Choices
) -> dict[str, Any]:
    """Return what the attacks came to, as plain values."""
    eyes = methods_of.victims(network, batch, how.toward)
    found: dict[str, Any] = {
        "target": network.target,
        "count": len(batch),
        "clean_deg": float(swept.clean_deg.mean()),
        "constant_deg": gaze.constant_deg(_gazes(batch), network.target),
        "blind_share": float(swept.blind.double().mean()),
    }
    if how.toward is not None:
        away = eyes.error(swept.clean_output, eyes.goal)
        found |= {"toward_deg": list(how.toward), "clean_toward_deg": float(away.mean())}
    rows = [_row(swept, eyes, size, i, how) for i, size in enumerate(sizes)]
    return {**found, "epsilons": rows}


def _gazes(batch: EyeBatch) -> Tensor:
    assert batch.gaze is not None
    return batch.gaze.cpu()


def _row(swept: Sweep, eyes: Victims, size: float, i: int, how: Choices) -> dict[str, Any]:
    """Return what every attack came to at one size: means, but the median of the sensitivity."""
    from gazegan.metrics import Errors

    row = {"side_px" if how.norm == "patch" else "epsilon_255": size}
    for kind, curve in swept.curves.items():
        errors = Errors(eyes.error(curve.output[i], eyes.truth).cpu())
        row |= {
            f"{kind}_deg": errors.mean_deg,
            f"{kind}_p95_deg": errors.p95_deg,
            f"{kind}_moved_deg": float(curve.moved_deg[i].mean()),
            f"{kind}_sensitivity": float(curve.sensitivity[i].median()),
        }
        if how.toward is not None:
            away = eyes.error(curve.output[i], eyes.goal)
            row[f"{kind}_toward_deg"] = float(away.mean())
    return row


def save(
    out: Path,
    network: Regressor,
    batch: EyeBatch,
    others: EyeBatch | None,
    sizes: list[float],
    how: Choices,
    values: dict[str, Any],
) -> None:
    """Write the curve, a sheet of attacked eyes and the values."""
    from gazegan.data.files import write_atomic
    from gazegan.plots import epsilon_curve, png

    which, constant = ("_toward", None) if how.toward else ("", values["constant_deg"])
    kinds = [*reversed(how.methods), "noise"]
    curve = epsilon_curve(
        sizes,
        values[f"clean{which}_deg"],
        {KINDS[kind]: [row[f"{kind}{which}_deg"] for row in values["epsilons"]] for kind in kinds},
        constant,
        _aim(how, len(batch)) if how.toward else f"Gaze error of {len(batch)} eyes under attack",
        SIZES[how.norm],
        "mean angle to the target (degrees)" if how.toward else "mean error (degrees)",
        unit=1,
    )
    write_atomic(out / "curve.png", curve)
    sheet = _examples(network, batch[:_SHOWN], others, sizes[-1], how, values["settings"]["seed"])
    write_atomic(out / "examples.png", png(sheet))
    gaze.save_json(out / RESULT, values)


def _aim(how: Choices, count: int) -> str:
    assert how.toward is not None
    pitch, yaw = how.toward
    return f"{count} eyes made to look to pitch {pitch:g}°, yaw {yaw:g}°"


def _examples(
    network: Regressor,
    batch: EyeBatch,
    others: EyeBatch | None,
    size: float,
    how: Choices,
    seed: int,
) -> Any:
    """Draw eyes before and after an attack of the largest size, and the change between them."""
    from gazegan import rng
    from gazegan.plots import Row, contact_sheet

    name = "pgd" if "pgd" in how.methods else how.methods[-1]
    eyes = methods_of.victims(network, batch, how.toward)
    if name == "universal" and others is not None:
        seen = methods_of.victims(network, others.to(batch.image.device), how.toward)
        eyes = replace(eyes, learnt=methods_of.learn(seen, how, [size]))
    made = methods_of.attacks(eyes, how)[name](size, rng.stream(seed, "attack", "examples"))
    change = made.image - batch.image
    most = size / 255 if how.norm == "linf" else max(float(change.abs().max()), 1 / 255)
    what = "from the target" if how.toward else "off"
    rows = [
        Row("eye", list(batch.image.cpu()), [f"{e:.1f}° {what}" for e in made.clean_deg]),
        Row("change", list((0.5 + change / (2 * most)).cpu())),
        Row("attacked", list(made.image.cpu()), [f"{e:.1f}° {what}" for e in made.error_deg]),
    ]
    note = (
        f"the change is shown from -{255 * most:.3g}/255 (black) to +{255 * most:.3g}/255 (white)"
    )
    title = f"{METHODS[name]}, {SIZES[how.norm]}: {size:g}"
    return contact_sheet(rows, title, note)


def text(values: dict[str, Any], how: Choices, out: Path) -> str:
    """Return tables of the errors and of how far answers moved, and what the audit says."""
    kinds, which = ("noise", *how.methods), "_toward" if how.toward else ""
    size = "side_px" if how.norm == "patch" else "epsilon_255"
    rows = [
        [f"{row[size]:g}", *(f"{row[f'{kind}{which}_deg']:.2f}" for kind in kinds)]
        for row in values["epsilons"]
    ]
    head = (
        f"{out}: {values['count']} eyes, mean error {values['clean_deg']:.2f} degrees unchanged;"
        f" constant predictor {values['constant_deg']:.2f}"
    )
    if how.toward:
        head += f"; angle to the target {values['clean_toward_deg']:.2f}, below after attacks"
    last = values["epsilons"][-1]
    most = [
        [KINDS[kind], f"{last[f'{kind}_moved_deg']:.2f}", f"{last[f'{kind}_sensitivity']:.3g}"]
        for kind in kinds
    ]
    table = gaze.table([SIZES[how.norm], *(KINDS[kind] for kind in kinds)], rows)
    moved = gaze.table([f"at {last[size]:g}", "answer moved, degrees", "|df|²/|dx|²"], most)
    audit = "\n".join(f"audit: {words}" for words in values["audit"].values())
    return f"{head}\n\n{table}\n\n{moved}\n\n{audit or 'audit: nothing to object'}"
