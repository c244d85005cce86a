"""Recover gaze, pupil and lids from pixels alone: of held-out renders, and of photographs.

    python experiments/inverse/run.py --work DIR
    python experiments/inverse/run.py --work DIR --real DIR
    python experiments/inverse/run.py --work DIR --set count=4 --set batch=2 --set fine=10

Repeating it resumes. Records go to results.jsonl (with --set, to the work folder's: a smoke run is
no result); the table in README.md is made from there by `python experiments/table.py`. Pictures go
to the work folder: image, fit, their difference, and true (green) and found (red) gaze.
"""

import json
import platform
import subprocess
import time
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import click
import numpy as np
import torch
from PIL import Image, ImageDraw
from torch import Tensor

from gazegan import __version__, rng
from gazegan.config import Config, load
from gazegan.data.photographs import load as read_photograph
from gazegan.data.readers import Photo, read_columbia
from gazegan.geometry import angular_error_deg, vector_from_angles
from gazegan.render import effects
from gazegan.render.inverse import Plan, Recovery, recover
from gazegan.render.params import PARAM_NAMES, EyeParams
from gazegan.render.prior import Recipe, load_recipe, quantiles
from gazegan.render.scene import label, render, render_indices
from gazegan.schema import LANDMARKS, EyeBatch

HERE = Path(__file__).parent
LIDS = slice(LANDMARKS.index("lid_00"), LANDMARKS.index("lid_15") + 1)
REAL = "photographs"
ZOOM = 4


class Row(Config):
    """What is known of an eye, or what is not."""

    name: str
    known: tuple[str, ...] = ()
    free: tuple[str, ...] = ()
    count: int

    def names(self) -> list[str]:
        return [n for n in PARAM_NAMES if n in self.known or (self.free and n not in self.free)]


class Settings(Config):
    """The experiment; `starts` to `trust` as in `inverse.Plan`."""

    recipe: str
    changes: tuple[str, ...]
    count: int
    batch: int
    seed: int
    search_seed: int
    starts: int
    kept: int
    coarse: int
    fine: int
    rate: float
    trust: float
    real_recipe: str
    real_count: int
    real_subjects: tuple[int, int]
    rows: tuple[Row, ...]

    @property
    def plan(self) -> Plan:
        return Plan(self.starts, self.kept, self.coarse, self.fine, self.rate, self.trust)


@dataclass(frozen=True)
class Task:
    """Some images, what is known of them, and the place of the first in the experiment."""

    row: str
    first: int
    recipe: Recipe
    images: Tensor
    known: dict[str, Tensor]
    truth: EyeBatch | None = None
    gaze: Tensor | None = None


@click.command()
@click.option("--work", type=click.Path(path_type=Path), required=True, help="For pictures.")
@click.option("--real", type=click.Path(path_type=Path, exists=True), help="Columbia photographs.")
@click.option("--set", "overrides", multiple=True, metavar="KEY=VALUE", help="Change a value.")
def main(work: Path, real: Path | None, overrides: tuple[str, ...]) -> None:
    """Run the experiment and record what was found."""
    settings = load(Settings, HERE / "settings.toml", overrides)
    work.mkdir(parents=True, exist_ok=True)
    results = (work if overrides else HERE) / "results.jsonl"
    old = results.read_text().splitlines() if results.exists() else []
    done = {(entry["row"], entry["first"]) for entry in map(json.loads, old)}
    for task in [*rendered(settings), *(photographs(settings, real) if real else ())]:
        if (task.row, task.first) in done:
            continue
        since = time.process_time()
        found = recover(task.images, task.recipe, task.known, settings.search_seed, settings.plan)
        spent = (time.process_time() - since) / len(task.images)
        line = {**measured(task, found), "cpu_s": round(spent, 2), **circumstances()}
        with results.open("a") as file:
            file.write(json.dumps(line) + "\n")
        name = task.row.replace(" ", "-").replace(",", "")
        sheet(task, found).save(work / f"{name}-{task.first:03d}.png")
        click.echo(
            f"{task.row}, from {task.first}: {np.median(line['gaze_deg']):.2f} deg", err=True
        )


def rendered(settings: Settings) -> Iterator[Task]:
    """Every row for every batch of renders, as far as the row counts."""
    recipe = load_recipe(settings.recipe, settings.changes)
    for first in range(0, settings.count, settings.batch):
        index = torch.arange(first, min(first + settings.batch, settings.count))
        truth = render_indices(recipe, settings.seed, index)
        assert truth.params is not None
        values = dict(zip(PARAM_NAMES, truth.params.unbind(1), strict=True))
        for row in settings.rows:
            if first >= row.count:
                continue
            known = {name: values[name] for name in row.names()}
            yield Task(row.name, first, recipe, truth.image, known, truth, truth.gaze)


def photographs(settings: Settings, folder: Path) -> Iterator[Task]:
    """Photographs drawn at random; their side is known, and that the head faces the camera."""
    recipe = load_recipe(settings.real_recipe)
    low, high = settings.real_subjects
    listed = read_columbia(folder, range(low, high + 1), (0,)).photos
    order = torch.randperm(len(listed), generator=rng.stream(settings.seed, "photographs"))
    chosen = [listed[i] for i in order[: settings.real_count].tolist()]
    for first in range(0, len(chosen), settings.batch):
        some = chosen[first : first + settings.batch]
        gaze = torch.deg2rad(torch.tensor([photo.gaze_deg for photo in some]))
        known = {
            "side": torch.tensor([1.0 - 2 * photo.side for photo in some]),
            "head_yaw": torch.zeros(len(some)),
        }
        yield Task(REAL, first, recipe, read(some, recipe), known, gaze=gaze)


def read(photos: list[Photo], recipe: Recipe) -> Tensor:
    """Photographs `[B, C, H, W]` in 0..1 at the recipe's size."""
    image = recipe.image
    pixels = [read_photograph(p, (image.height, image.width), image.channels) for p in photos]
    return torch.stack(pixels).float() / 255


def measured(task: Task, found: Recovery) -> dict[str, Any]:
    """Errors of every eye, and those of the constant answer: the median eye of the population."""
    middle = quantiles(task.recipe, lambda _: torch.full((len(task.images),), 0.5), task.known)
    line: dict[str, Any] = {"row": task.row, "first": task.first}
    for prefix, params in (("", found.params), ("constant_", middle)):
        seen = label(params, task.recipe.image, effects.of_params(params))
        assert task.gaze is not None
        told = seen["gaze"] if prefix == "" or task.truth else torch.zeros_like(task.gaze)
        errors = {"gaze_deg": angular_error_deg(told, task.gaze)}
        if task.truth is not None:
            errors |= against(task.truth, seen)
        line |= {prefix + name: rounded(value) for name, value in errors.items()}
    return line | {"rms": rounded(found.difference.sqrt())}


def against(truth: EyeBatch, seen: dict[str, Tensor]) -> dict[str, Tensor]:
    """Errors `[B]`: optical axis, pupil radius, lids (mean distance of their 16 points), mm."""
    assert truth.params is not None and truth.optical is not None
    assert truth.landmarks is not None and truth.intrinsics is not None
    radius, far = (PARAM_NAMES.index(name) for name in ("pupil_radius", "distance"))
    px_per_mm = truth.intrinsics[:, 0] / truth.params[:, far]
    lids = (seen["landmarks"] - truth.landmarks)[:, LIDS].norm(dim=-1).mean(1)
    return {
        "optical_deg": angular_error_deg(seen["optical"], truth.optical),
        "pupil_mm": (seen["params"] - truth.params)[:, radius].abs(),
        "lids_mm": lids / px_per_mm,
    }


def rounded(values: Tensor) -> list[float]:
    return [round(value, 3) for value in values.tolist()]


def circumstances() -> dict[str, str]:
    """What a result depends on."""
    asked = subprocess.run(
        ["git", "rev-parse", "--short", "HEAD"],
        cwd=HERE, capture_output=True, text=True, check=False,
    )  # fmt: skip
    return {
        "gazegan": __version__,
        "commit": asked.stdout.strip() or "unknown",
        "python": platform.python_version(),
        "torch": torch.__version__,
        "threads": str(torch.get_num_threads()),
        "device": "cpu",
        "date": datetime.now(UTC).date().isoformat(),
    }


def sheet(task: Task, found: Recovery) -> Image.Image:
    """One row an eye: image, fit, difference about grey, image with gazes."""
    params: EyeParams = found.params
    fit = render(params, found.seed, task.recipe.image)
    rows = []
    for i, image in enumerate(task.images):
        apart = (0.5 + fit.image[i] - image).clamp(0, 1)
        shown = [large(picture) for picture in (image, fit.image[i], apart, image)]
        assert fit.landmarks is not None and fit.gaze is not None and task.gaze is not None
        at = fit.landmarks[i, 0] * ZOOM
        for gaze, colour in ((task.gaze[i], "lime"), (fit.gaze[i], "red")):
            arrow(shown[-1], at, gaze, colour)
        rows.append(np.concatenate([np.asarray(picture) for picture in shown], 1))
    return Image.fromarray(np.concatenate(rows))


def large(picture: Tensor) -> Image.Image:
    values = (picture.mean(0) * 255).round().to(torch.uint8).numpy()
    whole = Image.fromarray(values).convert("RGB")
    return whole.resize((whole.width * ZOOM, whole.height * ZOOM), Image.Resampling.NEAREST)


def arrow(picture: Image.Image, at: Tensor, gaze: Tensor, colour: str) -> None:
    tip = at + vector_from_angles(gaze)[:2] * picture.width / 2
    ImageDraw.Draw(picture).line([*at.tolist(), *tip.tolist()], fill=colour, width=2)


if __name__ == "__main__":
    main()
