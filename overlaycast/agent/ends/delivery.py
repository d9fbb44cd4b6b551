"""What a member has done with a live stream, and a source with a file: the figures behind its summary.

Owns: one class for each way, all with the members of ``parts.Delivery``. Refuses: to write or send. For receivers in a
file group there is ``files.FileReceiver``.
"""

from __future__ import annotations

from overlaycast.agent.ends.sink import Sink
from overlaycast.agent.ends.source import SourcePump
from overlaycast.agent.rates.stats import Reception
from overlaycast.wire.frames import End
from overlaycast.wire.messages import Contents


class Sent:
    """A source: all that it has sent."""

    written = None
    lost = duplicated = reordered = 0

    def __init__(self, pump: SourcePump) -> None:
        self._pump = pump

    @property
    def size(self) -> int | None:
        """Bytes of the whole file."""
        return self._pump.size

    @property
    def first_seq(self) -> int:
        """The first record sent."""
        return self._pump.first_seq

    @property
    def bytes(self) -> int:
        """Payload sent."""
        return self._pump.bytes

    @property
    def records(self) -> int:
        """Records sent."""
        return self._pump.records

    @property
    def incomplete(self) -> bool:
        """Has a part of the file not been sent?"""
        return self._pump.incomplete

    def sha256(self) -> str:
        """Return the digest of all that was sent."""
        return self._pump.sha256

    def digest_ok(self, end: End) -> bool:
        """It is the source's own."""
        return True

    def announced(self, contents: Contents) -> None:
        """Our own words."""

    def arrived(self) -> None:
        """Nothing arrives."""

    async def drained(self) -> bool:
        """There is nothing to write."""
        return True

    async def keep(self) -> None:
        """There is nothing to keep."""

    def close(self) -> None:
        """There is nothing to close."""


class Written:
    """A peer in a live group: what is in its output."""

    size = None
    incomplete = False

    def __init__(self, sink: Sink) -> None:
        self._sink = sink
        self._counting = sink.counting

    @property
    def written(self) -> int:
        """The record after the last one written."""
        return self._sink.written

    @property
    def first_seq(self) -> int | None:
        """The first record written."""
        return self._counting.entered.first_seq

    @property
    def bytes(self) -> int:
        """Payload written."""
        return self._counting.entered.bytes

    @property
    def records(self) -> int:
        """Records written."""
        return self._counting.entered.records

    @property
    def lost(self) -> int:
        """Records that the output lacks."""
        return self._counting.entered.lost

    @property
    def duplicated(self) -> int:
        """Records that came twice."""
        return self._counting.entered.duplicated

    @property
    def reordered(self) -> int:
        """Records that came too late to be written."""
        return self._counting.entered.reordered

    def sha256(self) -> str:
        """Return the digest of all that was written."""
        return self._counting.sha256()

    def digest_ok(self, end: End) -> bool | None:
        """Is it the source's?"""
        return self._counting.matches(end.first_seq, end.seq, end.digest)

    def announced(self, contents: Contents) -> None:
        """For file groups only."""

    def arrived(self) -> None:
        """Have them written."""
        self._sink.wake()

    async def drained(self) -> bool:
        """Wait for the disk."""
        await self._sink.drained()
        return self._sink.failed is None

    async def keep(self) -> None:
        """It has its name already."""

    def close(self) -> None:
        """End the writer."""
        self._sink.close()


class Forwarded:
    """A relay in a live group: what it has received, to pass it on."""

    size = first_seq = written = None
    incomplete = False
    lost = duplicated = reordered = 0

    def __init__(self, reception: Reception) -> None:
        self._reception = reception

    @property
    def bytes(self) -> int:
        """Payload received."""
        return self._reception.bytes

    @property
    def records(self) -> int:
        """Records received."""
        return self._reception.records

    def sha256(self) -> None:
        """A relay keeps none."""

    def digest_ok(self, end: End) -> None:
        """It is not known."""

    def announced(self, contents: Contents) -> None:
        """For file groups only."""

    def arrived(self) -> None:
        """They are passed on already."""

    async def drained(self) -> bool:
        """There is nothing to write."""
        return True

    async def keep(self) -> None:
        """There is nothing to keep."""

    def close(self) -> None:
        """There is nothing to close."""
