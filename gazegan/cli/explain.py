"""`gazegan explain`: which pixels, and which parts of a scene, move the gaze."""

from __future__ import annotations

from pathlib import Path

import rich_click as click

from gazegan.cli import gaze, maps, options, scenes
from gazegan.errors import UserError


@click.command()
@gaze.WEIGHTS
@click.option(
    "--data", type=options.PATH, metavar="STORE",
    help="Store to choose eyes from; labels are not needed.",
)  # fmt: skip
@click.option(
    "--scenes", "recipe", metavar="RECIPE",
    help="Instead of --data: explain by the parameters of a recipe's scenes, not by pixels.",
)  # fmt: skip
@options.out("Folder for pictures, arrays and explain.json.")
@click.option(
    "--method", "methods", type=click.Choice(maps.METHODS), multiple=True,
    help="How pixels are explained; repeatable. Default: gradient_x_input.",
)  # fmt: skip
@click.option(
    "--count", type=click.IntRange(1), default=16, show_default=True, help="How many eyes."
)
@click.option(
    "--output", type=click.Choice(["pitch", "yaw", "direction"]), default=None,
    help="What to explain; by default pitch, or direction for networks that predict it.",
)  # fmt: skip
@click.option(
    "--predict-masks", "guess", metavar="RECIPE",
    help="Where a store has no masks: those of the recipe's eyes that look most like its own,"
    " found by rendering, seconds an eye. Results are marked as predicted.",
)  # fmt: skip
@click.option(
    "--refiner", type=options.PATH, metavar="RUN",
    help="With --scenes: a refiner between renderer and network.",
)  # fmt: skip
@options.SEED
@options.DEVICE
@options.JSON
def explain(
    weights: Path,
    data: Path | None,
    recipe: str | None,
    out: Path,
    methods: tuple[str, ...],
    count: int,
    output: str | None,
    guess: str | None,
    refiner: Path | None,
    seed: int,
    device: str,
    as_json: bool,
) -> None:
    """Map which pixels move the predicted gaze, or chart which parts of a scene do.

    Red pixels raise the output in degrees, blue ones lower it. Where the store has masks, the
    share of the attribution on each is told beside its share of the area, which attribution
    spread evenly would reach, and beside the share of the gradient alone: a product with the
    input is small on dark pixels, so a black pupil shows in the gradient only.

    Each method is scored: whether its strongest pixel lies on the eye; how far the answer moves
    while its strongest pixels are taken away (deletion, more is better) or put back (insertion,
    less is better), beside pixels in random order; how much integrated gradients miss of the
    change they should add up to; and how alike its maps are to those of a network with randomised
    weights (rank correlation; near 0 is good). Pixels that are away show the eye without detail.

    With --scenes, answers are differentiated through network, refiner and renderer by every
    parameter: degrees for one standard deviation of the recipe, by the slope, and by the swing
    from half a deviation below to half above. Only gaze should move an answer.

    \b
    gazegan explain --weights runs/gaze --data stores/test --out results/maps
    gazegan explain --weights runs/gaze --data stores/test --out results/yaw --output yaw --count 32
    gazegan explain --weights runs/gaze --data stores/test --out results/methods \\
        --method integrated_gradients --method occlusion --count 200
    gazegan explain --weights runs/gaze --data stores/photos --out results/photos \\
        --predict-masks webcam
    gazegan explain --weights runs/gaze --scenes webcam --refiner runs/refiner --out results/scenes
    """
    if data is None and recipe is None:
        raise click.UsageError("what to explain is missing; give one of them: --data or --scenes")
    if data is not None and recipe is not None:
        raise click.UsageError("--data and --scenes exclude each other; give one of them")
    settings = {
        "weights": str(weights), "count": count, "seed": seed, "output": output,
    }  # fmt: skip
    if data is not None:
        if refiner is not None:
            raise UserError("--refiner goes with --scenes; name a refined store in --data instead")
        chosen = tuple(dict.fromkeys(methods)) or maps.METHODS[:1]
        asked = maps.Asked(data, out, chosen, guess, settings)
        values, text = maps.explain(asked, weights, device, as_json)
    else:
        assert recipe is not None
        if methods or guess:
            raise UserError("--method and --predict-masks go with --data; leave them out")
        settings |= {"scenes": recipe, "refiner": str(refiner) if refiner else None}
        values, text = scenes.explain(recipe, weights, refiner, out, settings, device, as_json)
    options.say(as_json, values, text)
