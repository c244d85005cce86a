"""Pictures of results: curves, scatter, overlays and sheets of eyes.

Every function takes plain arrays (NumPy, CPU tensors or lists) and keeps no global state.
"""

from gazegan.plots.curves import (
    epsilon_curve,
    error_curve,
    receptive_fields,
    schedule_curve,
    shots_curve,
    training_curves,
    truth_scatter,
)
from gazegan.plots.overlays import annotate, annotate_eyes, heat, overlay, tint
from gazegan.plots.palette import FAINT, GRID, INK, SERIES
from gazegan.plots.sheets import Row, contact_sheet, png
from gazegan.plots.text import text_curve, text_image

__all__ = [
    "FAINT",
    "GRID",
    "INK",
    "SERIES",
    "Row",
    "annotate",
    "annotate_eyes",
    "contact_sheet",
    "epsilon_curve",
    "error_curve",
    "heat",
    "overlay",
    "png",
    "receptive_fields",
    "schedule_curve",
    "shots_curve",
    "text_curve",
    "text_image",
    "tint",
    "training_curves",
    "truth_scatter",
]
