"""Receptive fields: which stretch of the input each place of a map can see, by arithmetic alone.

Borders are left out: the input is taken to be endless, so a field does not depend on its size.
"""

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from fractions import Fraction
from math import gcd, lcm

Span = tuple[int, int]
"""First and last input place seen, both included."""

LARGEST_PERIOD = 4096


class Irregular(ValueError):  # noqa: N818 (an answer, not a fault)
    """A field that does not repeat itself along the axis, or only after too many places."""


@dataclass(frozen=True)
class Axis:
    """What every place of a map sees along one axis of the input.

    Place i + period sees what place i sees, moved by `shift`. Convolutions and pooling have period
    1; after a transposed convolution of stride s there are s kinds of places.
    """

    spans: tuple[Span | None, ...] = ((0, 0),)
    """Of the first `period` places; None where a place sees nothing."""
    shift: int = 1

    @property
    def period(self) -> int:
        """Number of places after which what they see repeats, moved by `shift`."""
        return len(self.spans)

    @property
    def size(self) -> int:
        """The longest stretch that a place sees."""
        return max((last - first + 1 for first, last in filter(None, self.spans)), default=0)

    @property
    def stride(self) -> Fraction:
        """How many input places one place of the map is apart from the next, on average."""
        return Fraction(self.shift, self.period)

    def at(self, place: int) -> Span | None:
        """Return what the map's `place` sees; places before 0 are those of padding."""
        turns, kind = divmod(place, self.period)
        span = self.spans[kind]
        return span and (span[0] + self.shift * turns, span[1] + self.shift * turns)


def windowed(axis: Axis, kernel: int, stride: int = 1, pad: int = 0, dilation: int = 1) -> Axis:
    """Return the axis after a convolution or pooling; `pad` may be negative, which crops."""
    period = axis.period // gcd(axis.period, stride)
    shift = axis.shift * (stride * period // axis.period)

    def places(out: int) -> Iterable[int]:
        return (out * stride - pad + tap * dilation for tap in range(kernel))

    return _gathered(axis, period, shift, places)


def transposed(axis: Axis, kernel: int, stride: int = 1, pad: int = 0, dilation: int = 1) -> Axis:
    """Return the axis after a transposed convolution."""

    def places(out: int) -> Iterable[int]:
        ways = (divmod(out + pad - tap * dilation, stride) for tap in range(kernel))
        return (place for place, rest in ways if not rest)

    return _gathered(axis, axis.period * stride, axis.shift, places)


def enlarged(axis: Axis, factor: int, linear: bool) -> Axis:
    """Return the axis after upsampling by a whole factor: nearest neighbour, or linear."""

    def places(out: int) -> Iterable[int]:
        if not linear:
            return (out // factor,)
        # Pixel centres lie at .5, so that place `out` is (2 out + 1) / (2 factor) - 1/2 below.
        below, rest = divmod(2 * out + 1 - factor, 2 * factor)
        return (below, below + 1) if rest else (below,)

    return _gathered(axis, axis.period * factor, axis.shift, places)


def joined(one: Axis, other: Axis) -> Axis:
    """Return the axis of a sum: every place sees what either sees, and all between.

    Raises Irregular where the two advance at different strides.
    """
    if one.stride != other.stride:
        raise Irregular(f"joins strides {one.stride} and {other.stride}")
    period = lcm(one.period, other.period)
    _check(period)
    spans = (_hull((one.at(place), other.at(place))) for place in range(period))
    return _reduced(Axis(tuple(spans), int(one.stride * period)))


def _gathered(axis: Axis, period: int, shift: int, places: Callable[[int], Iterable[int]]) -> Axis:
    _check(period)
    spans = (_hull(axis.at(place) for place in places(out)) for out in range(period))
    return _reduced(Axis(tuple(spans), shift))


def _check(period: int) -> None:
    if period > LARGEST_PERIOD:
        raise Irregular(f"fields repeat only after {period} places")


def _hull(spans: Iterable[Span | None]) -> Span | None:
    seen = [span for span in spans if span is not None]
    return (min(first for first, _ in seen), max(last for _, last in seen)) if seen else None


def _reduced(axis: Axis) -> Axis:
    """Return the same axis with its shortest period."""
    for period in range(1, axis.period):
        if axis.period % period or axis.shift * period % axis.period:
            continue
        short = Axis(axis.spans[:period], axis.shift * period // axis.period)
        if all(short.at(place) == axis.spans[place] for place in range(axis.period)):
            return short
    return axis


@dataclass(frozen=True)
class Field:
    """The receptive fields of a map: along rows of pixels (height) and along columns (width)."""

    rows: Axis = Axis()
    columns: Axis = Axis()

    @property
    def size(self) -> tuple[int, int]:
        """(height, width) in px of the largest field."""
        return self.rows.size, self.columns.size

    @property
    def stride(self) -> tuple[Fraction, Fraction]:
        """Input px between two neighbours of the map, (down, across)."""
        return self.rows.stride, self.columns.stride

    def box(self, row: int, column: int) -> tuple[int, int, int, int] | None:
        """Return (top, left, bottom, right) px of what one place sees, the last two excluded.

        It may reach beyond the image. None where the place sees nothing.
        """
        down, across = self.rows.at(row), self.columns.at(column)
        return down and across and (down[0], across[0], down[1] + 1, across[1] + 1)


def along_both(field: Field, change: Callable[[Axis, int], Axis]) -> Field:
    """Return the field after `change(axis, which)`, which is 0 for rows and 1 for columns."""
    return Field(change(field.rows, 0), change(field.columns, 1))
