"""The sections of a report: what a run, a store or an instrument left in a folder."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import fmean, median
from typing import Any

from gazegan.cli import gaze
from gazegan.cli.glance import Score, score_of
from gazegan.cli.tables import Table, tables, words
from gazegan.errors import DataError, UserError

_KINDS = {
    "evaluation": ("Evaluation", "How far answers are from the truth. The constant predictor"
        " never sees an image: it always answers the mean. Slope is that of answer on truth."),
    "calibration": ("Calibration", "The error after some samples of each eye, labelled or not."),
    "comparison": ("Likeness", "How far images are from photographs, beside two halves of the"
        " photographs: what chance alone sets apart."),
    "embed": ("Embedding", "Where images lie beside one another, and what the map is worth."),
    "explain": ("Explanation", "Which pixels move the answer. The share of an area is what"
        " attribution spread evenly would have."),
    "scenes": ("Worst scenes", "The scenes that a network gets most wrong, at the same gaze."),
    "attack": ("Attack", "How far small changes turn the answer, beside noise of the same size."),
}  # fmt: skip
_OF_SCENES = (
    "Which parameters of a scene move the answer: degrees for a rise by one standard deviation, by"
    " the slope, from half below to half above (swing), and of the true answer."
)
_PICTURES = {
    "evaluation/curve": "Share of eyes within each error, beside the constant predictor",
    "evaluation/scatter": "Answers against truth",
    "evaluation/calibration": "Share of truths within each interval, against what it should be",
    "calibration/curve": "Error after so many samples of each eye",
    "embed/embed": "Map of the images",
    "explain/maps": "Eyes, and which pixels move the answer",
    "explain/curves": "Answers while pixels are taken out or put in",
    "explain/scenes": "How far parameters of a scene move the answer",
    "scenes/sheet": "The worst scenes, beside those that they come from",
    "scenes/parameters": "What was changed in them",
    "attack/curve": "Error against the size of the change",
    "attack/examples": "Eyes, changes and changed eyes",
}
"""What pictures of results show, by the file of the results and their own."""
_ORDER = tuple(_KINDS)
_LOSSES = ("critic", "refiner")
_MOST_EYES, _DEEPEST = 8, 4


@dataclass(frozen=True)
class Picture:
    """A picture as the address of an image that holds it, and its name."""

    source: str
    about: str


@dataclass(frozen=True)
class Section:
    """What one folder has to show."""

    kind: str
    folder: str
    about: str
    rank: int
    """Sections of a smaller rank come first."""
    tables: tuple[Table, ...]
    pictures: tuple[Picture, ...]
    settings: str = ""
    """How it was made, as JSON."""
    score: Score | None = None


def find(path: Path) -> list[Path]:
    """Return the folders at or below `path` that a section can be made of.

    Raises UserError where there are none.
    """
    if not path.is_dir():
        raise UserError(f"{path}: no such folder; name a run, a store or an --out folder")
    found = list(_walk(path, _DEEPEST))
    if not found:
        raise UserError(
            f"{path}: holds no run, no store and no results; name what another command wrote"
            " by --out"
        )
    return found


def _is_run(folder: Path) -> bool:
    from gazegan.train.rundir import CONFIG

    return (folder / CONFIG).is_file()


def _is_store(folder: Path) -> bool:
    from gazegan.data.manifest import MANIFEST

    return (folder / MANIFEST).is_file()


def _walk(path: Path, depth: int, of_a_run: bool = False) -> Iterator[Path]:
    run, store = _is_run(path), _is_store(path)
    # Runs and stores inside a run, as of self-training, are parts of it; results are not.
    if _results(path) or ((run or store) and not of_a_run):
        yield path
    if depth and not store:
        for below in sorted(p for p in path.iterdir() if p.is_dir() and p.name[0] != "."):
            yield from _walk(below, depth - 1, of_a_run or run)


def _results(folder: Path) -> list[Path]:
    return [folder / f"{name}.json" for name in _ORDER if (folder / f"{name}.json").is_file()]


def read(folder: Path) -> Section:
    """Return the section of a folder that `find` found; raises DataError where it is damaged."""
    if _is_run(folder):
        return _run(folder)
    if _is_store(folder):
        return _store(folder)
    return _result(folder)


def _result(folder: Path) -> Section:
    (path, *_) = _results(folder)
    values = gaze.read_json(path)
    try:
        return _told(folder, path, values)
    except (AttributeError, IndexError, KeyError, TypeError, ValueError):
        raise DataError(
            f"{path}: not as `gazegan` writes it; move it away, or make it again"
        ) from None


def _told(folder: Path, path: Path, values: dict[str, Any]) -> Section:
    settings = values.pop("settings", {})
    kind, about = _KINDS[path.stem]
    if "parameters" in values and path.stem == "explain":
        about = _OF_SCENES
    values = {**values, "apart": [_averaged(one) for one in values.get("apart", [])]}
    pictures = [_picture(file, path.stem) for file in sorted(folder.glob("*.png"))]
    return Section(
        kind,
        str(folder),
        about,
        _ORDER.index(path.stem),
        tuple(tables(values)),
        tuple(pictures),
        json.dumps(settings, indent=1),
        score_of(folder, values, settings) if path.stem == "evaluation" else None,
    )


def _averaged(apart: Mapping[str, Any]) -> dict[str, Any]:
    """Put means over the splits of images, of p the median, in the place of each split's."""
    splits = apart["splits"]
    means = {
        name: (median if name == "p_value" else fmean)([one[name] for one in splits])
        for name, value in splits[0].items()
        if isinstance(value, float)
    }
    return {"images": apart["images"], "splits": len(splits), **means}


def _run(folder: Path) -> Section:
    from gazegan.cli.pages import inline
    from gazegan.plots import training_curves
    from gazegan.train.log import read_log
    from gazegan.train.rundir import CONFIG

    record, log = gaze.read_json(folder / CONFIG), read_log(folder)
    last: dict[str, Any] = {}
    for line in log:
        last |= line
    panels = _panels(log)
    pictures = (
        (Picture(inline(training_curves(panels)), "Course of the training"),) if panels else ()
    )
    data = record.get("data", {})
    facts = {key: data[key] for key in ("count", "height", "width", "channels") if key in data}
    return Section(
        f"Training of the {record.get('stage', 'unknown')} stage",
        str(folder),
        "The course of a training, and the last value of all that was logged.",
        len(_ORDER),
        tuple(tables({"data": facts, "last logged": last})),
        pictures,
        json.dumps(record.get("config", {}), indent=1),
    )


def _panels(
    log: Sequence[Mapping[str, float]],
) -> dict[str, dict[str, tuple[list[int], list[float]]]]:
    """Return the logged values over the steps; what has one unit shares a panel."""
    panels: dict[str, dict[str, tuple[list[int], list[float]]]] = {}
    for line in log:
        for name, value in line.items():
            if name == "step":
                continue
            panel, label = _place(name)
            steps, course = panels.setdefault(panel, {}).setdefault(label, ([], []))
            steps.append(int(line["step"]))
            course.append(value)
    return panels


def _place(name: str) -> tuple[str, str]:
    """Return the panel of a logged value, and its label there."""
    prefix, _, label = name.rpartition("/")
    if label == "gradient":
        return "norm of the gradient", words(prefix or label)
    for ending, unit in (("_deg", "error, degrees"), ("_px", "pixels")):
        if label.endswith(ending):
            panel = f"{words(prefix)}, {unit}" if prefix else unit
            return panel, words(label.removesuffix(ending))
    return (words(prefix) if prefix in _LOSSES else words(name)), words(label)


def _store(folder: Path) -> Section:
    from gazegan.cli.pages import inline
    from gazegan.data.store import open_store
    from gazegan.plots import Row, contact_sheet, png

    store = open_store(folder)
    shown = min(_MOST_EYES, len(store))
    images = store.read([i * len(store) // shown for i in range(shown)]).image
    manifest = store.manifest
    recipe = manifest.recipe or {}
    facts = {
        "eyes": len(store),
        "size": "{}x{}".format(*store.size),
        "channels": store.channels,
        "kind": manifest.kind,
        "recipe": recipe.get("name"),
        "seed": manifest.seed,
        "labels": ", ".join(sorted(set(store.fields) - {"image", "id", "origin"})),
    }
    sheet = png(contact_sheet([Row("", list(images))], cell=120))
    return Section(
        "Store",
        str(folder),
        "Labelled eyes as trainings read them." if "gaze" in store.fields else "Eyes, unlabelled.",
        len(_ORDER) + 1,
        tuple(tables(facts)),
        (Picture(inline(sheet), "Eyes from all over the store"),),
        json.dumps({"recipe": recipe, "notes": manifest.notes}, indent=1),
    )


def _picture(path: Path, kind: str) -> Picture:
    from gazegan.cli.pages import inline
    from gazegan.data.files import read_bytes

    about = _PICTURES.get(f"{kind}/{path.stem}", path.stem)
    return Picture(inline(read_bytes(path, 1 << 26)), about)
