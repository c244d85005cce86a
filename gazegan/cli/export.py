"""`gazegan export`: a store as plain files."""

from pathlib import Path

import rich_click as click

from gazegan.cli import options


@click.command()
@click.argument("store", type=options.PATH)
@click.option(
    "--format", "format_", type=click.Choice(["folder", "npz"]), required=True,
    help="PNGs with labels beside them, or NumPy arrays in one file.",
)  # fmt: skip
@options.out("Folder or .npz file to write.")
@options.JSON
def export(store: Path, format_: str, out: Path, as_json: bool) -> None:
    """Write a store as plain files that need no gazegan to be read.

    folder: images and masks as PNG, labels.jsonl (one JSON object an image: angles, gaze vector,
    direction, landmarks, ellipses, centres, boxes, scene parameters; null where unknown) and
    labels.csv for `gazegan import folder --labels`. npz: one array a label, for numpy.load. The
    same store gives the same bytes; repeating the command changes nothing.

    \b
    gazegan export stores/eyes --format folder --out eyes/
    gazegan export stores/eyes --format npz --out eyes.npz
    """
    from gazegan.data.export import export_folder, export_npz
    from gazegan.data.store import open_store

    source = open_store(store)
    write = export_folder if format_ == "folder" else export_npz
    with options.progress("exporting", len(source), as_json) as advance:
        write(source, out, advance)
    values = {"out": str(out), "format": format_, "count": len(source)}
    options.say(as_json, values, f"{out}: {len(source)} eyes as {format_}")
