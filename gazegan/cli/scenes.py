"""What of a scene moves a network's answer, as `gazegan explain --scenes` tells it."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from gazegan.cli import gaze, options
from gazegan.cli.maps import RESULT, picked
from gazegan.errors import UserError

if TYPE_CHECKING:
    from torch import Tensor

    from gazegan.chain import Chain
    from gazegan.explain import Fn
    from gazegan.plots import Moves
    from gazegan.render.prior import Recipe

_AT_ONCE, _DRAWN, _TOLD = 16, 8, 15
"""Eyes moved at a time, eyes drawn each by itself, and parameters told in text."""


@dataclass(frozen=True)
class Moved:
    """N scenes, and how answer and truth go by a rise of each of P parameters by its spread."""

    params: Tensor
    """[N, P]."""
    image: Tensor
    """[N, C, H, W] as the network sees them."""
    output: Tensor
    """[N] deg."""
    slope: Tensor
    """[N, P] deg, to first order."""
    swing: Tensor
    """[N, P] deg, from half a spread below to half above."""
    truth: Tensor
    """[N, P] deg, of the true answer, to first order."""


def explain(
    recipe: str,
    weights: Path,
    refiner: Path | None,
    out: Path,
    settings: dict[str, Any],
    device: str,
    as_json: bool,
) -> tuple[dict[str, Any], str]:
    """Differentiate answers by the parameters of scenes; returns results and what to say."""
    from gazegan.chain import spreads
    from gazegan.render.prior import load_recipe

    loaded = load_recipe(recipe)
    chain, target = _open(loaded, weights, refiner, device)
    output, pick = picked(settings["output"], target, weights)
    _, true_pick = picked(output, "angles", weights)
    settings = settings | {"output": output}
    gaze.claim(out, RESULT, settings)
    spread = spreads(loaded, settings["seed"])
    with options.progress("explaining", settings["count"], as_json) as advance:
        moved = _moved(chain, loaded, spread, (pick, true_pick), settings, device, advance)
    values = {
        "count": settings["count"],
        "output": output,
        **_results(moved, spread),
        "settings": settings,
    }
    _save(out, moved, values)
    return values, _text(values, out)


def _open(recipe: Recipe, weights: Path, refiner: Path | None, device: str) -> tuple[Chain, str]:
    """Load the networks and put them behind the renderer; also returns the network's target."""
    from gazegan.chain import chain
    from gazegan.train.checkpoint import load_weights

    options.check_device(device)
    network, info = load_weights(weights, "gaze", device)
    trained = info["data"]
    before = None
    if refiner is not None:
        before, known = load_weights(refiner, "refiner", device)
        if known["data"]["channels"] != trained["channels"]:
            raise UserError(
                f"--refiner {refiner}: was trained on {known['data']['channels']} channels,"
                f" --weights {weights} on {trained['channels']}; they must be as many"
            )
    size = trained["height"], trained["width"]
    return chain(recipe, size, trained["channels"], network, before), network.target


def _moved(
    chain: Chain,
    recipe: Recipe,
    spread: Tensor,
    picks: tuple[Fn, Fn],
    settings: dict[str, Any],
    device: str,
    advance: Any,
) -> Moved:
    """Draw scenes and see how they move the answers; `picks` are of answer and truth."""
    import torch

    from gazegan.chain import scenes
    from gazegan.render.scene import chunk

    period = 360.0 if settings["output"] == "direction" else None
    parts: list[tuple[Tensor, ...]] = []
    step = min(_AT_ONCE, chunk(chain.image, device))
    for indices in torch.split(torch.arange(settings["count"]), step):
        params, textures = (x.to(device) for x in scenes(recipe, settings["seed"], indices))
        parts.append(_some_moved(chain, params, textures, spread.to(device), *picks, period))
        advance(len(indices))
    return Moved(*(torch.cat(column).cpu() for column in zip(*parts, strict=True)))


def _some_moved(
    chain: Chain,
    params: Tensor,
    textures: Tensor,
    spread: Tensor,
    pick: Fn,
    true_pick: Fn,
    period: float | None,
) -> tuple[Tensor, ...]:
    import torch

    from gazegan.chain import possible
    from gazegan.explain import slopes, swing

    def answer(scenes: Tensor) -> Tensor:
        return pick(chain.answer(scenes, textures))

    found = slopes(answer, params)
    true = slopes(lambda scenes: true_pick(chain.truth(scenes)), params)
    swings = torch.zeros_like(params)
    for k in spread.nonzero().flatten().tolist():
        swings[:, k] = swing(lambda scenes: answer(possible(scenes)), params, spread, k, period)
    with torch.no_grad():
        image = chain.look(params, textures)
    return params, image, found.output, found.moves(spread), swings, true.moves(spread)


def _results(moved: Moved, spread: Tensor) -> dict[str, Any]:
    """Return by parameter how far answer and truth go, and the share that is due to gaze."""
    import torch

    from gazegan.explain import share_of
    from gazegan.render.params import PARAM_NAMES
    from gazegan.render.population import GAZE

    looking = torch.tensor([name in GAZE for name in PARAM_NAMES])
    kinds = {"slope": moved.slope, "swing": moved.swing, "true": moved.truth}
    sizes = {f"{kind}_deg": values.abs().mean(0) for kind, values in kinds.items()}
    means = {f"mean_{kind}_deg": values.mean(0) for kind, values in kinds.items()}
    columns = {"spread": spread, **sizes, **means}
    order = sizes["slope_deg"].argsort(descending=True, stable=True)
    shares = {kind: share_of(kinds[kind], looking) for kind in ("slope", "swing")}
    known = {kind: share[share.isfinite()] for kind, share in shares.items()}
    return {
        "parameters": {
            PARAM_NAMES[k]: {name: float(column[k]) for name, column in columns.items()}
            for k in order.tolist()
            if spread[k] > 0
        },
        "gaze_share": {
            kind: float(share.mean()) if len(share) else None for kind, share in known.items()
        },
    }


def _save(out: Path, moved: Moved, values: dict[str, Any]) -> None:
    import io

    import numpy as np

    from gazegan.data.files import write_atomic
    from gazegan.plots import move_bars
    from gazegan.render.params import PARAM_NAMES
    from gazegan.render.population import GAZE

    arrays = io.BytesIO()
    np.savez(
        arrays,
        names=np.array(PARAM_NAMES),
        params=moved.params.numpy(),
        image=moved.image.numpy(),
        output_deg=moved.output.numpy(),
        slope_deg=moved.slope.numpy(),
        swing_deg=moved.swing.numpy(),
        true_deg=moved.truth.numpy(),
    )
    write_atomic(out / "scenes.npz", arrays.getvalue())
    panels = _panels(moved, values["output"])
    write_atomic(out / "scenes.png", move_bars(panels, PARAM_NAMES, GAZE))
    gaze.save_json(out / RESULT, values)


def _panels(moved: Moved, output: str) -> list[Moves]:
    """Return what is drawn of all eyes together, and of the first ones."""
    from gazegan.plots import Moves

    sizes = (part.abs().mean(0) for part in (moved.slope, moved.swing, moved.truth))
    panels = [Moves(f"{len(moved.output)} eyes: mean size of moves", *sizes)]
    for i in range(min(_DRAWN, len(moved.output))):
        title = f"eye {i}: {output} {moved.output[i]:+.1f}°"
        panels.append(Moves(title, moved.slope[i], moved.swing[i], moved.truth[i], moved.image[i]))
    return panels


def _text(values: dict[str, Any], out: Path) -> str:
    kinds = ("slope_deg", "swing_deg", "true_deg")
    rows = [
        [name.replace("_", " "), *(f"{one[kind]:.2f}" for kind in kinds), f"{one['spread']:.3g}"]
        for name, one in list(values["parameters"].items())[:_TOLD]
    ]
    head = f"{out}: what moves the {values['output']} of {values['count']} eyes"
    shares = values["gaze_share"]
    if None not in shares.values():
        by_slope, by_swing = (100 * shares[kind] for kind in ("slope", "swing"))
        head += f"; gaze has {by_slope:.0f}% of the squared slopes, {by_swing:.0f}% of the swings"
    title = (
        "Mean size in degrees for a rise by one standard deviation: by the slope, from half a\n"
        "deviation below to half above, and of the true answer"
    )
    return (
        f"{head}\n\n{gaze.table(['parameter', 'slope', 'swing', 'true', 'deviation'], rows, title)}"
    )
