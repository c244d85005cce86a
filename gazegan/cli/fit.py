"""`gazegan fit`: a recipe whose renders match unlabelled photographs."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

import rich_click as click

from gazegan.cli import options
from gazegan.errors import UserError

if TYPE_CHECKING:
    from gazegan.fit import FitConfig, Fitted
    from gazegan.render.prior import Recipe

_SHOWN = 10
_ROUNDS = ".rounds.jsonl"
_SHEET = ".png"


@click.command()
@click.option(
    "--real", type=options.PATH, required=True, metavar="DIR|STORE",
    help="Store or folder of real eyes; labels are not used, except with --gaze.",
)  # fmt: skip
@click.option("--recipe", required=True, metavar="IN", help="Recipe to begin with: name or file.")
@options.out("The fitted recipe, a .toml file; its sheet and its rounds lie beside it.")
@click.option("--rounds", type=click.IntRange(1, 1000), help="Rounds; default 8.")
@click.option("--steps", type=click.IntRange(1, 10_000), help="Steps a round; default 20.")
@click.option(
    "--hold", multiple=True, metavar="PARAMETER",
    help="Leave a parameter of eyes as it is; repeatable. The gaze always is.",
)  # fmt: skip
@click.option(
    "--gaze", is_flag=True, default=None,
    help="Use where labelled photographs look: shows how lids and head go along with the gaze.",
)  # fmt: skip
@options.SEED
@options.overrides("steps=40")
@options.JSON
def fit(
    real: Path,
    recipe: str,
    out: Path,
    rounds: int | None,
    steps: int | None,
    hold: tuple[str, ...],
    gaze: bool | None,
    seed: int,
    overrides: tuple[str, ...],
    as_json: bool,
) -> None:
    """Move a recipe's ranges until its renders look, taken together, like photographs.

    Framing, lids, head pose, skin, iris, light, blur, noise: whatever varies in the recipe, but
    for the gaze, which no unlabelled photograph tells, and choices, such as who wears glasses.
    The ranges go down the slope, through the renderer, of the distance between what renders and
    photographs look like on average: principal components of where they are dark and bright, and
    their light; where a store knows how far heads are turned, by that too. With --gaze labelled
    photographs show how that goes along with the gaze: of some people of whom labels are at hand,
    for others of whom they are not. Ranges keep their width: a few people show less variety than
    all people have (--set narrow=true matches it). Prints the sliced Wasserstein distance before
    and after, beside that between two halves of the photographs. The recipe takes the size and
    colour of a store; photographs of a folder take the recipe's. A command that was stopped goes on
    where it was.

    \b
    gazegan fit --real photographs/ --recipe webcam --out mine.toml
    gazegan fit --real stores/columbia --recipe columbia --hold head_yaw --out fitted.toml
    gazegan fit --real stores/lab --recipe near_eye --set narrow=true --out lab.toml
    gazegan fit --real stores/labelled --recipe columbia --gaze --out followed.toml
    gazegan fit --real mpiigaze/ --recipe laptop --set light=false --out laptop.toml  # equalised
    gazegan render mine.toml --count 10000 --out stores/mine
    """
    from gazegan.data.stream import Look, look_of, open_samples
    from gazegan.fit import summarise
    from gazegan.render.prior import load_recipe

    given = {"rounds": rounds, "steps": steps, "seed": seed, "hold": hold, "gaze": gaze}
    cfg = _config(given, overrides)
    if out.suffix != ".toml":
        raise UserError(f"--out {out}: a recipe's name ends in .toml")
    begin = load_recipe(recipe)
    own = Look(size=(begin.image.height, begin.image.width), channels=begin.image.channels)
    eyes = open_samples(real, **(look_of(real) or own))
    begin = begin.seen_as(eyes.size, eyes.channels)
    batch = eyes.read(range(len(eyes)))
    photographs = summarise(begin, batch, cfg)
    found, lines = _rounds(out, begin, photographs, cfg, as_json)
    values = {
        "recipe": str(out),
        "photographs": len(batch),
        "moved": _changes(begin, found),
        "rounds": [{"gap": line["gap"]} for line in lines[1:]],
    }
    last = lines[-1]
    if "distances" not in last or not out.exists():
        last["distances"] = _distances(begin, found, photographs, cfg)
        _save(out, begin, found, photographs, values, cfg)
        _keep(out, lines)
    values |= last["distances"]
    options.say(as_json, values, _text(values, begin, found))


def _distances(
    begin: Recipe, found: Recipe, photographs: Fitted, cfg: FitConfig
) -> dict[str, float]:
    from gazegan.fit import distance, within

    return {
        "before": distance(begin, photographs, cfg),
        "after": distance(found, photographs, cfg),
        "halves": within(photographs, cfg),
    }


def _config(given: dict[str, Any], overrides: tuple[str, ...]) -> FitConfig:
    from gazegan.config import apply_overrides, validate
    from gazegan.fit import FitConfig

    plain = {name: value for name, value in given.items() if value is not None}
    return validate(FitConfig, apply_overrides(plain, overrides), "--set")


def _rounds(
    out: Path, begin: Recipe, photographs: Fitted, cfg: FitConfig, quiet: bool
) -> tuple[Recipe, list[dict[str, Any]]]:
    """Do the rounds that the file beside `out` does not hold; returns recipe and all its lines."""
    from gazegan.data.files import make_folder
    from gazegan.fit import fit as fit_rounds
    from gazegan.fit.population import movable, tidied
    from gazegan.render.prior import Recipe

    make_folder(out.parent)
    lines = _resumed(out, _beside(out, _ROUNDS), _settings(begin, photographs, cfg))
    here = Recipe.model_validate(lines[-1]["recipe"]) if len(lines) > 1 else begin
    eyes = cfg.steps * cfg.batch
    with options.progress("fit", cfg.rounds * eyes, quiet) as advance:
        advance((len(lines) - 1) * eyes)
        for one in fit_rounds(begin, photographs, cfg, here, len(lines) - 1, advance):
            here = one.recipe
            told = here.model_dump(mode="json", exclude_none=True)
            lines.append({"gap": one.gap, "recipe": told})
            _keep(out, lines)
    return tidied(begin, here, movable(begin, cfg.hold)), lines


def _keep(out: Path, lines: list[dict[str, Any]]) -> None:
    """Write settings and rounds beside `out`; the last round has the distances once measured."""
    from gazegan.data.files import write_atomic

    text = "".join(json.dumps(line) + "\n" for line in lines)
    write_atomic(_beside(out, _ROUNDS), text.encode())


def _settings(begin: Recipe, photographs: Fitted, cfg: FitConfig) -> dict[str, Any]:
    import hashlib

    known = hashlib.sha256((255 * photographs.image).round().byte().numpy().tobytes())
    for values in photographs.known.values():
        known.update(values.contiguous().numpy().tobytes())
    return {
        "recipe": begin.model_dump(mode="json", exclude_none=True),
        "photographs": known.hexdigest(),
        "config": cfg.model_dump(mode="json"),
    }


def _resumed(out: Path, diary: Path, settings: dict[str, Any]) -> list[dict[str, Any]]:
    """Return the lines of an unfinished or finished fit of these settings, or its first line."""
    from gazegan.config import differences, in_words
    from gazegan.data.files import parse_json, read_bytes

    if not diary.exists():
        for file in (out, _beside(out, _SHEET)):
            if file.exists():
                raise UserError(
                    f"--out {out}: {file.name} exists, without the rounds of a fit; choose another"
                )
        return [settings]
    lines = read_bytes(diary, 1 << 28).splitlines()
    found = [parse_json(line, f"{diary} line {i + 1}") for i, line in enumerate(lines)]
    changed = differences(found[0], json.loads(json.dumps(settings)))
    if changed := in_words(changed, {"photographs": "--real: other photographs"}):
        raise UserError(
            f"--out {out}: holds a fit of other settings ({'; '.join(changed[:3])});"
            f" choose another --out or delete {diary.name}"
        )
    return found


def _beside(out: Path, ending: str) -> Path:
    return out.with_name(out.stem + ending)


def _changes(begin: Recipe, found: Recipe) -> list[str]:
    names = type(begin.eyes).model_fields
    return [name for name in names if getattr(begin.eyes, name) != getattr(found.eyes, name)]


def _save(
    out: Path,
    begin: Recipe,
    found: Recipe,
    photographs: Fitted,
    values: dict[str, Any],
    cfg: FitConfig,
) -> None:
    import os
    import re

    from gazegan.data.files import write_atomic
    from gazegan.render.prior import Light
    from gazegan.render.writing import to_toml, toml_value

    remarks = {name: f"was {toml_value(getattr(begin.eyes, name))}" for name in values["moved"]}
    about = f"{begin.about or begin.name}; fitted to {values['photographs']} photographs"
    changes: dict[str, Any] = {"name": re.sub(r"[^\w-]", "-", out.stem), "about": about}
    if begin.light.panorama:
        # In a file, its path counts from the file.
        near = os.path.relpath(begin.light.panorama, out.parent)
        changes["light"] = Light(panorama=near, sha256=begin.light.sha256)
    fitted = found.model_copy(update=changes)
    write_atomic(_beside(out, _SHEET), _sheet(begin, found, photographs, cfg))
    write_atomic(out, to_toml(fitted, remarks).encode())


def _sheet(begin: Recipe, found: Recipe, photographs: Fitted, cfg: FitConfig) -> bytes:
    import torch

    from gazegan import rng
    from gazegan.fit import renders
    from gazegan.plots import Row, contact_sheet, png

    order = torch.randperm(len(photographs.image), generator=rng.stream(cfg.seed, "fit", "sheet"))
    how = (torch.arange(1000), photographs.sided, photographs.known)
    rows = {
        "photographs": photographs.image[order],
        "before": renders(begin, cfg.seed, *how),
        "after": renders(found, cfg.seed, *how),
    }
    sheet = contact_sheet(
        [Row(name, [some.mean(0), *some[:_SHOWN]], ("mean",)) for name, some in rows.items()],
        title="Renders fitted to photographs",
    )
    return png(sheet)


def _text(values: dict[str, Any], begin: Recipe, found: Recipe) -> str:
    from gazegan.cli.gaze import table
    from gazegan.render.writing import toml_value

    rows = [
        [name, *(toml_value(getattr(one.eyes, name)) for one in (begin, found))]
        for name in values["moved"]
    ]
    head = (
        f"{values['recipe']}: {len(rows)} parameters moved to {values['photographs']} photographs"
    )
    said = (
        f"Sliced Wasserstein distance of renders and photographs: {values['before']:.3f} before,"
        f" {values['after']:.3f} after; two halves of the photographs: {values['halves']:.3f}."
    )
    return f"{head}\n\n{table(['parameter', 'was', 'is'], rows)}\n\n{said}"
