"""A few routers and hosts as bare network namespaces, inside namespaces of their own: nothing is left, nothing outside
is touched, and no root is needed where the system allows user namespaces."""

from __future__ import annotations

import itertools
import json
import os
import subprocess
import sys
from dataclasses import dataclass, field
from typing import Any


@dataclass
class World:
    """Commands that build a network. Node names are namespaces; a link gets addresses on both ends."""

    lines: list[str] = field(default_factory=list)
    nodes: list[str] = field(default_factory=list)

    def node(self, name: str, icmp_ratelimit: int = 0) -> None:
        self.nodes.append(name)
        self.lines.append(f"ip netns add {name}; ip -n {name} link set lo up")
        self.lines.append(
            f"ip netns exec {name} sysctl -eqw net.ipv4.ip_forward=1 net.ipv4.conf.all.rp_filter=0 "
            f"net.ipv4.conf.default.rp_filter=0 net.ipv4.icmp_ratelimit={icmp_ratelimit} "
            # a router asks for its neighbours by its link-local address, which else is not its own for a second or two
            "net.ipv6.conf.all.accept_dad=0 net.ipv6.conf.default.accept_dad=0"
        )

    def link(self, a: str, a_address: str, b: str, b_address: str) -> None:
        self.lines.append(f"ip link add {a}-{b} netns {a} type veth peer name {b}-{a} netns {b}")
        for node, peer, address in ((a, b, a_address), (b, a, b_address)):
            self.lines.append(f"ip -n {node} addr add {address} dev {node}-{peer}")
            self.lines.append(f"ip -n {node} link set {node}-{peer} up")

    def address(self, node: str, peer: str, address: str) -> None:
        self.lines.append(f"ip -n {node} addr add {address} dev {node}-{peer}")

    def route(self, node: str, what: str) -> None:
        self.lines.append(f"ip -n {node} route add {what}")

    def silence(self, node: str) -> None:
        """Make a router anonymous: it forwards, and drops whatever it would send itself."""
        self.lines.append(f"ip -n {node} rule add iif lo pref 1 blackhole")

    def run(self, node: str, arguments: list[str], stdin: str = "", timeout: float = 90) -> str:
        """Build the network, run ``python ARGUMENTS`` in ``node``'s namespace and return what it printed."""
        isolated = ["unshare", "--mount", "--net", "--pid", "--fork", "--kill-child", "--mount-proc"]
        if os.geteuid() != 0:
            isolated += ["--user", "--map-root-user"]
        script = "\n".join(
            ["mount -t tmpfs none /run; mkdir /run/netns", *self.lines, f'exec ip netns exec {node} "$@"']
        )
        done = subprocess.run(
            [*isolated, "bash", "-euc", script, "bash", sys.executable, *arguments],
            input=stdin,
            capture_output=True,
            text=True,
            timeout=timeout,
            check=False,
        )
        assert done.returncode in (0, 1), done.stderr
        return done.stdout

    def routes(self, node: str, hosts: list[str]) -> dict[str, dict[str, Any]]:
        """Ask the coordinator's tracing process, in ``node``, for all routes at once, and wait until they are final."""
        answers = json.loads(self.run(node, ["-c", ASK, *hosts]))
        return dict(zip(hosts, answers, strict=True))


def line_of_ipv6() -> World:
    """coord - r1 - r2 - host, fd00:N::/64 each."""
    world, names = World(), ["coord", "r1", "r2", "host"]
    for name in names:
        world.node(name)
        world.lines.append(f"ip netns exec {name} sysctl -qw net.ipv6.conf.all.forwarding=1 net.ipv6.icmp.ratelimit=0")
    for number, (a, b) in enumerate(itertools.pairwise(names)):
        world.link(a, f"fd00:{number}::1/64 nodad", b, f"fd00:{number}::2/64 nodad")
    world.route("host", "fd00::/16 via fd00:2::1")
    world.route("r2", "fd00::/64 via fd00:1::1")
    world.route("r1", "fd00:2::/64 via fd00:1::2")
    world.route("coord", "fd00::/16 via fd00::2")
    return world


# asks through the coordinator's own client, so that process, pipes and tracing are all real
ASK = """
import asyncio, dataclasses, json, sys, time
from overlaycast.discovery.client import TraceClient
async def main():
    client, newest, changed = TraceClient(), {}, asyncio.Event()
    began = [0.0]
    def take(host, route):
        took = time.monotonic() - began[0]
        newest[host] = dataclasses.asdict(route) | {"shared": route.shared, "took": took}
        changed.set()
    client.on_improved = take
    await client.start()
    await client.route("nowhere")  # it runs now
    began[0] = time.monotonic()
    async def first(host):
        route = await client.route(host)
        if route is not None and host not in newest:
            take(host, route)
    async with asyncio.timeout(60):
        await asyncio.gather(*(first(host) for host in sys.argv[1:]))
        while any(route["open"] for route in newest.values()):
            changed.clear()
            await changed.wait()
    await client.close()
    print(json.dumps([newest.get(host) for host in sys.argv[1:]]))
asyncio.run(main())
"""
