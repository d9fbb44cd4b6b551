"""Sends the probes and reads the answers: many traces at once, over the raw sockets of one ``Flow`` per IP version.

Owns: the pace of sending, which answer belongs to which trace, and the sharing of routes between neighbours. Refuses:
deciding what a trace asks next (``route``) or what another route tells (``memory``).

Invariants: never more than ``AT_ONCE`` traces under way; never more than ``BURST`` datagrams without a pause; an
answer counts only if it quotes a probe that is under way, by target, ports and number.
"""

from __future__ import annotations

import asyncio
import errno
import ipaddress
import socket
from contextlib import suppress
from dataclasses import dataclass
from typing import Final

from overlaycast.discovery.flow import Flow
from overlaycast.discovery.memory import RouteMemory, Subnet, subnet_of
from overlaycast.discovery.probe import PROBE_PORT, IcmpError
from overlaycast.discovery.route import Route, Trace, Verdict
from overlaycast.errors import ConfigError, MissingError

AT_ONCE: Final = 64
BURST: Final = 16
PAUSE: Final = 0.003
VERIFY_TIMES: Final = (0.4,)
"""A neighbour's route is confirmed or refuted within this many seconds, or taken as it is."""


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


@dataclass(frozen=True, slots=True)
class _Probe:
    trace: Trace
    hop: int
    sent_at: float
    checksum: int


class Tracer:
    """Finds routes. Made inside a running event loop; ``close`` when done.

    Raises:
        MissingError: raw sockets are not allowed.
    """

    def __init__(self, memory: RouteMemory | None = None) -> None:
        need_raw_sockets()
        self._loop = asyncio.get_running_loop()
        self._memory = memory or RouteMemory()
        self._slots = asyncio.Semaphore(AT_ONCE)
        self._sending = asyncio.Lock()
        self._probes: dict[int, _Probe] = {}
        self._wake: dict[Trace, asyncio.Event] = {}
        self._first_of: dict[Subnet, asyncio.Event] = {}
        self._number = 0
        self._flows = {4: Flow(4)}
        with suppress(OSError):  # a machine without IPv6 has no routes there either
            self._flows[6] = Flow(6)
        for flow in self._flows.values():
            self._loop.add_reader(flow.receiver, self._read, flow)

    def close(self) -> None:
        """Close the sockets; traces under way end as if nothing answered any more."""
        for flow in self._flows.values():
            self._loop.remove_reader(flow.receiver)
            flow.close()

    async def route(self, target: str) -> Route:
        """Return the route to an address; a neighbour's, verified, where one is known.

        Raises:
            ConfigError: not an address, or this machine has no way there.
        """
        target, source = _ends(target)
        subnet = subnet_of(target)
        while (first := self._first_of.get(subnet)) is not None:
            await first.wait()
        known = self._memory.neighbour(target, self._loop.time())
        if known is not None:
            shared = await self._verified(source, target, known)
            if shared is not None:
                return shared
        return await self._as_first(subnet, source, target)

    async def _as_first(self, subnet: Subnet, source: str, target: str) -> Route:
        """Trace anew; others of the subnet wait for it, and then share it."""
        done = self._first_of[subnet] = asyncio.Event()
        try:
            route = await self._run(source, Trace(target))
        finally:
            if self._first_of.get(subnet) is done:
                del self._first_of[subnet]
            done.set()
        self._memory.remember(route, self._loop.time())
        return route

    async def _verified(self, source: str, target: str, known: Route) -> Route | None:
        """Return the neighbour's route as the target's, unless its last router or the target itself contradicts."""
        last = len(known.routers)
        check = Trace(target, hops=(hop for hop in (last, last + 1) if hop >= 1), round_times=VERIFY_TIMES)
        found = await self._run(source, check)
        if _contradicts(found, known, last):
            self._memory.forget(target)
            return None
        return Route(target, known.routers, found.reached, known.rtt_ms[:last] + found.rtt_ms[last:], shared=True)

    async def _run(self, source: str, trace: Trace) -> Route:
        async with self._slots:
            wake = self._wake[trace] = asyncio.Event()
            try:
                await self._send(source, trace, trace.start(self._loop.time()))
                while not trace.done:
                    await self._wait(trace, wake)
                    if trace.deadline is not None and self._loop.time() >= trace.deadline:
                        trace.infer(self._memory.fill(trace.routers, self._loop.time()))
                        await self._send(source, trace, trace.expire(self._loop.time()))
            finally:
                del self._wake[trace]
                self._probes = {number: probe for number, probe in self._probes.items() if probe.trace is not trace}
        return trace.result()

    async def _wait(self, trace: Trace, wake: asyncio.Event) -> None:
        with suppress(TimeoutError):
            async with asyncio.timeout_at(trace.deadline):
                await wake.wait()
        wake.clear()

    async def _send(self, source: str, trace: Trace, hops: list[int]) -> None:
        # crafting is slow: all of it first, or it would be measured as part of the round-trip times
        flow = self._flow_to(trace.target)
        ready = [self._craft(flow, source, trace.target, hop) for hop in hops]
        async with self._sending:
            for count, (hop, number, raw, checksum) in enumerate(ready, start=1):
                self._probes[number] = _Probe(trace, hop, self._loop.time(), checksum)
                # a full queue or a route that vanished is like a lost probe: the next round asks again
                with suppress(OSError):
                    flow.send(raw, trace.target)
                if count % BURST == 0:
                    await asyncio.sleep(PAUSE)

    def _flow_to(self, target: str) -> Flow:
        return self._flows[ipaddress.ip_address(target).version]

    def _craft(self, flow: Flow, source: str, target: str, hop: int) -> tuple[int, int, bytes, int]:
        number = self._free_number()
        return hop, number, *flow.craft(source, target, hop, number)

    def _free_number(self) -> int:
        # at most AT_ONCE * MAX_HOPS * rounds are under way, far below the 65535 there are
        while True:
            self._number = self._number % 0xFFFF + 1
            if self._number not in self._probes:
                return self._number

    def _read(self, flow: Flow) -> None:
        for answer in flow.answers():
            self._take(flow, answer)

    def _take(self, flow: Flow, answer: IcmpError) -> None:
        probe = self._probe_of(flow, answer)
        if probe is None:
            return
        verdict: Verdict = "hop" if answer.expired else "target" if answer.from_target else "blocked"
        probe.trace.answer(probe.hop, answer.router, verdict, self._loop.time() - probe.sent_at)
        if probe.trace.done:
            self._wake[probe.trace].set()

    def _probe_of(self, flow: Flow, answer: IcmpError) -> _Probe | None:
        if answer.source_port != flow.source_port or answer.target_port != PROBE_PORT:
            return None
        probe = self._probes.get(answer.identification)
        if probe is not None and probe.trace.target == answer.target:
            return probe
        # a box on the way rewrote the identification: the checksum tells as well
        for probe in self._probes.values():
            if probe.checksum == answer.checksum and probe.trace.target == answer.target:
                return probe
        return None


def _contradicts(found: Route, known: Route, last: int) -> bool:
    if found.reached and len(found.routers) != last:
        return True
    at_last = found.routers[last - 1] if 1 <= last <= len(found.routers) else None
    further = found.routers[last] if len(found.routers) > last else None
    return further is not None or (at_last is not None and at_last != known.routers[last - 1])


def _ends(target: str) -> tuple[str, str]:
    """Return the target as ICMP errors will name it, and our own address towards it."""
    try:
        address = ipaddress.ip_address(target)
    except ValueError:
        raise ConfigError(f"{target}: routes are traced to IPv4 or IPv6 addresses only") from None
    if address.version == 6 and address.is_link_local:
        raise ConfigError(f"{target}: no router is on the way to a link-local address")
    family = socket.AF_INET6 if address.version == 6 else socket.AF_INET
    try:
        with socket.socket(family, socket.SOCK_DGRAM) as sock:
            sock.connect((str(address), PROBE_PORT))
            return str(address), str(sock.getsockname()[0])
    except OSError as error:
        reason = errno.errorcode.get(error.errno or 0, "?")
        raise ConfigError(f"{target}: no route from this machine ({reason}: {error.strerror})") from None
