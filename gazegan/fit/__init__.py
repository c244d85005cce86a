"""Match a recipe's population to unlabelled photographs.

Means of what renders look like go down the slope, through the renderer, toward the photographs'.
"""

from gazegan.fit.photographs import FitConfig, Fitted, distance, renders, summarise, within
from gazegan.fit.rounds import Round, fit

__all__ = ["FitConfig", "Fitted", "Round", "distance", "fit", "renders", "summarise", "within"]
