"""Memory that the process keeps for the next minibatch."""

from __future__ import annotations

import contextlib
import ctypes

__all__ = ["keep_freed_memory"]

M_TRIM_THRESHOLD, M_MMAP_MAX = -1, -4  # malloc.h


def keep_freed_memory() -> None:
    """Let glibc reuse what a minibatch has freed; with another C library do nothing.

    TensorFlow frees every feature map as soon as it has served. glibc gives pieces that large
    back to the system at once, which has to clear as many pages again for the next minibatch.
    """
    with contextlib.suppress(OSError, TypeError, AttributeError):
        libc = ctypes.CDLL(None)
        libc.mallopt(M_MMAP_MAX, 0)
        libc.mallopt(M_TRIM_THRESHOLD, 2**31 - 1)
