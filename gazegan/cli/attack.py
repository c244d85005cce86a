"""`gazegan attack`: how far small changes of the pixels turn the gaze."""

from __future__ import annotations

import math
from pathlib import Path
from typing import TYPE_CHECKING, Any

import rich_click as click

from gazegan.cli import gaze, options
from gazegan.errors import UserError

if TYPE_CHECKING:
    from torch import Tensor

    from gazegan.attack import ErrorDeg, Sweep
    from gazegan.data.store import Store
    from gazegan.nets.regressor import Regressor
    from gazegan.schema import EyeBatch

_SHOWN, _AT_ONCE = 8, 64
_KINDS = {"noise": "random noise", "fgsm": "FGSM", "pgd": "PGD"}
RESULT = "attack.json"


class _Epsilons(click.ParamType):  # type: ignore[type-arg]
    name = "E[,E...]"

    def convert(self, value: Any, param: Any, ctx: Any) -> tuple[float, ...]:
        if isinstance(value, tuple):
            return value
        try:
            sizes = tuple(float(part) for part in str(value).split(","))
        except ValueError:
            self.fail(f"{value!r} is not a size; write numbers such as 4 or 1,2,4", param, ctx)
        if not all(math.isfinite(size) and 0 < size <= 255 for size in sizes):
            self.fail(f"{value!r}: sizes are in 1/255 and must lie in 0..255, not 0", param, ctx)
        return sizes


@click.command()
@gaze.WEIGHTS
@click.option(
    "--data", type=options.PATH, required=True, metavar="STORE",
    help="Labelled store to choose eyes from.",
)  # fmt: skip
@options.out("Folder for attack.json, curve.png and examples.png.")
@click.option(
    "--epsilon", "epsilons", type=_Epsilons(), multiple=True, default=["0.5,1,2,4,8"],
    show_default=True,
    help="Largest change of a pixel in 1/255; a list, or repeat the option.",
)  # fmt: skip
@click.option(
    "--steps", type=click.IntRange(1), default=20, show_default=True, help="Steps of PGD."
)
@click.option(
    "--count", type=click.IntRange(1), default=64, show_default=True, help="How many eyes."
)
@options.SEED
@options.DEVICE
@options.JSON
def attack(
    weights: Path,
    data: Path,
    out: Path,
    epsilons: tuple[tuple[float, ...], ...],
    steps: int,
    count: int,
    seed: int,
    device: str,
    as_json: bool,
) -> None:
    """Turn the predicted gaze by changes of at most epsilon a pixel: FGSM and PGD.

    Both climb the angle between predicted and true gaze itself. Random noise of the same size
    stands beside them: what an error owes to the size of the change, not to its direction.

    \b
    gazegan attack --weights runs/gaze --data stores/test --out results/attack
    gazegan attack --weights runs/gaze --data stores/test --out results/4 --epsilon 4 --steps 50
    """
    network, (store,) = gaze.open_network(weights, [data], device)
    gaze.need_labels([store])
    sizes = sorted({size for listed in epsilons for size in listed})
    settings = {
        "weights": str(weights), "data": str(data), "epsilon_255": sizes, "steps": steps,
        "count": count, "seed": seed,
    }  # fmt: skip
    gaze.claim(out, RESULT, settings)
    batch = _eyes(store, network.target, count, seed).to(device)
    with options.progress("attacking", len(batch) * len(sizes), as_json) as advance:
        swept = _sweep(network, batch, sizes, steps, seed, advance)
    values = {**_results(swept, batch, network.target), "settings": settings}
    _save(out, network, swept, batch, values)
    options.say(as_json, values, _text(values, out))


def _eyes(store: Store, target: str, count: int, seed: int) -> EyeBatch:
    """Choose labelled eyes; for directions, only those whose gaze has one."""
    import torch

    from gazegan.geometry import eccentricity_deg
    from gazegan.metrics import MIN_ECCENTRICITY_DEG

    candidates = torch.arange(len(store))
    if target == "direction":
        known = torch.cat([b.gaze for b in store.batches(1024) if b.gaze is not None])
        candidates = candidates[eccentricity_deg(known) >= MIN_ECCENTRICITY_DEG]
        if not len(candidates):
            raise UserError(f"--data {store.path}: every gaze is into the camera; name other eyes")
    return store.read(gaze.choose(candidates, count, seed, "attack"))


def _truth(batch: EyeBatch, target: str) -> tuple[Tensor, ErrorDeg]:
    """Return what the network should have said `[N, 2]`, and the error to raise."""
    from gazegan.attack import angle_error_deg, direction_error_deg
    from gazegan.losses.gaze import direction_vector

    assert batch.gaze is not None
    if target == "angles":
        return batch.gaze, angle_error_deg
    return direction_vector(batch.gaze), direction_error_deg


def _sweep(
    network: Regressor, batch: EyeBatch, sizes: list[float], steps: int, seed: int, advance: Any
) -> Sweep:
    from gazegan import rng
    from gazegan.attack import Sweep, sweep

    truth, error = _truth(batch, network.target)
    radii = [size / 255 for size in sizes]
    parts = []
    for start in range(0, len(batch), _AT_ONCE):
        rows = slice(start, start + _AT_ONCE)
        image, goal = batch.image[rows], truth[rows]
        generator = rng.stream(seed, "attack", start)
        heard = _times(advance, len(image))
        shown = gaze.of_heads(network, batch[rows])
        parts.append(sweep(shown, image, goal, radii, generator, steps, error, heard))
    return Sweep.cat(parts)


def _times(advance: Any, eyes: int) -> Any:
    return lambda radii: advance(radii * eyes)


def _results(swept: Sweep, batch: EyeBatch, target: str) -> dict[str, Any]:
    from gazegan.metrics import Errors

    by_kind = {"noise": swept.noise_deg, "fgsm": swept.fgsm_deg, "pgd": swept.pgd_deg}
    rows = [
        {
            "epsilon_255": 255 * radius,
            **{f"{kind}_deg": float(degrees[i].mean()) for kind, degrees in by_kind.items()},
            **{
                f"{kind}_p95_deg": Errors(degrees[i].cpu()).p95_deg
                for kind, degrees in by_kind.items()
            },
        }
        for i, radius in enumerate(swept.epsilons)
    ]
    return {
        "target": target,
        "count": len(batch),
        "clean_deg": float(swept.clean_deg.mean()),
        "constant_deg": _constant_deg(batch, target),
        "blind_share": float(swept.blind.double().mean()),
        "epsilons": rows,
    }


def _constant_deg(batch: EyeBatch, target: str) -> float:
    """Return the error of the constant predictor on these very eyes."""
    from gazegan.metrics import direction_report, gaze_report

    assert batch.gaze is not None
    true = batch.gaze.cpu()
    score = gaze_report if target == "angles" else direction_report
    return score(true, true).constant.mean_deg


def _save(
    out: Path, network: Regressor, swept: Sweep, batch: EyeBatch, values: dict[str, Any]
) -> None:
    from gazegan.data.files import write_atomic
    from gazegan.plots import epsilon_curve, png

    curves = {
        _KINDS[kind]: [row[f"{kind}_deg"] for row in values["epsilons"]]
        for kind in ("pgd", "fgsm", "noise")
    }
    title = f"Gaze error of {len(batch)} eyes under attack"
    curve = epsilon_curve(
        swept.epsilons, values["clean_deg"], curves, values["constant_deg"], title
    )
    write_atomic(out / "curve.png", curve)
    write_atomic(out / "examples.png", png(_examples(network, batch[:_SHOWN], values)))
    gaze.save_json(out / RESULT, values)


def _examples(network: Regressor, batch: EyeBatch, values: dict[str, Any]) -> Any:
    """Draw eyes before and after PGD at the largest epsilon, and the change between them."""
    from gazegan import rng
    from gazegan.attack import pgd
    from gazegan.plots import Row, contact_sheet

    settings = values["settings"]
    size, steps = settings["epsilon_255"][-1], settings["steps"]
    truth, error = _truth(batch, network.target)
    generator = rng.stream(settings["seed"], "attack", "examples")
    made = pgd(
        gaze.of_heads(network, batch), batch.image, truth, size / 255, generator, steps, error=error
    )
    change = 0.5 + (made.image - batch.image) / (2 * size / 255)
    rows = [
        Row("eye", list(batch.image.cpu()), [f"{e:.1f}° off" for e in made.clean_deg]),
        Row("change", list(change.cpu())),
        Row("attacked", list(made.image.cpu()), [f"{e:.1f}° off" for e in made.error_deg]),
    ]
    note = f"the change is shown from -{size:g}/255 (black) to +{size:g}/255 (white)"
    return contact_sheet(rows, f"PGD at epsilon {size:g}/255, {steps} steps", note)


def _text(values: dict[str, Any], out: Path) -> str:
    rows = [
        [f"{row['epsilon_255']:g}", *(f"{row[f'{kind}_deg']:.2f}" for kind in _KINDS)]
        for row in values["epsilons"]
    ]
    head = (
        f"{out}: {values['count']} eyes, mean error {values['clean_deg']:.2f} degrees unchanged;"
        f" constant predictor {values['constant_deg']:.2f}"
    )
    blind = values["blind_share"]
    warning = f"\n{100 * blind:.0f}% of the eyes gave no gradient to follow" if blind else ""
    return f"{head}\n\n{gaze.table(['epsilon/255', *_KINDS.values()], rows)}{warning}"
