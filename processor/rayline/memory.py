"""How much memory one call of a plugin may take: the kernel refuses more, so that no neighbour is starved."""

import os
import resource
import sys
from collections.abc import Iterator
from contextlib import contextmanager

_MEBIBYTE = 1024 * 1024
_SIZES = "/proc/self/statm"


def _address_space_bytes() -> int:
    """The process's virtual size: proc(5), statm, first field, in pages."""
    descriptor = os.open(_SIZES, os.O_RDONLY)  # without a file object: each call of a plugin asks
    try:
        return int(os.read(descriptor, 64).split()[0]) * resource.getpagesize()
    finally:
        os.close(descriptor)


@contextmanager
def memory_limit(mebibytes: int) -> Iterator[None]:
    """Let the process grow by so much address space; beyond it, allocations fail with ``MemoryError``.

    Limits nest: within an outer one, an inner one holds until it ends. Threads of the process share the limit.
    Only Linux has one (setrlimit(2), RLIMIT_AS); elsewhere nothing is limited.
    """
    if not sys.platform.startswith("linux"):
        yield
        return
    soft, hard = resource.getrlimit(resource.RLIMIT_AS)
    wanted = _address_space_bytes() + mebibytes * _MEBIBYTE
    if hard != resource.RLIM_INFINITY:
        wanted = min(wanted, hard)
    resource.setrlimit(resource.RLIMIT_AS, (wanted, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_AS, (soft, hard))
