"""What a member is made of once its group's settings are known, and what its parts may ask of the program around them.

Owns: these names, so that no part has to know the whole. Refuses: to do anything.
"""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Coroutine
from dataclasses import dataclass, field
from typing import Any, Protocol

from overlaycast.agent.hops.downstream import Downstream
from overlaycast.agent.records.ring import Ring
from overlaycast.wire.frames import Call, End, Offer
from overlaycast.wire.grants import Nonces
from overlaycast.wire.group import GroupSettings
from overlaycast.wire.journal import Entry
from overlaycast.wire.messages import Assign, Begin, Contents, Extent, MemberMessage, ReportState


class Program(Protocol):
    """What a part may ask of the program that it runs in."""

    @property
    def connected(self) -> bool:
        """Is the coordinator reached?"""

    def say(self, line: str) -> None:
        """Print one line for people."""

    def journal(self, entry: Entry) -> None:
        """Write one line for machines."""

    def tell(self, message: MemberMessage) -> None:
        """Send this to the coordinator."""

    def spawn(self, work: Coroutine[Any, Any, Any]) -> None:
        """Run a task that the program cannot do without: if it fails, the program ends, and says why."""

    def finish(self, code: int, line: str | None = None) -> None:
        """End with this exit code, and one line for people."""


class Feed(Protocol):
    """What fills the ring: a source's own input, or the links to parents (``Uplink``)."""

    @property
    def sends(self) -> bool:
        """Is this the group's source?"""

    @property
    def state(self) -> ReportState:
        """As reports name it, before END."""

    @property
    def starved(self) -> bool:
        """Does nothing come, so that the children must know it?"""

    @property
    def parent(self) -> int | None:
        """The member that feeds us."""

    @property
    def settled_parent(self) -> int | None:
        """The same as the coordinator is told: a switch in doubt does not count yet."""

    @property
    def standbys_ready(self) -> tuple[int, ...]:
        """The standbys that are connected."""

    @property
    def parent_late(self) -> bool:
        """Does the parent say that what it gets is late?"""

    @property
    def unread(self) -> int:
        """Bytes from the parent that we have not read."""

    def welcomed(self, anew: bool) -> None:
        """The coordinator has taken us in again; ``anew``: as a new member."""

    def configured(self, settings: GroupSettings) -> None:
        """The group has other settings."""

    def assign(self, order: Assign) -> None:
        """The coordinator names parent and standbys."""

    def begin(self, order: Begin) -> None:
        """The coordinator has the source send."""

    def learned(self, extent: Extent) -> None:
        """The coordinator says how far the stream is."""

    def answer(self, said: Call | Offer, nonces: Nonces | None, sock: socket.socket) -> None:
        """A parent has opened this connection to us, and has said this."""

    def progress(self) -> None:
        """Tell parents how far we are."""

    def stop(self) -> bool:
        """We go. True: END comes first, wait for it."""

    def close(self) -> None:
        """Close everything."""


class Delivery(Protocol):
    """What this member does with the stream: it has sent it, it writes it out, or it only passes it on."""

    @property
    def first_seq(self) -> int | None:
        """The first record that it had; None: that of the ring."""

    @property
    def bytes(self) -> int:
        """Payload sent, written out, or passed on."""

    @property
    def records(self) -> int:
        """The same in records."""

    @property
    def lost(self) -> int:
        """Records that the output lacks."""

    @property
    def duplicated(self) -> int:
        """Records that came twice to the output."""

    @property
    def reordered(self) -> int:
        """Records that came late to the output."""

    @property
    def written(self) -> int | None:
        """The record after the last one in the output of a live stream; None: there is none."""

    @property
    def size(self) -> int | None:
        """Bytes of the whole file, as soon as that is known; None in a live group."""

    @property
    def incomplete(self) -> bool:
        """Does something of a file still lack here? A live stream has no whole."""

    def sha256(self) -> str | None:
        """Return the digest of it all; None: there is none."""

    def digest_ok(self, end: End) -> bool | None:
        """Is the digest the source's? None: not known (a late joiner, a live relay)."""

    def announced(self, contents: Contents) -> None:
        """The source has announced what is in its file."""

    def arrived(self) -> None:
        """There are new records in the ring."""

    async def drained(self) -> bool:
        """Wait until all that is in the ring has been written. False: writing has failed."""

    async def keep(self) -> str | None:
        """The stream is over: give a whole file its name. Return what is wrong, in one line, if that fails."""

    def close(self) -> None:
        """Let go of the output."""


@dataclass(slots=True)
class Membership:
    """What the coordinator has made of us: who we are, and the newest order's epoch and rank."""

    member: int
    secret: str
    epoch: int = 0
    rank: int = 0


@dataclass(frozen=True, slots=True)
class Parts:
    """A member's parts."""

    ring: Ring
    downstream: Downstream
    feed: Feed
    delivery: Delivery
    children_changed: asyncio.Event = field(default_factory=asyncio.Event)
    """Set when a child came, went or said how far it is."""
