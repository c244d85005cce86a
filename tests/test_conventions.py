"""The page of conventions names every label, and its picture can be drawn again."""

import runpy
from dataclasses import fields
from pathlib import Path

from gazegan.schema import BOXES, CENTRES, ELLIPSES, MASKS, EyeBatch

DOCS = Path(__file__).parent.parent / "docs"
OWN = {"image", "id", "origin", "subject", "params"}
"""Fields that are no labels of the eye."""


def test_the_page_names_every_label():
    text = (DOCS / "conventions.md").read_text().lower()
    labels = {f.name for f in fields(EyeBatch)} - OWN
    assert [name for name in sorted({*labels, *CENTRES, *ELLIPSES, *BOXES, *MASKS})
            if name not in text] == []  # fmt: skip


def test_the_picture_can_be_drawn(tmp_path):
    script = tmp_path / "conventions.py"
    script.write_text((DOCS / "conventions.py").read_text())
    runpy.run_path(str(script), run_name="__main__")
    drawn, kept = (folder / "conventions.png" for folder in (tmp_path, DOCS))
    assert drawn.stat().st_size > kept.stat().st_size / 2
