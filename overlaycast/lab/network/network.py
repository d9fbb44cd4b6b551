"""A topology as a running network of namespaces; also usable as Mininet's objects.

Owns: building (netlink messages in batches per node; tc is the only program started per node), changes of links, the
counters, and the end of everything it started. Refuses: to build outside ``run_isolated``, where a crash would leave
names of namespaces behind; machines that lack what the lab needs (``MissingError``).

Invariants: routers forward unicast and no multicast; no first packet waits for ARP, or is lost because an interface is
not ready; a link that was down and is up again has its routes and neighbours back; reading counters sends nothing over
any link.
"""

from __future__ import annotations

import resource
import subprocess
import time
from collections.abc import Container, Iterable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, Self

from overlaycast.errors import LabError
from overlaycast.lab.network import netlink
from overlaycast.lab.network.isolation import is_isolated
from overlaycast.lab.network.mininetface import BuiltMininet, LabNode, check_programs, stop_all
from overlaycast.lab.network.namespaces import Namespace, names
from overlaycast.lab.network.netlink import Device, Netlink, Request
from overlaycast.lab.network.shaper import Shaper, netem_works
from overlaycast.lab.network.shaping import SLOW_MBIT, Means, choose
from overlaycast.lab.network.tap import open_tap
from overlaycast.lab.network.wireclient import Direction, WireLink, WireProcess
from overlaycast.lab.topology.graph import Link
from overlaycast.lab.topology.node_plan import SINCE_2024, KernelSettings, NodePlan, node_plans
from overlaycast.lab.topology.shape import Shape
from overlaycast.lab.topology.topology import Topology

_NETNS: Final = Path("/run/netns")
_READY_S: Final = 30.0
_READY_PAUSE_S: Final = 0.005


@dataclass(frozen=True, slots=True)
class Count:
    """What crossed one direction of a link since it was built.

    Attributes:
        bytes: Ethernet bytes that arrived at the far end.
        packets: packets that arrived; on a fast kernel link one may be a whole segment train (GSO).
        sent_bytes: bytes that the near end put on the link, those that the link then lost included.
        sent_packets: likewise.
        overrun: frames lost because the wire process did not keep up: 0 on a valid run.
    """

    bytes: int
    packets: int
    sent_bytes: int
    sent_packets: int
    overrun: int


@dataclass(frozen=True, slots=True)
class LinkCounters:
    """Both directions of a link."""

    ab: Count
    ba: Count


class Network:
    """A running network. A context manager: ``with Network(topology) as network: …``."""

    def __init__(
        self,
        topology: Topology,
        *,
        settings: KernelSettings | None = None,
        changeable: Iterable[tuple[str, str]] = (),
        seed: int = 0,
    ) -> None:
        """Say what to build; entering builds it.

        Args:
            topology: nodes and links.
            settings: of the kernels' network stacks; by default what the topology asks for.
            changeable: pairs of nodes whose links' delay or loss may be asked for later (``set_link``), though none is
                asked for now; all others keep the means that suits their shape.
            seed: of the wire's losses, jitter and duplicates.
        """
        self.topology = topology
        self._settings = settings or KernelSettings.of(topology.icmp)
        self._changeable = {link.name for a, b in changeable for link in topology.links_between(a, b)}
        self._seed = seed
        self._plans = node_plans(topology)
        self._namespaces: dict[str, Namespace] = {}
        self._sockets: dict[str, Netlink] = {}
        self._indices: dict[str, dict[str, int]] = {}
        self._nodes: dict[str, LabNode] = {}
        self._down: set[str] = set()
        self._shaper: Shaper | None = None
        self._mininet: BuiltMininet | None = None
        self._overruns_before = 0
        self._stack = ExitStack()

    def __enter__(self) -> Self:
        """Build.

        Raises:
            LabError: not isolated, or the kernel refused something.
            MissingError: a program or device is not there.
        """
        if not is_isolated():
            raise LabError("a network is built only inside run_isolated()")
        check_programs(nft=any(plan.rules for plan in self._plans.values()))
        try:
            self._build()
        except BaseException:
            self.close()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Stop what was started in the nodes, and remove the network. Safe to call twice."""
        stop_all(self._nodes)
        self._stack.close()
        self._nodes, self._mininet = {}, None

    # -- building ------------------------------------------------------------------------------------------------

    def _build(self) -> None:
        _raise_descriptor_limit()
        self._stack.enter_context(names(_NETNS))
        for plan in self._plans.values():
            self._make_node(plan)
        means = self._choose_means()
        wired = self._make_links(means)
        self._fill_nodes()
        wire = WireProcess(wired, self._seed) if wired else None
        self._shaper = Shaper(self.topology, means, self._namespaces, wire)
        self._stack.callback(self._shaper.close)
        self._shaper.apply()
        self._await_ready(self.topology.links)
        self._nodes = {name: LabNode(name, self._namespaces[name]) for name in self._plans}
        self._mininet = BuiltMininet(self.topology, self._nodes, self)

    def _await_ready(self, links: Sequence[Link]) -> None:
        """Wait until both ends of some links send, and the bridges they belong to.

        The kernel notices later that an interface has got its other end, on a busy machine much later; until then it
        drops what is to be sent. A TAP has its other end from the beginning.
        """
        waiting: dict[str, set[str]] = {}
        for link in links:
            if self.shaper.means[link.name] != "wire":
                for end in (self.topology.interface(link.name, node) for node in (link.a, link.b)):
                    waiting.setdefault(end.node, set()).update(filter(None, (end.name, end.bridge)))
        deadline = time.monotonic() + _READY_S
        for node, names_there in waiting.items():
            self._sockets[node].run([netlink.look_at(self._indices[node][name]) for name in sorted(names_there)])
            while late := [
                name
                for name, device in self._sockets[node].devices().items()
                if name in names_there and not device.operational
            ]:
                if time.monotonic() > deadline:
                    raise LabError(f"{node}: {late[0]} did not come up within {_READY_S:g} s")
                time.sleep(_READY_PAUSE_S)
        self._await_addresses(links, deadline)

    def _await_addresses(self, links: Sequence[Link], deadline: float) -> None:
        """Wait until both ends of some links take what is sent to their IPv6 addresses.

        The kernel says that an address is there, and makes the route to it later, on a busy machine much later; until
        then it sends what is for that address on, or nowhere.
        """
        if 6 not in self.topology.families:
            return
        ends = [self.topology.interface(link.name, node) for link in links for node in (link.a, link.b)]
        devices: dict[str, set[str]] = {}
        for end in ends:
            devices.setdefault(end.node, set()).update(filter(None, (end.name, end.bridge)))
        for node, there in devices.items():
            own = [one.address for one in self._plans[node].addresses if one.device in there and ":" in one.address]
            while late := set(own) - self._namespaces[node].local_six():
                if time.monotonic() > deadline:
                    raise LabError(f"{node}: {min(late)} was not there within {_READY_S:g} s")
                time.sleep(_READY_PAUSE_S)

    def _make_node(self, plan: NodePlan) -> None:
        namespace = Namespace(plan.node)
        self._stack.callback(namespace.close)
        namespace.pin(_NETNS)
        namespace.write_sysctls(self._settings.sysctls(plan.router, plan.families), SINCE_2024)
        with namespace.entered():
            self._sockets[plan.node] = Netlink(plan.node)
        self._stack.callback(self._sockets[plan.node].close)
        self._namespaces[plan.node] = namespace

    def _choose_means(self) -> dict[str, Means]:
        wishes = [link for link in self.topology.links if link.ab.impaired or link.ba.impaired]
        netem = netem_works() if wishes or self._changeable else False
        return {
            link.name: choose(link.ab, link.ba, netem=netem, changeable=link.name in self._changeable)
            for link in self.topology.links
        }

    def _make_links(self, means: dict[str, Means]) -> list[WireLink]:
        """Make every link's two interfaces; return the links that the wire shall carry."""
        pairs: list[Request] = []
        wired: list[WireLink] = []
        for link in self.topology.links:
            if means[link.name] == "wire":
                fd_a, fd_b = self._make_tap(link, link.a), self._make_tap(link, link.b)
                wired.append(WireLink(link.name, fd_a, fd_b, link.ab, link.ba))
            else:
                pairs.append(self._veth(link))
        if pairs:
            next(iter(self._sockets.values())).run(pairs)
        return wired

    def _make_tap(self, link: Link, node: str) -> int:
        with self._namespaces[node].entered():
            return open_tap(self.topology.interface(link.name, node).name)

    def _veth(self, link: Link) -> Request:
        a, b = self.topology.interface(link.name, link.a), self.topology.interface(link.name, link.b)
        ends = (
            (a.name, a.mac, self._namespaces[link.a].fd),
            (b.name, b.mac, self._namespaces[link.b].fd),
        )
        return netlink.new_veth(ends, (_segments(link.ab), _segments(link.ba)))

    def _fill_nodes(self) -> None:
        for name, plan in self._plans.items():
            connection = self._sockets[name]
            if plan.lan is not None and plan.lan.bridged:
                connection.run([netlink.new_bridge(plan.lan.device, plan.lan.mac)])
            self._indices[name] = {device.name: device.index for device in connection.devices().values()}
            connection.run(list(_requests(plan, self._indices[name])))
            for rules in plan.rules:
                self._apply(name, rules)

    def _apply(self, name: str, rules: str) -> None:
        with self._namespaces[name].entered():
            done = subprocess.run(["nft", "-f", "-"], input=rules, capture_output=True, text=True, check=False)
        if done.returncode:
            raise LabError(
                f"{name}: nft: {done.stderr.strip().splitlines()[:1]}; a router that translates, or is slow to answer"
                " traceroutes, needs nf_tables, and nf_nat if it translates"
            )

    # -- nodes ---------------------------------------------------------------------------------------------------

    def host(self, name: str) -> LabNode:
        """Return a node (host or router): ``popen``, ``cmd`` and the rest of Mininet's.

        Raises:
            ConfigError: there is none of that name.
        """
        self.topology.node(name)
        return self._nodes[name]

    def namespace(self, name: str) -> Namespace:
        """Return a node's network namespace."""
        self.topology.node(name)
        return self._namespaces[name]

    @contextmanager
    def in_namespace(self, name: str) -> Iterator[None]:
        """Move the calling thread into a node's network: sockets opened in the ``with`` belong there. Await nothing."""
        with self.namespace(name).entered():
            yield

    @property
    def mininet(self) -> BuiltMininet:
        """The same network as Mininet's object, for its command line."""
        if self._mininet is None:
            raise LabError("the network is not built")
        return self._mininet

    # -- links ---------------------------------------------------------------------------------------------------

    @property
    def shaper(self) -> Shaper:
        """The shaping: means, read back, status."""
        if self._shaper is None:
            raise LabError("the network is not built")
        return self._shaper

    def set_link(self, a: str, b: str, *, direction: Direction | None = None, **wishes: Any) -> None:
        """Change the shape of the links between two nodes while they run; returns when it holds.

        Args:
            a: a node.
            b: a node.
            direction: only this one, "ab" from ``a`` to ``b`` as named here; both by default.
            wishes: fields of ``Shape``, such as ``loss=0.1, rate_mbit=2, delay_ms=50``; None means not asked.

        Raises:
            LabError: the link's means cannot; name it in ``changeable``.
            ConfigError: no such link, or a value out of bounds.
        """
        for link in self.topology.links_between(a, b):
            both: tuple[Direction, ...] = ("ab", "ba")
            turned = direction if direction is None or link.a == a else ("ba" if direction == "ab" else "ab")
            for way in both if turned is None else (turned,):
                self.shaper.change(link, way, **wishes)

    def link_down(self, a: str, b: str) -> None:
        """Cut the links between two nodes: both ends lose their carrier, and what is on its way is lost.

        Raises:
            ConfigError: no such link.
        """
        for link in self.topology.links_between(a, b):
            self.shaper.set_down(link.name, True)
            for end in (link.a, link.b):
                self._sockets[end].run([netlink.set_device(self._index(link, end), up=False)])
            self._down.add(link.name)

    def link_up(self, a: str, b: str) -> None:
        """Mend the links between two nodes, with the routes and neighbours that the kernel dropped with them."""
        for link in self.topology.links_between(a, b):
            self.shaper.set_down(link.name, False)
            for end in (link.a, link.b):
                self._sockets[end].run([netlink.set_device(self._index(link, end), up=True)])
            self._down.discard(link.name)
            for end in (link.a, link.b):
                only = {self.topology.interface(link.name, end).name}
                dead = {own.name for own in self._plans[end].interfaces if own.link in self._down}
                self._sockets[end].run(list(_routing(self._plans[end], self._indices[end], only, dead)))
            self._await_ready((link,))

    def link_is_up(self, a: str, b: str) -> bool:
        """Return whether all links between two nodes are up at both ends, as the kernel says."""
        found = []
        for link in self.topology.links_between(a, b):
            for end in (link.a, link.b):
                device = self._sockets[end].devices()[self.topology.interface(link.name, end).name]
                found.append(device.up and device.carrier)
        return all(found)

    def account(self) -> dict[str, Any]:
        """Return how the shaping went since the last ``reset_account``, for the result.

        ``means`` per link; ``wire``: lateness, load, priority, counts of frames (None without a wire); ``overrun``:
        frames that the wire did not take in time; ``valid``: False if the machine was too slow for this network;
        ``why``: in a line, what it was too slow for, empty if valid.
        """
        status = self.shaper.status()
        overrun = self._overruns() - self._overruns_before
        why = status["why"] or (f"{overrun} frames were lost before the wire took them" if overrun else "")
        return {**status, "overrun": overrun, "valid": not why, "why": why}

    def reset_account(self) -> None:
        """Start lateness, load and overruns anew: the fidelity check's bursts are no part of the run."""
        self.shaper.reset()
        self._overruns_before = self._overruns()

    def _overruns(self) -> int:
        # only the wire's: a cut link and a full tbf drop frames as they should
        wired = {name for name, means in self.shaper.means.items() if means == "wire"}
        counters = self.counters() if wired else {}
        return sum(way.overrun for name in wired for way in (counters[name].ab, counters[name].ba))

    def index(self, node: str, device: str) -> int:
        """Return the number that an interface has in its node's namespace."""
        return self._indices[node][device]

    def _index(self, link: Link, node: str) -> int:
        return self._indices[node][self.topology.interface(link.name, node).name]

    def counters(self) -> dict[str, LinkCounters]:
        """Return what crossed each link so far, by the link's name, from the kernel's counters."""
        devices = {name: connection.devices() for name, connection in self._sockets.items()}
        result = {}
        for link in self.topology.links:
            a = devices[link.a][self.topology.interface(link.name, link.a).name]
            b = devices[link.b][self.topology.interface(link.name, link.b).name]
            result[link.name] = LinkCounters(_count(a, b), _count(b, a))
        return result


def _count(near: Device, far: Device) -> Count:
    return Count(far.rx_bytes, far.rx_packets, near.tx_bytes, near.tx_packets, near.tx_dropped)


def _segments(wish: Shape) -> int | None:
    slow = wish.rate_mbit is not None and wish.rate_mbit < SLOW_MBIT
    return 1 if slow or wish.loss or wish.duplicate or wish.jitter_ms else None


def _requests(plan: NodePlan, indices: dict[str, int]) -> Iterator[Request]:
    """Yield the requests that carry out a node's plan, in an order that works."""
    yield netlink.set_device(indices["lo"], up=True)
    for end in plan.interfaces:
        master = indices[end.bridge] if end.bridge else None
        yield netlink.set_device(indices[end.name], up=True, mac=end.mac, master=master)
    if plan.lan is not None and plan.lan.bridged:
        yield netlink.set_device(indices[plan.lan.device], up=True)
    for address in plan.addresses:
        yield netlink.add_address(indices[address.device], address.address, address.prefix)
    yield from _routing(plan, indices, indices)


def _routing(
    plan: NodePlan, indices: dict[str, int], devices: Container[str], dead: Container[str] = ()
) -> Iterator[Request]:
    """Yield what the loss of some devices removed; a route of several ways has none by those that are still dead."""
    for route in plan.routes:
        ways = [(route.via, route.device), *route.others] if route.others else [(route.via, route.device)]
        if any(device in devices for _, device in ways):
            alive = [(via, indices[device]) for via, device in ways if device not in dead]
            yield netlink.add_route(route.network, route.prefix, alive)
    for entry in plan.neighbours:
        if entry.device in devices:
            yield netlink.add_neighbour(indices[entry.device], entry.address, entry.mac)


def _raise_descriptor_limit() -> None:
    """Two descriptors per wired link, two per node: the usual soft limit of 1024 is soon reached."""
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
