"""A program of its own that writes a stream to stdout at a modest rate, however busy the fuzzer is.

It ends when its stdin is closed, and then says on stderr how many bytes there were, and their SHA-256.
"""

from __future__ import annotations

import hashlib
import os
import random
import select
import sys
from typing import Final

PIECE: Final = 3760
PIECE_S: Final = 0.05


def main() -> None:
    """Write until stdin is closed."""
    numbers, digest, count = random.Random(1), hashlib.sha256(), 0
    while not select.select([sys.stdin], [], [], PIECE_S)[0]:
        piece = numbers.randbytes(PIECE)
        digest.update(piece)
        count += len(piece)
        while piece:
            piece = piece[os.write(1, piece) :]
    print(count, digest.hexdigest(), file=sys.stderr)


if __name__ == "__main__":
    main()
