"""Both eyes of a face are found by name or by recipe."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from gazegan.data.faces import face_numbers
from gazegan.data.rendered import write_rendered
from gazegan.errors import UserError
from gazegan.render.prior import load_recipe


@dataclass
class Names:
    """As much of a manifest as names need."""

    names: tuple[str, ...]
    recipe: None = None


@dataclass
class Eyes:
    manifest: Any
    path: Path = Path("eyes")


def numbers(*names: str) -> list[int]:
    return face_numbers(Eyes(Names(names))).tolist()


def test_names_that_differ_in_the_side_alone_are_one_face() -> None:
    assert numbers("a_L.jpg", "a_R.jpg", "b_R.png", "b_L.jpg", "c_L.jpg") == [0, 0, 1, 1, 2]
    assert numbers("p/1 left.png", "q/1 left.png", "p/1 right.png") == [0, 1, 0]
    assert numbers("x/L.png", "x/R.png", "y/L.png") == [0, 0, 1]
    assert numbers("0026_2m_-15P_0V_10H_L.jpg", "0026_2m_15P_0V_10H_R.jpg") == [0, 1]


@pytest.mark.parametrize("names", [(), ("a_L.jpg", "pupil.jpg"), ("girl.png", "girr.png")])
def test_names_without_sides_are_refused(names: tuple[str, ...]) -> None:
    with pytest.raises(UserError, match="which eyes are of one face"):
        numbers(*names)


def test_rendered_pairs_are_faces_by_twos(tmp_path: Path) -> None:
    recipe = load_recipe("webcam", ("pairs=true", "image.height=8", "image.width=12"))
    assert face_numbers(write_rendered(recipe, 0, 6, tmp_path)).tolist() == [0, 0, 1, 1, 2, 2]
