"""Pictures made of letters, for terminals."""

import numpy as np
from numpy.typing import ArrayLike

from gazegan.plots.palette import floats

_DARK_TO_LIGHT = "@%#*+=-:. "
_COLUMNS = 72


def text_image(
    image: ArrayLike, box: tuple[int, int, int, int] | None = None, columns: int = _COLUMNS
) -> str:
    """Write an image `[C, H, W]` in 0..1 as letters, and a box drawn on it.

    A letter is twice as high as it is wide. `box` is (top, left, bottom, right) px, the last two
    excluded; its sides beyond the image are not drawn.
    """
    grey = np.clip(floats(image), 0, 1).mean(0)
    cell = max(1, -(-grey.shape[1] // columns))
    high, wide = 2 * cell, cell
    rows, across = -(-grey.shape[0] // high), -(-grey.shape[1] // wide)
    padded = np.pad(
        grey, ((0, rows * high - grey.shape[0]), (0, across * wide - grey.shape[1])), "edge"
    )
    mean = padded.reshape(rows, high, across, wide).mean((1, 3))
    levels = np.minimum((mean * len(_DARK_TO_LIGHT)).astype(int), len(_DARK_TO_LIGHT) - 1)
    letters = np.array(list(_DARK_TO_LIGHT))[levels]
    if box is not None:
        top, left, bottom, right = box
        _frame(letters, (top // high, left // wide, (bottom - 1) // high, (right - 1) // wide))
    return "\n".join("".join(row) for row in letters)


def _frame(letters: np.ndarray[tuple[int, int], np.dtype[np.str_]], box: tuple[int, ...]) -> None:
    top, left, bottom, right = box
    rows, columns = letters.shape
    inside = slice(max(top, 0), bottom + 1), slice(max(left, 0), right + 1)
    for row in (top, bottom):
        if 0 <= row < rows:
            letters[row, inside[1]] = "─"
    for column in (left, right):
        if 0 <= column < columns:
            letters[inside[0], column] = "│"
    for row, column, corner in (
        *((top, left, "┌"), (top, right, "┐")),
        *((bottom, left, "└"), (bottom, right, "┘")),
    ):
        if 0 <= row < rows and 0 <= column < columns:
            letters[row, column] = corner


def text_curve(values: ArrayLike, end: str, rows: int = 10) -> str:
    """Write values `[N]`, none below 0, as a curve over N columns that ends at `end`."""
    heights = floats(values)
    top = float(heights.max()) or 1.0
    places = np.rint((rows - 1) * heights / top).astype(int)
    names = [f"{top:.3g}", *[""] * (rows - 2), "0"]
    left = max(map(len, names))
    lines = []
    for row, name in enumerate(names):
        marks = "".join("*" if place == rows - 1 - row else " " for place in places)
        lines.append(f"{name.rjust(left)} │{marks}".rstrip())
    foot = f"{'0'.ljust(len(heights) - len(end))}{end}"
    edge = " " * left
    return "\n".join([*lines, f"{edge} └{'─' * len(heights)}", f"{edge}  {foot}"])
