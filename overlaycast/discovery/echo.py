"""The echo probe over the control link (Fig. 4, 406): round-trip time and rate, as one number each.

Owns: what is sent for return, in which order, and the arithmetic. Refuses: links and clocks; the coordinator feeds it.

Three small payloads give the round-trip time (the least of them); two of ``RATE_BYTES``, the second over a window
that the first has opened, give the rate. The payload crosses the member's access link down and up again, so the rate
is that of both ways together: ``2 * bytes / (time - round-trip time)``. Where the transfer vanishes beside the
round-trip time it is a lower bound.

Invariants: at most one request is under way; a reply counts only with its nonce and its whole payload; no more than
``SMALL_TIMES * SMALL_BYTES + RATE_TIMES * RATE_BYTES`` characters are ever sent.
"""

from __future__ import annotations

import random
from dataclasses import dataclass
from typing import Final

from overlaycast.wire.messages import EchoReply, EchoRequest

SMALL_TIMES: Final = 3
SMALL_BYTES: Final = 32
RATE_TIMES: Final = 2
RATE_BYTES: Final = 32 * 1024
_LEAST_SHARE: Final = 1 / 50
_SIZES: Final = (SMALL_BYTES,) * SMALL_TIMES + (RATE_BYTES,) * RATE_TIMES


@dataclass(frozen=True, slots=True)
class Performance:
    """What the echo found; None where nothing came back."""

    rtt_ms: float | None = None
    rate_mbit: float | None = None


class EchoProbe:
    """The probe of one member. ``chance`` makes nonces and payloads, so that no reply can be made up beforehand."""

    def __init__(self, chance: random.Random) -> None:
        self._chance = chance
        self._step = 0
        self._sent: tuple[EchoRequest, float] | None = None
        self._rtts: list[float] = []
        self._rates: list[float] = []

    def request(self, now: float) -> EchoRequest | None:
        """Return what to send next, or None when the probe is complete."""
        if self._step >= len(_SIZES):
            return None
        size = _SIZES[self._step]
        request = EchoRequest(
            nonce=self._chance.getrandbits(53),
            payload=self._chance.randbytes((size + 1) // 2).hex()[:size],
        )
        self._sent = request, now
        return request

    def receive(self, reply: EchoReply, now: float) -> bool:
        """Take a reply; return whether it is the one that was asked for."""
        if self._sent is None or reply.nonce != self._sent[0].nonce or reply.payload != self._sent[0].payload:
            return False
        took = max(now - self._sent[1], 1e-9)
        if self._step < SMALL_TIMES:
            self._rtts.append(took)
        else:
            self._rates.append(_rate_mbit(took, min(self._rtts)))
        self._sent = None
        self._step += 1
        return True

    def result(self) -> Performance:
        """Return what is known so far."""
        return Performance(
            rtt_ms=min(self._rtts) * 1000 if self._rtts else None,
            rate_mbit=max(self._rates) if self._rates else None,
        )


def _rate_mbit(took: float, rtt: float) -> float:
    # below some share of the whole the difference is noise: the rate is then a lower bound, and no fancy figure
    transfer = max(took - rtt, took * _LEAST_SHARE)
    return 2 * RATE_BYTES * 8 / transfer / 1e6
