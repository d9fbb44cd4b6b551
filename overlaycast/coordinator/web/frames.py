"""Counts the WebSocket frames that begin in a stream of bytes (RFC 6455, 5.2), before anybody takes them apart (pure).

Owns: where frames begin. Refuses: what is in them. A frame of no payload costs its sender six bytes and its receiver
much more, so what bounds messages and bytes does not bound frames.
"""

from __future__ import annotations

from typing import Final

_EXTENDED: Final = {126: 2, 127: 8}
_MASK: Final = 4


class FrameCounter:
    """One connection's."""

    def __init__(self) -> None:
        self._head = b""
        self._skip = 0

    def begun(self, data: bytes) -> int:
        """Return how many heads of frames are complete after ``data`` that were not before."""
        count, at = 0, 0
        data, self._head = self._head + data, b""
        while True:
            if self._skip >= len(data) - at:
                self._skip -= len(data) - at
                return count
            at += self._skip
            self._skip = 0
            size = data[at + 1] & 0x7F if at + 1 < len(data) else 0
            body = at + 2 + _EXTENDED.get(size, 0)
            if body > len(data):
                self._head = data[at:]
                return count
            if size in _EXTENDED:
                size = int.from_bytes(data[at + 2 : body])
            self._skip = size + (_MASK if data[at + 1] & 0x80 else 0)
            at = body
            count += 1
