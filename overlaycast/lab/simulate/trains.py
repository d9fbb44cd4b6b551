"""Members' trains of echoes in virtual time, by the turns that the coordinator lets them go by too.

Owns: how long a train takes, and what it shows. Refuses: whose turn it is (``discovery.trains``). Trains that are on
the way at the same time share every line on which they cannot all go as fast as they could alone.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Final

from overlaycast.discovery.echo import LEAST_TRIES, ON_THE_WIRE, TRAINS
from overlaycast.discovery.survey.route import Route
from overlaycast.discovery.trains.turns import Turns, whereto
from overlaycast.lab.simulate.agenda import Agenda, Alarm
from overlaycast.lab.simulate.draw import Draw

AT_ONCE: Final = 16
BITS: Final = (TRAINS[0][0] + 1) * TRAINS[0][1] * 8 * ON_THE_WIRE
"""What one train puts on the thinnest line, both ways."""


@dataclass(slots=True, eq=False)
class _Train:
    ident: int
    seat: int
    beside: dict[int, int] = field(default_factory=dict)
    """The seats of those that were on the way at the same time, by number."""


class Trains:
    """The trains of one group. ``tell`` takes a member and what its train has shown; None: it needed none."""

    def __init__(self, agenda: Agenda, draw: Draw, tell: Callable[[int, float | None], None]) -> None:
        self._agenda = agenda
        self._draw = draw
        self._tell = tell
        self._turns = Turns(AT_ONCE)
        self._trains: dict[int, _Train] = {}
        self._going: dict[int, _Train] = {}
        self._alarm = Alarm(agenda, self._pump)

    def want(self, ident: int, seat: int, route: Route) -> None:
        """Let a member's train go when it is its turn."""
        to = whereto(route.routers, route.reached, f"seat {seat}")
        number = self._turns.come("simulation", f"seat {seat}", to, self._agenda.now)
        self._trains[number] = _Train(ident, seat)
        self._pump()

    def _pump(self) -> None:
        now = self._agenda.now
        for number in self._turns.begin(now):
            train = self._trains[number]
            train.beside = {other: one.seat for other, one in self._going.items()}
            for one in self._going.values():
                one.beside[number] = train.seat
            self._going[number] = train
            tries = LEAST_TRIES if self._turns.expected(number) is None else 1
            seconds = 2 * self._draw.control_ms(train.seat) / 1000 + BITS / self._shown(train) / 1e6
            self._agenda.after(tries * seconds, self._over, number)
        for number in self._turns.needless():
            self._tell(self._trains.pop(number).ident, None)
        self._alarm.set(self._turns.next_deadline())

    def _over(self, number: int) -> None:
        train = self._going.pop(number)
        shown = self._shown(train)
        if not self._turns.done(number, shown, self._agenda.now):
            del self._trains[number]
            self._tell(train.ident, shown)
        self._pump()

    def _shown(self, train: _Train) -> float:
        """Return the rate that a train shows, in Mbit/s: on each line no more than its part."""
        draw = self._draw
        own = draw.bottleneck_mbit(train.seat)
        wanted: Counter[tuple[int, int]] = Counter()
        for seat in (train.seat, *train.beside.values()):
            for hop in draw.routes.hops(draw.control, draw.places[seat]):
                wanted[hop] += round(1e6 * draw.bottleneck_mbit(seat))
        shown = own
        for hop in draw.routes.hops(draw.control, draw.places[train.seat]):
            rate = draw.net.lines[hop].rate_mbit
            if rate is not None and wanted[hop] > 1e6 * rate:
                shown = min(shown, own * 1e6 * rate / wanted[hop])
        return shown
