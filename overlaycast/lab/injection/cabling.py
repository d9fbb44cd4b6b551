"""A built network as faults see it: carriers, shapes, and routers that drop. The real ``injection.Cables``.

Owns: changes to a running network, each read back, and the probes that prove them. Refuses: to choose what is changed.
A partition is made by nftables in the routers at the borders, so that hosts on either side see only silence.
"""

from __future__ import annotations

import asyncio
import shutil
import subprocess
import time
from collections.abc import Sequence
from dataclasses import fields
from statistics import median
from typing import Any, Final

from overlaycast.errors import LabError, MissingError
from overlaycast.lab.fidelity import probes
from overlaycast.lab.network.network import Network
from overlaycast.lab.network.wireclient import Direction
from overlaycast.lab.topology.shape import Shape

TABLE: Final = "overlaycast_fault"
DELAY_PROBES: Final = 3
LOSS_PROBES: Final = 300
PASS_TRIES: Final = 3
PASS_S: Final = 0.25
BOTH: Final[tuple[Direction, ...]] = ("ab", "ba")


class NetworkCables:
    """The faults of one network."""

    def __init__(self, network: Network) -> None:
        """Take a network that is up."""
        self._network = network

    def link_down(self, a: str, b: str) -> None:
        """Cut the links between two nodes."""
        self._network.link_down(a, b)

    def link_up(self, a: str, b: str) -> None:
        """Mend them."""
        self._network.link_up(a, b)

    def link_is_up(self, a: str, b: str) -> bool:
        """Return whether all of them have their carrier at both ends."""
        return self._network.link_is_up(a, b)

    def reshape(self, a: str, b: str, **wishes: Any) -> None:
        """Change both directions of the links between two nodes, and read back that it is so.

        Raises:
            LabError: it is not.
        """
        self._network.set_link(a, b, **wishes)
        self._read_back(a, b)

    def restore(self, a: str, b: str) -> None:
        """Give the links between two nodes their topology's shape, and read back that it is so."""
        for link in self._network.topology.links_between(a, b):
            for direction in BOTH:
                own: Shape = getattr(link, direction)
                wishes = {field.name: getattr(own, field.name) for field in fields(Shape)}
                self._network.shaper.change(link, direction, **wishes)
        self._read_back(a, b)

    def _read_back(self, a: str, b: str) -> None:
        differences = self._network.shaper.read_back()
        if differences:
            raise LabError(f"fault on link {a}-{b}: {differences[0]}")

    async def one_way_ms(self, a: str, b: str) -> float:
        """Measure the delay from a to b with a few datagrams; median."""
        way = self._way(a, b)
        last = self._network.topology.links_between(a, b)[0]
        asked = self._network.shaper.asked(last.name, way.direction)
        gap_s = (asked.delay_ms + asked.jitter_ms) / 1000 + 0.05
        [found] = await asyncio.to_thread(probes.delays_ms, self._network, [way], DELAY_PROBES, gap_s)
        if not found:
            raise LabError(f"fault on link {a}-{b}: none of {DELAY_PROBES} probes came through")
        return median(found)

    async def lost_share(self, a: str, b: str) -> float:
        """Measure the share of datagrams lost from a to b."""
        [(arrived, _)] = await asyncio.to_thread(probes.losses, self._network, [self._way(a, b)], [LOSS_PROBES])
        return 1 - arrived / LOSS_PROBES

    def _way(self, a: str, b: str) -> probes.Way:
        link = self._network.topology.links_between(a, b)[0]
        return probes.way(self._network, link, "ab" if link.a == a else "ba")

    async def part(self, borders: Sequence[str], inside: Sequence[str]) -> None:
        """Make the border routers drop all packets between these hosts and all others.

        Raises:
            MissingError: nft is not there.
            LabError: a router refused.
        """
        if shutil.which("nft") is None:
            raise MissingError("a partition needs nft; install it with: apt-get install nftables")
        rules = self._rules(inside)
        for router in borders:
            await asyncio.to_thread(self._nft, router, rules)

    def _rules(self, inside: Sequence[str]) -> str:
        topology = self._network.topology
        lines = [f"table inet {TABLE} {{", "chain cut {", "type filter hook forward priority 0;"]
        for family in topology.families:
            word = "ip6" if family == 6 else "ip"
            known = ", ".join(topology.address(host, family) for host in inside)
            lines += [f"{word} saddr {{ {known} }} {word} daddr != {{ {known} }} counter drop"]
            lines += [f"{word} saddr != {{ {known} }} {word} daddr {{ {known} }} counter drop"]
        return "\n".join([*lines, "}", "}", ""])

    async def join(self, borders: Sequence[str]) -> None:
        """Make the border routers forward everything again."""
        for router in borders:
            await asyncio.to_thread(self._nft, router, f"delete table inet {TABLE}\n")

    def _nft(self, router: str, rules: str) -> None:
        with self._network.in_namespace(router):
            done = subprocess.run(["nft", "-f", "-"], input=rules, capture_output=True, text=True, check=False)
        if done.returncode:
            raise LabError(f"{router}: nft: {(done.stderr.strip().splitlines() or ['it gave no reason'])[0]}")

    async def passes(self, a: str, b: str) -> bool:
        """Return whether one of a few datagrams from host a arrives at host b."""
        return await asyncio.to_thread(self._passes, a, b)

    def _passes(self, a: str, b: str) -> bool:
        topology = self._network.topology
        patience = PASS_S + topology.delay_ms(a, b) / 1000
        ends = [(node, topology.address(node)) for node in (a, b)]
        with probes.bound(self._network, ends) as sockets:
            sender, receiver = sockets
            heard = {receiver: probes.Received()}
            for _ in range(PASS_TRIES):
                probes.send(sender, probes.MARK.pack(1, 2, 3), receiver.getsockname())
                probes.listen(heard, time.monotonic() + patience, lambda: bool(heard[receiver].times_ns))
                if heard[receiver].times_ns:
                    return True
        return False
