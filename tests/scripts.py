"""The scripts of experiments, imported."""

import importlib.util
import sys
from pathlib import Path
from types import ModuleType

HERE = Path(__file__).parent.parent / "experiments"
sys.path.insert(0, str(HERE))  # where the tables' modules find each other


def load(name: str) -> ModuleType:
    """Import a script anew; modules of other folders, some named alike, are forgotten."""
    for other, module in list(sys.modules.items()):
        folder = Path(getattr(module, "__file__", None) or "/").parent
        if folder.parent == HERE and folder != (HERE / name).parent:
            del sys.modules[other]
    spec = importlib.util.spec_from_file_location(
        f"experiments_{name.replace('/', '_')}", HERE / f"{name}.py"
    )
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module
    spec.loader.exec_module(module)
    return module
