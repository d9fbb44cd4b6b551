"""Memory that a run finds ready, on machines whose hypervisor takes back what is free.

A guest that reports its free pages (virtio balloon, free page reporting) loses their memory within a second or two, and
pays for each at its next first use: on the machine that this was written on 1 to 2.4 s/GB, against 0.35 s/GB for
writing a file into memory that is there. A run that fills 8 GB would measure little else. Pages are reported in blocks
of 2 MiB only; so this process takes as much as the run will need, touches it, and gives all of it back but one page of
each MiB: what is free then lies between pages in use, and stays.

    with ready(8 << 30):
        ...
"""

from __future__ import annotations

import mmap
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final

from overlaycast.agent.records.slab import MADV_POPULATE_WRITE

_BLOCK: Final = 1 << 20


@contextmanager
def ready(size: int) -> Iterator[None]:
    """Have ``size`` bytes of free memory backed while the context lasts.

    The pages are a process's own: a child of ours that was forked later would share them, and keep them.
    """
    words = [sys.executable, "-m", "benchmarks.reserve", str(size)]
    with subprocess.Popen(words, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as holder:
        assert holder.stdin is not None
        assert holder.stdout is not None
        if not holder.stdout.readline():
            raise RuntimeError(f"no {size >> 20} MiB of memory can be had")
        yield
        holder.stdin.close()


def hold(size: int) -> None:
    """Touch ``size`` bytes, keep a page of each MiB, and wait for the end of standard input."""
    memory = mmap.mmap(-1, size, mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS)
    memory.madvise(mmap.MADV_NOHUGEPAGE)  # a huge page cannot be given back in part
    memory.madvise(MADV_POPULATE_WRITE)
    for start in range(0, size, _BLOCK):
        memory.madvise(mmap.MADV_DONTNEED, start, _BLOCK - mmap.PAGESIZE)
    print("ready", flush=True)
    sys.stdin.read()


if __name__ == "__main__":
    hold(int(sys.argv[1]))
