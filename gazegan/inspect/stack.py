"""Stacks of layers written as text, `conv 3 100 5x9 stride 2; pool max 2`, as networks.

Layers stand between semicolons. SIZE is HEIGHTxWIDTH or one number for both; options may be left
out and stand in any order:

    conv IN OUT SIZE [stride SIZE] [pad SIZE|half] [dilation SIZE] [groups N]
    transposed IN OUT SIZE [output_pad SIZE] [and all those of conv]
    pool max|mean SIZE [stride SIZE] [pad SIZE|half] [dilation SIZE]
    relu

`pad half` is half the kernel, rounded down; else nothing is padded. Pooling strides by its size.
"""

import difflib
from collections import OrderedDict
from collections.abc import Sequence

import torch
from torch import Tensor, nn

from gazegan.errors import UserError

_OPTIONS = {
    "conv": ("stride", "pad", "dilation", "groups"),
    "transposed": ("stride", "pad", "dilation", "output_pad", "groups"),
    "pool": ("stride", "pad", "dilation"),
    "relu": (),
}
_LEAD = {"conv": "IN OUT SIZE", "transposed": "IN OUT SIZE", "pool": "max|mean SIZE", "relu": ""}
_LARGEST = 8192

Size = tuple[int, int]


def parse_stack(text: str) -> tuple[nn.Sequential, int]:
    """Build the layers that a text names, called 1, 2, ...; also returns the channels they take.

    Weights are drawn by PyTorch's generator. Raises UserError naming the layer, the word and the
    cure.
    """
    layers: OrderedDict[str, nn.Module] = OrderedDict()
    first = channels = 0
    for number, part in enumerate(text.split(";"), start=1):
        try:
            layer = _layer(part.split())
            taken, given = _ends(layer)
            if taken and channels and taken != channels:
                raise UserError(
                    f"takes {taken} channels, but gets {channels} from the layer before"
                )
        except UserError as fault:
            raise UserError(f"layer {number} {part.strip()!r}: {fault}") from None
        first, channels = first or taken, given or channels
        layers[str(number)] = layer
    return nn.Sequential(layers), first or 1


def check_fits(stack: nn.Sequential, image: Tensor) -> None:
    """Raise UserError naming the layer of a stack that leaves nothing of `image` `[1, C, H, W]`."""
    with torch.no_grad():
        for name, layer in stack.named_children():
            height, width = image.shape[2:]
            try:
                image = layer(image)
            except RuntimeError:  # What PyTorch raises where nothing is left for a kernel.
                raise UserError(
                    f"layer {name}: leaves nothing of {height}x{width}; take a larger --size"
                ) from None


def _ends(layer: nn.Module) -> tuple[int, int]:
    """How many channels a layer takes and gives; 0 for any."""
    if isinstance(layer, nn.Conv2d | nn.ConvTranspose2d):
        return layer.in_channels, layer.out_channels
    return 0, 0


def _layer(words: Sequence[str]) -> nn.Module:
    if not words:
        raise UserError("is empty; remove a semicolon")
    kind, *rest = words
    if kind not in _OPTIONS:
        raise UserError(f"no layer {kind!r}; {_near(kind, _OPTIONS)}")
    lead = _LEAD[kind].split()
    if len(rest) < len(lead):
        raise UserError(f"too short; write '{kind} {_LEAD[kind]}'")
    options = _options(kind, rest[len(lead) :])
    match kind:
        case "relu":
            return nn.ReLU()
        case "pool":
            return _pool(rest[0], _size(rest[1]), options)
        case _:
            return _conv(kind, _count(rest[0]), _count(rest[1]), _size(rest[2]), options)


def _options(kind: str, words: Sequence[str]) -> dict[str, str]:
    """Read the pairs of option and value that follow a layer's first words."""
    found: dict[str, str] = {}
    for name, value in zip(words[::2], (*words[1::2], None), strict=False):
        if name not in _OPTIONS[kind]:
            raise UserError(f"no option {name!r}; {_near(name, _OPTIONS[kind])}")
        if value is None:
            raise UserError(f"{name!r} needs a value")
        if name in found:
            raise UserError(f"{name!r} stands there twice")
        found[name] = value
    return found


def _conv(kind: str, inputs: int, outputs: int, kernel: Size, options: dict[str, str]) -> nn.Module:
    stride, dilation = _size(options.get("stride", "1")), _size(options.get("dilation", "1"))
    groups = _count(options.get("groups", "1"))
    if inputs % groups or outputs % groups:
        raise UserError(f"{groups} groups do not divide {inputs} and {outputs} channels")
    pad = _pad(options, kernel, dilation)
    if kind == "conv":
        return nn.Conv2d(inputs, outputs, kernel, stride, pad, dilation, groups)
    extra = _size(options.get("output_pad", "0"), least=0)
    if any(e >= max(s, d) for e, s, d in zip(extra, stride, dilation, strict=True)):
        raise UserError("output_pad must be smaller than stride or dilation")
    return nn.ConvTranspose2d(inputs, outputs, kernel, stride, pad, extra, groups, True, dilation)


def _pool(which: str, kernel: Size, options: dict[str, str]) -> nn.Module:
    if which not in ("max", "mean"):
        raise UserError(f"no pooling {which!r}; write max or mean")
    stride = _size(options["stride"]) if "stride" in options else kernel
    dilation = _size(options.get("dilation", "1"))
    pad = _pad(options, kernel, dilation)
    if any(2 * p > k for p, k in zip(pad, kernel, strict=True)):
        raise UserError("pad of a pooling is at most half its size")
    if which == "max":
        return nn.MaxPool2d(kernel, stride, pad, dilation)
    if dilation != (1, 1):
        raise UserError("mean pooling has no dilation; leave it out")
    return nn.AvgPool2d(kernel, stride, pad)


def _pad(options: dict[str, str], kernel: Size, dilation: Size) -> Size:
    if options.get("pad") == "half":
        rows, columns = ((d * (k - 1) + 1) // 2 for k, d in zip(kernel, dilation, strict=True))
        return rows, columns
    return _size(options.get("pad", "0"), least=0)


def _size(word: str, least: int = 1) -> Size:
    height, cross, width = word.partition("x")
    sides = (height, width if cross else height)
    if not all(side.isdecimal() for side in sides):
        raise UserError(f"{word!r} is not a size; write HEIGHTxWIDTH, e.g. 5x9, or one number")
    rows, columns = (_within(int(side), word, least) for side in sides)
    return rows, columns


def _count(word: str) -> int:
    if not word.isdecimal():
        raise UserError(f"{word!r} is not a number of channels or groups; write e.g. 16")
    return _within(int(word), word, 1)


def _within(value: int, word: str, least: int) -> int:
    if not least <= value <= _LARGEST:
        raise UserError(f"{word!r} must lie in {least}..{_LARGEST}")
    return value


def _near(word: str, names: Sequence[str] | dict[str, tuple[str, ...]]) -> str:
    if close := difflib.get_close_matches(word, list(names), n=1):
        return f"did you mean {close[0]!r}?"
    return f"write {', '.join(names)}" if names else "it has no options"
