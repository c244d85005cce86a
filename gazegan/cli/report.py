"""`gazegan report`: one page from what runs, stores and instruments left on disk."""

from __future__ import annotations

from pathlib import Path

import rich_click as click

from gazegan.cli import options
from gazegan.errors import UserError


@click.command()
@click.argument("paths", nargs=-1, required=True, type=options.PATH, metavar="PATH...")
@click.option(
    "--out", type=options.PATH, default=Path("report.html"), show_default=True, metavar="FILE",
    help="The page; an earlier one of this name is replaced.",
)  # fmt: skip
@click.option("--title", default="gazegan report", show_default=True, help="Heading of the page.")
@options.JSON
def report(paths: tuple[Path, ...], out: Path, title: str, as_json: bool) -> None:
    """Put runs, results and stores on one page that needs no other file.

    PATH is a run folder, a folder that another command wrote by --out, a store, or a folder that
    holds such ones. The page has their figures, curves and sheets, and the errors of all
    evaluations side by side. Nothing on it is fetched from anywhere; send it as it is.

    \b
    gazegan report runs/gaze results/evaluate
    gazegan report . --out everything.html --title "Webcam, second try"
    gazegan report results --out results.html --json
    """
    from gazegan.cli import glance, pages, sections
    from gazegan.data.files import write_atomic

    if out.is_dir():
        raise UserError(f"--out {out}: is a folder; name a file, e.g. {out / 'report.html'}")
    folders = [folder for path in paths for folder in sections.find(path)]
    found = []
    with options.progress("reading", len(folders), as_json) as advance:
        for folder in dict.fromkeys(folders):
            found.append(sections.read(folder))
            advance(1)
    found.sort(key=lambda section: section.rank)
    glances = glance.glances([section.score for section in found if section.score])
    html = pages.page("report.html", title=title, sections=found, glances=glances)
    write_atomic(out, html.encode(errors="replace"))
    values = {
        "report": str(out),
        "sections": [{"kind": s.kind, "folder": s.folder} for s in found],
        "bytes": len(html),
    }
    kinds = ", ".join(s.kind for s in found)
    options.say(as_json, values, f"{out}: {len(found)} sections ({kinds})")
