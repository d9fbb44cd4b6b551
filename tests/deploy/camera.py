"""A live input for sources on machines: numbered blocks into a FIFO, the same ones at the same time on each machine.

Owns: the blocks. Refuses: to wait for a reader; what nobody reads in time is lost, as with any live input. It is copied
to the machines, so it needs nothing but Python.
"""

from __future__ import annotations

import os
import sys
import time
from contextlib import suppress

BLOCK = 1316
"""Bytes of a block: a record has a whole number of them, so that none is torn."""
PER_S = 100


def main(fifo: str) -> None:
    """Write for ever; the number of a block is its time."""
    writing = os.open(fifo, os.O_RDWR | os.O_NONBLOCK)
    number = int(time.time() * PER_S)
    while True:
        time.sleep(max(0.0, number / PER_S - time.time()))
        with suppress(BlockingIOError):
            os.write(writing, number.to_bytes(8, "big").ljust(BLOCK, b"."))
        number += 1


if __name__ == "__main__":
    main(sys.argv[1])
