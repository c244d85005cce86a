"""Pictures of results: curves, scatter, overlays and sheets of eyes.

Every function takes plain arrays (NumPy, CPU tensors or lists) and keeps no global state.
"""

from gazegan.plots.curves import (
    bars,
    epsilon_curve,
    error_curve,
    receptive_fields,
    reliability_diagram,
    schedule_curve,
    shots_curve,
    training_curves,
    truth_scatter,
)
from gazegan.plots.explained import Moves, Panel, curve_panels, move_bars
from gazegan.plots.maps import Directions, Kinds, embedding_map
from gazegan.plots.overlays import annotate, annotate_eyes, heat, overlay, tint
from gazegan.plots.palette import FAINT, GRID, INK, SERIES
from gazegan.plots.sheets import Row, contact_sheet, png
from gazegan.plots.text import text_curve, text_image

__all__ = [
    "FAINT",
    "GRID",
    "INK",
    "SERIES",
    "Directions",
    "Kinds",
    "Moves",
    "Panel",
    "Row",
    "annotate",
    "annotate_eyes",
    "bars",
    "contact_sheet",
    "curve_panels",
    "embedding_map",
    "epsilon_curve",
    "error_curve",
    "heat",
    "move_bars",
    "overlay",
    "png",
    "receptive_fields",
    "reliability_diagram",
    "schedule_curve",
    "shots_curve",
    "text_curve",
    "text_image",
    "tint",
    "training_curves",
    "truth_scatter",
]
