"""Colours that all pictures share, and what every one of them needs."""

import numpy as np
from numpy.typing import ArrayLike, NDArray

Floats = NDArray[np.float64]

INK, FAINT, GRID = "#24292f", "#69717c", "#e4e7eb"
SERIES = ("#1f6f9c", "#d1603d", "#3d8b5f", "#8a5ba6", "#b8892a")
"""Line colours in the order in which a figure uses them."""


def floats(values: ArrayLike) -> Floats:
    """Return values as an array of float64, in the same shape."""
    return np.asarray(values, dtype=np.float64)
