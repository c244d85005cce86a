"""Match a recipe's population to unlabelled photographs.

Renders are weighted until they look, taken together, like the photographs; the recipe is then
moved to where the weighted ones come from, and so on for some rounds.
"""

from gazegan.fit.rounds import FitConfig, Fitted, Round, distance, fit, renders, summarise, within

__all__ = ["FitConfig", "Fitted", "Round", "distance", "fit", "renders", "summarise", "within"]
