"""`gazegan render`: labelled synthetic eyes into a store."""

from pathlib import Path

import rich_click as click

from gazegan.cli import options


@click.command()
@click.argument("recipe")
@click.option("--count", type=click.IntRange(1), required=True, help="How many eyes.")
@options.out("Store to write; repeat the command to resume.")
@options.SEED
@click.option("--size", type=options.SIZE, metavar="HxW", help="Size instead of the recipe's.")
@options.OVERRIDES
@options.DEVICE
@options.JSON
def render(
    recipe: str,
    count: int,
    out: Path,
    seed: int,
    size: tuple[int, int] | None,
    overrides: tuple[str, ...],
    device: str,
    as_json: bool,
) -> None:
    """Render labelled synthetic eyes of a recipe into a store.

    RECIPE is a TOML file, or the name of one that ships with gazegan: columbia, webcam, standin.
    Eye i depends on the recipe, the seed and i alone. Labels: gaze, head pose, masks, landmarks
    and every scene parameter.

    \b
    gazegan render webcam --count 2000 --out stores/webcam
    gazegan render columbia --count 20000 --seed 7 --out stores/train
    gazegan render my.toml --count 500 --size 96x160 --out stores/large
    gazegan render webcam --count 500 --out stores/up --set 'eyes.gaze_pitch=[5, 25]'
    """
    from gazegan.data.rendered import write_rendered
    from gazegan.render.prior import load_recipe

    sides = () if size is None else (f"image.height={size[0]}", f"image.width={size[1]}")
    loaded = load_recipe(recipe, (*overrides, *sides))
    options.check_device(device)
    with options.progress("rendering", count, as_json) as advance:
        store = write_rendered(loaded, seed, count, out, device, advance)
    found = {"count": len(store), "size": list(store.size), "store": str(out)}
    options.say(as_json, found, f"{len(store)} eyes of recipe {loaded.name!r} in {out}")
