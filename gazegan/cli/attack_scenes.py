"""`gazegan attack-scenes`: the scenes of a recipe that a gaze network gets most wrong."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import rich_click as click

from gazegan.cli import gaze, options
from gazegan.errors import UserError

if TYPE_CHECKING:
    from torch import Tensor

    from gazegan.attack import Box
    from gazegan.cli.scene_judge import Scenes
    from gazegan.nets.regressor import Regressor
    from gazegan.render.prior import Recipe
    from gazegan.schema import EyeBatch

_ALONE, _POINTS = 16, 4
"""Scenes in which every parameter is moved alone, and how many places each is tried at."""
_SHOWN, _ACROSS, _LISTED = 16, 8, 20
_KINDS = {"nominal": "nominal", "drawn": "worst of random draws", "worst": "found"}
RESULT, STORE = "scenes.json", "store"


@click.command("attack-scenes")
@click.argument("recipe")
@gaze.WEIGHTS
@options.out("Folder for scenes.json, sheet.png, parameters.png and the found scenes (store/).")
@click.option(
    "--count", type=click.IntRange(1), default=16, show_default=True, help="How many scenes."
)
@click.option(
    "--renders", type=click.IntRange(10), default=100, show_default=True,
    help="Renders the search may look at for each scene; as many random ones stand beside it.",
)  # fmt: skip
@click.option(
    "--within", type=click.FloatRange(0, 3, min_open=True), default=2.0, show_default=True,
    help="How far a parameter may go from its median, in standard deviations of a normal"
    " distribution: 2 is the middle 95% of what the recipe draws.",
)  # fmt: skip
@click.option(
    "--visible", type=click.FloatRange(0, 1), default=0.5, show_default=True,
    help="Share of the nominal scene's visible iris that must stay in sight.",
)  # fmt: skip
@click.option(
    "--only", multiple=True, metavar="NAME",
    help="Move only this parameter or group (head, eyeball, lids, face, lashes, colours, light,"
    " glasses, camera); repeatable.",
)  # fmt: skip
@click.option(
    "--hold", multiple=True, metavar="NAME",
    help="Leave this parameter or group as it is; repeatable.",
)  # fmt: skip
@options.SEED
@options.DEVICE
@options.OVERRIDES
@options.JSON
def attack_scenes(
    recipe: str,
    weights: Path,
    out: Path,
    count: int,
    renders: int,
    within: float,
    visible: float,
    only: tuple[str, ...],
    hold: tuple[str, ...],
    seed: int,
    device: str,
    overrides: tuple[str, ...],
    as_json: bool,
) -> None:
    """Look for the scenes of a RECIPE, a file or a name, that a network gets most wrong.

    Gaze stays, so labels are exact; light, pupil, lids, skin, glasses, head, camera and noise move
    within what the recipe makes probable: each parameter within --within, all together no farther
    out than 99% of its scenes. The search climbs through the differentiable renderer, and draws at
    random where there is no slope. Beside it stand the nominal scene, the worst of as many random
    draws at the same gaze, and what each parameter does alone. The found scenes are a labelled
    store to train on; for that, ask for many scenes and few renders.

    \b
    gazegan attack-scenes webcam --weights runs/gaze --out results/scenes
    gazegan attack-scenes webcam --weights runs/gaze --out results/light \\
        --only light --renders 400
    gazegan attack-scenes webcam --weights runs/gaze --out results/face \\
        --hold camera --hold glasses
    gazegan attack-scenes webcam --weights runs/gaze --out hard \\
        --count 1000 --renders 40
    gazegan train gaze --data stores/renders --share 3 \\
        --data hard/store --share 1 --out runs/harder
    """
    from gazegan.attack import Box
    from gazegan.cli.scene_judge import begun, draw, movable
    from gazegan.modes import evaluating, one_thread
    from gazegan.render.prior import load_recipe

    network, _ = gaze.open_network(weights, [], device)
    loaded = load_recipe(recipe, overrides)
    _check(loaded, network, weights)
    box = Box(within, movable(loaded, only, hold))
    settings = {
        "recipe": loaded.model_dump(mode="json", exclude_none=True), "weights": str(weights),
        "count": count, "renders": renders, "within": within, "visible": visible,
        "only": list(only), "hold": list(hold), "seed": seed,
    }  # fmt: skip
    gaze.claim(out, RESULT, settings)
    with one_thread(), evaluating(network):
        drawn = draw(loaded, network, count, seed, device)
        scenes = begun(drawn, box.project(drawn.latent), visible)
        found = _search(scenes, box, renders, seed, as_json)
    values = {**_results(found, scenes, box), "settings": settings}
    _save(out, found, scenes, values)
    options.say(as_json, values, _text(values, out))


def _check(recipe: Recipe, network: Regressor, weights: Path) -> None:
    """Raise UserError where the network cannot be shown the recipe's images."""
    from gazegan.train.checkpoint import load_weights

    if recipe.image.framing == "scene":
        raise UserError(f"{recipe.name}: makes scenes of many eyes; name a recipe of single eyes")
    trained = load_weights(weights, "gaze")[1]["data"]
    wanted = (trained["height"], trained["width"], trained["channels"])
    if (recipe.image.height, recipe.image.width, recipe.image.channels) != wanted:
        height, width, channels = wanted
        cure = f"image.height={height}, image.width={width}, image.channels={channels}"
        raise UserError(f"--weights {weights} was trained on other images; --set {cure}")


@dataclass(frozen=True)
class Searched:
    """What was found, all by scene; errors are those on the images of the store."""

    batches: dict[str, EyeBatch]
    """By kind: nominal, drawn, worst."""
    degrees: dict[str, Tensor]
    """[N] each."""
    alone: Tensor
    """[P, S] worst error of the first scenes with one parameter moved."""


def _search(scenes: Scenes, box: Box, renders: int, seed: int, quiet: bool) -> Searched:
    import torch

    from gazegan.attack import alone
    from gazegan.render.scene import chunk

    some = scenes[:_ALONE]
    total = 2 * renders * len(scenes) + (1 + _POINTS * int(box.free.sum())) * len(some)
    latents: dict[str, list[Tensor]] = {kind: [] for kind in _KINDS}
    with options.progress("searching", total, quiet) as advance:
        step = chunk(scenes.recipe.image)
        for at in range(0, len(scenes), step):
            part = _search_some(scenes[at : at + step], box, renders, (seed, at), advance)
            for kind, latent in part.items():
                latents[kind].append(latent)
        each = alone(some.degrees, some.latent, box, _POINTS, advance)
    batches = {kind: scenes.photograph(torch.cat(parts)) for kind, parts in latents.items()}
    return Searched(batches, {kind: scenes.judge(b) for kind, b in batches.items()}, each)


def _search_some(
    scenes: Scenes, box: Box, renders: int, seed: tuple[int, int], advance: Any
) -> dict[str, Tensor]:
    """Return latents by kind of a few scenes at once; the draws know nothing of the search."""
    from gazegan import rng
    from gazegan.attack import Plan, worst_drawn, worst_scenes

    start, plan = scenes.latent, Plan(renders, box.within)
    first, at = seed
    beside, search = (rng.stream(first, "scenes", name, at) for name in ("beside", "search"))
    return {
        "nominal": start,
        "drawn": worst_drawn(scenes.degrees, start, box, renders, beside, advance).latent,
        "worst": worst_scenes(scenes.degrees, start, box, plan, search, advance).latent,
    }


def _results(found: Searched, scenes: Scenes, box: Box) -> dict[str, Any]:
    import torch

    from gazegan.metrics import Errors

    errors = {kind: Errors(found.degrees[kind].double()) for kind in _KINDS}
    look = found.batches["nominal"].gaze
    assert look is not None
    columns = (found.degrees[kind].tolist() for kind in _KINDS)
    rows = zip(torch.rad2deg(look).tolist(), *columns, strict=True)
    keys = ("gaze_pitch_deg", "gaze_yaw_deg", *(f"{kind}_deg" for kind in _KINDS))
    return {
        "recipe": scenes.recipe.name,
        "target": scenes.network.target,
        "count": len(scenes),
        "moved": int(box.free.sum()),
        **{f"{kind}_deg": errors[kind].mean_deg for kind in _KINDS},
        **{f"{kind}_median_deg": errors[kind].median_deg for kind in _KINDS},
        **{f"{kind}_p95_deg": errors[kind].p95_deg for kind in _KINDS},
        "constant_deg": gaze.constant_deg(look, scenes.network.target),
        "parameters": _parameters(found.alone, scenes, box),
        "scenes": [dict(zip(keys, (*angles, *each), strict=True)) for angles, *each in rows],
    }


def _parameters(alone: Tensor, scenes: Scenes, box: Box) -> list[dict[str, Any]]:
    """Return what each parameter does alone in the first scenes, the most harmful first."""
    from gazegan.render.latents import groups, names

    held = int((~box.free).nonzero()[0])
    gain = alone - alone[held]  # a latent that is not free stays where it is
    group = {name: part for part, within in groups().items() for name in within}
    listed = [
        {
            "name": name,
            "group": group[name],
            "worst_deg": float(alone[k].mean()),
            "gain_deg": float(gain[k].mean()),
            "largest_gain_deg": float(gain[k].max()),
        }
        for k, name in enumerate(names(scenes.recipe))
        if box.free[k]
    ]
    return sorted(listed, key=lambda one: -one["worst_deg"])


def _save(out: Path, found: Searched, scenes: Scenes, values: dict[str, Any]) -> None:
    from gazegan.data.files import write_atomic
    from gazegan.plots import bars, png

    _write_store(out / STORE, found.batches["worst"], scenes, values["settings"])
    write_atomic(out / "sheet.png", png(_sheet(found, scenes.recipe.name)))
    shown = min(_ALONE, values["count"])
    harmful = [one for one in values["parameters"] if one["gain_deg"] > 0][:_LISTED]
    chart = bars(
        {one["name"]: one["worst_deg"] for one in harmful},
        {words: float(found.degrees[kind][:shown].mean()) for kind, words in _KINDS.items()},
        "mean of the worst errors (degrees)",
        f"One parameter moved alone, {shown} scenes of {values['recipe']}",
    )
    write_atomic(out / "parameters.png", chart)
    gaze.save_json(out / RESULT, values)


def _write_store(path: Path, batch: EyeBatch, scenes: Scenes, settings: dict[str, Any]) -> None:
    from gazegan.data.manifest import Manifest
    from gazegan.data.store import write_store
    from gazegan.render.params import PARAM_NAMES
    from gazegan.schema import LANDMARKS, MASKS

    image = scenes.recipe.image
    plan = Manifest(
        kind="rendered",
        count=len(batch),
        channels=image.channels,
        height=image.height,
        width=image.width,
        recipe=scenes.recipe.model_dump(mode="json"),
        masks=MASKS,
        landmarks=LANDMARKS,
        param_names=PARAM_NAMES,
        notes={"attack": {k: v for k, v in settings.items() if k != "recipe"}},
    )
    write_store(path, plan, lambda rows: batch[list(rows)])


def _sheet(found: Searched, recipe: str) -> Any:
    from gazegan.plots import Row, contact_sheet

    rows = []
    for start in range(0, min(_SHOWN, len(found.degrees["worst"])), _ACROSS):
        chosen = slice(start, start + _ACROSS)
        for kind, name in zip(_KINDS, ("nominal", "worst drawn", "found"), strict=True):
            captions = [f"{e:.1f}° off" for e in found.degrees[kind][chosen].tolist()]
            rows.append(Row(name, list(found.batches[kind].image[chosen]), captions))
    note = "each column one gaze: as drawn, the worst of random draws, and what the search found"
    return contact_sheet(rows, f"Scenes of {recipe} that the network gets most wrong", note)


def _text(values: dict[str, Any], out: Path) -> str:
    head = (
        f"{out}: {values['count']} scenes of recipe {values['recipe']!r}, {values['moved']}"
        f" parameters moved; degrees, constant predictor {values['constant_deg']:.2f}"
    )
    rows = [
        [words, *(f"{values[f'{k}{part}']:.2f}" for part in ("_deg", "_median_deg", "_p95_deg"))]
        for k, words in _KINDS.items()
    ]
    alone = [
        [one["name"], one["group"], *(f"{one[k]:.2f}" for k in ("worst_deg", "gain_deg"))]
        for one in values["parameters"][:10]
    ]
    summary = gaze.table(["scenes", "mean", "median", "p95"], rows)
    single = gaze.table(["moved alone", "group", "worst", "more than nominal"], alone)
    return f"{head}\n\n{summary}\n\n{single}"
