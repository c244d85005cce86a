"""A gaze network's answers on stores, and what is done with them before they are used."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
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
        found = _aligned(make, "--align" if align else "--align-to", found, stores)
        pairs = list(zip(found, stores, strict=True))
    if by_face:
        pairs = [(_joined(part, store), store) for part, store in pairs]
    if direction:
        return [as_directions(part) for part, _ in pairs]
    return [in_range(part) if target == "angles" else part for part, _ in pairs]


def _aligned(
    align: Callable[[Predicted], Predicted],
    option: str,
    found: list[Predicted],
    stores: list[Store],
) -> list[Predicted]:
    """Align all answers together, wherever a person's photographs are."""
    import torch

    try:
        moved = align(together(found, stores))
    except ValueError as fault:
        named = ", ".join(str(store.path) for store in stores)
        raise UserError(f"{option}, --data {named}: {fault}; leave {option} out") from None
    outputs = torch.split(moved.output, [len(part.id) for part in found])
    # Of answers that are stretched no spread is known.
    return [
        replace(part, output=output, spread=None if moved.spread is None else part.spread)
        for part, output in zip(found, outputs, strict=True)
    ]


def names_of(stores: list[Store]) -> list[str]:
    """Return the names of all people in stores, sorted."""
    return sorted({name for store in stores for name in store.manifest.subjects})


def together(found: list[Predicted], stores: list[Store]) -> Predicted:
    """Return the answers on all stores as those on one: people are numbered as in `names_of`."""
    import torch

    from gazegan.predict import Predicted
    from gazegan.schema import UNKNOWN

    names = names_of(stores)
    heads = [p.output * float("nan") if p.head is None else p.head for p in found]
    sides = [torch.full_like(p.id, UNKNOWN) if p.side is None else p.side for p in found]
    gazes = [part.gaze for part in found if part.gaze is not None]
    spreads = [part.spread for part in found if part.spread is not None]
    return Predicted(
        output=torch.cat([part.output for part in found]),
        id=torch.cat([part.id for part in found]),
        gaze=torch.cat(gazes) if len(gazes) == len(found) else None,
        head=torch.cat(heads),
        subject=torch.cat([_numbered(*pair, names) for pair in zip(found, stores, strict=True)]),
        side=torch.cat(sides),
        spread=torch.cat(spreads) if spreads else None,
    )


def _numbered(part: Predicted, store: Store, names: list[str]) -> Tensor:
    """Number the subjects of one store by `names`; -1 where unknown."""
    import torch

    if part.subject is None:
        return torch.full_like(part.id, -1)
    numbers = [names.index(name) for name in store.manifest.subjects]
    return torch.tensor([numbers[i] if i >= 0 else -1 for i in part.subject.tolist()])


def supposed(source: str) -> tuple[Gazes | None, Gazes]:
    """Return where people look by `--align-to`: moments along the heads' yaw, and of all gazes.

    The first are None where it is not known how gazes go along with heads.
    """
    from gazegan.align import supposed_of

    gaze, turn = _of_store(Path(source)) if Path(source).is_dir() else _of_recipe(source)
    return supposed_of(gaze, turn)


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
