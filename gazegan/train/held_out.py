"""Which images are kept from training to measure on: whole people and faces, in all sources."""

from collections.abc import Mapping, Sequence

import torch
from torch import Tensor

from gazegan import rng
from gazegan.data.faces import face_numbers, tells_faces
from gazegan.data.pseudo import is_pseudo_labelled
from gazegan.data.store import Store
from gazegan.data.stream import JoinedSamples, RenderedSamples, Samples, only

_READ = 8192
"""Eyes that are read at a time."""
_ROOM = 1 << 40
"""More eyes than a source can hold."""


def parted(data: Samples, held_out: float, seed: int) -> tuple[Tensor, Tensor, Tensor]:
    """Return what every image belongs to, which are trained on, and which are held out.

    The first is `[N]` int64, see `belonging`, the others are indices; together they are all images
    but those of `split` that are neither.
    """
    if not held_out:
        every = torch.arange(len(data))
        return every, every, every[:0]
    together = belonging(data)
    return together, *split(together, held_out, seed, _answered(data))


def split(
    together: Tensor, held_out: float, seed: int, answered: Tensor | None = None
) -> tuple[Tensor, Tensor]:
    """Return the indices to train on and those held out, drawn from `seed`.

    Images of one number in `together` `[N]` int64 stay together; as many are held out as comes
    nearest to the share. Images whose labels are a network's answers, `answered` `[N]` bool, are no
    measure and never held out; where what they belong to is, they are neither.
    """
    measure = torch.ones_like(together, dtype=torch.bool) if answered is None else ~answered
    numbers, sizes = torch.unique(together[measure], return_counts=True)
    order = torch.randperm(len(numbers), generator=rng.stream(seed, "gaze", "held-out"))
    wanted = round(int(measure.sum()) * held_out)
    cut = int((sizes[order].cumsum(0) - wanted).abs().argmin()) + 1 if wanted else 0
    apart = torch.isin(together, numbers[order[:cut]])
    return (~apart).nonzero()[:, 0], (apart & measure).nonzero()[:, 0]


def belonging(data: Samples) -> Tensor:
    """Return of every image the number `[N]` int64 of what it belongs to.

    That is a person, where sources tell whose eyes are whose and there are several: equal names are
    one person. Else it is a face, of a recipe with pairs or of photographs named so, or the image
    by itself. An eye and its refined or newly labelled copy in another store are one.
    """
    parts = data.parts if isinstance(data, JoinedSamples) else (data,)
    names = dict.fromkeys(name for part in parts for name in _subjects(part))
    codes = {name: code for code, name in enumerate(names)}
    people = torch.cat([_people(part, codes) for part in parts])
    faces = [
        (1 + place) * _ROOM + _faces(part)
        for part, place in zip(parts, _origins(parts), strict=True)
    ]
    known = (people >= 0) & (len(torch.unique(people[people >= 0])) > 1)
    numbers: Tensor = torch.unique(
        torch.where(known, people, torch.cat(faces)), return_inverse=True
    )[1]
    return numbers


def _subjects(part: Samples) -> tuple[str, ...]:
    return part.manifest.subjects if isinstance(part, Store) and "subject" in part.fields else ()


def _people(part: Samples, codes: Mapping[str, int]) -> Tensor:
    """Return whose each image is, -1 where that is not known."""
    if not (names := _subjects(part)):
        return torch.full((len(part),), -1)
    read = map(only(part, ("subject",)).read, torch.split(torch.arange(len(part)), _READ))
    own = torch.cat([batch.subject for batch in read if batch.subject is not None])
    numbers = torch.tensor([codes[name] for name in names])
    whose: Tensor = torch.where(own >= 0, numbers[own.clamp(min=0)], -1)
    return whose


def _faces(part: Samples) -> Tensor:
    """Return which face of its source each image shows."""
    if isinstance(part, Store) and tells_faces(part):
        return face_numbers(part)
    paired = isinstance(part, RenderedSamples) and part.recipe.pairs
    return torch.arange(len(part)) // (1 + paired)


def _origins(parts: Sequence[Samples]) -> list[int]:
    """Return where each source's eyes are first: a copy of a store has those of the store.

    A copy without the eyes that moved too far numbers them anew, and counts as others.
    """
    places, found = dict[str, int](), []
    for number, part in enumerate(parts):
        names = _digests(part) if isinstance(part, Store) else []
        place = next((places[name] for name in names if name in places), number)
        places |= dict.fromkeys(names, place)
        found.append(place)
    return found


def _digests(store: Store) -> list[str]:
    notes = store.manifest.notes
    if "kept" in notes:
        return [store.manifest.sha256]
    sources = (notes.get(name) for name in ("refined_from", "labelled_from"))
    return [store.manifest.sha256, *(source for source in sources if source)]


def _answered(data: Samples) -> Tensor:
    """Return of which images `[N]` bool the labels are a network's answers."""
    parts = data.parts if isinstance(data, JoinedSamples) else (data,)
    own = [isinstance(part, Store) and is_pseudo_labelled(part) for part in parts]
    return torch.tensor(own).repeat_interleave(torch.tensor([len(part) for part in parts]))
