"""The ring's memory: a row of slabs, the newest one being written, the oldest one given up when there are too many.

Owns: how many slabs there are, whose memory is used again, and which slab holds a record. Refuses: to write records
and to know about readers; ``ring`` does both.

Invariants
- Within a slab the numbers are contiguous; a hole in the stream lies between two slabs only.
- Each slab is allocated when first needed (in a file group: when the oldest is still being read), its pages a little
  ahead of what is written; the oldest one's memory becomes the newest one's, unless it is pinned.
"""

from __future__ import annotations

from collections import deque
from itertools import islice

from overlaycast.agent.records.slab import LEAST_ROOM, Slab, fresh_memory
from overlaycast.errors import LocalProtocolError


class Slabs:
    """The slabs, oldest first.

    Args:
        most: slabs at once.
        slab_bytes: of each.
    """

    def __init__(self, most: int, slab_bytes: int) -> None:
        if most < 2 or slab_bytes < LEAST_ROOM:
            raise LocalProtocolError(f"a ring has at least 2 slabs of {LEAST_ROOM} bytes")
        self.slab_bytes = slab_bytes
        self._most = self._keep = most
        self._held: deque[Slab] = deque([Slab(0, fresh_memory(slab_bytes), 0, 0)])
        self._free: Slab | None = None

    @property
    def newest(self) -> Slab:
        """The slab that is being written."""
        return self._held[-1]

    @property
    def oldest(self) -> Slab:
        """The slab that is given up next."""
        return self._held[0]

    @property
    def capacity_bytes(self) -> int:
        """What they hold when all are full."""
        return self._most * self.slab_bytes

    @property
    def memory_bytes(self) -> int:
        """Bytes allocated."""
        return len(self._held) * self.slab_bytes

    # --- opening and giving up ---------------------------------------------------------------------------------

    def resize(self, slab_bytes: int, least: int) -> None:
        """Have slabs of another size in as much memory; nothing has been written yet.

        More than ``least`` of them are had only for readers that are behind.
        """
        self._most = max(least, self.capacity_bytes // slab_bytes)
        self._keep = least
        self.slab_bytes = slab_bytes
        self.newest.memory, self.newest.backed = fresh_memory(slab_bytes), 0

    @property
    def full(self) -> bool:
        """Must the oldest go before another can be opened?"""
        return len(self._held) >= self._most

    @property
    def enough(self) -> bool:
        """Should the oldest go, if no reader needs it?"""
        return len(self._held) >= self._keep

    def evict(self) -> Slab:
        """Give up the oldest slab and return it. The next slab has its memory, unless a thread still reads there."""
        slab = self._held.popleft()
        if not slab.pins:
            self._free = slab
        return slab

    def open(self, seq: int, expected: int) -> Slab:
        """Return a new slab whose first record is ``seq``, with pages for so many expected bytes."""
        free, self._free = self._free, None
        memory, backed = (free.memory, free.backed) if free else (fresh_memory(self.slab_bytes), 0)
        slab = Slab(self.newest.number + 1, memory, seq, seq, backed=backed)
        self._held.append(slab)
        slab.back(expected)
        return slab

    # --- finding -----------------------------------------------------------------------------------------------

    def numbered(self, number: int) -> Slab:
        """Return the slab with this number, which is held."""
        return self._held[number - self._held[0].number]

    def holding(self, seq: int) -> Slab | None:
        """Return the slab with record ``seq``, which is below the next one; None: it is given up, or never came."""
        slab = next((slab for slab in reversed(self._held) if slab.first_seq <= seq), None)
        return slab if slab is not None and seq < slab.next_seq else None

    def first_from(self, seq: int) -> int | None:
        """Return the first number of the first slab that begins at ``seq`` or later."""
        return next((slab.first_seq for slab in self._held if slab.first_seq >= seq), None)

    def bytes_from(self, number: int) -> int:
        """Return the bytes in slab ``number`` and all after it."""
        skip = max(0, number - self._held[0].number)
        return sum(slab.complete for slab in islice(self._held, skip, None))

    def seq_back(self, back_us: int) -> int | None:
        """Return the first record that is at most so many microseconds older than the newest, by the source's clock.

        If all are, that is the oldest one held. None: nothing is held.
        """
        found, limit = None, None
        for slab in reversed(self._held):
            times = slab.times()
            if not times:
                continue
            limit = slab.last_time() - back_us if limit is None else limit
            if times[0][1] <= limit:
                return slab.first_since(limit)
            found = times[0][0]
        return found
