"""How freed memory is kept for the next tensors."""

import ctypes
import platform

# Of mallopt in glibc's malloc.h.
_M_TRIM_THRESHOLD, _M_MMAP_THRESHOLD = -1, -3
_MOST_OF_ONE, _MOST_KEPT = 256 * 2**20, 512 * 2**20


def keep_freed_memory() -> None:
    """Have glibc keep the memory of freed tensors, for the next ones of this process.

    Otherwise it gives the larger ones back to the system with every step, which then clears their
    pages anew: a tenth of the time of a training step on a CPU. The largest amount of memory that a
    process holds stays about the same. Without effect where the C library is another.
    """
    if platform.libc_ver()[0] != "glibc":
        return
    library = ctypes.CDLL(None)
    library.mallopt(_M_MMAP_THRESHOLD, _MOST_OF_ONE)
    library.mallopt(_M_TRIM_THRESHOLD, _MOST_KEPT)
