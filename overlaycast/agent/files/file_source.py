"""The source of a file group: it reads its file once, announces what is in it, and then sends it.

Owns: the announcement (``Contents``), and that nothing is sent before it. Refuses: the digests themselves (``chunks``)
and the sending (``file_pump``).

What the source announces goes to everybody over the control link, and only then can a record be believed.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Coroutine
from typing import Any

from overlaycast.agent.ends.media import FileInput
from overlaycast.agent.ends.source_feed import SourceFeed, SourceProgram
from overlaycast.agent.files.archive import FileArchive
from overlaycast.agent.files.file_frames import FileFrames
from overlaycast.agent.files.file_pump import FilePump
from overlaycast.agent.files.reads import Reads
from overlaycast.agent.hops.downstream import Downstream
from overlaycast.agent.records.chunk_intake import LEAST_SLABS, slab_bytes
from overlaycast.agent.records.chunks import Checks, describe
from overlaycast.agent.records.ring import Ring
from overlaycast.wire.journal import FileDescribed
from overlaycast.wire.messages import Begin


class FileSource(SourceFeed):
    """The source's half of ``parts.Feed`` in a file group.

    Args:
        record_size: bytes of a record.
        chunk_records: records of a chunk, as ``chunks.cut`` says.
        ended: called when END is in the ring.
    """

    def __init__(
        self,
        file: FileInput,
        pump: FilePump,
        record_size: int,
        chunk_records: int,
        ring: Ring,
        downstream: Downstream,
        program: SourceProgram,
        ended: Callable[[], Coroutine[Any, Any, None]],
    ) -> None:
        super().__init__(pump, program, ended)
        self._file = file
        self._file_pump = pump
        self._cut = record_size, chunk_records
        self._ring = ring
        self._downstream = downstream
        self._reads = Reads()
        self._checks: Checks | None = None
        self._described = asyncio.Event()
        self._archive = downstream.archive = FileArchive(ring, lambda: time.time_ns() // 1000)
        program.spawn(self._describe())

    async def _describe(self) -> None:
        """Read the file, announce what is in it, and be ready to send it."""
        began, file = time.monotonic(), self._file
        file.fix()
        read, loop = self._reads.until_closed(file.read), asyncio.get_running_loop()
        contents, digests = await loop.run_in_executor(None, describe, file.size, *self._cut, read)
        self._checks = checks = Checks(contents, lambda: None, digests)
        self._ring.resize(slab_bytes(checks.layout), LEAST_SLABS)
        frames = FileFrames(file.read_into, checks.layout)
        self._file_pump.open(frames, bytes.fromhex(contents.sha256))
        self._archive.open(frames, checks)
        seconds = round(time.monotonic() - began, 3)
        self._program.journal(FileDescribed(**contents.model_dump(exclude={"kind"}), seconds=seconds))
        self._announce()
        self._downstream.pay_digests()
        self._described.set()

    def _announce(self) -> None:
        if self._checks is not None:
            self._program.tell(self._checks.contents)

    def welcomed(self, anew: bool) -> None:
        """The coordinator may have forgotten what is in the file."""
        self._announce()

    async def _ready(self, order: Begin) -> None:
        await self._described.wait()
        self._archive.incarnation = order.incarnation

    def close(self) -> None:
        """Read no more."""
        self._reads.close()
