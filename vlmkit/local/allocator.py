"""What the C library does with the memory that a forward frees."""

from __future__ import annotations

import ctypes
import platform

MMAP_THRESHOLD, TRIM_THRESHOLD = -3, -1
"""Numbers of two parameters of glibc's ``mallopt``."""

LARGEST_KEPT = 2**28
"""Bytes of the largest freed block that is kept for the next one."""

MOST_KEPT = 2**30
"""Bytes of freed memory that are kept together."""


def keep_freed_memory() -> None:
    """Let glibc reuse the large blocks that inference on a CPU frees; elsewhere do nothing.

    By default each goes back to the system, and the next layer's is faulted in page by page, which takes a small model
    much of its time.
    """
    if platform.libc_ver()[0] != "glibc":
        return
    library = ctypes.CDLL(None)
    library.mallopt(MMAP_THRESHOLD, LARGEST_KEPT)
    library.mallopt(TRIM_THRESHOLD, MOST_KEPT)
