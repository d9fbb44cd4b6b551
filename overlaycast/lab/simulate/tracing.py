"""Routes found in virtual time, by the survey that the coordinator's tracing process runs too.

Owns: what routers answer to probes, and when. Refuses: which probes there are (``discovery.survey``). A router that
limits its ICMP errors does as Linux does by default (net.ipv4.icmp_ratelimit): six at once, then one a second; what it
refuses costs it nothing. The routing table names the coordinator's own router. Nothing is lost.
"""

from __future__ import annotations

from collections.abc import Callable, Collection
from typing import Final, Literal

from overlaycast.discovery.survey.bucket import Bucket
from overlaycast.discovery.survey.route import Route
from overlaycast.discovery.survey.survey import Probe, Survey, Verdict
from overlaycast.lab.simulate.agenda import Agenda, Alarm
from overlaycast.lab.simulate.draw import LAN_MS, Draw

Icmp = Literal["off", "stock"]
BURST: Final = 6
GAP_S: Final = 1.0


class Tracing:
    """Finds the routes to members.

    Args:
        agenda: the clock.
        draw: the network.
        icmp: stock: routers limit what they answer; off: they do not.
        hidden: routers that never answer.
        tell: takes a member and its route, and again when it is better.
    """

    def __init__(
        self, agenda: Agenda, draw: Draw, icmp: Icmp, hidden: Collection[str], tell: Callable[[int, Route], None]
    ) -> None:
        self._agenda = agenda
        self._draw = draw
        self._hidden = hidden
        self._tell = tell
        self._limits: dict[str, Bucket] | None = {} if icmp == "stock" else None
        self._survey = Survey(agenda.now)
        self._seats: dict[str, tuple[int, int]] = {}
        self._alarm = Alarm(agenda, self._pump)
        self.complete_at: dict[int, float] = {}
        """When the route was known to a member of which no router is asked any more."""

    @property
    def probes(self) -> int:
        """How many probes were sent."""
        return self._survey.probes_sent

    def seek(self, ident: int, seat: int) -> None:
        """Find the route to a member."""
        self._seats[f"member {ident}"] = ident, seat
        way = self._draw.trace(seat)
        self._survey.seek(f"member {ident}", way[0][0] if way else None, self._agenda.now)
        self._pump()

    def _pump(self) -> None:
        now = self._agenda.now
        for probe in self._survey.probes(now):
            self._travel(probe)
        for route in self._survey.routes(now):
            ident, _ = self._seats[route.target]
            if not route.open:
                self.complete_at[ident] = now
            self._tell(ident, route)
        self._alarm.set(self._survey.next_deadline())

    def _travel(self, probe: Probe) -> None:
        _, seat = self._seats[probe.target]
        way = self._draw.trace(seat)
        if probe.ttl > len(way):
            self._answer(probe, probe.target, "target", probe.ttl - len(way), 2 * self._draw.control_ms(seat))
            return
        router, there_ms = way[probe.ttl - 1]
        if router not in self._hidden and self._allows(router, self._agenda.now + there_ms / 2000):
            self._answer(probe, router, "hop", 1, there_ms)

    def _allows(self, router: str, at: float) -> bool:
        if self._limits is None:
            return True
        limit = self._limits.setdefault(router, Bucket(BURST, GAP_S, at))
        if limit.level(at) < 1:
            return False
        limit.take(at)
        return True

    def _answer(self, probe: Probe, sender: str, verdict: Verdict, left: int, after_ms: float) -> None:
        self._agenda.after(max(after_ms, LAN_MS) / 1000, self._take, probe, sender, verdict, left)

    def _take(self, probe: Probe, sender: str, verdict: Verdict, left: int) -> None:
        self._survey.answer(probe.number, probe.target, sender, verdict, left, self._agenda.now)
        self._pump()
