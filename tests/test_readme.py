"""The README's commands exist as they are written, and its pictures and links are there."""

import re
import shlex
from pathlib import Path

import click
import pytest
import torch

import gazegan
from gazegan.cli import main
from gazegan.data.rendered import write_rendered
from gazegan.errors import UserError

ROOT = Path(__file__).parent.parent
PAGES = [
    ROOT / "README.md",
    *sorted(ROOT.glob("docs/*.md")),
    *sorted(ROOT.glob("experiments/*/README.md")),
]


def commands(text: str) -> list[list[str]]:
    lines = re.findall(r"(?:^\s*|`)((?:\.venv/bin/)?gazegan [^`\n#]+)", text, flags=re.MULTILINE)
    return [shlex.split(line)[1:] for line in lines]


def check(group: click.Command, words: list[str]) -> None:
    """Follow sub-commands, then see that every option and value is accepted."""
    context = click.Context(group)
    while isinstance(group, click.Group) and words and not words[0].startswith("-"):
        _, found, words = group.resolve_command(context, words)
        assert found is not None
        group = found
    if "DIR" not in words and words:
        group.make_context("gazegan", list(words))


@pytest.mark.parametrize(
    "words", [w for page in PAGES for w in commands(page.read_text())], ids=" ".join
)
def test_every_command_of_the_pages_is_accepted(words: list[str]) -> None:
    check(main, words)


def test_the_check_finds_a_command_that_does_not_exist() -> None:
    with pytest.raises(click.UsageError):
        check(main, ["render", "webcam", "--colour"])


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.parent.name)
def test_links_and_pictures_exist(page: Path) -> None:
    targets = re.findall(r"\]\(([^)#]+)\)", page.read_text())
    local = [t for t in targets if "://" not in t]
    assert all((page.parent / target).exists() for target in local), local


def test_public_names_are_importable_and_stay_light() -> None:
    for name in gazegan.__all__:
        assert getattr(gazegan, name) is not None
    with pytest.raises(AttributeError, match="nonsense"):
        gazegan.nonsense  # noqa: B018


def test_the_library_example_of_the_readme_runs() -> None:
    (code,) = re.findall(r"```python\n(.*?)```", (ROOT / "README.md").read_text(), re.DOTALL)
    names: dict[str, object] = {}
    exec(compile(code, "README.md", "exec"), names)
    eyes = names["eyes"]
    assert isinstance(eyes, gazegan.EyeBatch)
    assert eyes.image.shape == (8, 1, 36, 60)
    assert eyes.landmarks is not None and eyes.landmarks.shape == (8, 57, 2)


def test_the_recipes_of_the_readme_are_valid(tmp_path: Path) -> None:
    texts = re.findall(r"```toml\n(.*?)```", (ROOT / "README.md").read_text(), re.DOTALL)
    recipes = []
    for i, text in enumerate(texts):
        path = tmp_path / f"{i}.toml"
        path.write_text(text)
        recipes.append(gazegan.load_recipe(path))
    assert [recipe.name for recipe in recipes] == ["screen", "looking_up"]
    assert recipes[1].image.width == 160


def test_paths_and_lists_are_taken_as_people_write_them(tmp_path: Path) -> None:
    recipe = gazegan.load_recipe("webcam", ("image.height=16", "image.width=24"))
    eyes = gazegan.render_indices(recipe, 0, [3, 1])
    assert torch.equal(eyes.image, gazegan.render_indices(recipe, 0, torch.tensor([3, 1])).image)
    with pytest.raises(ValueError, match="name at least one eye"):
        gazegan.render_indices(recipe, 0, [])
    with pytest.raises(TypeError, match="overrides are several"):
        gazegan.load_recipe("webcam", "image.height=16")  # type: ignore[arg-type]
    write_rendered(recipe, 0, 2, tmp_path / "eyes")
    assert len(gazegan.open_store(str(tmp_path / "eyes"))) == 2
    with pytest.raises(UserError, match="no weights there"):
        gazegan.load_weights(str(tmp_path), "gaze")
