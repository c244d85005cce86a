"""Memory that a render frees is kept for the next one."""

import ctypes
import sys
from functools import cache

_TRIM, _MAP = -1, -3
"""M_TRIM_THRESHOLD and M_MMAP_THRESHOLD of glibc's malloc.h."""
_KEPT, _BLOCK = 512 << 20, 256 << 20
"""Bytes of free memory that a process keeps, and that a block of memory it keeps may have."""


@cache
def keep_freed() -> None:
    """Let the process keep up to 256 MB that it freed, where its C library is glibc.

    Renders fill and free the same planes over and over. Given back to the system each time, they
    come back page by page: half of a compiled render's time, a tenth of a plain one's.
    """
    if not sys.platform.startswith("linux"):
        return
    tune = getattr(ctypes.CDLL(None), "mallopt", None)
    if tune is not None:  # another C library may have none
        tune(_TRIM, _KEPT)
        tune(_MAP, _BLOCK)
