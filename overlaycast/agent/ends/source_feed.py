"""A source's own feed: it sends its input when the coordinator says Begin, and has no parent.

Owns: that it begins once, what it is waiting for, and whether the stream ends with it. Refuses: the sending itself
(``source``).

A standby reads its input and throws it away until Begin, so that it sends what is live then. A source that a standby
relieves leaves without END: the stream goes on from there.
"""

from __future__ import annotations

import socket
from collections.abc import Callable, Coroutine
from typing import Any, Protocol

from overlaycast.agent.ends.source import SourcePump
from overlaycast.wire.frames import Call, Offer
from overlaycast.wire.grants import Nonces
from overlaycast.wire.group import GroupSettings
from overlaycast.wire.journal import Begun, Entry
from overlaycast.wire.messages import Assign, Begin, Extent, MemberMessage, ReportState


class SourceProgram(Protocol):
    """What a source asks of the program that it runs in."""

    def say(self, line: str) -> None:
        """Print one line for people."""

    def journal(self, entry: Entry) -> None:
        """Write one line for machines."""

    def tell(self, message: MemberMessage) -> None:
        """Send this to the coordinator."""

    def spawn(self, work: Coroutine[Any, Any, Any]) -> None:
        """Run a task."""

    def finish(self, code: int, line: str | None = None) -> None:
        """End with this exit code, and one line for people."""


class SourceFeed:
    """The source's half of ``parts.Feed``.

    Args:
        ended: called when END is in the ring.
        standby: it waits for another source to go; only a stream's pump can.
    """

    sends = True
    starved = parent_late = False
    unread = 0
    parent = settled_parent = None
    standbys_ready: tuple[int, ...] = ()

    def __init__(
        self,
        pump: SourcePump,
        program: SourceProgram,
        ended: Callable[[], Coroutine[Any, Any, None]],
        standby: bool = False,
    ) -> None:
        self._pump = pump
        self._program = program
        self._ended = ended
        self._standby = standby
        self._begun = False
        self._relieved = False
        if standby:
            program.spawn(self._stand_by())

    @property
    def state(self) -> ReportState:
        """Waiting until we have begun."""
        return "streaming" if self._begun else "waiting"

    def welcomed(self, anew: bool) -> None:
        """Our numbers go on, unless another source has taken over meanwhile."""
        if anew and self._standby and self._begun:
            self._program.finish(1, "another source has taken over; started again, this one waits for its place")

    def configured(self, settings: GroupSettings) -> None:
        """None of them is about what we send."""

    def assign(self, order: Assign) -> None:
        """A source has no parent, but perhaps a standby."""
        self._relieved = order.relieved is True

    def begin(self, order: Begin) -> None:
        """Send, once."""
        if self._begun:
            return
        self._begun = True
        self._program.journal(Begun(next_seq=order.next_seq, incarnation=order.incarnation))
        self._program.say(f"{'takes over, ' if self._standby else ''}sending from record {order.next_seq}")
        self._program.spawn(self._send(order))

    def learned(self, extent: Extent) -> None:
        """A source knows best; for a standby there is nothing to wait for when the stream is over."""
        if self._standby and not self._begun and extent.over:
            self._program.finish(0, "the stream is over")

    async def _stand_by(self) -> None:
        await self._pump.stand_by()
        if not self._begun:
            self._program.finish(1, "the input has ended before this standby took over")

    async def _send(self, order: Begin) -> None:
        await self._ready(order)
        await self._pump.run(order.incarnation, order.next_seq)
        if not self._pump.halted:
            await self._ended()

    async def _ready(self, order: Begin) -> None:
        """Wait until we can send."""

    def answer(self, said: Call | Offer, nonces: Nonces | None, sock: socket.socket) -> None:
        """No parent has to call us."""
        sock.close()

    def progress(self) -> None:
        """There is no parent to tell."""

    def stop(self) -> bool:
        """End the stream here, if it has begun: END follows, unless a standby goes on with it."""
        if self._begun:
            self._pump.stop(halt=self._relieved)
        return self._begun and not self._relieved

    def close(self) -> None:
        """The pump is a task of the program's."""
