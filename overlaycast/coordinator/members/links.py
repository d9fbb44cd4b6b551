"""The control links of one group's members, by member id.

Owns: one link per member, and what has crossed them all. Refuses: how a link ends, and what follows from it; and how
many members there may be, for a member without a link takes a place too (``places``).
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from overlaycast.coordinator.members.link import MemberLink, Traffic
from overlaycast.coordinator.members.measure import EchoInbox
from overlaycast.discovery.survey.route import Route
from overlaycast.wire.messages import CoordinatorMessage

Path = tuple[str | None, ...]


@dataclass(slots=True)
class LinkedMember:
    """A member's link, and the echo replies that measuring waits for."""

    link: MemberLink
    echoes: EchoInbox
    name: str
    route: tuple[Path, bool] | None = None
    """The route with which it was measured, and whether it ends at the member."""
    newer: Route | None = None
    """A better route than the one with which it is still being measured."""
    rated: bool = False
    """It has been measured, and its rate too."""


class MemberLinks:
    """The members that have a link."""

    def __init__(self) -> None:
        self._connected: dict[int, LinkedMember] = {}
        self._at: dict[str, dict[int, None]] = {}
        self._past = Traffic()

    def __len__(self) -> int:
        return len(self._connected)

    def __contains__(self, member: int) -> bool:
        return member in self._connected

    def get(self, member: int) -> LinkedMember | None:
        """Return a member's link and what belongs to it; None: it has none."""
        return self._connected.get(member)

    def ids(self) -> list[int]:
        """Return the members that have a link."""
        return list(self._connected)

    def links(self) -> Iterator[MemberLink]:
        """Yield all links."""
        return (one.link for one in self._connected.values())

    def named(self, name: str) -> list[int]:
        """Return the members of this name."""
        return [member for member, one in self._connected.items() if one.name == name]

    def at(self, host: str) -> list[int]:
        """Return the members that are at an address."""
        return list(self._at.get(host, ()))

    def add(self, member: int, connected: LinkedMember) -> None:
        """Take a link; the member has none."""
        self._connected[member] = connected
        self._at.setdefault(connected.link.host, {})[member] = None

    def remove(self, member: int) -> MemberLink:
        """Forget a member's link, and return it."""
        link = self._connected.pop(member).link
        beside = self._at[link.host]
        del beside[member]
        if not beside:
            del self._at[link.host]
        _add(self._past, link.traffic)
        return link

    def deaf(self, message: CoordinatorMessage) -> int:
        """Return how many of the members that have a link have a program too old to know this kind of message."""
        return sum(not link.understands(message) for link in self.links())

    def send(self, member: int, message: CoordinatorMessage) -> None:
        """Send a message, if the member has a link."""
        if (one := self._connected.get(member)) is not None:
            one.link.send(message)

    def traffic(self) -> Traffic:
        """Return what has crossed all links so far, those that have ended too."""
        total = Traffic()
        _add(total, self._past)
        for link in self.links():
            _add(total, link.traffic)
        return total


def _add(total: Traffic, more: Traffic) -> None:
    total.messages_in += more.messages_in
    total.messages_out += more.messages_out
    total.bytes_in += more.bytes_in
    total.bytes_out += more.bytes_out
