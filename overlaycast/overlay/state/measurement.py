"""What the coordinator measured of a member. Pure."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final, NamedTuple

from overlaycast.overlay.state.vicinity import Vicinity


@dataclass(frozen=True, slots=True)
class Measurement:
    """What the coordinator found out about one member (Fig. 4, 406).

    Args:
        path: the routers from the coordinator to the member, the member's own last; None: a hop that did not
            answer; empty: the trace failed.
        rtt_ms: round-trip time of a small echo.
        rate_mbit: rate that a large echo showed; a lower bound of the thinnest link on the way.
        hops_ms: round-trip time to each hop of ``path``, or empty; tells thin long links from LAN.
        reached: the member itself answered, so that the path is complete; with an empty path it is in the
            coordinator's own network.
        rated: no rate is to come any more; False: the member's train of echoes has still to go.
    """

    path: tuple[str | None, ...] = ()
    rtt_ms: float | None = None
    rate_mbit: float | None = None
    hops_ms: tuple[float | None, ...] = ()
    reached: bool = False
    rated: bool = True


class Fact(NamedTuple):
    """What tells where one member is: its path, whether it is complete, the prefix of its address, and its own word."""

    hops: tuple[str | None, ...] = ()
    reached: bool = False
    prefix: str | None = None
    near: Vicinity | None = None

    @property
    def last(self) -> str | None:
        """The router that the path ends at; None: it ends in silence, or there is no path."""
        return self.hops[-1] if self.hops else None


def adds_nothing(fact: Fact, known: Fact) -> bool:
    """Return whether a newer path says no more than one that is known: silence where that has routers.

    So it is when a member comes back, and routers have used up for now what they may answer.
    """
    if fact.prefix != known.prefix or (fact.reached and (not known.reached or len(fact.hops) != len(known.hops))):
        return False
    end = len(fact.hops)
    while end and fact.hops[end - 1] is None:
        end -= 1
    if end > len(known.hops):
        return False
    return all(hop is None or hop == before for hop, before in zip(fact.hops[:end], known.hops, strict=False))


NOWHERE: Final = Fact()
"""Nothing is known."""
