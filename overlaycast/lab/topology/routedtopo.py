"""``RoutedTopo``, the class that topology files derive from: Mininet's ``Topo`` with routers, sites and link shapes.

Owns: the three methods of a topology file (``router``, ``host``, ``link``), and what stock Mininet needs to build the
same file by itself (``mn --custom FILE --topo NAME``): every node has its plan and carries it out when Mininet
configures it.
"""

# mypy: disable-error-code="no-untyped-call"
# Mininet has no annotations; only this file and network/mininetface.py call it.

from __future__ import annotations

import warnings
from collections.abc import Mapping
from subprocess import PIPE
from typing import Any, Final

from overlaycast.errors import ConfigError, LabError, MissingError
from overlaycast.lab.topology.graph import Link, Node
from overlaycast.lab.topology.manners import Manners
from overlaycast.lab.topology.node_plan import KernelSettings, NodePlan, ip_batch, node_plans
from overlaycast.lab.topology.shape import Shape, shape
from overlaycast.lab.topology.topology import Topology

with warnings.catch_warnings():
    warnings.simplefilter("ignore")  # Mininet imports distutils, which warns
    try:
        from mininet.node import Node as MininetNode
        from mininet.topo import Topo
    except ImportError as error:
        raise MissingError(
            f"the lab needs Mininet ({error}); install it with: pip install 'overlaycast[lab]'"
        ) from None


_DEAREST: Final = 120_000


class PlannedNode(MininetNode):
    """A Mininet node that sets itself up from its plan; only stock Mininet uses it."""

    def config(self, *args: Any, plan: NodePlan | None = None, **params: Any) -> dict[str, Any]:
        """Apply the plan. Called by Mininet once the links are there.

        Raises:
            LabError: ip refused a line.
        """
        result: dict[str, Any] = super().config(*args, **params)
        if plan is not None:
            settings = KernelSettings.of(plan.icmp).sysctls(plan.router, plan.families)
            writes = [f"{value} > /proc/sys/net/{key}" for key, value in settings.items()]
            self.cmd(" ; ".join(f"echo {write}" for write in writes))
            self._feed(["ip", "-force", "-batch", "-"], "\n".join(ip_batch(plan)))
            for rules in plan.rules:
                self._feed(["nft", "-f", "-"], rules)
        return result

    def _feed(self, command: list[str], text: str) -> None:
        process = self.popen(command, stdin=PIPE, stdout=PIPE, stderr=PIPE)
        _, complaint = process.communicate(text.encode())
        if process.returncode:
            raise LabError(f"{self.name}: {command[0]}: {complaint.decode(errors='replace').strip()}")


class RoutedTopo(Topo):
    """Base of all topology files. Override ``build`` and say what there is with ``router``, ``host`` and ``link``.

    Attributes:
        ip: which IP versions are spoken: "4", "6" or "both". A file may set it in its class; the name of the
            topology may set another (``--topo figure_2a,ip=both``). So it is with the other two.
        icmp: how many ICMP errors routers send to one destination: "off" (no limit), "stock" (the kernel's own), or
            ``{"per_s": 1, "burst": 6}``, as text ``1/6``.
        addressing: "lans" (a /24 per LAN), "spread" (no two hosts in one /24), or "one24" (all in one, if they fit).
    """

    ip: str = "4"
    icmp: str | Mapping[str, float] = "off"
    addressing: str = "lans"

    def __init__(
        self,
        *args: Any,
        ip: int | str | None = None,
        icmp: str | Mapping[str, float] | None = None,
        addressing: str | None = None,
        **params: Any,
    ) -> None:
        if ip is not None:
            self.ip = str(ip)
        if icmp is not None:
            self.icmp = icmp
        if addressing is not None:
            self.addressing = addressing
        self._nodes: list[Node] = []
        self._cables: list[Link] = []
        super().__init__(*args, **params)
        for name, plan in node_plans(self.topology()).items():
            self.g.node[name].update(cls=PlannedNode, ip=None, plan=plan)

    def router(
        self,
        name: str,
        nat: bool = False,
        anonymous: bool = False,
        hides_ttl: bool = False,
        answers_from: str | None = None,
        ecmp: bool = False,
    ) -> str:
        """Add a router and return its name.

        Args:
            name: 1 to 9 letters, digits or underscores.
            nat: hosts behind it can open connections, and none can be opened to them. It needs one link with
                ``uplink_of``: IPv4 packets that leave there get the router's address as their source; of IPv6, only
                replies are let in.
            anonymous: it never says that a packet's time to live ended.
            hides_ttl: it is no hop to traceroute, like the inside of an MPLS tunnel.
            answers_from: the neighbour on whose link it has the address that its ICMP errors come from.
            ecmp: it balances flows over all ways of equal cost.
        """
        self._nodes.append(Node(name, "router", nat=nat, manners=Manners(anonymous, hides_ttl, answers_from, ecmp)))
        return str(self.addHost(name))

    def host(self, name: str, site: str | None = None, role: str | None = None) -> str:
        """Add a host and return its name.

        Args:
            name: 1 to 9 letters, digits or underscores.
            site: the site it belongs to.
            role: client (by default), server, backup or coordinator.
        """
        self._nodes.append(Node(name, "host", site, role or "client"))
        return str(self.addHost(name))

    def link(
        self,
        a: str,
        b: str,
        rate_mbit: float | None = None,
        delay_ms: float = 0.0,
        jitter_ms: float = 0.0,
        loss: float = 0.0,
        queue: int | None = None,
        duplicate: float = 0.0,
        uplink_of: str | None = None,
        cost: float | None = None,
        back: Mapping[str, Any] | None = None,
    ) -> None:
        """Add a link; the same both ways unless ``back`` says otherwise.

        Args:
            a: a node's name.
            b: a node's name; at least one of the two is a router.
            rate_mbit: Mbit/s, each way; None is as fast as the machine.
            delay_ms: one way.
            jitter_ms: up to this much more or less delay.
            loss: probability of a frame to be lost.
            queue: bytes that wait for the rate at most; None is 50 ms of it.
            duplicate: probability of a frame to come twice.
            uplink_of: the site whose uplink this is.
            cost: what routing counts for it, in ms, 0 to 120000; None: its delays there and back.
            back: what is different from b to a, by the same names.

        Raises:
            ConfigError: names the link, the field and what is accepted.
        """
        where = f"link {a}-{b}"
        there = {
            "rate_mbit": rate_mbit,
            "delay_ms": delay_ms,
            "jitter_ms": jitter_ms,
            "loss": loss,
            "queue_bytes": queue,
            "duplicate": duplicate,
        }
        renamed = {("queue_bytes" if key == "queue" else key): value for key, value in (back or {}).items()}
        costs = _cost(where, cost), _cost(where, renamed.pop("cost", cost))
        ab, ba = shape(where, **there), shape(where, **{**there, **renamed})
        self._cables.append(Link(a, b, ab, ba, uplink_of, "", *costs))
        for end in (a, b):
            if end not in self.g.node:
                raise ConfigError(f"{where}: no node {end!r}; declare it before its links")
        self.addLink(a, b, params1=_tc_params(ab), params2=_tc_params(ba))

    def topology(self, name: str | None = None) -> Topology:
        """Return what has been declared, checked.

        Raises:
            ConfigError: names the node or link.
        """
        return Topology.of(
            name or type(self).__name__,
            self._nodes,
            self._cables,
            ip=self.ip,
            icmp=self.icmp,
            addressing=self.addressing,
        )


def _cost(where: str, value: Any) -> float | None:
    number = isinstance(value, int | float) and not isinstance(value, bool)
    if value is not None and (not number or not 0 <= value <= _DEAREST):
        raise ConfigError(f"{where}: cost is {value!r}; accepted: 0 to {_DEAREST}, ms")
    return None if value is None else float(value)


def _tc_params(wish: Shape) -> dict[str, Any]:
    """The same wishes in the words of Mininet's TCLink; its plain link ignores them."""
    words: dict[str, Any] = {"bw": wish.rate_mbit, "loss": wish.loss * 100 or None}
    words["delay"] = f"{wish.delay_ms}ms" if wish.delay_ms else None
    words["jitter"] = f"{wish.jitter_ms}ms" if wish.jitter_ms else None
    return {key: value for key, value in words.items() if value is not None}
