"""`gazegan render`: labelled synthetic eyes into a store, or a preview of them."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import rich_click as click

from gazegan.cli import options
from gazegan.errors import UserError

if TYPE_CHECKING:
    from gazegan.data.writing import Share
    from gazegan.render.prior import Recipe
    from gazegan.render.scene import Renderer
    from gazegan.schema import EyeBatch, SceneBatch

_PREVIEWED, _ACROSS, _CELL = 24, 6, 240
_SCENES = 6
_NOTE = "green: lids; blue: visible edge of the iris; arrow: gaze as the camera sees it"


class _Share(click.ParamType):  # type: ignore[type-arg]
    name = "I/N"

    def convert(self, value: Any, param: Any, ctx: Any) -> tuple[int, int]:
        if isinstance(value, tuple):
            return value
        i, _, n = str(value).partition("/")
        if not (i.isdecimal() and n.isdecimal() and 1 <= int(i) <= int(n)):
            self.fail(f"{value!r} is not a share; write I/N, from 1/N to N/N", param, ctx)
        return int(i), int(n)


@click.command()
@click.argument("recipe")
@click.option("--count", type=click.IntRange(1, 10**9), help="How many eyes.")
@click.option("--out", type=options.PATH, help="Store to write; repeat the command to resume.")
@click.option(
    "--preview", type=options.PATH, metavar="FILE.png",
    help="Write a picture of the first eyes, at most 24, with their labels drawn; an older one is"
    " replaced. Needs neither --out nor --count.",
)  # fmt: skip
@options.SEED
@click.option("--size", type=options.SIZE, metavar="HxW", help="Size instead of the recipe's.")
@options.overrides("eyes.glasses=0")
@click.option(
    "--compile",
    "compiled",
    is_flag=True,
    help="Compile the renderer first: up to half a minute once for a size, then much faster.",
)
@click.option(
    "--workers", type=click.IntRange(1, 1024), default=1, show_default=True,
    help="Processes that render, each on one core; the store's bytes are the same for any number.",
)  # fmt: skip
@click.option(
    "--shard", "share", type=_Share(), metavar="I/N",
    help="Render the I-th of N shares of the store, for job arrays with one --out: whichever job"
    " finds every share there finishes the store.",
)  # fmt: skip
@options.DEVICE
@options.JSON
def render(
    recipe: str,
    count: int | None,
    out: Path | None,
    preview: Path | None,
    seed: int,
    size: tuple[int, int] | None,
    overrides: tuple[str, ...],
    compiled: bool,
    workers: int,
    share: Share | None,
    device: str,
    as_json: bool,
) -> None:
    """Render labelled synthetic eyes of a recipe into a store.

    RECIPE is a TOML file, or the name of one that ships with gazegan: webcam, laptop, columbia,
    studio, near_eye, driver, portrait, crowd, uniform360, missing_angle, hard, standin.
    Scenes (crowd) are written as a folder of images and masks with COCO's annotations.json.
    Eye i depends on the recipe, the seed and i alone. Labels: gaze, head pose, masks, landmarks,
    ellipses, centres, boxes and every scene parameter, by the conventions that the README tells.

    \b
    gazegan render webcam --count 2000 --out stores/webcam
    gazegan render columbia --count 20000 --seed 7 --out stores/train
    gazegan render my.toml --count 500 --size 96x160 --out stores/large
    gazegan render webcam --count 1000000 --workers 8 --out stores/million
    gazegan render webcam --count 1000000 --shard 3/16 --out stores/million
    gazegan render webcam --count 1000000 --compile --out stores/compiled
    gazegan render webcam --count 500 --set eyes.glasses=1 --out stores/glasses
    gazegan render my.toml --preview preview.png
    gazegan render crowd --count 200 --out scenes
    """
    from gazegan.render.prior import load_recipe

    _check(count, out, preview, workers, share, device)
    sides = () if size is None else (f"image.height={size[0]}", f"image.width={size[1]}")
    loaded = load_recipe(recipe, (*overrides, *sides))
    options.check_device(device)
    if loaded.image.framing == "scene":
        if compiled or share or workers > 1:
            raise UserError("scenes go without --compile, --workers and --shard; leave them out")
        values, text = _scenes(loaded, seed, count, out, preview, device, as_json)
        options.say(as_json, values, text)
        return
    found: dict[str, Any] = {}
    said: list[str] = []
    if preview is not None:
        shown = min(count or _PREVIEWED, _PREVIEWED)
        _write_preview(loaded, seed, shown, preview, device)
        found |= {"preview": str(preview)}
        said.append(f"{preview}: {shown} eyes of recipe {loaded.name!r} with their labels")
    if out is not None and count is not None:
        values, text = _write_store(
            loaded, seed, count, out, device, compiled, workers, share, as_json
        )
        found |= values
        said.append(text)
    options.say(as_json, found, "\n".join(said))


def _check(
    count: int | None,
    out: Path | None,
    preview: Path | None,
    workers: int,
    share: Share | None,
    device: str,
) -> None:
    if preview is None and out is None:
        raise click.UsageError("Missing option '--out' (or '--preview').")
    if out is not None and count is None:
        raise click.UsageError("Missing option '--count'.")
    if share is not None and out is None:
        raise click.UsageError("Missing option '--out', which --shard is a part of.")
    if preview is not None and preview.suffix.lower() != ".png":
        raise UserError(f"--preview {preview}: write a name that ends in .png")
    if workers > 1 and device != "cpu":
        raise UserError(f"--workers {workers}: go with --device cpu only; leave --workers out")


def _write_store(
    recipe: Recipe,
    seed: int,
    count: int,
    out: Path,
    device: str,
    compiled: bool,
    workers: int,
    share: Share | None,
    as_json: bool,
) -> tuple[dict[str, Any], str]:
    """Write a store, or one share of it; returns what to say of it, as values and as text."""
    from gazegan.data.rendered import plan_rendered, write_rendered, write_rendered_share
    from gazegan.data.writing import missing_shards, share_images
    from gazegan.render.scene import plainly as plain

    renderer = _compiled(recipe, device) if compiled else plain
    plan = plan_rendered(recipe, seed, count, renderer)
    mine = count if share is None else share_images(plan, share)
    with options.progress("rendering", mine, as_json) as advance:
        wanted = (recipe, seed, count, out)
        how = (device, advance, renderer, workers)
        if share is None:
            write_rendered(*wanted, *how)
        else:
            write_rendered_share(*wanted, share, *how)
    missing, size = missing_shards(out, plan), [plan.height, plan.width]
    written = mine if missing else count
    text = f"{written} eyes of recipe {recipe.name!r} in {out}"
    if missing:
        text += f"; still missing: {missing} of its {plan.shard_count} shards"
    values = {"count": written, "size": size, "store": str(out), "missing_shards": missing}
    return values, text


def _scenes(
    recipe: Recipe,
    seed: int,
    count: int | None,
    out: Path | None,
    preview: Path | None,
    device: str,
    as_json: bool,
) -> tuple[dict[str, Any], str]:
    """Preview scenes, and write them as COCO; returns what to say, as values and as text."""
    import torch

    from gazegan.data.coco import write_coco
    from gazegan.render.crowd import render_scenes
    from gazegan.schema import SceneBatch

    def scene(k: int) -> SceneBatch:
        return render_scenes(recipe, seed, torch.tensor([k]), device).to("cpu")

    found: dict[str, Any] = {}
    said: list[str] = []
    if preview is not None:
        shown = []
        with options.progress("previewing", min(count or _SCENES, _SCENES), as_json) as advance:
            for k in range(min(count or _SCENES, _SCENES)):
                shown.append(scene(k))
                advance(1)
        title = f"Recipe {recipe.name}, seed {seed}"
        _save_preview(preview, lambda: scene_sheet(SceneBatch.cat(shown), title))
        found |= {"preview": str(preview)}
        said.append(f"{preview}: {len(shown)} scenes of recipe {recipe.name!r} with their labels")
    if out is not None and count is not None:
        made_of = {"recipe": recipe.model_dump(mode="json"), "seed": seed}
        with options.progress("rendering", count, as_json) as advance:
            written = write_coco(scene, count, out, made_of, advance)
        found |= {"count": written, "folder": str(out)}
        said.append(f"{count} scenes of recipe {recipe.name!r} in {out}, as COCO")
    return found, "\n".join(said)


def scene_sheet(scenes: SceneBatch, title: str) -> Any:
    """Lay scenes out with the labels of all their eyes drawn on them."""
    from gazegan.plots import Row, annotate_eyes, contact_sheet

    scale = max(1, round(2 * _CELL / scenes.image.shape[-1]))
    drawn, captions = [], []
    for k, here in enumerate(scenes.present):
        labels = (part[k][here] for part in (scenes.gaze, scenes.landmarks, scenes.visible))
        gaze, landmarks, visible = labels
        heads = scenes.heads[k][here[::2]]
        drawn.append(annotate_eyes(scenes.image[k], gaze, landmarks, visible, scale, heads))
        captions.append(f"{int(here.sum())} eyes")
    rows = [Row("", drawn[at : at + 3], captions[at : at + 3]) for at in range(0, len(drawn), 3)]
    return contact_sheet(rows, title, f"yellow: heads; {_NOTE}", cell=2 * _CELL)


def _save_preview(file: Path, sheet: Callable[[], Any]) -> None:
    from gazegan.data.files import make_folder, write_atomic
    from gazegan.plots import png

    if file.is_dir():
        raise UserError(f"--preview {file}: is a folder; name a file in it")
    make_folder(file.absolute().parent)
    write_atomic(file, png(sheet()))


def _compiled(recipe: Recipe, device: str) -> Renderer:
    from gazegan.modes import one_thread
    from gazegan.render.compiled import compiled

    click.echo("compiling the renderer; kept for later runs", err=True)
    with one_thread():
        return compiled(recipe, device, lambda line: click.echo(line, err=True))


def _write_preview(recipe: Recipe, seed: int, count: int, file: Path, device: str) -> None:
    import torch

    from gazegan.render.scene import render_indices

    def sheet() -> Any:
        eyes = render_indices(recipe, seed, torch.arange(count), device).to("cpu")
        together = 2 if recipe.image.whole_faces else 1
        return labelled_sheet(eyes, f"Recipe {recipe.name}, seed {seed}", together)

    _save_preview(file, sheet)


def labelled_sheet(eyes: EyeBatch, title: str = "", together: int = 1) -> Any:
    """Lay rendered eyes out with lids, iris points and gaze arrows drawn on them.

    As many rows as are `together` show the same image, and are drawn on it.
    """
    from gazegan.plots import Row, annotate_eyes, contact_sheet

    assert eyes.gaze is not None and eyes.landmarks is not None and eyes.visible is not None
    cell = _CELL if together == 1 else 2 * _CELL
    scale = max(1, round(cell / eyes.size[1]))
    shown = [slice(at, at + together) for at in range(0, len(eyes), together)]
    drawn = [
        annotate_eyes(
            eyes.image[at.start], eyes.gaze[at], eyes.landmarks[at], eyes.visible[at], scale
        )
        for at in shown
    ]
    angles = [f"pitch {p:+.0f}°, yaw {y:+.0f}°" for p, y in eyes.gaze.rad2deg().tolist()]
    captions = ["; ".join(angles[at]) for at in shown]
    across = _ACROSS // together
    rows = [
        Row("", drawn[at : at + across], captions[at : at + across])
        for at in range(0, len(drawn), across)
    ]
    return contact_sheet(rows, title, _NOTE if title else "", cell=cell)
