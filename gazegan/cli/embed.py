"""`gazegan embed`: a map of eyes, and how far it may be believed."""

from __future__ import annotations

from pathlib import Path
from statistics import fmean, median, stdev
from typing import TYPE_CHECKING, Any

import rich_click as click

from gazegan.cli import gaze, options
from gazegan.cli.groups import PANELS, Group, columns_of, panels_of, read_groups
from gazegan.errors import UserError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from torch import Tensor

    from gazegan.compare import Apart
    from gazegan.embed import Embedding

RESULT = "embed.json"
_HALVES, _PEOPLE = "two halves", "other people"
_SPLITS = 10
"""Ways in which photographs are split at random, to tell chance and its spread."""


@click.command()
@click.option(
    "--data", type=options.PATH, multiple=True, required=True, metavar="STORE|DIR|RECIPE",
    help="Eyes to map: a store, a folder of photographs or a recipe; repeatable.",
)  # fmt: skip
@options.out("Folder for embed.json, embed.png and projector/.")
@click.option(
    "--features", default="pixels", show_default=True, metavar="pixels|network|RUN",
    help="What is mapped: pixels; features of a network that was never trained; or what the last"
    " layer of a gaze network reads, by its run.",
)  # fmt: skip
@click.option(
    "--count", type=click.IntRange(16), default=300, show_default=True,
    help="At most so many eyes of each --data.",
)  # fmt: skip
@click.option(
    "--perplexity", type=click.FloatRange(2), default=30.0, show_default=True,
    help="About how many neighbours of an eye count.",
)  # fmt: skip
@click.option(
    "--colour", type=click.Choice(PANELS), multiple=True,
    help="What embed.png shows by colour; repeatable, by default all that is known.",
)  # fmt: skip
@options.SEED
@options.JSON
def embed(
    data: tuple[Path, ...],
    out: Path,
    features: str,
    count: int,
    perplexity: float,
    colour: tuple[str, ...],
    seed: int,
    as_json: bool,
) -> None:
    """Map eyes to the plane by t-SNE, and test what the map seems to say.

    A pleasing map proves nothing, so its validation stands beside it: which neighbourhoods it
    keeps, beside the first two principal axes and a shuffled map, and which neighbours maps of
    other seeds and perplexities have in common with it.

    And in the original space, whether the others are told from the photographs (else from the
    first --data): by a linear classifier and by nearest neighbours (area under the ROC curve, 0.5
    where they are not) and by a kernel two-sample test. Beside it stand ten random splits of the
    photographs, with mean, spread and median p: into halves, where only chance tells, with any p
    in 0..1; and by people. The p-value takes photographs of one person for independent: where
    people are few, another person is the fairer measure.

    \b
    gazegan embed --data stores/photos --data stores/renders --data stores/refined \\
        --out results/embed
    gazegan embed --data stores/photos --data stores/renders --features runs/gaze --out results/net
    gazegan embed --data photographs/ --data webcam --features network --colour origin --out maps
    tensorboard --logdir results/embed/projector
    """
    from gazegan.embed import MAPS, principal_axes
    from gazegan.embed import embed as mapped

    settings = {
        "data": [str(path) for path in data], "features": features, "count": count,
        "perplexity": perplexity, "colour": list(colour), "seed": seed,
    }  # fmt: skip
    gaze.claim(out, RESULT, settings)
    groups = read_groups(data, count, seed)
    panels = panels_of(groups, colour)
    seen = _features(groups, features)
    try:
        with options.progress("maps", MAPS, as_json) as advance:
            found = mapped(seen, perplexity, seed, advance)
    except ValueError as fault:
        raise UserError(f"--data, --perplexity: {fault}") from None
    apart = _tests(groups, seen, seed, as_json)
    values = _values(groups, found, apart, settings)
    tensors = {"features": principal_axes(seen.double(), 50), "map": found.map}
    _save(out, groups, tensors, panels, values)
    options.say(as_json, values, _text(groups, found, apart, values))


def _features(groups: Sequence[Group], kind: str) -> Tensor:
    """Return what is mapped of all eyes `[N, D]`; features other than pixels have spread 1."""
    import torch

    from gazegan.compare import features_of
    from gazegan.nets.features import RandomFeatures

    image = torch.cat([group.eyes.image for group in groups])
    if kind == "pixels":
        return image.flatten(1)
    if kind == "network":
        seen = features_of(RandomFeatures(image.shape[1]), image, lambda count: None)
    else:
        seen = _read_by(Path(kind), groups)
    return (seen - seen.mean(0)) / seen.std(0).clamp_min(1e-6)


def _read_by(run: Path, groups: Sequence[Group]) -> Tensor:
    """Return what the last layer of a gaze network reads of all eyes `[N, hidden]`."""
    import torch

    from gazegan.modes import evaluating
    from gazegan.nets.features import last_hidden
    from gazegan.predict import head_turn

    if not run.exists():
        raise UserError(f"--features {run}: neither pixels, network nor a run of `train gaze`")
    network, _ = gaze.open_network(run, [Path(group.name) for group in groups], "cpu")
    with evaluating(network), torch.no_grad():
        parts = [last_hidden(network, g.eyes.image, head_turn(g.eyes)) for g in groups]
    return torch.cat(parts)


def _tests(groups: Sequence[Group], seen: Tensor, seed: int, quiet: bool) -> dict[str, list[Apart]]:
    """Tell the photographs, else the first eyes, from all others, and from themselves."""
    import torch

    from gazegan import rng
    from gazegan.compare import halves, halves_by_people, told_apart
    from gazegan.embed import fewest_axes

    parts = torch.split(seen.double(), [len(group.eyes) for group in groups])
    k = _reference(groups)
    names = sorted({*groups[k].subjects} - {""})
    people = torch.tensor([names.index(s) if s else -1 for s in groups[k].subjects])
    seeds = [rng.mix(seed, "embed", "split", split) for split in range(_SPLITS)]
    pairs: dict[str, list[tuple[Tensor, Tensor] | None]] = {
        _HALVES: [halves(parts[k], each) for each in seeds],
        _PEOPLE: [halves_by_people(parts[k], people, each) for each in seeds],
        **{g.name: [(part, parts[k])] for g, part in zip(groups, parts, strict=True)},
    }
    del pairs[groups[k].name]
    found: dict[str, list[Apart]] = {}
    with options.progress("tests", sum(map(len, pairs.values())), quiet) as advance:
        for name, some in pairs.items():
            for pair in some:
                if pair:
                    points, cut = fewest_axes(torch.cat(pair)), len(pair[0])
                    one = told_apart(points[:cut], points[cut:], seed)
                    found.setdefault(name, []).append(one)
                advance(1)
    return found


def _reference(groups: Sequence[Group]) -> int:
    """Return which eyes the others are told from: the first photographs, else the first."""
    return next((k for k, group in enumerate(groups) if group.origin == "real"), 0)


def _values(
    groups: Sequence[Group],
    found: Embedding,
    apart: dict[str, list[Apart]],
    settings: dict[str, Any],
) -> dict[str, Any]:
    return {
        "count": len(found.map),
        "data": [{"images": g.name, "origin": g.origin, "count": len(g.names)} for g in groups],
        "map": found.to_dict(),
        "reference": groups[_reference(groups)].name,
        "apart": [
            {"images": name, "splits": [one.to_dict() for one in some]}
            for name, some in apart.items()
        ],
        "verdict": _verdict(groups, found, apart),
        "settings": settings,
    }


def _save(
    out: Path,
    groups: Sequence[Group],
    tensors: dict[str, Tensor],
    panels: Sequence[Any],
    values: dict[str, Any],
) -> None:
    import torch

    from gazegan.cli.projector import write_projector
    from gazegan.data.files import write_atomic
    from gazegan.plots import embedding_map

    image = torch.cat([group.eyes.image for group in groups])
    write_projector(out / "projector", tensors, columns_of(groups), image)
    note = (
        f"t-SNE of {values['settings']['features']}: trustworthiness"
        f" {values['map']['tsne']['trustworthiness']:.2f}; who is near whom counts, distances and"
        " sizes of groups do not"
    )
    write_atomic(out / "embed.png", embedding_map(tensors["map"], panels, note))
    gaze.save_json(out / RESULT, values)


def _verdict(groups: Sequence[Group], found: Embedding, apart: dict[str, list[Apart]]) -> str:
    """Say in a sentence how far the map may be believed, and one for each test."""
    parts = [
        f"The map keeps neighbourhoods with a trustworthiness of"
        f" {found.tsne.trustworthiness:.2f} (1 is all, shuffled"
        f" {found.shuffled.trustworthiness:.2f})."
    ]
    baselines = ", ".join(
        f"{name} {fmean(one.linear_auc for one in apart[name]):.2f}"
        for name in (_HALVES, _PEOPLE)
        if name in apart
    )
    reference = groups[_reference(groups)].name
    for group in groups:
        if group.name in apart:
            (one,) = apart[group.name]
            verb = "tells" if one.p_value < 0.01 else "does not surely tell"
            parts.append(
                f"In the original space a linear classifier {verb} {group.name} from {reference}"
                f" with AUC {one.linear_auc:.2f} ({baselines}), {_p(one.p_value)}."
            )
    return " ".join(parts)


def _p(value: float) -> str:
    return "p <= 0.001" if value <= 0.001 else f"p = {value:.3f}"


def _text(
    groups: Sequence[Group],
    found: Embedding,
    apart: dict[str, list[Apart]],
    values: dict[str, Any],
) -> str:
    told = ", ".join(f"{len(g.names)} of {g.name} ({g.origin})" for g in groups)
    maps = {
        "t-SNE": found.tsne,
        "first two principal axes": found.principal,
        "t-SNE, shuffled": found.shuffled,
    }
    kept = [[n, f"{x.trustworthiness:.3f}", f"{x.continuity:.3f}"] for n, x in maps.items()]
    agreed = (
        f"nearest neighbours that maps share: of other seeds {found.seeds_agree:.2f}, of other"
        f" perplexities {found.perplexities_agree:.2f} (chance {found.chance_agree:.2f})"
    )
    told_from = f"told from {values['reference']}"
    columns = [told_from, "counts", "linear AUC", "±", "neighbour AUC", "±", "MMD²", "p"]
    return "\n\n".join(
        [
            f"{told}; {values['settings']['features']}",
            gaze.table(["map", "trustworthiness", "continuity"], kept),
            agreed,
            gaze.table(columns, [_row(name, some) for name, some in apart.items()]),
            values["verdict"],
        ]
    )


def _row(name: str, some: list[Apart]) -> list[str]:
    """Return a row of means over the splits; of p-values the median."""
    one = some[0]
    aucs = [[x.linear_auc for x in some], [x.neighbour_auc for x in some]]
    told = [[f"{fmean(a):.3f}", f"{stdev(a):.3f}" if len(a) > 1 else "-"] for a in aucs]
    p = _p(median(x.p_value for x in some)).removeprefix("p ").removeprefix("= ")
    mmd = f"{fmean(x.squared_mmd for x in some):.4f}"
    return [name, f"{one.counts[0]}, {one.counts[1]}", *told[0], *told[1], mmd, p]
