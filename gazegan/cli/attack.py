"""`gazegan attack`: how far small changes of the pixels turn the gaze."""

from __future__ import annotations

import math
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import rich_click as click

from gazegan.cli import attack_methods as methods_of
from gazegan.cli import attack_report, gaze, options
from gazegan.cli.attack_methods import METHODS, SIZES, USUAL, Choices, Toward
from gazegan.cli.attack_report import RESULT
from gazegan.errors import UserError

if TYPE_CHECKING:
    from gazegan.attack import Audit, Sweep
    from gazegan.data.store import Store
    from gazegan.nets.regressor import Regressor
    from gazegan.schema import EyeBatch

_AT_ONCE, _LEARNT_FROM, _AUDITED, _AUDIT_QUERIES = 64, 256, 32, 200


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
            self.fail(f"{value!r}: sizes must lie in 0..255, not 0", param, ctx)
        return sizes


@click.command()
@gaze.WEIGHTS
@click.option(
    "--data", type=options.PATH, required=True, metavar="STORE",
    help="Labelled store to choose eyes from.",
)  # fmt: skip
@options.out("Folder for attack.json, curve.png and examples.png.")
@click.option(
    "--method", "methods", type=click.Choice(list(METHODS)), multiple=True,
    default=["fgsm", "pgd"], show_default=True,
    help="One step; many; many with momentum; without gradients; one change for all eyes, learnt on"
    " others. Repeatable.",
)  # fmt: skip
@click.option(
    "--norm", type=click.Choice(list(SIZES)), default="linf", show_default=True,
    help="What is bounded: every pixel, the whole change, or a square patch of any pixels.",
)  # fmt: skip
@click.option(
    "--epsilon", "epsilons", type=_Epsilons(), multiple=True,
    help="Size of the change: of a pixel, or the root mean square (l2), in 1/255, default"
    " 0.5,1,2,4,8; or the patch's side in px, default 3,6,9,12. A list, or repeat the option.",
)  # fmt: skip
@click.option(
    "--target", "toward", type=Toward(), default=None, metavar="left|right|up|down|PITCH,YAW",
    help="Make it say this gaze (left and right are the image's, 15 degrees off the camera); else"
    " anything but the truth.",
)  # fmt: skip
@click.option(
    "--steps", type=click.IntRange(1, 10_000), default=20, show_default=True,
    help="Steps of pgd, momentum and universal.",
)  # fmt: skip
@click.option(
    "--restarts", type=click.IntRange(1), default=1, show_default=True,
    help="Random starts of pgd; the worst counts.",
)  # fmt: skip
@click.option(
    "--queries", type=click.IntRange(1), default=500, show_default=True,
    help="Images that search may ask about, for each eye.",
)  # fmt: skip
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
    methods: tuple[str, ...],
    norm: str,
    epsilons: tuple[tuple[float, ...], ...],
    toward: tuple[float, float] | None,
    steps: int,
    restarts: int,
    queries: int,
    count: int,
    seed: int,
    device: str,
    as_json: bool,
) -> None:
    """Turn the predicted gaze by changes of the pixels too small to notice, or by a patch.

    Attacks climb the angle between predicted and true gaze itself, or go down that to a --target.
    Random noise of the same size stands beside them: what an error owes to the size of the change,
    not to its direction. An audit says whether gradients can be trusted: vanishing ones, answers
    that vary, and attacks without gradients or of one step that do more harm than PGD.

    \b
    gazegan attack --weights runs/gaze --data stores/test --out results/attack
    gazegan attack --weights runs/gaze --data stores/test --out results/4 \\
        --epsilon 4 --steps 50 --restarts 5
    gazegan attack --weights runs/gaze --data stores/test --out results/left \\
        --target left
    gazegan attack --weights runs/gaze --data stores/test --out results/up \\
        --target 10,-5 --norm l2
    gazegan attack --weights runs/gaze --data stores/test --out results/patch \\
        --norm patch --method pgd --method universal
    gazegan attack --weights runs/gaze --data stores/test --out results/blind \\
        --method search --queries 2000
    """
    network, (store,) = gaze.open_network(weights, [data], device)
    gaze.need_labels([store])
    methods_of.check_target(network, toward)
    how = Choices(tuple(dict.fromkeys(methods)), norm, steps, restarts, queries, toward)
    sizes = _sizes(epsilons, norm)
    settings = {
        "weights": str(weights), "data": str(data), "epsilon_255": sizes, "steps": steps,
        "count": count, "seed": seed, **_unusual(how),
    }  # fmt: skip
    gaze.claim(out, RESULT, settings)
    batch, others = _eyes(store, network.target, count, seed, "universal" in methods)
    batch = batch.to(device)
    with options.progress("attacking", len(batch) * len(sizes), as_json) as advance:
        swept = _sweep(network, batch, others, sizes, how, seed, advance)
    checked = _audit(network, batch[:_AUDITED], sizes[-1], how, seed)
    values = {
        **attack_report.results(swept, batch, network, sizes, how),
        "audit": checked.findings,
        "settings": settings,
    }
    attack_report.save(out, network, batch, others, sizes, how, values)
    options.say(as_json, values, attack_report.text(values, how, out))


def _sizes(epsilons: tuple[tuple[float, ...], ...], norm: str) -> list[float]:
    sizes = {size for listed in epsilons or (USUAL[norm],) for size in listed}
    if norm == "patch" and any(size != round(size) for size in sizes):
        raise UserError("--epsilon: sides of patches are whole pixels, such as 3,6,9")
    return sorted(map(float, sizes))


def _unusual(how: Choices) -> dict[str, Any]:
    """Return the choices that differ from the usual ones, so that older results stay valid."""
    from dataclasses import asdict

    usual = asdict(Choices())
    return {k: v for k, v in asdict(how).items() if v != usual[k] and k != "steps"}


def _eyes(
    store: Store, target: str, count: int, seed: int, learning: bool
) -> tuple[EyeBatch, EyeBatch | None]:
    """Choose labelled eyes, and if `learning` as many others; directions need a gaze off the axis.

    Raises UserError where there are no such eyes.
    """
    import torch

    from gazegan.geometry import eccentricity_deg
    from gazegan.metrics import MIN_ECCENTRICITY_DEG

    candidates = torch.arange(len(store))
    if target == "direction":
        known = torch.cat([b.gaze for b in store.batches(1024) if b.gaze is not None])
        candidates = candidates[eccentricity_deg(known) >= MIN_ECCENTRICITY_DEG]
        if not len(candidates):
            raise UserError(f"--data {store.path}: every gaze is into the camera; name other eyes")
    chosen = gaze.choose(candidates, count, seed, "attack")
    if not learning:
        return store.read(chosen), None
    rest = candidates[~torch.isin(candidates, chosen)]
    if not len(rest):
        raise UserError(
            f"--method universal: {store.path} holds no eyes beside those {count} to learn from;"
            " lower --count"
        )
    others = gaze.choose(rest, min(count, _LEARNT_FROM), seed, "universal")
    return store.read(chosen), store.read(others)


def _sweep(
    network: Regressor,
    batch: EyeBatch,
    others: EyeBatch | None,
    sizes: list[float],
    how: Choices,
    seed: int,
    advance: Any,
) -> Sweep:
    from gazegan import rng
    from gazegan.attack import Sweep, sweep

    learnt = {}
    if others is not None:
        seen = others.to(batch.image.device)
        learnt = methods_of.learn(methods_of.victims(network, seen, how.toward), how, sizes)
    parts = []
    for start in range(0, len(batch), _AT_ONCE):
        rows = batch[start : start + _AT_ONCE]
        eyes = replace(methods_of.victims(network, rows, how.toward), learnt=learnt)
        generator = rng.stream(seed, "attack", start)
        here = (eyes.fn, eyes.image, eyes.truth, sizes, generator, how.steps, eyes.error)
        parts.append(sweep(*here, _times(advance, len(rows)), methods_of.attacks(eyes, how)))
    return Sweep.cat(parts)


def _times(advance: Any, eyes: int) -> Any:
    return lambda radii: advance(radii * eyes)


def _audit(network: Regressor, batch: EyeBatch, size: float, how: Choices, seed: int) -> Audit:
    from gazegan import rng
    from gazegan.attack import audit

    eyes = methods_of.victims(network, batch, None)
    ball, radius = methods_of.ball_of(eyes, how.norm, size)
    generator = rng.stream(seed, "attack", "audit")
    here = (eyes.fn, eyes.image, eyes.truth, radius, generator)
    queries = min(how.queries, _AUDIT_QUERIES)
    return audit(*here, how.steps, queries, eyes.error, ball=ball)
