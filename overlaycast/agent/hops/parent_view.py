"""What reports and children are told of our parents: read off the machine and the links, and nothing is changed.

Owns: these views. Refuses: everything that acts (``uplink``).
"""

from __future__ import annotations

from overlaycast.agent.hops.parent_link import ParentLink
from overlaycast.agent.records.ring import Ring
from overlaycast.failover.machine import Upstream
from overlaycast.failover.words import REPORTED
from overlaycast.wire.messages import ReportState


class ParentView:
    """The machine that decides, the links to parents by number, and what they look like from outside."""

    def __init__(self, machine: Upstream, ring: Ring) -> None:
        self.machine = machine
        self.links: dict[int, ParentLink] = {}
        self._ring = ring

    @property
    def state(self) -> ReportState:
        """As reports name it."""
        state = REPORTED[self.machine.state]
        return "waiting" if state == "streaming" and self._ring.next_seq is None else state

    @property
    def starved(self) -> bool:
        """Does nothing come from above?"""
        return self.machine.starved

    @property
    def parent(self) -> int | None:
        """The member that feeds us."""
        return self.machine.parent

    @property
    def settled_parent(self) -> int | None:
        """The same as the coordinator is told."""
        return self.machine.settled_parent

    @property
    def standbys_ready(self) -> tuple[int, ...]:
        """The standbys that are connected."""
        return self.machine.standbys_ready

    @property
    def parent_late(self) -> bool:
        """Does the parent say that what it gets is late?"""
        link = self._feeding
        return link is not None and link.late

    @property
    def unread(self) -> int:
        """Bytes from the parent that we have not read."""
        link = self._feeding
        return 0 if link is None else link.unread

    @property
    def _feeding(self) -> ParentLink | None:
        current = self.machine.current
        return self.links.get(current.number) if current is not None else None
