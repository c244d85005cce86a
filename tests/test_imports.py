"""Imports run one way, the command line starts without torch, and some calls are ruled out."""

import ast
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

import gazegan

ROOT = Path(gazegan.__file__).parent
LEVELS = (
    ("schema", "geometry", "rng", "config", "errors", "modes"),
    (
        *("render", "nets", "losses", "optim", "metrics", "inspect", "calibrate"),
        *("explain", "attack", "embed", "plots", "predict", "drift", "uncertainty"),
    ),
    ("data", "compare", "chain", "align"),
    ("train", "fit"),
    ("cli",),
    ("__main__",),
)
LEVEL = {part: level for level, parts in enumerate(LEVELS) for part in parts}
FILES = sorted(ROOT.rglob("*.py"))
BANNED_MODULES = {"pickle", "dill", "joblib", "shelve", "marshal"}


def name_of(path: Path) -> str:
    return ".".join(path.relative_to(ROOT.parent).with_suffix("").parts)


def part_of(module: str) -> str:
    """The file or package right below `gazegan` that a module belongs to."""
    return module.split(".")[1] if "." in module else ""


def imported(tree: ast.AST, module: str) -> Iterator[str]:
    """Every module named by an import statement, relative ones resolved."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            base = module.split(".")[: -node.level] if node.level else []
            source = ".".join([*base, *([node.module] if node.module else [])])
            below = (f"{source}.{alias.name}" for alias in node.names)
            yield from below if source == "gazegan" else (source,)


def allowed(here: str, other: str) -> bool:
    """Whether one part may import another: a lower level, itself, or a sibling on level 0."""
    if other not in LEVEL or other == here:
        return True
    return LEVEL[other] < LEVEL[here] or LEVEL[other] == LEVEL[here] == 0


def wrong_edges(tree: ast.AST, module: str) -> list[str]:
    others = (part_of(m) for m in imported(tree, module) if m.startswith("gazegan."))
    return [f"{module} imports {x}" for x in others if not allowed(part_of(module), x)]


@pytest.mark.parametrize("path", FILES, ids=name_of)
def test_imports_run_one_way(path):
    module = name_of(path)
    if part_of(module) == "__init__":
        return
    assert part_of(module) in LEVEL, f"give {module} a level"
    assert wrong_edges(ast.parse(path.read_text()), module) == []


@pytest.mark.parametrize(
    ("module", "code", "wrong"),
    [
        ("gazegan.schema", "from gazegan.render import prior", True),
        ("gazegan.explain", "import gazegan.nets.layers", True),
        ("gazegan.nets.layers", "from ..losses import gaze", True),
        ("gazegan.nets.layers", "from . import blocks", False),
        ("gazegan.data.store", "def f():\n    from gazegan import train", True),
        ("gazegan.data.store", "from gazegan import rng, render", False),
        ("gazegan.train.loop", "from gazegan.cli.options import say", True),
        ("gazegan.rng", "from gazegan import errors", False),
    ],
)
def test_the_rule_itself(module, code, wrong):
    assert bool(wrong_edges(ast.parse(code), module)) is wrong


def test_the_command_line_starts_without_torch():
    modules = [name_of(path).removesuffix(".__init__") for path in FILES if "cli" in path.parts]
    code = f"""
import importlib, sys
for name in ["gazegan", *{modules!r}]:
    importlib.import_module(name)
    heavy = {{"torch", "numpy", "scipy", "matplotlib", "kornia"}} & set(sys.modules)
    if heavy:
        sys.exit(f"{{name}} imports {{sorted(heavy)}}")
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


def test_what_is_not_compiled_does_not_wait_for_the_compiler():
    """torch's takes two seconds to import."""
    code = """
import importlib, sys
for name in ("render.scene", "data.store", "train.apply", "compare", "align", "explain", "attack"):
    importlib.import_module(f"gazegan.{name}")
    if "torch._dynamo" in sys.modules:
        sys.exit(f"{name} imports torch._dynamo")
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


def banned(tree: ast.AST, module: str) -> Iterator[str]:
    for name in imported(tree, module):
        if name.split(".")[0] in BANNED_MODULES:
            yield f"imports {name}"
    for node in ast.walk(tree):
        if isinstance(node, ast.Call):
            called = ast.unparse(node.func)
            if called in {"print", "eval", "exec", "hash", "torch.load", "torch.save"}:
                yield f"line {node.lineno} calls {called}"
        elif isinstance(node, ast.keyword) and node.arg == "allow_pickle":
            yield from [] if ast.unparse(node.value) == "False" else ["allows pickle"]


@pytest.mark.parametrize("path", FILES, ids=name_of)
def test_no_file_prints_or_unpickles(path):
    assert list(banned(ast.parse(path.read_text()), name_of(path))) == []


@pytest.mark.parametrize(
    "code",
    ["print(1)", "import torch\ntorch.load('x')", "import pickle", "np.load(f, allow_pickle=True)"],
)
def test_the_ban_itself(code):
    assert list(banned(ast.parse(code), "gazegan.x"))
