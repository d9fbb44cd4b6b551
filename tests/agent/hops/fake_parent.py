"""A scripted parent on a real socket: it lets everybody in, and serves records as a test says."""

from __future__ import annotations

import asyncio
from types import TracebackType

from overlaycast.wire.frames import EDGE, IDLE, OLDEST, Data, Decoder, End, Frame, Heartbeat, Hello, Start, Stop, encode
from overlaycast.wire.messages import Address, Peer

BEAT_S = 0.02


class FakeParent:
    """One parent of a live group.

    Attributes:
        has: the records that it holds, ``[first, after)``; None: none yet.
        incarnation: of the source from which they are.
        asked: every resume point that it was asked for.
    """

    def __init__(self, member: int, has: tuple[int, int] | None) -> None:
        self.member = member
        self.has = has
        self.incarnation = 0
        self.asked: list[int] = []
        self.writers: set[asyncio.StreamWriter] = set()
        self.came = 0
        self.end: End | None = None
        self._server: asyncio.Server | None = None
        self._feeding: dict[asyncio.StreamWriter, int | None] = {}

    async def __aenter__(self) -> FakeParent:
        self._server = await asyncio.start_server(self._child, "127.0.0.1", 0)
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, _: TracebackType | None
    ) -> None:
        assert self._server is not None
        self._server.close()
        self.drop()

    @property
    def peer(self) -> Peer:
        assert self._server is not None
        port = self._server.sockets[0].getsockname()[1]
        return Peer(
            member=self.member,
            name=f"m{self.member}",
            addresses=(Address(host="127.0.0.1", port=port),),
            grant=f"{self.member:032x}",
            rank=self.member,
        )

    def drop(self) -> None:
        """Close all connections."""
        for writer in self.writers:
            writer.close()

    def say(self, *frames: Frame) -> None:
        """Say this to every child."""
        for writer in self.writers:
            writer.write(b"".join(map(encode, frames)))

    def finish(self, end: End) -> None:
        """Say that the stream is over, now and to everybody who asks for records from now on."""
        self.end = end
        self.say(end)

    async def _child(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.writers.add(writer)
        self.came += 1
        decoder = Decoder()
        beats = asyncio.create_task(self._beat(writer))
        try:
            while data := await reader.read(4096):
                for frame in decoder.feed(data):
                    self._hear(writer, frame)
        except OSError:
            pass
        finally:
            beats.cancel()
            self.writers.discard(writer)
            self._feeding.pop(writer, None)
            writer.close()

    def _hear(self, writer: asyncio.StreamWriter, frame: Frame) -> None:
        if isinstance(frame, Stop):
            self._feeding.pop(writer, None)
        elif isinstance(frame, Hello | Start):
            if frame.resume_from != IDLE:
                self.asked.append(frame.resume_from)
                self._feeding[writer] = None
                self._serve(writer, frame.resume_from)
            self._say_where(writer)

    def begin(self, first: int, after: int) -> None:
        """It has its first records."""
        self.has = (first, after)
        for writer in list(self._feeding):
            self._serve(writer, first)

    def _serve(self, writer: asyncio.StreamWriter, wanted: int) -> None:
        if self.has is None:
            return
        first, after = self.has
        marks = {OLDEST: first, EDGE: first}
        start = max(first, min(marks.get(wanted, wanted), after))
        records = b"".join(encode(Data(number, 1, b"%d" % number, self.incarnation)) for number in range(start, after))
        over = b"" if self.end is None else encode(self.end)
        writer.write(encode(Heartbeat(start, first, seek=True)) + records + over)

    def _say_where(self, writer: asyncio.StreamWriter) -> None:
        first, after = self.has or (0, 0)
        writer.write(encode(Heartbeat(after, first)))

    async def _beat(self, writer: asyncio.StreamWriter) -> None:
        while True:
            await asyncio.sleep(BEAT_S)
            self._say_where(writer)
