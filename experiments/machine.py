"""What a measurement depends on: the commit, versions, the processor, the day."""

import platform
import subprocess
from datetime import UTC, datetime
from pathlib import Path

import torch

from gazegan import __version__

HERE = Path(__file__).parent


def commit() -> str:
    """Return the commit that an experiment ran at, or "unknown" outside a repository."""
    asked = subprocess.run(
        ["git", "rev-parse", "--short", "HEAD"],
        cwd=HERE,
        capture_output=True,
        text=True,
        check=False,
    )
    return asked.stdout.strip() or "unknown"


def versions() -> dict[str, str]:
    """Return versions, commit and day."""
    return {
        "gazegan": __version__,
        "commit": commit(),
        "python": platform.python_version(),
        "torch": torch.__version__,
        "date": datetime.now(UTC).date().isoformat(),
    }


def processor() -> str:
    """Return the processor's name."""
    info = Path("/proc/cpuinfo")
    lines = info.read_text().splitlines() if info.exists() else []
    models = [line for line in lines if "model name" in line]
    return models[0].partition(":")[2].strip() if models else platform.processor()


def named(device: str) -> str:
    """Return a device's name, of a GPU what its maker calls it."""
    return torch.cuda.get_device_name(device) if torch.device(device).type == "cuda" else device
