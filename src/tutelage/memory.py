"""How freed memory is kept for the next tensors."""

import ctypes
import os
import platform

# Of mallopt in glibc's malloc.h.
_M_TRIM_THRESHOLD, _M_MMAP_THRESHOLD = -1, -3
_OWN_VARIABLES = ("MALLOC_MMAP_THRESHOLD_", "MALLOC_TRIM_THRESHOLD_")
_MOST_OF_ONE, _MOST_KEPT = 64 * 2**20, 256 * 2**20


def keep_freed_memory() -> None:
    """Have glibc keep the memory of freed tensors, for the next ones of this process.

    Otherwise it gives that of larger ones back to the system, which clears its pages anew in every
    step: a tenth of the time of training on a CPU. Tensors of more than 64 MB are given back as
    before. Without effect where the C library is another, or where glibc's own variables of the
    environment say what to do.
    """
    if platform.libc_ver()[0] != "glibc" or any(name in os.environ for name in _OWN_VARIABLES):
        return
    library = ctypes.CDLL(None)
    library.mallopt(_M_MMAP_THRESHOLD, _MOST_OF_ONE)
    library.mallopt(_M_TRIM_THRESHOLD, _MOST_KEPT)
