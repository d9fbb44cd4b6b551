"""How a member leaves its group: at the end of the stream, when told to, or because it cannot go on.

Owns: the order of steps and the bound of each wait. Refuses: to leave children without data while there is a way:
they are moved first (``Leaving``), or have the end of the stream too.
"""

from __future__ import annotations

import asyncio
import signal
from collections.abc import Callable, Coroutine
from typing import Any, Final

from overlaycast.agent.figures import Figures
from overlaycast.agent.lookout import Lookout
from overlaycast.agent.parts import Parts, Program
from overlaycast.wire.journal import StreamEnd
from overlaycast.wire.messages import Done, Failed, Leaving

LEAVE_S: Final = 5.0
"""Longest stay after ``Leaving`` without ``Released``."""
LINGER_S: Final = 5.0
"""Longest stay for children that do not get on with the end of the stream."""
LIVE_LINGER_S: Final = 60.0
FILE_LINGER_S: Final = 86_400.0
"""Longest stay for children that do get on: a live group's need what the ring holds, a file's perhaps all of it."""
FLUSH_S: Final = 1.0
"""Longest wait for our own output when we are told to go."""


class Departure:
    """The ends of one member.

    Args:
        output: returns what the output is called.
    """

    def __init__(
        self, parts: Parts, figures: Figures, lookout: Lookout, program: Program, output: Callable[[], str]
    ) -> None:
        self.released = asyncio.Event()
        self.ending = False
        self._leaving = False
        self._parts = parts
        self._figures = figures
        self._lookout = lookout
        self._program = program
        self._output = output

    def asked(self, number: int) -> None:
        """A signal: go properly; a second SIGINT: at once. (``timeout`` sends SIGTERM twice by itself.)"""
        if self._leaving and number == signal.SIGINT:
            self._program.finish(128 + number)
        elif not self._leaving:
            self._go(0, None, f"told to go ({signal.Signals(number).name})")

    def output_failed(self, reason: str) -> None:
        """Our output takes nothing any more: a clear end, and no other member suffers."""
        line = f"output: {reason}"
        self._program.tell(Failed(reason=line[:200]))
        if not self._leaving:
            self._go(1, self._trouble(reason), line)

    def _trouble(self, reason: str) -> str:
        return f"output: {self._output()}: {reason}"  # others are not told the name

    def _go(self, code: int, line: str | None, reason: str) -> None:
        self._leaving = True
        if not self._parts.feed.stop():  # else END comes, and ends us
            self._program.spawn(self._leave(code, line, reason))

    async def _leave(self, code: int, line: str | None, reason: str) -> None:
        """Children are moved first; what is held is forwarded until then."""
        self._parts.downstream.admissions.leaving = True
        if self._parts.feed.sends:
            self._figures.report()  # a standby goes on behind what we have sent
        if self._program.connected:
            self._program.tell(Leaving(reason=reason[:200]))
            if not await within(LEAVE_S, self.released.wait()):
                self._program.say("exiting, although not all children have moved")
        delivery = self._parts.delivery
        await within(FLUSH_S, delivery.drained())
        if code == 0 and delivery.incomplete:
            code, line = 1, "interrupted before the file was complete"
        elif code == 0 and (trouble := await delivery.keep()):
            code, line = 1, self._trouble(trouble)
        self._program.finish(code, line)

    async def end_of_stream(self) -> None:
        """END is in the ring: see our own copy written, then the children's sent, then go."""
        delivery, figures, end = self._parts.delivery, self._figures, self._parts.ring.end
        self.ending = True
        self._parts.downstream.tell_state()  # a standby's child, whose parent has said END, waits for our word
        if not await delivery.drained():
            return  # output_failed ends us
        if trouble := await delivery.keep():
            self.output_failed(trouble)
            return
        figures.look_at_file()
        self._lookout.tell_all()
        ok, complaint = figures.verdict(), figures.complaint()
        if self._leaving and delivery.incomplete:  # a source that was told to go
            ok, complaint = False, "interrupted before the file was complete"
        if end is not None:
            self._program.journal(StreamEnd(next_seq=end.seq, sha256=end.digest.hex()))
        if (sha256 := delivery.sha256()) is not None:
            self._program.tell(Done(next_seq=figures.next_seq, sha256=sha256, ok=ok))
        figures.report()
        await self._children_have_all()
        if self._parts.feed.sends and not self._parts.downstream.bytes_out:
            self._program.say("sent to nobody: no receiver had a place yet; start them first, or set start_members")
        self._program.finish(0 if ok else 1, None if ok else complaint)

    async def _children_have_all(self) -> None:
        """Wait until every child has END, or none has got on for a while, but not for ever."""
        longest = LIVE_LINGER_S if self._parts.downstream.archive is None else FILE_LINGER_S
        if not await within(longest, self._children_get_on()):
            self._program.say(f"exiting, although not all children have the end after {longest:.0f} s")

    async def _children_get_on(self) -> None:
        downstream, after, last = self._parts.downstream, self._parts.ring.position, -1
        while not downstream.all_have(after):
            if downstream.progress() == last:
                self._program.say("exiting, because the children make no progress")
                return
            last = downstream.progress()
            await within(LINGER_S, self._until_all_have(after))

    async def _until_all_have(self, after: int) -> None:
        changed = self._parts.children_changed
        while not self._parts.downstream.all_have(after):
            changed.clear()
            await changed.wait()


async def within(seconds: float, work: Coroutine[Any, Any, Any]) -> bool:
    """Do this, but for so long at most. False: it was cut off."""
    try:
        async with asyncio.timeout(seconds):
            await work
    except TimeoutError:
        return False
    return True
