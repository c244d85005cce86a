"""Receptive fields by arithmetic equal those measured by gradient on random networks."""

import pytest
import torch
import torch.nn.functional as F
from hypothesis import assume, example, given, settings
from hypothesis import strategies as st
from torch import nn

from gazegan.inspect.fields import Axis, Field, Irregular, joined, transposed, windowed
from gazegan.inspect.trace import inspect

SIDE = 96
PAIR = st.tuples


class SmoothMax(nn.Module):
    """Pooling of a maximum's geometry whose gradient reaches every value of a window."""

    def __init__(self, pool):
        super().__init__()
        self.pool = pool

    def forward(self, x):
        p = self.pool
        windows = F.unfold(x, p.kernel_size, p.dilation, p.padding, p.stride)
        windows = windows.view(1, x.shape[1], -1, windows.shape[-1])
        return windows.logsumexp(2).view(1, x.shape[1], *p(x).shape[2:])


class Sum(nn.Module):
    """Several paths whose results are added."""

    def __init__(self, *paths):
        super().__init__()
        self.paths = nn.ModuleList(paths)

    def forward(self, x):
        first, *others = (path(x) for path in self.paths)
        for other in others:
            first = first + other
        return first


def sides(low, high):
    return PAIR(st.integers(low, high), st.integers(low, high))


@st.composite
def convolutions(draw):
    kernel, stride = draw(sides(1, 4)), draw(sides(1, 2))
    return nn.Conv2d(1, 1, kernel, stride, draw(sides(0, 2)), draw(sides(1, 2)))


@st.composite
def transposed_convolutions(draw):
    kernel, stride = draw(sides(1, 4)), draw(sides(1, 3))
    return nn.ConvTranspose2d(1, 1, kernel, stride, draw(sides(0, 1)), dilation=draw(sides(1, 2)))


@st.composite
def poolings(draw):
    kernel, stride = draw(sides(2, 3)), draw(sides(1, 3))
    if draw(st.booleans()):
        return nn.AvgPool2d(kernel, stride, draw(sides(0, 1)))
    return nn.MaxPool2d(kernel, stride, draw(sides(0, 1)), draw(sides(1, 2)))


@st.composite
def residuals(draw):
    half, stride = draw(sides(0, 2)), draw(st.integers(1, 2))
    body = nn.Conv2d(1, 1, tuple(2 * h + 1 for h in half), stride, half)
    beside = nn.Identity() if stride == 1 else nn.Conv2d(1, 1, 1, stride)
    return Sum(beside, nn.Sequential(body, nn.LeakyReLU(0.2)))


@st.composite
def others(draw):
    amount = draw(sides(0, 3))
    kinds = (
        nn.ReplicationPad2d((amount[0], 0, amount[1], 2)),
        nn.Upsample(scale_factor=2, mode="nearest"),
        nn.Upsample(scale_factor=2, mode="bilinear"),
        nn.LeakyReLU(0.1),
        nn.BatchNorm2d(1),
    )
    return draw(st.sampled_from(kinds))


LAYER = st.one_of(convolutions(), transposed_convolutions(), poolings(), residuals(), others())


def positive(network):
    """Give all weights the same sign: no two ways through the network cancel."""
    for parameter in network.parameters():
        nn.init.uniform_(parameter, 0.1, 1)
    return network.double().eval()


def measured(network, image, axis, place):
    """The first and last input place that has a gradient of one place of the output."""
    x = image.clone().requires_grad_()
    network(x).select(2 + axis, place).sum().backward()
    seen = x.grad.abs().sum((0, 1, 3 - axis)).nonzero().flatten()
    return (int(seen[0]), int(seen[-1])) if len(seen) else None


@settings(deadline=None, max_examples=40)
@given(layers=st.lists(LAYER, min_size=1, max_size=4))
@example(layers=[nn.MaxPool2d((3, 2), (2, 1), 1, dilation=(2, 3)), nn.Conv2d(1, 1, 3, dilation=2)])
@example(layers=[nn.AvgPool2d((3, 2), 2, 1), nn.ConvTranspose2d(1, 1, 4, (3, 2), 1)])
@example(layers=[nn.Upsample(scale_factor=2, mode="bilinear"), nn.Conv2d(1, 1, 2, 3)])
def test_fields_equal_gradients(layers):
    torch.manual_seed(0)
    image = torch.rand(1, 1, SIDE, SIDE, dtype=torch.float64)
    network = positive(nn.Sequential(*layers))
    found = inspect(nn.Sequential(network, nn.Conv2d(1, 1, 1)).double(), image)
    field = found.layers[-1].seen
    assert isinstance(field, Field)
    assume(min(field.size))  # Where rows see nothing, columns have no gradient either.
    smooth = [SmoothMax(m) if isinstance(m, nn.MaxPool2d) else m for m in layers]
    smooth = nn.Sequential(*smooth)
    assert tuple(smooth(image).shape[1:]) == found.layers[-1].shape
    for axis, along in enumerate((field.rows, field.columns)):
        assume(along.size < SIDE // 2)
        middle = found.layers[-1].shape[1 + axis] // 2
        # A period and one place more: sizes, kinds of places and strides are all told apart.
        places = range(middle, middle + min(along.period, 6) + 1)
        spans = [along.at(place) for place in places]
        assume(all(s is None or (s[0] > 8 and s[1] < SIDE - 8) for s in spans))
        assert spans == [measured(smooth, image, axis, place) for place in places]


def test_the_composition_of_three_convolutions():
    """5x9 stride 2, then 3x3, then 7x7 stride 3 see 21x25."""
    rows, columns = Axis(), Axis()
    for (height, width), stride in (((5, 9), 2), ((3, 3), 1), ((7, 7), 3)):
        rows, columns = windowed(rows, height, stride), windowed(columns, width, stride)
    field = Field(rows, columns)
    assert field.size == (21, 25) and field.stride == (6, 6)
    assert field.box(1, 1) == (6, 6, 27, 31)


@given(
    layers=st.lists(
        st.tuples(st.integers(1, 9), st.integers(1, 4), st.integers(0, 5), st.integers(1, 3)),
        max_size=6,
    )
)
def test_windows_follow_the_closed_form(layers):
    """r = 1 + sum of (kernel - 1) dilation times the strides before (Araujo et al., 2019)."""
    axis, size, jump = Axis(), 1, 1
    for kernel, stride, pad, dilation in layers:
        axis = windowed(axis, kernel, stride, pad, dilation)
        size += (kernel - 1) * dilation * jump
        jump *= stride
    assert (axis.size, axis.stride, axis.period) == (size, jump, 1)


def test_a_transposed_convolution_has_as_many_kinds_of_places_as_its_stride():
    axis = transposed(Axis(), kernel=3, stride=2)
    assert [axis.at(place) for place in range(4)] == [(-1, 0), (0, 0), (0, 1), (1, 1)]
    assert axis.stride * 2 == 1
    assert transposed(Axis(), kernel=1, stride=2).at(1) is None
    assert windowed(transposed(Axis(), kernel=2, stride=2), kernel=2, stride=2).period == 1


def test_what_joins_paths_sees_what_either_sees():
    near, far = windowed(Axis(), 3, 1, 1), windowed(Axis(), 5, 1, 0)
    assert joined(near, far).at(0) == (-1, 4)
    with pytest.raises(Irregular, match="strides 1 and 2"):
        joined(Axis(), windowed(Axis(), 1, 2))


def test_fields_that_hardly_repeat_are_given_up():
    axis = Axis()
    with pytest.raises(Irregular, match="repeat"):
        for _ in range(5):
            axis = transposed(axis, 9, 8)
