"""The echo probe over the control link (Fig. 4, 406): round-trip time and rate, as one number each.

Owns: what is sent for return, in which order, and the arithmetic. Refuses: links and clocks; the coordinator feeds it.

Small echoes give the round-trip time, trains of larger ones the rate: ``n`` payloads of ``b`` bytes, sent back to
back, cross the member's thinnest link down and up in ``(n + 1) * b / rate`` beyond the round-trip time. A train is
short enough to fit into the window that the one before it has opened, so it takes the same on a near link and on a far
one, and a stream on a thin link is not disturbed for longer than some milliseconds.

Whatever else happens (a busy host, a stream on the same link, a window that is still small) makes an echo late, never
early. So the least of several counts, and **a least that was seen only once is not believed**: trains and small echoes
are repeated until the two fastest of each agree. If they do not agree after some tries, longer trains follow, beside
which the same lateness is small; then what is known by then counts, the doubt about the round-trip time added.

A train also shows each direction by itself (``trains.dispersion``), if the member says when it had it. If one
direction is clearly thinner than both together, that one counts: a link has to carry copies both ways. A member that
says wrong times can only seem slower by that.

Invariants: a step is sent only when the one before has come back whole; a reply counts only with its nonce and its
whole payload; no more than ``MOST_BYTES`` characters in ``MOST_REPLIES`` payloads are ever sent, and no train
``LONGEST_S`` after the first.
"""

from __future__ import annotations

import random
from dataclasses import dataclass, field
from typing import Final

from overlaycast.discovery.trains.dispersion import Passage, down_mbit, up_mbit
from overlaycast.wire.messages import ECHO_LIMIT, EchoReply, EchoRequest

SMALL_BYTES: Final = 32
FIRST_SMALL: Final = 3
"""Small echoes before the first train; one more goes ahead of each train."""
TRAINS: Final = ((1, 32 * 1024, 8), (2, ECHO_LIMIT, 3), (4, ECHO_LIMIT, 3))
"""Kinds of trains, one after the other: (how many, how large, how often at most)."""
MOST_BYTES: Final = sum(count * size * tries for count, size, tries in TRAINS) + SMALL_BYTES * (
    FIRST_SMALL + sum(tries for _, _, tries in TRAINS)
)
MOST_REPLIES: Final = FIRST_SMALL + sum((count + 1) * tries for count, _, tries in TRAINS)
LEAST_TRIES: Final = 3
"""Trains of a kind before it is asked whether two agree: of so few as two, both may have been late."""
BRIEF_TRIES: Final = 6
"""Trains of a member whose neighbours have shown what its links carry: a stream may be on its way there by now."""
LONGEST_S: Final = 3.0
AGREED: Final = 0.1
"""Two times agree if they differ by no more than this share of what the bytes take."""
DOUBTFUL: Final = 0.5
"""Times that differ by more than this share tell nothing ..."""
CLEAR: Final = 1.5
"""... unless a train takes so many times as long as a small echo."""
THINNER: Final = 0.8
"""A direction is clearly thinner than both together if it shows less than this share."""
ON_THE_WIRE: Final = 1514 / 1448
"""What a full frame takes on a link for what it carries of a payload."""


@dataclass(frozen=True, slots=True)
class Performance:
    """What the echo found: all None until a train has come back, the rates alone where they are too high to measure.

    ``down_mbit`` and ``up_mbit`` are each direction's, seen from the coordinator; None: not known.
    """

    rtt_ms: float | None = None
    rate_mbit: float | None = None
    down_mbit: float | None = None
    up_mbit: float | None = None


@dataclass(slots=True)
class _Floor:
    """The least two of several times, in seconds."""

    least: float = float("inf")
    second: float = float("inf")

    def take(self, seconds: float) -> None:
        if seconds < self.least:
            self.least, self.second = seconds, self.least
        else:
            self.second = min(self.second, seconds)

    @property
    def spread(self) -> float:
        """How far the second is from the least: how much the least is to be doubted."""
        return self.second - self.least


@dataclass(slots=True)
class _Kind:
    """Trains of one length: how long they took."""

    count: int
    size: int
    tries: int
    done: int = 0
    took: _Floor = field(default_factory=_Floor)

    @property
    def bits(self) -> float:
        """What crosses the thinnest link, both ways: the first payload is returned when all of it is there."""
        return (self.count + 1) * self.size * 8 * ON_THE_WIRE

    def doubt(self, small: _Floor) -> float:
        """Return by how much the least times may be off, as a share of what the bytes take."""
        took = self.took.least - small.least
        return (self.took.spread + small.spread) / took if took > 0 else float("inf")

    def agreed(self, small: _Floor) -> bool:
        took = self.took.least - small.least
        return self.done >= LEAST_TRIES and took > 0 and max(self.took.spread, small.spread) <= AGREED * took

    def rate_mbit(self, small: _Floor) -> float | None:
        """Return the rate, or None if these times tell nothing."""
        if self.took.least == float("inf"):
            return None
        took = self.took.least - small.least
        if self.agreed(small):
            return self.bits / took / 1e6
        if self.took.least >= CLEAR * small.least or self.doubt(small) <= DOUBTFUL:
            return self.bits / (took + small.spread) / 1e6
        return None


class EchoProbe:
    """The probe of one member. ``chance`` makes nonces and payloads, so that no reply can be made up beforehand.

    ``expected_mbit`` is what a neighbour has shown: one train that shows the same is believed. While none does, two
    late ones that agree are not enough, but there are few.
    """

    def __init__(self, chance: random.Random) -> None:
        self._chance = chance
        self.expected_mbit: float | None = None
        self._small = _Floor()
        self._smalls_left = FIRST_SMALL
        self._kinds = [_Kind(*kind) for kind in TRAINS]
        self._now_at = 0
        self._train_began: float | None = None
        self._awaited: dict[int, str] = {}
        self._came: list[tuple[int | None, float]] = []
        """When the member had what was sent last, and we what it returned, in that order."""
        self._passages: list[Passage] = []
        self._sent_at = 0.0
        self._over = False

    def requests(self, now: float) -> list[EchoRequest]:
        """Return what to send next, back to back, or nothing when the probe is complete."""
        if self._over:
            return []
        sizes = [SMALL_BYTES]
        if self.heavy:
            self._train_began = now if self._train_began is None else self._train_began
            # without a pause between trains: a window that is not used becomes small again (RFC 7661)
            sizes += [self._kind.size] * self._kind.count
        requests = [
            EchoRequest(nonce=self._chance.getrandbits(53), payload=self._chance.randbytes(size // 2).hex())
            for size in sizes
        ]
        self._awaited = {request.nonce: request.payload for request in requests}
        self._came = []
        self._sent_at = now
        return requests

    def receive(self, reply: EchoReply, now: float) -> bool:
        """Take a reply; return whether it completes the step."""
        if self._awaited.get(reply.nonce) != reply.payload:
            return False
        del self._awaited[reply.nonce]
        self._came.append((reply.at_us, now))
        took = max(now - self._sent_at, 1e-9)
        if len(reply.payload) == SMALL_BYTES:
            self._small.take(took)
        if self._awaited:
            return False
        if self.heavy:
            self._kind.took.take(took)
            self._kind.done += 1
            self._note_passage()
            self._go_on(now)
        else:
            self._smalls_left -= 1
        return True

    def result(self) -> Performance:
        """Return what is known so far."""
        rtt = self._small.least
        if not any(kind.done for kind in self._kinds):
            return Performance()  # a rate that was not asked for, or not returned, is not too high to measure
        if self._as_expected():
            return Performance(rtt * 1000, self._kind.bits / (self._kind.took.least - rtt) / 1e6)
        agreed = [kind for kind in self._kinds if kind.agreed(self._small)]
        rates = [kind.rate_mbit(self._small) for kind in agreed or self._kinds]
        rate = max((rate for rate in rates if rate is not None), default=None)
        down, up = down_mbit(self._passages), up_mbit(self._passages)
        if rate is not None and down is not None and up is not None and min(down, up) < THINNER * rate:
            rate = min(down, up)
        return Performance(rtt * 1000, rate, down, up)

    def _enough(self) -> bool:
        agreed = self._kind.agreed(self._small)
        if self.expected_mbit is None:
            return agreed
        if self._as_expected() or self._kind.done >= BRIEF_TRIES:
            return True
        return agreed and (self._kind.rate_mbit(self._small) or 0.0) >= self.expected_mbit

    def _as_expected(self) -> bool:
        """Whether the fastest train has come back in the time in which a neighbour's did."""
        kind = self._kinds[0]
        if self.expected_mbit is None or not kind.done:
            return False
        expected_s = kind.bits / self.expected_mbit / 1e6
        return abs(kind.took.least - self._small.least - expected_s) <= AGREED * expected_s

    def _note_passage(self) -> None:
        """Take down a train that is back: the small echo came first, at either end, or nothing is known."""
        (first_us, first), *_, (last_us, last) = self._came
        if first_us is not None and last_us is not None:
            kind = self._kind
            bits = kind.size * 8 * ON_THE_WIRE
            self._passages.append(Passage(kind.count, bits, (last_us - first_us) / 1e6, last - first))

    @property
    def rtt_ms(self) -> float:
        """The round-trip time so far; infinite before the first reply."""
        return self._small.least * 1000

    @property
    def heavy(self) -> bool:
        """Whether what comes next is a train, of which not too many should run at the same time."""
        return not self._over and not self._smalls_left

    @property
    def _kind(self) -> _Kind:
        return self._kinds[self._now_at]

    def _go_on(self, now: float) -> None:
        """After a train: is it enough, or is it time for longer ones?"""
        late = self._train_began is not None and now - self._train_began > LONGEST_S
        if late or self._enough():
            self._over = True
        elif self._kind.done == self._kind.tries:
            self._now_at += 1
            self._over = self._now_at == len(self._kinds)
