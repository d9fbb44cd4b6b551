"""Sends the probes and reads the answers: many routes at once, over the raw sockets of one ``Flow`` per IP version.

Owns: the sockets, the clock, and which answer belongs to which probe. Refuses: deciding what is asked next, how fast,
and what an answer means (``survey``).

Invariant: an answer counts only if it quotes a probe that is under way, by target, ports and number.
"""

from __future__ import annotations

import asyncio
import ipaddress
import random
import socket
from collections import OrderedDict
from collections.abc import Callable
from contextlib import suppress
from typing import Final

from overlaycast.discovery.flow import Flow
from overlaycast.discovery.probe import PROBE_PORT, IcmpError
from overlaycast.discovery.survey.route import Route
from overlaycast.discovery.survey.survey import LATE_S, RATE, Probe, Survey, Verdict
from overlaycast.discovery.way_out import way_out
from overlaycast.errors import MissingError

_UNDER_WAY: Final = int(RATE * LATE_S)


def need_raw_sockets() -> None:
    """Return if this process may open raw sockets.

    Raises:
        MissingError: it may not; the text says how to get there.
    """
    try:
        socket.socket(socket.AF_INET, socket.SOCK_RAW, socket.IPPROTO_ICMP).close()
    except PermissionError:
        raise MissingError(
            "tracing routes needs raw sockets (CAP_NET_RAW), which this process may not open; run it as root, "
            "or under systemd with AmbientCapabilities=CAP_NET_RAW"
        ) from None


class Tracer:
    """Finds routes. Made inside a running event loop; somebody awaits ``run``, and calls ``close`` when done.

    Args:
        tell: takes each route that is found, and again when it is better or more certain than before.

    Raises:
        MissingError: raw sockets are not allowed.
    """

    def __init__(self, tell: Callable[[Route], None]) -> None:
        need_raw_sockets()
        self._loop = asyncio.get_running_loop()
        self._tell = tell
        self._survey = Survey(self._loop.time(), random.SystemRandom().randrange(0xFFFF))
        self._wake = asyncio.Event()
        self._sources: OrderedDict[str, str] = OrderedDict()
        self._marks: OrderedDict[int, tuple[str, int]] = OrderedDict()
        self._numbers: dict[tuple[str, int], int] = {}
        self._flows = {4: Flow(4)}
        with suppress(OSError):  # a machine without IPv6 has no routes there either
            self._flows[6] = Flow(6)
        for flow in self._flows.values():
            self._loop.add_reader(flow.receiver, self._read, flow)

    def close(self) -> None:
        """Close the sockets."""
        for flow in self._flows.values():
            self._loop.remove_reader(flow.receiver)
            flow.close()

    @property
    def probes_sent(self) -> int:
        """How many probes were sent so far."""
        return self._survey.probes_sent

    def seek(self, host: str) -> str:
        """Find the route to an address; returns how routes will name it.

        Raises:
            ConfigError: not an address, or this machine has no way there.
        """
        way = way_out(host)
        self._sources[way.target] = way.source
        self._sources.move_to_end(way.target)
        if len(self._sources) > _UNDER_WAY:
            self._sources.popitem(last=False)
        self._survey.seek(way.target, way.gateway, self._loop.time())
        self._wake.set()
        return way.target

    async def run(self) -> None:
        """Send and tell until cancelled."""
        while True:
            self._send(self._survey.probes(self._loop.time()))
            for route in self._survey.routes(self._loop.time()):
                self._tell(route)
            with suppress(TimeoutError):
                async with asyncio.timeout_at(self._survey.next_deadline()):
                    await self._wake.wait()
            self._wake.clear()

    def _send(self, probes: list[Probe]) -> None:
        # crafting is slow: all of it first, or it would be measured as part of the round-trip times
        ready = [(probe, *self._craft(probe)) for probe in probes if probe.target in self._sources]
        for probe, flow, raw in ready:
            self._survey.sent(probe.number, self._loop.time())
            # a full queue or a route that vanished is like a lost probe: it is sent again
            with suppress(OSError):
                flow.send(raw, probe.target)

    def _craft(self, probe: Probe) -> tuple[Flow, bytes]:
        flow = self._flows[ipaddress.ip_address(probe.target).version]
        raw, checksum = flow.craft(self._sources[probe.target], probe.target, probe.ttl, probe.number)
        self._forget(probe.number)
        marks = self._marks[probe.number] = probe.target, checksum
        self._numbers[marks] = probe.number
        if len(self._marks) > _UNDER_WAY:
            self._forget(next(iter(self._marks)))
        return flow, raw

    def _forget(self, number: int) -> None:
        marks = self._marks.pop(number, None)
        if marks is not None and self._numbers.get(marks) == number:
            del self._numbers[marks]

    def _read(self, flow: Flow) -> None:
        now = self._loop.time()
        for answer in flow.answers():
            number = self._number_of(flow, answer)
            if number is None:
                continue
            verdict: Verdict = "hop" if answer.expired else "target" if answer.from_target else "blocked"
            self._survey.answer(number, answer.target, answer.router, verdict, answer.left, now)
            self._wake.set()

    def _number_of(self, flow: Flow, answer: IcmpError) -> int | None:
        if answer.source_port != flow.source_port or answer.target_port != PROBE_PORT:
            return None
        sent = self._marks.get(answer.identification)
        if sent is not None and sent[0] == answer.target:
            return answer.identification
        # a box on the way rewrote the identification: the checksum tells as well
        return self._numbers.get((answer.target, answer.checksum))
