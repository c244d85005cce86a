"""The search of `gazegan attack-scenes`, some scenes at a time; what is found is kept."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from gazegan.cli import options
from gazegan.errors import DataError

if TYPE_CHECKING:
    from pathlib import Path

    from torch import Tensor

    from gazegan.attack import Box
    from gazegan.cli.scene_judge import Scenes
    from gazegan.schema import EyeBatch

KINDS = {"nominal": "nominal", "drawn": "worst of random draws", "worst": "found"}
ALONE = 16
"""Scenes in which every parameter is moved alone."""
_POINTS = 4
"""How many places it is tried at."""

Latents = dict[str, "Tensor"]
"""By kind, [N, P]."""


@dataclass(frozen=True)
class Searched:
    """What was found, all by scene; errors are those on the images of the store."""

    batches: dict[str, EyeBatch]
    """By kind: nominal, drawn, worst."""
    degrees: dict[str, Tensor]
    """[N] each."""
    alone: Tensor
    """[P, S] worst error of the first scenes with one parameter moved."""


@dataclass(frozen=True)
class Parts:
    """Files in a folder of results that keep what a search has found, until it is finished."""

    out: Path
    settings: dict[str, Any]
    """What the search is; parts of another one do not count."""

    def kept(self, at: int) -> Latents | None:
        """Return what is kept of the scenes from `at` on; None where that is nothing."""
        from gazegan.train.checkpoint import load_sealed

        if not (path := self._path(at)).exists():
            return None
        try:
            latents, info = load_sealed(path)
        except DataError:
            return None
        same = info.get("settings") == json.loads(json.dumps(self.settings))
        return latents if same else None

    def keep(self, at: int, latents: Latents) -> None:
        """Keep what was found of the scenes from `at` on."""
        from gazegan.train.checkpoint import save_sealed

        save_sealed(self._path(at), latents, {"settings": self.settings})

    def _path(self, at: int) -> Path:
        return self.out / f"part-{at:06d}.safetensors"

    def drop(self) -> None:
        """Remove them."""
        for path in self.out.glob("part-*.safetensors"):
            path.unlink(missing_ok=True)


def search(
    scenes: Scenes, box: Box, renders: int, seed: int, parts: Parts, quiet: bool
) -> Searched:
    """Look for worst scenes with `renders` renders each, beside as many random draws."""
    import torch

    from gazegan.attack import alone
    from gazegan.render.scene import chunk

    some = scenes[:ALONE]
    total = 2 * renders * len(scenes) + (1 + _POINTS * int(box.free.sum())) * len(some)
    latents: dict[str, list[Tensor]] = {kind: [] for kind in KINDS}
    with options.progress("searching", total, quiet) as advance:
        step = chunk(scenes.recipe.image)
        for at in range(0, len(scenes), step):
            part, few = parts.kept(at), scenes[at : at + step]
            if part is None:
                part = _some(few, box, renders, (seed, at), advance)
                parts.keep(at, part)
            else:
                advance(2 * renders * len(few))
            for kind in KINDS:
                latents[kind].append(part[kind])
        each = alone(some.degrees, some.latent, box, _POINTS, advance)
    batches = {kind: scenes.photograph(torch.cat(rows)) for kind, rows in latents.items()}
    return Searched(batches, {kind: scenes.judge(b) for kind, b in batches.items()}, each)


def _some(scenes: Scenes, box: Box, renders: int, seed: tuple[int, int], advance: Any) -> Latents:
    """Return the latents of a few scenes at once; the draws know nothing of the search."""
    from gazegan import rng
    from gazegan.attack import Plan, worst_drawn, worst_scenes

    start, plan = scenes.latent, Plan(renders, box.within)
    first, at = seed
    beside, further = (rng.stream(first, "scenes", name, at) for name in ("beside", "search"))
    return {
        "nominal": start,
        "drawn": worst_drawn(scenes.degrees, start, box, renders, beside, advance).latent,
        "worst": worst_scenes(scenes.degrees, start, box, plan, further, advance).latent,
    }
