"""A source's own feed: it sends its input when the coordinator says Begin, and has no parent.

Owns: that it begins once, and what it is waiting for. Refuses: the sending itself (``source``).
"""

from __future__ import annotations

import socket
from collections.abc import Callable, Coroutine
from typing import Any, Protocol

from overlaycast.agent.ends.source import SourcePump
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


class SourceFeed:
    """The source's half of ``parts.Feed``.

    Args:
        ended: called when END is in the ring.
    """

    sends = True
    starved = parent_late = False
    unread = 0
    parent = settled_parent = None
    standbys_ready: tuple[int, ...] = ()

    def __init__(
        self, pump: SourcePump, program: SourceProgram, ended: Callable[[], Coroutine[Any, Any, None]]
    ) -> None:
        self._pump = pump
        self._program = program
        self._ended = ended
        self._begun = False

    @property
    def state(self) -> ReportState:
        """Waiting until we have begun."""
        return "streaming" if self._begun else "waiting"

    def welcomed(self, anew: bool) -> None:
        """Our numbers go on."""

    def configured(self, settings: GroupSettings) -> None:
        """None of them is about what we send."""

    def assign(self, order: Assign) -> None:
        """A source has no parent."""

    def begin(self, order: Begin) -> None:
        """Send, once."""
        if self._begun:
            return
        self._begun = True
        self._program.journal(Begun(next_seq=order.next_seq, incarnation=order.incarnation))
        self._program.say(f"sending from record {order.next_seq}")
        self._program.spawn(self._send(order))

    def learned(self, extent: Extent) -> None:
        """We know best."""

    async def _send(self, order: Begin) -> None:
        await self._ready(order)
        await self._pump.run(order.incarnation, order.next_seq)
        await self._ended()

    async def _ready(self, order: Begin) -> None:
        """Wait until we can send."""

    def answer(self, grant: bytes, sock: socket.socket) -> None:
        """No parent has to call us."""
        sock.close()

    def progress(self) -> None:
        """There is no parent to tell."""

    def stop(self) -> bool:
        """End the stream here, if it has begun: END follows."""
        if self._begun:
            self._pump.stop()
        return self._begun

    def close(self) -> None:
        """The pump is a task of the program's."""
