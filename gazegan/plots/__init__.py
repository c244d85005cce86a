"""Pictures of results: curves, scatter, overlays and sheets of eyes.

Every function takes plain arrays (NumPy, CPU tensors or lists) and keeps no global state.
"""

from gazegan.plots.curves import (
    bars,
    epsilon_curve,
    error_curve,
    shots_curve,
    training_curves,
    truth_scatter,
)
from gazegan.plots.overlays import annotate, annotate_eyes, heat, overlay, tint
from gazegan.plots.palette import FAINT, GRID, INK, SERIES
from gazegan.plots.sheets import Row, contact_sheet, png

__all__ = [
    "FAINT",
    "GRID",
    "INK",
    "SERIES",
    "Row",
    "annotate",
    "annotate_eyes",
    "bars",
    "contact_sheet",
    "epsilon_curve",
    "error_curve",
    "heat",
    "overlay",
    "png",
    "shots_curve",
    "tint",
    "training_curves",
    "truth_scatter",
]
