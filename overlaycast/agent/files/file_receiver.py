"""A receiver in a file group: what it has of the file already, what the source announced, and when it may ask for more.

Owns: where the file is kept, and that parents are not read while the disk is behind. Refuses: the checks of chunks
(``chunk_intake``) and the names of files (``output``).

A receiver asks for nothing before it knows what the source announced (``Contents``), and what of the file it has from
an earlier run. Until then the newest order waits (``Uplink.open``).
"""

from __future__ import annotations

import asyncio
import os
import time
from collections.abc import Callable, Coroutine
from functools import partial
from typing import Any, Final, Protocol

from overlaycast.agent.ends.entered import Entered, FileCounting
from overlaycast.agent.ends.output import Output, Spool, checks_of_earlier_run
from overlaycast.agent.ends.recording import Stream
from overlaycast.agent.ends.sink import BATCH, FILE_FLUSH_S, Sink
from overlaycast.agent.files.archive import FileArchive
from overlaycast.agent.files.file_frames import FileFrames
from overlaycast.agent.files.reads import Reads
from overlaycast.agent.hops.downstream import Downstream
from overlaycast.agent.hops.uplink import Uplink
from overlaycast.agent.records.chunk_intake import LEAST_SLABS, slab_bytes
from overlaycast.agent.records.chunks import Checks, Read
from overlaycast.agent.records.ring import Ring
from overlaycast.wire.frames import End
from overlaycast.wire.messages import Contents

PAUSE_PART: Final = 4
GO_ON_PART: Final = 8
"""Parents are not read while more than a fourth of the ring waits for the disk, until it is less than an eighth: one
read may bring a slab at once, and what waits must not leave the ring."""


def eager_bytes(ring: Ring) -> int:
    """Return how much is written as soon as it waits: a batch, or as much as keeps parents from being read."""
    return min(BATCH, ring.capacity_bytes // GO_ON_PART)


class ReceiverProgram(Protocol):
    """What a receiver asks of the program that it runs in."""

    def say(self, line: str) -> None:
        """Print one line for people."""

    def spawn(self, work: Coroutine[Any, Any, Any]) -> None:
        """Run a task."""

    def finish(self, code: int, line: str | None = None) -> None:
        """End with this exit code, and one line for people."""


class FileReceiver:
    """The receiver's half of ``parts.Delivery`` in a file group.

    Args:
        failed: told in one line when the output cannot be used any more.
    """

    written = None

    def __init__(
        self,
        output: Output | Spool,
        ring: Ring,
        uplink: Uplink,
        downstream: Downstream,
        program: ReceiverProgram,
        failed: Callable[[str], None],
    ) -> None:
        output.refuse_unless_named()
        self._output = output
        self._ring = ring
        self._uplink = uplink
        self._downstream = downstream
        self._program = program
        self._failed = failed
        self._reads = Reads()
        self._checks: Checks | None = None
        self._sink: Sink | None = None
        self._keeping: asyncio.Future[None] | None = None
        self._archive = downstream.archive = FileArchive(ring, lambda: time.time_ns() // 1000)

    # --- the beginning -----------------------------------------------------------------------------------------

    def announced(self, contents: Contents) -> None:
        """The source's announcement, passed on by the coordinator."""
        if self._checks is None:
            self._checks = Checks(contents, self._learned)
            self._program.spawn(self._open(self._checks))
        elif contents != self._checks.contents:
            self._program.finish(1, "the source sends another file now; start again to receive that")

    async def _open(self, checks: Checks) -> None:
        """Find out what is here already, and begin behind it."""
        ring, layout = self._ring, checks.layout
        loop = asyncio.get_running_loop()
        checks_of_earlier_run(checks, self._output.known_list())
        try:
            descriptor, chunks = await loop.run_in_executor(None, self._output.open_part, checks, self._reader)
        except OSError as error:  # no file system for a file so large, or a disk that cannot be read
            self._failed(error.strerror or str(error))
            return
        kept = layout.records_before(chunks)
        ring.resize(slab_bytes(layout), LEAST_SLABS)
        ring.anchor(kept)
        if kept:
            self._program.say(
                f"resuming at record {kept}: the first {layout.bytes_before(chunks)} bytes are here and verified"
            )
        counting, eager = FileCounting(layout, kept), eager_bytes(ring)
        self._sink = sink = Sink(ring, Stream(descriptor), self._failed, self._wrote, counting, FILE_FLUSH_S, eager)
        self._archive.open(FileFrames(partial(os.preadv, descriptor), layout), checks, lambda: sink.written)
        self._downstream.pay_digests()
        self._uplink.open(checks)

    def _reader(self, descriptor: int) -> Read:
        return self._reads.until_closed(partial(os.pread, descriptor))

    # --- records -----------------------------------------------------------------------------------------------

    def arrived(self) -> None:
        """Have the new records written. If the disk is behind, read no parent for a while: what the file has not got
        must not leave the ring."""
        ring, sink = self._ring, self._opened
        sink.wake()
        self._uplink.forwards = self._downstream.feeding > 0
        if not self._archive.incarnation:  # frames read back carry the newest
            self._archive.incarnation = ring.first_frame()[0]
        if sink.lag_bytes > ring.capacity_bytes // PAUSE_PART:
            self._uplink.pause()

    @property
    def _opened(self) -> Sink:
        """The sink. No record comes before there is one: orders wait for it."""
        assert self._sink is not None
        return self._sink

    def _wrote(self) -> None:
        if self._uplink.paused and self._opened.lag_bytes < self._ring.capacity_bytes // GO_ON_PART:
            self._uplink.go_on()
        self._downstream.pump()  # children that are served from the file can get on

    def _learned(self) -> None:
        """More of the list of digests has come: children need it too, and a later run needs it whole.

        If an earlier run had it, ``_open`` sends it to the children.
        """
        if self._sink is None:
            return
        self._downstream.pay_digests()
        if self._checks and (digests := self._checks.digests):
            self._keeping = asyncio.get_running_loop().run_in_executor(None, self._output.keep_list, digests)

    # --- figures -----------------------------------------------------------------------------------------------

    @property
    def _entered(self) -> Entered:
        return self._sink.counting.entered if self._sink else Entered()

    @property
    def first_seq(self) -> int | None:
        """The first record of the file."""
        return self._entered.first_seq

    @property
    def bytes(self) -> int:
        """Payload in the file."""
        return self._entered.bytes

    @property
    def records(self) -> int:
        """Records in the file."""
        return self._entered.records

    @property
    def lost(self) -> int:
        """Records that the file lacks."""
        return self._entered.lost

    @property
    def duplicated(self) -> int:
        """Records that came twice."""
        return self._entered.duplicated

    @property
    def reordered(self) -> int:
        """Records that came late."""
        return self._entered.reordered

    @property
    def size(self) -> int | None:
        """Bytes of the whole file, once we are ready for it."""
        return self._checks.layout.size if self._checks and self._sink else None

    @property
    def _complete(self) -> bool:
        """Is everything in the file? All of it was checked."""
        return self._checks is not None and self._sink is not None and self._sink.written == self._checks.layout.records

    @property
    def incomplete(self) -> bool:
        """Does something of the file lack, or is it not even known what is in it?"""
        return not self._complete

    def sha256(self) -> str | None:
        """Return what the source announced, if all is there: each chunk was checked before it was written."""
        return self._checks.contents.sha256 if self._checks and self._complete else None

    def digest_ok(self, end: End) -> bool:
        """Is all there?"""
        return self._complete

    # --- the end -----------------------------------------------------------------------------------------------

    async def drained(self) -> bool:
        """Wait for the disk."""
        if self._sink is None:
            return True
        await self._sink.drained()
        return self._sink.failed is None

    async def keep(self) -> str | None:
        """If all is there, give the file its name. Return what is wrong, in one line, if that fails."""
        if not self._complete:
            return None
        try:
            if self._keeping is not None:
                await self._keeping
            self._output.complete()
        except OSError as error:
            return error.strerror or str(error)
        return None

    def close(self) -> None:
        """Read and write no more."""
        self._reads.close()
        if self._sink:
            self._sink.close()
