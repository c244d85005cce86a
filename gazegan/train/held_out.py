"""Which images are kept from training to measure on: whole people and faces, in all sources."""

import hashlib
from collections.abc import Hashable, Iterator, Mapping, Sequence

import torch
from torch import Tensor

from gazegan import rng
from gazegan.data.faces import face_names, face_numbers, tells_faces
from gazegan.data.pseudo import is_pseudo_labelled
from gazegan.data.store import Store
from gazegan.data.stream import JoinedSamples, RenderedSamples, Samples, only
from gazegan.render.prior import sample

_READ = 8192
"""Eyes that are read at a time."""


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
    by itself. An eye is one in all sources: raw, refined, newly labelled or rendered once more.
    """
    parts = data.parts if isinstance(data, JoinedSamples) else (data,)
    names = dict.fromkeys(name for part in parts for name in _subjects(part))
    codes = {name: code for code, name in enumerate(names)}
    people = torch.cat([_people(part, codes) for part in parts])
    faces = len(names) + (_faces(parts[0]) if len(parts) == 1 else _shared(parts))
    known = (people >= 0) & (len(torch.unique(people[people >= 0])) > 1)
    numbers: Tensor = torch.unique(torch.where(known, people, faces), return_inverse=True)[1]
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


def _shared(parts: Sequence[Samples]) -> Tensor:
    """Return which face each image shows, of all sources `[N]`, counted as they come."""
    numbers: dict[Hashable, int] = {}
    faces = (face for place, part in enumerate(parts) for face in _known_by(part, place))
    return torch.tensor([numbers.setdefault(face, len(numbers)) for face in faces])


def _known_by(part: Samples, place: int) -> Sequence[Hashable]:
    """Return of every image what tells its face from others, and is the same in any source.

    That is a photograph's name. What is rendered has exact labels that no copy changes, while its
    place in a store changes where others are left out; a face goes by those of its first eye.
    """
    manifest = part.manifest if isinstance(part, Store) else None
    if manifest and manifest.names and (source := manifest.notes.get("source_sha256")):
        return [(source, name) for name in face_names(manifest.names)]
    faces = _faces(part).tolist()
    if not (exact := [digest for rows in _exact(part) for digest in _digests(rows)]):
        return [(manifest.sha256 if manifest else place, face) for face in faces]
    first = dict(reversed([*zip(faces, exact, strict=True)]))
    return [first[face] for face in faces]


def _exact(part: Samples) -> Iterator[Tensor]:
    """Yield the parameters of all images, or their landmarks; nothing where there are neither."""
    labels = only(part, ("params", "landmarks"))
    for rows in torch.split(torch.arange(len(part)), _READ):
        if isinstance(part, RenderedSamples):
            # Their images, which take long, are not needed.
            yield sample(part.recipe, part.seed, rows).flat()
            continue
        read = labels.read(rows)
        found = read.landmarks if read.params is None else read.params
        if found is not None:
            yield found


def _digests(rows: Tensor) -> list[bytes]:
    whole = rows.flatten(1).contiguous().numpy()
    return [hashlib.blake2b(row.tobytes(), digest_size=16).digest() for row in whole]


def _answered(data: Samples) -> Tensor:
    """Return of which images `[N]` bool the labels are a network's answers."""
    parts = data.parts if isinstance(data, JoinedSamples) else (data,)
    own = [isinstance(part, Store) and is_pseudo_labelled(part) for part in parts]
    return torch.tensor(own).repeat_interleave(torch.tensor([len(part) for part in parts]))
