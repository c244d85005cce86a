"""What `gazegan evaluate` does with answers before it scores them."""

from __future__ import annotations

from typing import TYPE_CHECKING

from gazegan.errors import UserError

if TYPE_CHECKING:
    from gazegan.data.store import Store
    from gazegan.nets.regressor import Target
    from gazegan.predict import Predicted


def changed(
    target: Target,
    found: list[Predicted],
    stores: list[Store],
    align: bool,
    by_face: bool,
    direction: bool,
) -> list[Predicted]:
    """Return a network's answers on stores, changed as the options of these names say.

    Raises UserError where `target` or the stores do not allow it.
    """
    from gazegan.predict import as_directions

    for name, wanted in (("--align", align), ("--direction", direction)):
        if wanted and target != "angles":
            raise UserError(f"{name}: this network answers directions already; leave it out")
    pairs = list(zip(found, stores, strict=True))
    if align:
        pairs = [(_aligned(part, store), store) for part, store in pairs]
    if by_face:
        pairs = [(_joined(part, store), store) for part, store in pairs]
    return [as_directions(part) if direction else part for part, _ in pairs]


def _aligned(part: Predicted, store: Store) -> Predicted:
    from gazegan.predict import aligned

    try:
        return aligned(part)
    except ValueError as fault:
        raise UserError(f"--align, --data {store.path}: {fault}; leave it out") from None


def _joined(part: Predicted, store: Store) -> Predicted:
    from gazegan.data.faces import face_numbers
    from gazegan.predict import by_face

    try:
        return by_face(part, face_numbers(store))
    except ValueError as fault:
        raise UserError(f"--by-face, --data {store.path}: {fault}") from None
