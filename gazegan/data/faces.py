"""Which eyes of a store belong to one face."""

import re
from collections.abc import Sequence
from pathlib import PurePosixPath

import torch
from torch import Tensor

from gazegan.data.store import Store
from gazegan.errors import UserError

_SIDE = re.compile(r"(?:^|[_\-. ])(?:l|r|left|right)$", re.IGNORECASE)


def in_pairs(store: Store) -> bool:
    """Whether eyes 2k and 2k + 1 are a face by the recipe; in a strip, they are one image."""
    return bool((store.manifest.recipe or {}).get("pairs"))


def tells_faces(store: Store) -> bool:
    """Whether `face_numbers` can tell faces."""
    return in_pairs(store) or _named_by_side(store)


def _named_by_side(store: Store) -> bool:
    names = store.manifest.names
    return bool(names) and all(_SIDE.search(PurePosixPath(name).stem) for name in names)


def face_numbers(store: Store) -> Tensor:
    """Return of every eye the number of its face `[N]` int64; a face without a partner counts too.

    Two photographs are one face where their names differ in the last part alone, L or R (left,
    right): `anna_03_L.jpg`, `anna_03_R.jpg`. Eyes of a recipe with `pairs` are faces by twos.
    Raises UserError where neither tells.
    """
    if in_pairs(store):
        return torch.arange(len(store)) // 2
    if not _named_by_side(store):
        raise UserError(
            f"{store.path}: does not tell which eyes are of one face; import images named X_L and"
            " X_R, or render a recipe with pairs = true"
        )
    names = face_names(store.manifest.names)
    numbers = {name: number for number, name in enumerate(dict.fromkeys(names))}
    return torch.tensor([numbers[name] for name in names])


def face_names(names: Sequence[str]) -> list[str]:
    """Return of every photograph's name that of its face; itself where it does not tell the side.

    It is the same whatever other photographs there are.
    """
    return [_face_name(name) for name in names]


def _face_name(name: str) -> str:
    stem = PurePosixPath(name).with_suffix("")
    sided = _SIDE.search(stem.name)
    return str(stem.with_name(_SIDE.sub("", stem.name) or "-")) if sided else name
