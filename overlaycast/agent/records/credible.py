"""What a parent may say about the whole stream: how far its numbers can have got, and whether it is over.

Owns: the bound on record numbers, and the ENDs of forwarders that wait for what others say. Refuses: sockets, clocks.
Pure.

A forwarder that lies must not end its children. Numbers that the stream cannot have reached are an error of the link.
An END from a forwarder waits. Another member that has it confirms it, and so does the coordinator, by the source's
word. Who is further on refutes it. So does the coordinator if the source is there and has not ended. While a member
that gets data is still before it, it goes on waiting; else it counts when nobody has refuted it for ``HOLD_S``.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from overlaycast.errors import RemoteProtocolError
from overlaycast.wire.frames import TS_PACKET, End, Heartbeat
from overlaycast.wire.messages import Extent, Untruth

MOST_SEQ: Final = 1 << 53
"""No stream has so many records: at a million a second it would last 285 years."""
SLACK: Final = 1 << 16
FASTER: Final = 4.0
HOLD_S: Final = 2.0
"""Seconds after which an END counts that nobody has refuted."""
SURE_S: Final = 1.0
"""The coordinator's word that the stream goes on refutes an END that has waited for so long: the source's own word may
be on its way."""


class UntrueError(RemoteProtocolError):
    """A parent has said what cannot be; ``what`` is that about."""

    def __init__(self, what: Untruth, line: str) -> None:
        super().__init__(line)
        self.what: Untruth = what


class Horizon:
    """How far a live stream can have got since we, or the coordinator, have known it.

    Args:
        rate_mbit: the planned rate.
    """

    def __init__(self, rate_mbit: float) -> None:
        self.plan(rate_mbit)
        self._seen: tuple[int, float] | None = None
        self._told: tuple[int, float] | None = None

    def plan(self, rate_mbit: float) -> None:
        """The planned rate is another one."""
        self._per_s = FASTER * rate_mbit * 125_000 / TS_PACKET

    def saw(self, seq: int, now: float) -> None:
        """This is a record that we have, or expect next."""
        self._seen = seq, now

    def told(self, extent: Extent, now: float) -> None:
        """The coordinator says how far the stream can be by now."""
        self._told = extent.most, now

    def check(self, seq: int, now: float) -> None:
        """Is this a number that the stream can have reached?

        Raises:
            UntrueError: it is not.
        """
        known = [one for one in (self._seen, self._told) if one is not None]
        most = max((at + SLACK + int(self._per_s * (now - since)) for at, since in known), default=MOST_SEQ)
        if seq > min(most, MOST_SEQ):
            raise UntrueError("number", f"record {seq} is further than the stream can be")


@dataclass(slots=True)
class _Held:
    end: End
    since: float


@dataclass(frozen=True, slots=True)
class Verdict:
    """What has become of ENDs that waited: the one that counts, and the members that said one that cannot be."""

    believed: End | None = None
    refuted: tuple[int, ...] = ()


class HeldEnds:
    """ENDs that wait, each by the member that said it."""

    def __init__(self) -> None:
        self._held: dict[int, _Held] = {}
        self._words: dict[int, Heartbeat] = {}
        self._doubted: End | None = None

    @property
    def waiting(self) -> bool:
        """Does any END wait?"""
        return bool(self._held)

    def holds(self, member: int) -> bool:
        """Does an END of this member wait?"""
        return member in self._held

    def hold(self, member: int, end: End, now: float) -> bool:
        """A member says END. True: another one has said the same, so it counts; else it waits."""
        others = [held.end for by, held in self._held.items() if by != member]
        if any(one == end for one in others) or any(
            by != member and word.ended and word.next_seq == end.seq + 1 for by, word in self._words.items()
        ):
            self._held.clear()
            return True
        if member not in self._held or self._held[member].end != end:
            self._held[member] = _Held(end, now)
        return False

    def said(self, by: int, word: Heartbeat) -> Verdict:
        """A member says how far it is, and whether it has the END."""
        self._words[by] = word
        others = {member: held.end for member, held in self._held.items() if member != by}
        for end in others.values():
            if word.ended and word.next_seq == end.seq + 1:
                return self._believe(end)
        return self._refute([member for member, end in others.items() if word.next_seq > end.seq + 1])

    def told(self, extent: Extent, now: float) -> Verdict:
        """The coordinator says how far the stream is, and whether it is over."""
        known = [held.end for held in self._held.values()] + ([self._doubted] if self._doubted else [])
        if extent.over:
            for end in known:
                if end.seq == extent.least:
                    return self._believe(end)
            return self._refute(list(self._held))
        return self._refute(
            [
                member
                for member, held in self._held.items()
                if extent.least > held.end.seq or (extent.over is False and now - held.since >= SURE_S)
            ]
        )

    def passed(self, next_seq: int) -> Verdict:
        """Records have come up to here: an END before that was none."""
        return self._refute([member for member, held in self._held.items() if next_seq > held.end.seq])

    def due(self, now: float) -> Verdict:
        """Time goes by: an END that nobody refutes counts at last."""
        for member, held in self._held.items():
            if now - held.since >= HOLD_S and not self._contested(member, held.end):
                return self._believe(held.end)
        return Verdict()

    def gone(self, member: int) -> None:
        """The link to this member is closed; its END may be true all the same."""
        self._words.pop(member, None)

    def _contested(self, member: int, end: End) -> bool:
        """Is another member, which gets data, still before this END?"""
        words = [word for by, word in self._words.items() if by != member]
        return any(not word.stalled and word.next_seq <= end.seq for word in words)

    def _believe(self, end: End) -> Verdict:
        liars = tuple(member for member, held in self._held.items() if held.end != end)
        self._held.clear()
        self._doubted = None
        return Verdict(end, liars)

    def _refute(self, members: list[int]) -> Verdict:
        for member in members:
            self._doubted = self._held.pop(member).end
        return Verdict(refuted=tuple(members))
