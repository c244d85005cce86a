"""`gazegan embed`: a map of eyes, and how far it may be believed."""

from __future__ import annotations

from pathlib import Path
from statistics import fmean, median, stdev
from typing import TYPE_CHECKING, Any

import rich_click as click

from gazegan.cli import gaze, options
from gazegan.cli.groups import PANELS, Group, columns_of, features_of, panels_of, read_groups
from gazegan.errors import UserError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from torch import Tensor

    from gazegan.embed import Embedding

Told = dict[str, Any]
"""A `compare.Apart` as plain values, with what neighbours tell on the map."""
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
    "--perplexity", type=options.Number(2), default=30.0, show_default=True,
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
    first --data): by a linear classifier and by nearest neighbours, there and on the map (area
    under the ROC curve, 0.5 where they are not), and by a kernel two-sample test. Beside it stand
    ten random splits of the photographs, with mean, spread and median p: into halves, where only
    chance tells, with any p in 0..1; and by people. The p-value takes photographs of one person
    for independent: where people are few, other people are the fairer measure.

    TensorBoard's projector shows the features and the map; of the map, untick "Spherize data".

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
    seen = features_of(groups, features)
    try:
        with options.progress("maps", MAPS, as_json) as advance:
            found = mapped(seen, perplexity, seed, advance)
    except ValueError as fault:
        raise UserError(f"--data, --perplexity: {fault}") from None
    apart = _tests(groups, seen, found.map, seed, as_json)
    values = _values(groups, found, apart, settings)
    tensors = {"features": principal_axes(seen.double(), 50), "map": found.map}
    _save(out, groups, tensors, panels, values)
    options.say(as_json, values, _text(groups, found, apart, values))


def _tests(
    groups: Sequence[Group], seen: Tensor, places: Tensor, seed: int, quiet: bool
) -> dict[str, list[Told]]:
    """Tell the photographs, else the first eyes, from all others, and from themselves."""
    import torch

    from gazegan.compare import neighbour_auc, told_apart
    from gazegan.embed import fewest_axes

    pairs = _pairs(groups, seed)
    found: dict[str, list[Told]] = {name: [] for name in pairs}
    with options.progress("tests", sum(map(len, pairs.values())), quiet) as advance:
        for name, some in pairs.items():
            for a, b in some:
                points = fewest_axes(seen[torch.cat((a, b))].double())
                one = told_apart(points[: len(a)], points[len(a) :], seed)
                on_map = neighbour_auc(places[a], places[b], seed)
                found[name].append({**one.to_dict(), "map_neighbour_auc": on_map})
                advance(1)
    return found


def _pairs(groups: Sequence[Group], seed: int) -> dict[str, list[tuple[Tensor, Tensor]]]:
    """Return which eyes, counted through all groups, are to be told from which."""
    import torch

    from gazegan import rng
    from gazegan.compare import halves, halves_by_people

    counts, k = [len(group.eyes) for group in groups], _reference(groups)
    parts = torch.split(torch.arange(sum(counts)), counts)
    names = sorted({*groups[k].subjects} - {""})
    people = torch.tensor([names.index(s) if s else -1 for s in groups[k].subjects])
    seeds = [rng.mix(seed, "embed", "split", split) for split in range(_SPLITS)]
    by_people = [halves_by_people(parts[k], people, each) for each in seeds]
    pairs = {
        _HALVES: [halves(parts[k], each) for each in seeds],
        _PEOPLE: [pair for pair in by_people if pair],
        **{g.name: [(part, parts[k])] for g, part in zip(groups, parts, strict=True)},
    }
    return {name: some for name, some in pairs.items() if some and name != groups[k].name}


def _reference(groups: Sequence[Group]) -> int:
    """Return which eyes the others are told from: the first photographs, else the first."""
    return next((k for k, group in enumerate(groups) if group.origin == "real"), 0)


def _values(
    groups: Sequence[Group],
    found: Embedding,
    apart: dict[str, list[Told]],
    settings: dict[str, Any],
) -> dict[str, Any]:
    return {
        "count": len(found.map),
        "data": [{"images": g.name, "origin": g.origin, "count": len(g.names)} for g in groups],
        "map": found.to_dict(),
        "reference": groups[_reference(groups)].name,
        "apart": [{"images": name, "splits": some} for name, some in apart.items()],
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
        f"t-SNE of {_what(values['settings']['features'])}: trustworthiness"
        f" {values['map']['tsne']['trustworthiness']:.2f}; who is near whom counts, distances and"
        " sizes of groups do not"
    )
    write_atomic(out / "embed.png", embedding_map(tensors["map"], panels, note))
    gaze.save_json(out / RESULT, values)


def _what(features: str) -> str:
    known = {"pixels": "pixels", "network": "features of an untrained network"}
    return known.get(features, f"what the last layer of {features} reads")


def _verdict(groups: Sequence[Group], found: Embedding, apart: dict[str, list[Told]]) -> str:
    """Say in a sentence how far the map may be believed, and one for each test."""
    parts = [
        f"The map keeps neighbourhoods with a trustworthiness of"
        f" {found.tsne.trustworthiness:.2f} (1 is all, shuffled"
        f" {found.shuffled.trustworthiness:.2f})."
    ]
    baselines = ", ".join(
        f"{name} {fmean(one['linear_auc'] for one in apart[name]):.2f}"
        for name in (_HALVES, _PEOPLE)
        if name in apart
    )
    reference = groups[_reference(groups)].name
    for group in groups:
        if group.name in apart:
            (one,) = apart[group.name]
            verb = "tells" if one["p_value"] < 0.01 else "does not surely tell"
            parts.append(
                f"In the original space a linear classifier {verb} {group.name} from {reference}"
                f" with AUC {one['linear_auc']:.2f} ({baselines}),"
                f" {_p(one['p_value'])}."
            )
    return " ".join(parts)


def _p(value: float) -> str:
    return "p <= 0.001" if value <= 0.001 else f"p = {value:.3f}"


def _text(
    groups: Sequence[Group],
    found: Embedding,
    apart: dict[str, list[Told]],
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
    areas = ("linear AUC", "±", "neighbour AUC", "±", "on the map", "±")
    columns = [told_from, "counts", *areas, "MMD²", "p"]
    return "\n\n".join(
        [
            f"{told}; {_what(values['settings']['features'])}",
            gaze.table(["map", "trustworthiness", "continuity"], kept),
            agreed,
            gaze.table(columns, [_row(name, some) for name, some in apart.items()]),
            values["verdict"],
        ]
    )


def _row(name: str, some: list[Told]) -> list[str]:
    """Return a row of means over the splits, of the areas with their spread; of p the median."""
    cells = [name, ", ".join(map(str, some[0]["counts"]))]
    for key in ("linear_auc", "neighbour_auc", "map_neighbour_auc"):
        areas = [one[key] for one in some]
        cells += [f"{fmean(areas):.3f}", f"{stdev(areas):.3f}" if len(areas) > 1 else "-"]
    p = _p(median(one["p_value"] for one in some)).removeprefix("p ").removeprefix("= ")
    return [*cells, f"{fmean(one['squared_mmd'] for one in some):.4f}", p]
