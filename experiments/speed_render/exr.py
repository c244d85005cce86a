"""Read what Blender writes: OpenEXR images of lines without compression, of 32-bit floats."""

import struct
from pathlib import Path
from typing import Any

import numpy as np

Array = np.ndarray[Any, np.dtype[Any]]


def planes(file: Path) -> dict[str, Array]:
    """Return the channels `[rows, columns]` of a file by their names.

    Raises ValueError where the file is of another kind. Source: OpenEXR File Layout.
    """
    data = file.read_bytes()
    parts, at = _header(data)
    left, top, right, bottom = struct.unpack("<4i", parts["dataWindow"])
    names, wide, tall = _channels(parts["channels"]), right - left + 1, bottom - top + 1
    if parts["compression"] != b"\0":
        raise ValueError(f"{file} is compressed")
    # After the table of offsets each line has its number, its length, and its channels in order.
    lines = np.frombuffer(data, "<f4", offset=at + 8 * tall).reshape(tall, 2 + len(names) * wide)
    values = lines[:, 2:].reshape(tall, len(names), wide)
    return {name: values[:, k] for k, name in enumerate(names)}


def _header(data: bytes) -> tuple[dict[str, bytes], int]:
    """Attributes by name, and where they end."""
    parts, at = {}, 8
    while data[at]:
        name, kind = data[at : at + 512].split(b"\0", 2)[:2]
        at += len(name) + len(kind) + 2
        (length,) = struct.unpack_from("<i", data, at)
        parts[name.decode()] = data[at + 4 : at + 4 + length]
        at += 4 + length
    return parts, at + 1


def _channels(listed: bytes) -> list[str]:
    names = []
    while len(listed) > 1:
        name, _, rest = listed.partition(b"\0")
        if rest[:4] != b"\2\0\0\0":
            raise ValueError(f"channel {name.decode()} is not of 32-bit floats")
        names.append(name.decode())
        listed = rest[16:]
    return names
