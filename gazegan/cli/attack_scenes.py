"""`gazegan attack-scenes`: the scenes of a recipe that a gaze network gets most wrong."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import rich_click as click

from gazegan.cli import gaze, options
from gazegan.cli.scene_search import ALONE, KINDS, Parts, search
from gazegan.errors import UserError

if TYPE_CHECKING:
    from torch import Tensor

    from gazegan.attack import Box
    from gazegan.cli.scene_judge import Scenes
    from gazegan.cli.scene_search import Searched
    from gazegan.render.prior import Recipe
    from gazegan.schema import EyeBatch

_SHOWN, _ACROSS, _LISTED = 16, 8, 20
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
    "--within", type=options.Number(0, 3, min_open=True), default=2.0, show_default=True,
    help="How far a parameter may go from its median, in standard deviations of a normal"
    " distribution: 2 is the middle 95% of what the recipe draws.",
)  # fmt: skip
@click.option(
    "--visible", type=options.Number(0, 1), default=0.5, show_default=True,
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
@options.overrides("eyes.glasses=0")
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
    store to train on; for that, ask for many scenes and few renders. Repeating it resumes.

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
    from gazegan.train.checkpoint import load_weights

    network, info = load_weights(weights, "gaze", options.check_device(device))
    loaded = load_recipe(recipe, overrides)
    _check(loaded, weights, info["data"])
    box = Box(within, movable(loaded, only, hold))
    settings = {
        "recipe": loaded.model_dump(mode="json", exclude_none=True), "weights": str(weights),
        "count": count, "renders": renders, "within": within, "visible": visible,
        "only": list(only), "hold": list(hold), "seed": seed,
    }  # fmt: skip
    gaze.claim(out, RESULT, settings)
    parts = Parts(out, {**settings, "sha256": info["sha256"]})
    with one_thread(), evaluating(network):
        drawn = draw(loaded, network, count, seed, device)
        scenes = begun(drawn, box.project(drawn.latent), visible)
        found = search(scenes, box, renders, seed, parts, as_json)
    values = {**_results(found, scenes, box), "settings": settings}
    _save(out, found, scenes, values)
    parts.drop()
    options.say(as_json, values, _text(values, out))


def _check(recipe: Recipe, weights: Path, trained: dict[str, Any]) -> None:
    """Raise UserError where the network cannot be shown the recipe's images."""
    if recipe.image.framing == "scene":
        raise UserError(f"{recipe.name}: makes scenes of many eyes; name a recipe of single eyes")
    wanted = (trained["height"], trained["width"], trained["channels"])
    if (recipe.image.height, recipe.image.width, recipe.image.channels) != wanted:
        height, width, channels = wanted
        cure = f"--set image.height={height} --set image.width={width}"
        raise UserError(
            f"--weights {weights} was trained on other images; add {cure} --set"
            f" image.channels={channels}"
        )


def _results(found: Searched, scenes: Scenes, box: Box) -> dict[str, Any]:
    import torch

    from gazegan.metrics import Errors

    errors = {kind: Errors(found.degrees[kind].double()) for kind in KINDS}
    look = found.batches["nominal"].gaze
    assert look is not None
    columns = (found.degrees[kind].tolist() for kind in KINDS)
    rows = zip(torch.rad2deg(look).tolist(), *columns, strict=True)
    keys = ("gaze_pitch_deg", "gaze_yaw_deg", *(f"{kind}_deg" for kind in KINDS))
    return {
        "recipe": scenes.recipe.name,
        "target": scenes.network.target,
        "count": len(scenes),
        "moved": int(box.free.sum()),
        **{f"{kind}_deg": errors[kind].mean_deg for kind in KINDS},
        **{f"{kind}_median_deg": errors[kind].median_deg for kind in KINDS},
        **{f"{kind}_p95_deg": errors[kind].p95_deg for kind in KINDS},
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
    shown = min(ALONE, values["count"])
    harmful = [one for one in values["parameters"] if one["gain_deg"] > 0][:_LISTED]
    chart = bars(
        {one["name"]: one["worst_deg"] for one in harmful},
        {words: float(found.degrees[kind][:shown].mean()) for kind, words in KINDS.items()},
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
        for kind, name in zip(KINDS, ("nominal", "worst drawn", "found"), strict=True):
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
        for k, words in KINDS.items()
    ]
    alone = [
        [one["name"], one["group"], *(f"{one[k]:.2f}" for k in ("worst_deg", "gain_deg"))]
        for one in values["parameters"][:10]
    ]
    summary = gaze.table(["scenes", "mean", "median", "p95"], rows)
    single = gaze.table(["moved alone", "group", "worst", "more than nominal"], alone)
    return f"{head}\n\n{summary}\n\n{single}"
