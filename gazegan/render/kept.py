"""What a compiler made, kept on disk for later runs."""

import hashlib
import tempfile
from collections.abc import Callable, Sequence
from pathlib import Path

from torch._inductor.runtime.cache_dir_utils import cache_dir


def kept(words: Sequence[str], suffix: str, make: Callable[[Path], object]) -> Path:
    """Return the file that `make` writes, unless it was made of the same `words` before."""
    key = hashlib.sha256("\0".join(words).encode()).hexdigest()
    folder = Path(cache_dir()) / "gazegan"
    file = folder / f"{key[:32]}{suffix}"
    if not file.exists():
        folder.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=folder) as aside:
            made = Path(aside) / "made"
            make(made)
            made.replace(file)  # whole or not at all, for others may look
    return file
