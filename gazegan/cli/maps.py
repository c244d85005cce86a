"""Maps of a store's eyes, and the masks they are measured by."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from gazegan.cli import gaze, options
from gazegan.errors import UserError

if TYPE_CHECKING:
    import torch
    from torch import Tensor

    from gazegan.data.store import Store
    from gazegan.explain import Attribution, Fn
    from gazegan.nets.regressor import Regressor
    from gazegan.schema import EyeBatch

METHODS = ("gradient_x_input", "integrated_gradients", "smoothgrad", "occlusion")
RESULT = "explain.json"
_AT_ONCE, _RECOVERED = 64, 8
"""Eyes explained, and eyes recovered, at a time."""

Advance = Callable[[int], object]


@dataclass(frozen=True)
class Asked:
    """What the command line asks for."""

    data: Path
    out: Path
    methods: tuple[str, ...]
    guess: str | None
    """Recipe by which masks are predicted, if any."""
    settings: dict[str, Any]


@dataclass(frozen=True)
class Work:
    """Eyes and what of a network's answer to them is explained."""

    batch: EyeBatch
    pick: Fn
    period: float | None
    seed: int
    device: str

    def chunks(self) -> Iterator[tuple[slice, EyeBatch]]:
        """Some eyes at a time, on the device, and which they are."""
        for start in range(0, len(self.batch), _AT_ONCE):
            rows = slice(start, start + _AT_ONCE)
            yield rows, self.batch[rows].to(self.device)


def explain(asked: Asked, weights: Path, device: str, as_json: bool) -> tuple[dict[str, Any], str]:
    """Explain eyes of a store, score and save the maps; returns results and what to say."""
    from gazegan.cli import map_files, map_scores

    network, (store,) = gaze.open_network(weights, [asked.data], device)
    if asked.guess and "masks" in store.fields:
        raise UserError(
            f"--predict-masks {asked.guess}: {store.path} has masks of its own; leave it out"
        )
    output, pick = picked(asked.settings["output"], network.target, weights)
    settings = {
        **asked.settings, "data": str(asked.data), "output": output,
        "methods": list(asked.methods), "predict_masks": asked.guess,
    }  # fmt: skip
    gaze.claim(asked.out, RESULT, settings)
    batch, whose = _eyes(store, asked, as_json)
    period = 360.0 if output == "direction" else None
    work = Work(batch, pick, period, settings["seed"], device)
    with options.progress("explaining", 3 * len(batch) * len(asked.methods), as_json) as advance:
        found = {name: mapped(work, network, name, advance) for name in asked.methods}
        values = {"count": len(batch), "output": output, "masks": whose}
        values |= map_scores.results(work, network, found, advance)
    values["settings"] = settings
    map_files.save(asked.out, found, batch, values)
    return values, map_files.text(values, asked.out)


def picked(name: str | None, target: str, weights: Path) -> tuple[str, Fn]:
    """Return an output's name and what picks it; raises UserError where there is none."""
    from gazegan import explain as ex

    name = name or ("pitch" if target == "angles" else "direction")
    if target == "direction":
        if name != "direction":
            raise UserError(
                f"--output {name}: {weights} predicts directions only; write --output direction"
            )
        return name, ex.pair_direction_deg
    picks = {"pitch": ex.pitch_deg, "yaw": ex.yaw_deg, "direction": ex.gaze_direction_deg}
    return name, picks[name]


def _eyes(store: Store, asked: Asked, quiet: bool) -> tuple[EyeBatch, str | None]:
    """Choose eyes of a store; their masks are the store's own, predicted ones, or none."""
    import torch

    count, seed = asked.settings["count"], asked.settings["seed"]
    batch = store.read(gaze.choose(torch.arange(len(store)), count, seed, "explain"))
    if batch.masks is not None:
        return batch, "store"
    return (
        (predicted(batch, asked.guess, seed, quiet), "predicted") if asked.guess else (batch, None)
    )


def predicted(batch: EyeBatch, recipe: str, seed: int, quiet: bool) -> EyeBatch:
    """Return eyes with masks and landmarks of the recipe's eyes that look most like them.

    Their side and the head's yaw are held where they are known.
    """
    import torch

    from gazegan.render import effects
    from gazegan.render.inverse import recover
    from gazegan.render.params import SPECS
    from gazegan.render.prior import load_recipe
    from gazegan.render.scene import render
    from gazegan.schema import UNKNOWN, EyeBatch

    loaded = load_recipe(recipe).seen_as(batch.size, batch.channels)
    parts, needs = [], effects.of_recipe(loaded)
    with options.progress("predicting masks", len(batch), quiet) as advance:
        for start in range(0, len(batch), _RECOVERED):
            some, known = batch[start : start + _RECOVERED], dict[str, torch.Tensor]()
            if some.side is not None and bool((some.side != UNKNOWN).all()):
                known["side"] = 1.0 - 2 * some.side
            if some.head is not None and bool(some.head.isfinite().all()):
                furthest = SPECS["head_yaw"].high  # photographs may show heads that turn further
                known["head_yaw"] = torch.rad2deg(some.head[:, 1]).clamp(-furthest, furthest)
            found = recover(some.image, loaded, known, seed)
            like = render(found.params, found.seed, loaded.image, needs)
            parts.append(replace(some, masks=like.masks, landmarks=like.landmarks))
            advance(len(some))
    return EyeBatch.cat(parts)


def mapped(work: Work, network: Regressor, method: str, advance: Advance) -> Attribution:
    """Explain every eye by a method."""
    import torch

    from gazegan import rng
    from gazegan.explain import Attribution

    parts = []
    for rows, chunk in work.chunks():
        generator = rng.stream(work.seed, "explain", method, rows.start)
        parts.append(_map(work, gaze.of_heads(network, chunk), method, chunk.image, generator))
        advance(len(chunk))
    gradients = [part.gradient for part in parts if part.gradient is not None]
    return Attribution(
        torch.cat([part.map for part in parts]).cpu(),
        torch.cat(gradients).cpu() if gradients else None,
        torch.cat([part.output for part in parts]).cpu(),
    )


def _map(work: Work, fn: Fn, method: str, image: Tensor, generator: torch.Generator) -> Attribution:
    from gazegan import explain as ex

    if method == "gradient_x_input":
        return ex.gradient_x_input(fn, image, work.pick)
    if method == "smoothgrad":
        return ex.smoothgrad(fn, image, generator, work.pick)
    baseline = ex.faded(image)
    if method == "integrated_gradients":
        return ex.integrated_gradients(fn, image, baseline, work.pick)
    window = max(2, min(image.shape[-2:]) // 6)
    stride = max(2, window // 2)
    return ex.occlusion(fn, image, baseline, work.pick, window, stride, work.period)
