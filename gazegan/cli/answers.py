"""A gaze network's answers on stores, and what is done with them before they are used."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

from gazegan.cli.uncertainty import with_spread
from gazegan.errors import UserError

if TYPE_CHECKING:
    from torch import Tensor

    from gazegan.align import Gazes
    from gazegan.data.store import Store
    from gazegan.nets.regressor import Regressor, Target
    from gazegan.predict import Predicted

_DRAWN = 8192
"""Eyes of a recipe that tell where people look, and eyes of a store that are read at a time."""


def answers(
    network: Regressor,
    stores: list[Store],
    batch: int,
    mirrored: bool,
    device: str,
    advance: Callable[[int], object],
) -> list[Predicted]:
    """Return the answers on each store, with spreads if the network tells them."""
    from gazegan.predict import mirror_average, predict

    fn = with_spread(network)
    fn = mirror_average(fn, network.target) if mirrored else fn
    turned = network.config.head_yaw
    return [predict(fn, store, batch, device, advance, turned) for store in stores]


def changed(
    target: Target,
    found: list[Predicted],
    stores: list[Store],
    align: bool,
    align_to: str | None,
    by_face: bool,
    direction: bool,
) -> list[Predicted]:
    """Return a network's answers on stores, changed as the options of these names say.

    Angles lie within 90 degrees of pitch and 180 of yaw. Raises UserError where `target` or the
    stores do not allow it.
    """
    from functools import partial

    from gazegan.align import aligned, estimated, matched
    from gazegan.predict import as_directions, in_range

    asked = (("--align", align), ("--align-to", align_to), ("--direction", direction))
    for name, wanted in asked:
        if wanted and target != "angles":
            raise UserError(f"{name}: this network answers directions already; leave it out")
    pairs = list(zip(found, stores, strict=True))
    make: Callable[[Predicted], Predicted] = aligned
    if align_to:
        turned, whole = supposed(align_to)
        make = partial(matched if align else estimated, turned=turned, whole=whole)
    if align or align_to:
        name = "--align" if align else "--align-to"
        pairs = [(_aligned(make, name, *pair), pair[1]) for pair in pairs]
    if by_face:
        pairs = [(_joined(part, store), store) for part, store in pairs]
    if direction:
        return [as_directions(part) for part, _ in pairs]
    return [in_range(part) if target == "angles" else part for part, _ in pairs]


def _aligned(
    align: Callable[[Predicted], Predicted], option: str, part: Predicted, store: Store
) -> Predicted:
    try:
        return align(part)
    except ValueError as fault:
        raise UserError(f"{option}, --data {store.path}: {fault}; leave {option} out") from None


def supposed(source: str) -> tuple[Gazes, Gazes]:
    """Return where people look by `--align-to`: moments along the heads' yaw, and of all gazes."""
    from gazegan.align import gazes_of

    gaze, turn = _of_store(Path(source)) if Path(source).is_dir() else _of_recipe(source)
    return gazes_of(gaze, turn), gazes_of(gaze)


def _of_store(path: Path) -> tuple[Tensor, Tensor | None]:
    import torch

    from gazegan.data.store import open_store
    from gazegan.data.stream import only

    store = open_store(path)
    if "gaze" not in store.fields:
        raise UserError(f"--align-to {path}: these eyes have no labels; name a recipe")
    labels = only(store, ("gaze", "head"))
    places = torch.split(torch.arange(len(store)), _DRAWN)
    known = [(part.gaze, part.head) for part in map(labels.read, places)]
    gaze = torch.cat([gaze for gaze, _ in known if gaze is not None])
    heads = [head[:, 1] for _, head in known if head is not None]
    return gaze, torch.cat(heads) if heads else None


def _of_recipe(name: str) -> tuple[Tensor, Tensor]:
    import torch

    from gazegan.render import effects
    from gazegan.render.prior import load_recipe, sample
    from gazegan.render.scene import label

    try:
        recipe = load_recipe(name)
    except UserError as fault:
        raise UserError(f"--align-to {fault}") from None
    if recipe.image.framing == "scene":
        raise UserError(f"--align-to {name}: this recipe makes scenes; name one of single eyes")
    known = label(sample(recipe, 0, torch.arange(_DRAWN)), recipe.image, effects.of_recipe(recipe))
    return known["gaze"], known["head"][:, 1]


def _joined(part: Predicted, store: Store) -> Predicted:
    from gazegan.data.faces import face_numbers
    from gazegan.predict import by_face

    try:
        return by_face(part, face_numbers(store))
    except UserError as fault:
        raise UserError(f"--by-face, --data {fault}") from None
    except ValueError as fault:
        raise UserError(f"--by-face, --data {store.path}: {fault}; leave --by-face out") from None
