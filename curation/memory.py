"""How a worker holds on to its memory: pages that the system takes back and gives again cost more time than resampling does."""

from __future__ import annotations

import ctypes
import sys
from functools import cache

TRIM_THRESHOLD, MMAP_THRESHOLD = -1, -3
"""Parameters of mallopt(3)."""
KEPT_BYTES, MAPPED_BYTES = 256 << 20, 32 << 20


@cache
def keep_freed_memory() -> bool:
    """Let this process keep up to 256 MB that it has freed, instead of giving each array of a few MB back at once; say whether that worked.

    The bytes of results do not depend on it. Only the GNU C library has this; elsewhere nothing happens.
    """
    if not sys.platform.startswith("linux"):
        return False
    try:
        mallopt = ctypes.CDLL(None).mallopt
    except (OSError, AttributeError):
        return False
    return bool(mallopt(TRIM_THRESHOLD, KEPT_BYTES) and mallopt(MMAP_THRESHOLD, MAPPED_BYTES))
