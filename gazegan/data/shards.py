"""One shard: a batch of eyes to bytes and back, images and masks as uint8."""

import math
from dataclasses import fields as dataclass_fields
from dataclasses import replace
from pathlib import Path

import torch
from safetensors import SafetensorError
from safetensors import torch as safetensors
from torch import Tensor
from torch.nn import functional as F

from gazegan.data.manifest import Manifest
from gazegan.errors import DataError
from gazegan.schema import (
    BOXES,
    CENTRES,
    ELLIPSES,
    MASKS,
    ORIGINS,
    SIDES,
    UNKNOWN,
    EyeBatch,
    check_batch,
)

FIELDS = tuple(f.name for f in dataclass_fields(EyeBatch))
"""Every field a shard may hold."""
REQUIRED = frozenset({"image", "id", "origin"})
"""The fields every shard holds."""

_PARSE_FAULTS = (SafetensorError, AssertionError, KeyError, ValueError, TypeError, RuntimeError)
"""What the safetensors reader raises on hostile bytes."""


def layout(manifest: Manifest, count: int) -> dict[str, tuple[torch.dtype, tuple[int, ...]]]:
    """Return type and shape of every possible field of a shard of `count` eyes."""
    m, size = manifest, (manifest.height, manifest.width)
    return {
        "image": (torch.uint8, (count, m.channels, *size)),
        "id": (torch.int64, (count,)),
        "origin": (torch.int64, (count,)),
        "gaze": (torch.float32, (count, 2)),
        "head": (torch.float32, (count, 2)),
        "gaze_head": (torch.float32, (count, 2)),
        "optical": (torch.float32, (count, 2)),
        "side": (torch.int64, (count,)),
        "subject": (torch.int64, (count,)),
        "masks": (torch.uint8, (count, len(m.masks), *size)),
        "landmarks": (torch.float32, (count, len(m.landmarks), 2)),
        "visible": (torch.bool, (count, len(m.landmarks))),
        "centres": (torch.float32, (count, len(CENTRES), 3)),
        "ellipses": (torch.float32, (count, len(ELLIPSES), 5)),
        "intrinsics": (torch.float32, (count, 4)),
        "distortion": (torch.float32, (count, 4)),
        "extrinsics": (torch.float32, (count, 3, 4)),
        "boxes": (torch.float32, (count, len(BOXES), 4)),
        "depth": (torch.float32, (count, 1, *size)),
        "normals": (torch.float32, (count, 3, *size)),
        "params": (torch.float32, (count, len(m.param_names))),
    }


def byte_limit(manifest: Manifest, count: int) -> int:
    """Return how many bytes a shard of `count` eyes can have at most, header included."""
    shapes = layout(manifest, count)
    payload = sum(
        dtype.itemsize * math.prod(shape)
        for name, (dtype, shape) in shapes.items()
        if name in manifest.fields
    )
    return payload + (1 << 14)


def encode(batch: EyeBatch, manifest: Manifest, count: int) -> bytes:
    """Turn a batch into the bytes of a shard; equal batches give equal bytes.

    Raises ValueError where the batch breaks its documentation or is not what `manifest` plans.
    """
    check_batch(batch)
    wanted = layout(manifest, count)
    tensors: dict[str, Tensor] = {}
    for name, value in pack(batch).items():
        dtype, shape = wanted[name]
        if tuple(value.shape) != shape:
            raise ValueError(f"{name} has shape {tuple(value.shape)}, planned was {shape}")
        tensors[name] = value.to("cpu", dtype).contiguous()
    return bytes(safetensors.save(tensors))


def present_fields(data: bytes, source: object) -> tuple[str, ...]:
    """Return the fields in a shard, in the order of EyeBatch; raises DataError."""
    tensors = _parse(data, source)
    return tuple(name for name in FIELDS if name in tensors)


def decode(data: bytes, manifest: Manifest, count: int, source: object) -> EyeBatch:
    """Turn the bytes of a shard into a batch whose image and masks are still uint8.

    Raises DataError naming `source` where the bytes are not what the manifest says, or where a
    value is not finite or out of range.
    """
    tensors = _parse(data, source)
    shapes = layout(manifest, count)
    if set(tensors) != set(manifest.fields):
        raise DataError(f"{source}: holds {sorted(tensors)}, not the fields of the manifest")
    for name, value in tensors.items():
        if (value.dtype, tuple(value.shape)) != shapes[name]:
            raise DataError(f"{source}: {name} has a type or shape that is not the manifest's")
    batch = EyeBatch(**tensors)
    try:
        check_batch(unpack(batch))
        _check_codes(batch, len(manifest.subjects))
    except ValueError as fault:
        raise DataError(f"{source}: {fault}") from None
    return batch


def mapped(path: Path) -> EyeBatch:
    """Return what `decode` does of a file that it has checked, left on disk.

    The system reads pages when they are looked at and may drop them again, so that stores larger
    than the memory can be read.
    """
    return EyeBatch(**safetensors.load_file(path))


def _parse(data: bytes, source: object) -> dict[str, Tensor]:
    try:
        return dict(safetensors.load(data))
    except _PARSE_FAULTS as fault:
        raise DataError(f"{source}: not a safetensors file ({str(fault)[:200]})") from None


def _check_codes(batch: EyeBatch, subjects: int) -> None:
    ranges = {
        "origin": (0, len(ORIGINS)),
        "side": (UNKNOWN, len(SIDES)),
        "subject": (UNKNOWN, subjects),
    }
    for name, (low, end) in ranges.items():
        value = getattr(batch, name)
        if value is not None and bool(((value < low) | (value >= end)).any()):
            raise ValueError(f"{name} holds a code outside {low}..{end - 1}")


def pack(batch: EyeBatch) -> dict[str, Tensor]:
    """Return the present fields by name; image `[B, C, H, W]` and masks are rounded to uint8.

    Raises ValueError where masks do not sum to one.
    """
    tensors = {name: value for name in FIELDS if (value := getattr(batch, name)) is not None}
    tensors["image"] = (batch.image * 255).round().to(torch.uint8)
    if batch.masks is not None:
        tensors["masks"] = _pack_masks(batch.masks)
    return tensors


def _pack_masks(masks: Tensor) -> Tensor:
    """Round coverage so that it still sums to one: the sums over leading masks are rounded."""
    sums = (255 * masks.cumsum(1)).round()
    if not bool((sums[:, -1:] == 255).all()):
        raise ValueError("masks do not sum to one")
    return sums.diff(dim=1, prepend=torch.zeros_like(sums[:, :1])).to(torch.uint8)


def unpack(batch: EyeBatch) -> EyeBatch:
    """Return the batch with image and masks as float32 in 0..1; masks sum to one again.

    The last masks of schema.MASKS are empty where a store of schema 1 to 3 has none of them.
    """
    masks = batch.masks
    if masks is not None:
        masks = masks / masks.sum(1, keepdim=True, dtype=torch.float32).clamp_min(1)
        if missing := len(MASKS) - masks.shape[1]:
            masks = F.pad(masks, (0, 0, 0, 0, 0, missing))
    return replace(batch, image=batch.image.to(torch.float32) / 255, masks=masks)
