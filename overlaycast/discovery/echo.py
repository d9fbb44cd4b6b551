"""The echo probe over the control link (Fig. 4, 406): round-trip time and rate, as one number each.

Owns: what is sent for return, in which order, and the arithmetic. Refuses: links and clocks; the coordinator feeds it.

The round-trip time is the least of several small echoes, spread over the probe, because a host that has just started
is slow to answer. The rate comes from trains of larger echoes: ``n`` payloads of ``b`` bytes, sent back to back, cross
the member's access link down and up in about ``(n + 1) * b / rate`` beyond the round-trip time. The first train is
short, so that a stream on a thin link is not disturbed for longer than some milliseconds. Trains grow while the
transfer is small beside the round-trip time, that is, while it tells nothing. If it never tells, the link is faster
than some ``5 * 64 KiB`` in half a round-trip time, and its rate is reported as unknown: it is not seen to be thin.

Invariants: a step is sent only when the one before has come back whole; a reply counts only with its nonce and its
whole payload; no more than ``MOST_BYTES`` characters are ever sent, and those only over links that are fast.
"""

from __future__ import annotations

import random
from dataclasses import dataclass
from typing import Final

from overlaycast.wire.messages import ECHO_LIMIT, EchoReply, EchoRequest

SMALL_BYTES: Final = 32
_SMALL: Final = (1, SMALL_BYTES)
_SHORT: Final = (1, 32 * 1024)
STEPS: Final = (_SMALL, _SMALL, _SMALL, _SHORT, _SMALL, _SHORT, _SMALL)
"""(how many, how large) per step. The second short train runs over a window that the first has opened."""
GROWTH: Final = ((2, ECHO_LIMIT), (4, ECHO_LIMIT))
"""Further steps, each only if the rate is still unclear."""
_CLEAR: Final = 1.5
MOST_BYTES: Final = sum(count * size for count, size in STEPS + GROWTH)


@dataclass(frozen=True, slots=True)
class Performance:
    """What the echo found; None where nothing came back, and for a rate too high to be told."""

    rtt_ms: float | None = None
    rate_mbit: float | None = None


@dataclass(frozen=True, slots=True)
class _Train:
    """A step that has come back: how many payloads of how many bytes, and the seconds that it took."""

    count: int
    size: int
    took: float


class EchoProbe:
    """The probe of one member. ``chance`` makes nonces and payloads, so that no reply can be made up beforehand."""

    def __init__(self, chance: random.Random) -> None:
        self._chance = chance
        self._steps = list(STEPS)
        self._growth = list(GROWTH)
        self._awaited: dict[int, str] = {}
        self._sent_at = 0.0
        self._done: list[_Train] = []

    def requests(self, now: float) -> list[EchoRequest]:
        """Return what to send next, back to back, or nothing when the probe is complete."""
        if not self._steps:
            return []
        count, size = self._steps[0]
        requests = [
            EchoRequest(nonce=self._chance.getrandbits(53), payload=self._chance.randbytes(size // 2).hex())
            for _ in range(count)
        ]
        self._awaited = {request.nonce: request.payload for request in requests}
        self._sent_at = now
        return requests

    def receive(self, reply: EchoReply, now: float) -> bool:
        """Take a reply; return whether it completes the step."""
        if self._awaited.get(reply.nonce) != reply.payload:
            return False
        del self._awaited[reply.nonce]
        if self._awaited:
            return False
        count, size = self._steps.pop(0)
        self._done.append(_Train(count, size, max(now - self._sent_at, 1e-9)))
        if not self._steps and self._growth and self._unclear():
            self._steps.append(self._growth.pop(0))
        return True

    def result(self) -> Performance:
        """Return what is known so far."""
        rtt = self._rtt()
        if rtt is None:
            return Performance()
        rates = [_rate_mbit(train, rtt) for train in self._trains() if _tells(train, rtt)]
        return Performance(rtt * 1000, max(rates, default=None))

    @property
    def heavy(self) -> bool:
        """Whether what comes next is a train, of which not too many should run at the same time."""
        return bool(self._steps) and self._steps[0][1] != SMALL_BYTES

    def _rtt(self) -> float | None:
        return min((train.took for train in self._done if train.size == SMALL_BYTES), default=None)

    def _trains(self) -> list[_Train]:
        return [train for train in self._done if train.size != SMALL_BYTES]

    def _unclear(self) -> bool:
        rtt = self._rtt()
        return rtt is not None and not any(_tells(train, rtt) for train in self._trains())


def _tells(train: _Train, rtt: float) -> bool:
    # the round-trip time may have been less when the train ran: a good part of the time must be left for the bytes
    return train.took >= _CLEAR * rtt


def _rate_mbit(train: _Train, rtt: float) -> float:
    return (train.count + 1) * train.size * 8 / (train.took - rtt) / 1e6
