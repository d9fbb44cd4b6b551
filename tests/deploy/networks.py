"""Networks between the machines and this test, in namespaces that ``ip netns`` knows.

Owns: a router in the middle, hosts and site routers around it. Refuses: shaping; a path that is fast enough for SSH.

This test's own namespace is a host too (``controller``, 10.0.0.2).
"""

from __future__ import annotations

import subprocess
from collections.abc import Mapping, Sequence


def build(hosts: Sequence[str], sites: Mapping[str, Sequence[str]] | None = None) -> dict[str, str]:
    """Make the network, and return each host's address.

    Args:
        hosts: each is alone on a network of the router in the middle.
        sites: names of site routers, each with its hosts, which share a network.
    """
    addresses: dict[str, str] = {}
    lines: list[str] = []
    _router(lines, "core")
    _link(lines, "", "core", "10.0.0.2", "10.0.0.1", "controller")
    lines.append("ip route add 10.0.0.0/8 via 10.0.0.1")
    for number, host in enumerate(hosts, 1):
        addresses[host] = f"10.0.{number}.2"
        _host(lines, host, "core", addresses[host], f"10.0.{number}.1")
    for number, (site, members) in enumerate((sites or {}).items(), 1):
        _router(lines, site)
        _link(lines, site, "core", f"10.{number}.255.2", f"10.{number}.255.1", site)
        lines.append(f"ip -n {site} route add default via 10.{number}.255.1")
        lines.append(f"ip -n core route add 10.{number}.0.0/16 via 10.{number}.255.2")
        lines.append(f"ip -n {site} link add lan type bridge")
        lines.append(f"ip -n {site} address add 10.{number}.0.1/24 dev lan")
        lines.append(f"ip -n {site} link set lan up")
        for place, host in enumerate(members, 2):
            addresses[host] = f"10.{number}.0.{place}"
            _host(lines, host, site, addresses[host], f"10.{number}.0.1", bridge="lan")
    done = subprocess.run(["bash", "-euc", "\n".join(lines)], capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 0, done.stderr
    return addresses


def _router(lines: list[str], name: str) -> None:
    lines.append(f"ip netns add {name}; ip -n {name} link set lo up")
    lines.append(f"ip netns exec {name} sysctl -qw net.ipv4.ip_forward=1 net.ipv4.icmp_ratelimit=0")


def _host(lines: list[str], name: str, router: str, address: str, gateway: str, bridge: str = "") -> None:
    lines.append(f"ip netns add {name}; ip -n {name} link set lo up")
    _link(lines, name, router, address, "" if bridge else gateway, name)
    if bridge:
        lines.append(f"ip -n {router} link set to-{name} master {bridge}")
    lines.append(f"ip -n {name} route add default via {gateway}")


def _link(lines: list[str], name: str, router: str, address: str, other: str, end: str) -> None:
    """Link a node to a router; an empty name is this test's own namespace."""
    here, own = (f"ip -n {name}", f"netns {name}") if name else ("ip", "")
    interface = "up0" if name != end or not name else "eth0"
    lines.append(f"ip link add to-{end} netns {router} type veth peer name {interface} {own}")
    lines.append(f"{here} address add {address}/24 dev {interface}; {here} link set {interface} up")
    if other:
        lines.append(f"ip -n {router} address add {other}/24 dev to-{end}")
    lines.append(f"ip -n {router} link set to-{end} up")
