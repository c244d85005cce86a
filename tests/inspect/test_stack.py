"""The grammar of stacks: what is built, known answers, and faults that name word and cure."""

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn

from gazegan.errors import UserError
from gazegan.inspect.fields import Field
from gazegan.inspect.sizes import input_ranges
from gazegan.inspect.stack import check_fits, parse_stack
from gazegan.inspect.trace import inspect


def test_known_numbers_of_a_convolution():
    """200 to 100 channels by 5x9 are 900,100 parameters; 30x20 comes from 59..60 x 39..40."""
    stack, channels = parse_stack("conv 200 100 5x9 stride 2 pad half")
    assert channels == 200 and stack[0].padding == (2, 4)
    assert inspect(stack, torch.rand(1, 200, 9, 9)).parameters == 900_100
    with torch.device("meta"):
        stack, _ = parse_stack("conv 200 100 5x9 stride 2 pad half")
    height, width = input_ranges(stack, 200, (9, 9), (30, 20))
    assert (height.low, height.high, width.low, width.high) == (59, 60, 39, 40)


def test_the_field_of_three_layers():
    stack, _ = parse_stack("conv 1 2 5x9 stride 2; conv 2 2 3x3; conv 2 1 7x7 stride 3")
    field = inspect(stack, torch.rand(1, 1, 60, 60)).layers[-1].seen
    assert isinstance(field, Field) and field.size == (21, 25)


def test_pooling_of_a_six_by_six_example():
    values = [
        [1, 3, 2, 1, 0, 4],
        [2, 9, 1, 1, 5, 2],
        [1, 3, 2, 3, 1, 0],
        [5, 6, 1, 2, 7, 8],
        [0, 1, 4, 4, 2, 2],
        [3, 2, 6, 0, 2, 3],
    ]
    image = torch.tensor(values).float()[None, None]
    largest, _ = parse_stack("pool max 2")
    mean, _ = parse_stack("pool mean 2x2 stride 2")
    assert largest(image)[0, 0].tolist() == [[9, 2, 5], [6, 3, 8], [3, 6, 3]]
    assert mean(image)[0, 0].tolist() == [[3.75, 1.25, 2.75], [3.75, 2, 4], [1.5, 3.5, 2.25]]
    (layer,) = inspect(largest, image).layers
    assert layer.shape == (1, 3, 3) and layer.seen.size == (2, 2) and layer.seen.stride == (2, 2)


def test_every_word_arrives():
    text = (
        "conv 4 6 3 dilation 2x1 pad half groups 2 stride 1x2;relu; pool max 3 stride 2 pad 1;"
        " transposed 6 2 4x2 stride 2 pad 1x0 output_pad 1x0"
    )
    stack, channels = parse_stack(text)
    conv, relu, pool, up = stack
    assert channels == 4 and list(dict(stack.named_children())) == ["1", "2", "3", "4"]
    assert (conv.dilation, conv.padding, conv.groups, conv.stride) == ((2, 1), (2, 1), 2, (1, 2))
    assert isinstance(relu, nn.ReLU)
    assert (pool.kernel_size, pool.stride, pool.padding) == ((3, 3), (2, 2), (1, 1))
    assert (up.kernel_size, up.padding, up.output_padding) == ((4, 2), (1, 0), (1, 0))


SIDE = st.integers(1, 5)


@settings(deadline=None, max_examples=40)
@given(kernel=SIDE, stride=SIDE, pad=st.integers(0, 2), dilation=st.integers(1, 2), n=SIDE)
def test_input_sizes_follow_the_closed_form(kernel, stride, pad, dilation, n):
    """n = floor((i + 2 p - d (k - 1) - 1) / s) + 1 (Dumoulin & Visin, 2016, relationship 6)."""
    text = f"conv 1 1 {kernel} stride {stride} pad {pad} dilation {dilation}"
    reach = dilation * (kernel - 1) + 1
    low = stride * (n - 1) + reach - 2 * pad
    high = low + stride - 1
    with torch.device("meta"):
        stack, _ = parse_stack(text)
    found, _ = input_ranges(stack, 1, (32, 32), (n, 1))
    if high >= 1:
        assert (found.low, found.high) == (max(low, 1), high)
    else:
        assert found.empty


def test_sizes_that_no_input_gives_are_told_with_their_neighbours():
    with torch.device("meta"):
        stack, _ = parse_stack("conv 1 1 4 stride 2 pad 1; transposed 1 1 4x6 stride 2 pad 1")
    height, width = input_ranges(stack, 1, (36, 60), (17, 32))
    assert height.empty and (height.below, height.above) == (16, 18)
    assert not width.empty and (width.low, width.high) == (30, 31)
    with pytest.raises(ValueError, match="8192"):
        input_ranges(stack, 1, (36, 60), (9000, 1))


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("conv 3 4 5y9", "layer 1 'conv 3 4 5y9': '5y9' is not a size; write HEIGHTxWIDTH"),
        ("pool max 2; con 3 4 5", "layer 2 'con 3 4 5': no layer 'con'; did you mean 'conv'"),
        ("dense 3", "no layer 'dense'; write conv, transposed, pool, relu"),
        ("conv 3 4", "too short; write 'conv IN OUT SIZE'"),
        ("conv three 4 5", "'three' is not a number of channels"),
        ("conv 3 4 5 strid 2", "no option 'strid'; did you mean 'stride'"),
        ("conv 3 4 5 stride", "'stride' needs a value"),
        ("conv 3 4 5 pad 1 pad 2", "'pad' stands there twice"),
        ("conv 3 4 5;", "layer 2 '': is empty; remove a semicolon"),
        ("conv 3 4 5; relu; conv 5 4 3", "layer 3 'conv 5 4 3': takes 5 channels, but gets 4"),
        ("pool min 2", "no pooling 'min'; write max or mean"),
        ("pool max 2 pad 2", "at most half"),
        ("pool mean 2 dilation 2", "no dilation"),
        ("conv 4 4 3 groups 3", "3 groups do not divide 4 and 4"),
        ("conv 1 1 0", "'0' must lie in 1..8192"),
        ("conv 1 1 3x", "'3x' is not a size"),
        ("transposed 1 1 3 output_pad 1", "smaller than stride or dilation"),
        ("relu fast 2", "no option 'fast'; it has no options"),
    ],
)
def test_faults_name_layer_word_and_cure(text, message):
    with pytest.raises(UserError) as fault:
        parse_stack(text)
    assert message in str(fault.value)


def test_a_stack_that_leaves_nothing_names_the_layer():
    with torch.device("meta"):
        stack, _ = parse_stack("conv 1 2 3; pool max 2; conv 2 2 9")
        with pytest.raises(UserError, match="layer 3: leaves nothing of 3x9"):
            check_fits(stack, torch.empty(1, 1, 8, 20))
        check_fits(stack, torch.empty(1, 1, 20, 20))
