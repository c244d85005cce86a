"""Randomness as a pure function of (seed, names, index): nothing to save, nothing to restore."""

import hashlib
from collections.abc import Sequence

import torch
from torch import Tensor

_MASK32 = 0xFFFFFFFF


def mix(seed: int, *names: str | int) -> int:
    """Mix a seed and any names into one 63-bit integer, the same on every machine and run.

    The mixture is the leading 63 bits of BLAKE2b over the written-out parts.
    """
    text = "\x1f".join(str(part) for part in (seed, *names))
    digest = hashlib.blake2b(text.encode(), digest_size=8).digest()
    return int.from_bytes(digest, "big") >> 1


def stream(seed: int, *names: str | int) -> torch.Generator:
    """Return a CPU generator whose draws depend on `seed` and `names` alone."""
    return torch.Generator().manual_seed(mix(seed, *names))


def _to_int32(value: int) -> int:
    value &= _MASK32
    return value - (1 << 32) if value >= 1 << 31 else value


def _shift(x: Tensor, bits: int) -> Tensor:
    return (x >> bits) & ((1 << (32 - bits)) - 1)


def hash32(x: Tensor) -> Tensor:
    """Scramble int32 counters `[...]` into int32 words (bijective; Wellons' `lowbias32`)."""
    x = x ^ _shift(x, 16)
    x = x * _to_int32(0x7FEB352D)
    x = x ^ _shift(x, 15)
    x = x * _to_int32(0x846CA68B)
    return x ^ _shift(x, 16)


def bits(index: Tensor, seed: int, *names: str | int) -> Tensor:
    """Return one int32 word for each integer in `index` `[...]`, independent of shape and order."""
    key = mix(seed, *names)
    first, second = _to_int32(key), _to_int32(key >> 31)
    return hash32(hash32(index.to(torch.int32) ^ first) + second)


def unit(words: Tensor) -> Tensor:
    """Map int32 words `[...]` to float32 in the open interval (0, 1), 23 bits each."""
    return (_shift(words, 9).to(torch.float32) + 0.5) * 2.0**-23


def uniform(index: Tensor, seed: int, *names: str | int) -> Tensor:
    """Return a float32 in (0, 1) for each integer in `index` `[...]`."""
    return unit(bits(index, seed, *names))


def uniforms(index: Tensor, seed: int, names: Sequence[tuple[str | int, ...]]) -> Tensor:
    """Return `uniform(index, seed, *each)` for each of `names` as rows, in far fewer steps.

    `index` is `[N]`, what is returned `[len(names), N]`.
    """
    keys = [mix(seed, *each) for each in names]
    first, second = (
        torch.tensor([_to_int32(key >> down) for key in keys], dtype=torch.int32)[:, None]
        for down in (0, 31)
    )
    return unit(hash32(hash32(index.to(torch.int32) ^ first) + second))
