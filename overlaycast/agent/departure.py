"""How a node goes: at the end of the stream, when told to, or because it cannot go on.

Owns: the order of steps and the bound of each wait. Refuses: to leave children without data while there is a way:
they are moved first (``Leaving``), or have the end of the stream too.
"""

from __future__ import annotations

import asyncio
import signal
from collections.abc import Coroutine
from typing import TYPE_CHECKING, Any, Final

from overlaycast.wire.journal import StreamEnd
from overlaycast.wire.messages import Done, Failed, Leaving

if TYPE_CHECKING:
    from overlaycast.agent.agent import Agent

LEAVE_S: Final = 5.0
"""Longest stay after ``Leaving`` without ``Released``."""
LINGER_S: Final = 5.0
"""Longest stay for children that do not get on with the end of the stream."""
FLUSH_S: Final = 1.0
"""Longest wait for our own sink when we are told to go."""


class Departure:
    """The ends of one node."""

    def __init__(self, node: Agent) -> None:
        self.released = asyncio.Event()
        self.leaving = False
        self.ending = False
        self._node = node

    def asked(self, number: int) -> None:
        """A signal: go properly; a second SIGINT: at once."""
        if self.leaving and number == signal.SIGINT:
            self._node.finish(130)
        elif not self.leaving:
            self._go(0)

    def sink_failed(self, reason: str) -> None:
        """Our output takes nothing any more: a clear end, without harm to others."""
        line = f"output: {reason}"
        self._node.tell(Failed(reason=line[:200]))
        if not self.leaving:
            self._go(1, line)

    def _go(self, code: int, line: str | None = None) -> None:
        self.leaving = True
        node = self._node
        if node.pump and node.figures.begun:
            node.pump.stop()  # a source ends its stream here; END takes it from there
        else:
            node.spawn(self._leave(code, line))

    async def _leave(self, code: int, line: str | None) -> None:
        """Children are moved first; what is held is forwarded until then."""
        node = self._node
        if node.downstream:
            node.downstream.leaving = True
        if node.control.connected:
            node.control.send(Leaving())
            if not await within(LEAVE_S, self.released.wait()):
                node.say("exiting, although not all children have moved")
        if node.sink and not node.sink.failed:
            await within(FLUSH_S, node.sink.drained())
        node.finish(code, line)

    async def end_of_stream(self) -> None:
        """END is in the ring: see our own copy home, then the children's, then go."""
        node = self._node
        self.ending = True
        if node.sink:
            await node.sink.drained()
            if node.sink.failed:
                return  # sink_failed ends us
        if node.file and node.file.complete and (trouble := await node.file.keep()):
            self.sink_failed(trouble)
            return
        node.figures.look_at_file()
        ok = node.figures.verdict()
        end = node.ring.end
        if end is not None:
            node.journal(StreamEnd(next_seq=end.seq, sha256=end.digest.hex()))
        if (sha256 := node.figures.sha256()) is not None:
            node.tell(Done(next_seq=node.figures.next_seq, sha256=sha256, ok=ok))
        node.figures.report()
        await self._children_have_all()
        node.finish(0 if ok else 1, None if ok else node.figures.complaint())

    async def _children_have_all(self) -> None:
        """Wait until every child has END, or none has got on for a while."""
        down, after = self._node.downstream, self._node.ring.position
        last = -1
        while down and not down.all_have(after):
            if down.progress() == last:
                self._node.say("exiting, because the children make no progress")
                return
            last = down.progress()
            await within(LINGER_S, self._until_all_have(after))

    async def _until_all_have(self, after: int) -> None:
        node = self._node
        while node.downstream and not node.downstream.all_have(after):
            node.children_changed.clear()
            await node.children_changed.wait()


async def within(seconds: float, work: Coroutine[Any, Any, Any]) -> bool:
    """Do this, but for so long at most. False: it was cut off."""
    try:
        async with asyncio.timeout(seconds):
            await work
    except TimeoutError:
        return False
    return True
