"""The connections upwards, as the machine sees them: by number, by member, and when each is overdue.

Owns: numbering (never reused) and the clocks of links that do not feed us. Refuses: to decide what a silence means.
Pure.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from overlaycast.failover.words import Link, Phase
from overlaycast.wire.messages import Peer

DIAL_LIMIT: Final = 3.0
"""Seconds after which a dialled link that has not answered is given up, and a silent parent if no other is found."""


class Links:
    """All links.

    Args:
        standby_s: a warm standby that has said nothing for so long is dead; may be set anew.
    """

    def __init__(self, standby_s: float) -> None:
        self._by_number: dict[int, Link] = {}
        self._numbers = 0
        self.standby_s = standby_s

    def __iter__(self) -> Iterator[Link]:
        """Over a copy: links may be dropped meanwhile."""
        return iter(list(self._by_number.values()))

    def open(self, peer: Peer, feed: bool, now: float) -> Link:
        """Return a new link, being dialled."""
        self._numbers += 1
        link = Link(self._numbers, peer, Phase.DIALLING, now, asked_at=now, feed=feed)
        self._by_number[link.number] = link
        return link

    def get(self, number: int) -> Link | None:
        """Return the link with this number, if it is still there."""
        return self._by_number.get(number)

    def drop(self, number: int) -> Link | None:
        """Forget a link; return it if it was there."""
        return self._by_number.pop(number, None)

    def to(self, member: int) -> Link | None:
        """Return the link to a member."""
        return next((link for link in self._by_number.values() if link.peer.member == member), None)

    def is_warm(self, member: int) -> bool:
        """Is this member connected and waiting to be asked?"""
        link = self.to(member)
        return link is not None and link.phase is Phase.IDLE

    def warm(self) -> tuple[int, ...]:
        """Return all such members."""
        return tuple(link.peer.member for link in self._by_number.values() if link.phase is Phase.IDLE)

    def gone(self) -> tuple[int, ...]:
        """Return the members that do not have our next record."""
        return tuple(link.peer.member for link in self._by_number.values() if link.gone is not None)

    def forget_gone(self, until: float) -> None:
        """Time has passed since standbys were asked, at ``until`` or before: what they held then says nothing of what
        they hold now, nor what they lacked of what we need now."""
        for link in self._by_number.values():
            if link.phase is Phase.IDLE and link.asked_at <= until:
                link.gone = None

    def asked(self) -> list[Link]:
        """Return those that may still answer with what we need."""
        wanted = [link for link in self._by_number.values() if link.feed and link.gone is None]
        return [link for link in wanted if link.phase in (Phase.DIALLING, Phase.ASKED)]

    def best_of_gone(self) -> Link | None:
        """Return, of the links that do not have our next record, the one that holds most."""
        there = (Phase.ASKED, Phase.IDLE)
        gone = [link for link in self._by_number.values() if link.gone is not None and link.phase in there]
        return min(gone, key=lambda link: (link.gone, link.number), default=None)

    def overdue_at(self, link: Link, feeds: bool) -> float:
        """Return when this link is given up if nothing is heard."""
        if link.phase is Phase.DIALLING:
            return link.asked_at + DIAL_LIMIT
        return link.heard + (DIAL_LIMIT if feeds else self.standby_s)

    def heard_all(self, now: float) -> None:
        """We listen again after a pause of our own: silence counts from now."""
        for link in self._by_number.values():
            link.heard = now

    def forgive(self, seconds: float) -> None:
        """We slept: no link was silent in that time; we did not listen."""
        for link in self._by_number.values():
            link.heard += seconds
