"""Reads of a large file in a thread, which end as soon as the member does.

Owns: the one flag. Refuses: the reading.
"""

from __future__ import annotations

from overlaycast.agent.records.chunks import Read


class Reads:
    """Makes reads that can be ended from outside."""

    def __init__(self) -> None:
        self._closed = False

    def close(self) -> None:
        """Let every read raise from now on: nobody waits for a large file to be read to its end."""
        self._closed = True

    def until_closed(self, read: Read) -> Read:
        """Return the same read, which raises once we are closed."""

        def guarded(size: int, at: int) -> bytes:
            if self._closed:
                raise InterruptedError
            return read(size, at)

        return guarded
