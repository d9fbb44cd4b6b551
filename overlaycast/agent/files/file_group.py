"""File mode: what a node of a file group does besides forwarding.

Owns: what the source announces and what is held against it, where the file is kept, and which orders wait until that is
known. Refuses: live groups; the checks themselves (``chunk_intake``) and the names (``output``).

A source reads its file once before anything is sent: what it announces (``Contents``) goes to all members over the
control link, and only then can a record be believed. So a receiver asks for nothing before it knows that, and
what of the file it has from an earlier run.
"""

from __future__ import annotations

import asyncio
import os
import time
from functools import partial
from typing import TYPE_CHECKING, Final

from overlaycast.agent.ends.entered import FileCounting
from overlaycast.agent.ends.media import FileInput
from overlaycast.agent.ends.output import Output, Spool, checks_of_earlier_run
from overlaycast.agent.ends.recording import Stream
from overlaycast.agent.ends.sink import BATCH, FILE_FLUSH_S, Sink
from overlaycast.agent.files.archive import FileArchive
from overlaycast.agent.files.file_frames import FileFrames
from overlaycast.agent.files.file_pump import FilePump
from overlaycast.agent.records.chunk_intake import slab_bytes
from overlaycast.agent.records.chunks import Checks, Read, describe
from overlaycast.agent.records.ring import Ring
from overlaycast.wire.journal import FileDescribed
from overlaycast.wire.messages import Assign, Begin, Contents

if TYPE_CHECKING:
    from overlaycast.agent.agent import Agent

LEAST_SLABS: Final = 4
"""The ring holds so many slabs at least, each of whole chunks."""
PAUSE_PART: Final = 4
GO_ON_PART: Final = 8
"""Parents are not read while more than a fourth of the ring waits for the disk, until it is less than an eighth: one
read may bring a slab at once, and what waits must not leave the ring."""


def eager_bytes(ring: Ring) -> int:
    """Return how much is written as soon as it waits: a batch, or as much as keeps parents from being read."""
    return min(BATCH, ring.capacity_bytes // GO_ON_PART)


class FileGroup:
    """A node's file-mode half."""

    def __init__(self, node: Agent, output: Output | Spool | None) -> None:
        self.checks: Checks | None = None
        self.ready = asyncio.Event()
        self._closed = False
        self._node = node
        self._output = output
        self._order: Assign | None = None
        self._keeping: asyncio.Future[None] | None = None
        self._archive = FileArchive(node.ring, lambda: time.time_ns() // 1000)
        if node.downstream:
            node.downstream.archive = self._archive
        if output is not None:
            output.refuse_unless_named()

    @property
    def size(self) -> int | None:
        """The file's size; None while that is not known."""
        return self.checks.layout.size if self.checks else None

    def close(self) -> None:
        """Stop reading: a large file need not be read to its end first."""
        self._closed = True

    def _reader(self, descriptor: int) -> Read:
        return self._until_closed(partial(os.pread, descriptor))

    def _until_closed(self, read: Read) -> Read:
        """Return what reads in a thread, and raises once we are closed."""

        def guarded(size: int, at: int) -> bytes:
            if self._closed:
                raise InterruptedError
            return read(size, at)

        return guarded

    # --- the source --------------------------------------------------------------------------------------------

    async def describe(self, source: FileInput, pump: FilePump, record_size: int, count: int) -> None:
        """Read the file, cut as ``chunks.cut`` says, announce what is in it, and be ready to send it."""
        began = time.monotonic()
        source.fix()
        read = self._until_closed(source.read)
        loop = asyncio.get_running_loop()
        contents, digests = await loop.run_in_executor(None, describe, source.size, record_size, count, read)
        self.checks = Checks(contents, lambda: None, digests)
        self._node.ring.resize(slab_bytes(self.checks.layout), LEAST_SLABS)
        frames = FileFrames(source.read_into, self.checks.layout)
        pump.open(frames, bytes.fromhex(contents.sha256))
        self._archive.open(frames, self.checks)
        seconds = round(time.monotonic() - began, 3)
        self._node.journal(FileDescribed(**contents.model_dump(exclude={"kind"}), seconds=seconds))
        self.announce()
        self._pay()
        self.ready.set()

    def announce(self) -> None:
        """Tell the coordinator what is in the file, also one that comes back."""
        if self.checks is not None and self._output is None:
            self._node.tell(self.checks.contents)

    async def may_begin(self, order: Begin) -> None:
        """Wait until the file is described."""
        await self.ready.wait()
        self._archive.incarnation = order.incarnation

    # --- a receiver --------------------------------------------------------------------------------------------

    def heard(self, contents: Contents) -> None:
        """The source's announcement, passed on by the coordinator."""
        if self._output is None:
            return
        if self.checks is None:
            self.checks = Checks(contents, self._learned)
            self._node.spawn(self._open(self._output, self.checks))
        elif contents != self.checks.contents:
            self._node.finish(1, "the source sends another file now; start again to receive that")

    async def _open(self, output: Output | Spool, checks: Checks) -> None:
        """Find out what is here already, and begin behind it."""
        node, layout = self._node, checks.layout
        loop = asyncio.get_running_loop()
        checks_of_earlier_run(checks, output.known_list())
        try:
            descriptor, chunks = await loop.run_in_executor(None, output.open_part, checks, self._reader)
        except OSError as error:  # no file system for a file so large, or a disk that cannot be read
            node.departure.sink_failed(error.strerror or str(error))
            return
        kept = layout.records_before(chunks)
        node.ring.resize(slab_bytes(layout), LEAST_SLABS)
        node.ring.anchor(kept)
        if kept:
            node.say(f"resuming at record {kept}: the first {layout.bytes_before(chunks)} bytes are here and verified")
        counting, eager, failed = FileCounting(layout, kept), eager_bytes(node.ring), node.departure.sink_failed
        node.sink = sink = Sink(node.ring, Stream(descriptor), failed, self._wrote, counting, FILE_FLUSH_S, eager)
        self._archive.open(FileFrames(partial(os.preadv, descriptor), layout), checks, lambda: sink.written)
        self._pay()
        if node.uplink:
            node.uplink.checks = checks
        self.ready.set()
        order, self._order = self._order, None
        if order is not None and node.uplink and not node.departure.ending:
            node.uplink.assign(order)

    def holds_back(self, order: Assign) -> bool:
        """Is it too early to ask a parent for anything? Then the newest order waits."""
        if self.ready.is_set():
            return False
        self._order = order
        return True

    def _learned(self) -> None:
        """More of the list has come: children need it too, and a later run needs it whole. (If an earlier run had it,
        ``_open`` tells the children.)"""
        if not self.ready.is_set():
            return
        self._pay()
        if self._output and self.checks and (digests := self.checks.digests):
            self._keeping = asyncio.get_running_loop().run_in_executor(None, self._output.keep_list, digests)

    def _pay(self) -> None:
        if self._node.downstream:
            self._node.downstream.pay_digests()

    def received(self) -> None:
        """Records came: frames read back carry the newest incarnation; if our own disk is behind, nothing is read
        for a while, as what the file has not got must not leave the ring."""
        node = self._node
        if node.uplink and node.downstream:
            node.uplink.forwards = node.downstream.feeding > 0
        if not self._archive.incarnation:
            self._archive.incarnation = node.ring.first_frame()[0]
        if node.sink and node.uplink and node.sink.lag_bytes > node.ring.capacity_bytes // PAUSE_PART:
            node.uplink.pause()

    def _wrote(self) -> None:
        node = self._node
        if (
            node.sink
            and node.uplink
            and node.uplink.paused
            and node.sink.lag_bytes < node.ring.capacity_bytes // GO_ON_PART
        ):
            node.uplink.go_on()
        if node.downstream:
            node.downstream.pump()  # children that are served from the file can go on

    @property
    def complete(self) -> bool:
        """Everything is in the file, and was checked."""
        sink = self._node.sink
        return self.checks is not None and sink is not None and sink.written == self.checks.layout.records

    async def keep(self) -> str | None:
        """All is there: give the file its name. Return what is wrong, in one line, if that fails."""
        try:
            if self._keeping is not None:
                await self._keeping
            if self._output is not None:
                self._output.complete()
        except OSError as error:
            return error.strerror or str(error)
        return None
