"""All 48 members of topologies/regions.py traced at once, through routers with Linux's stock ICMP limits."""

from __future__ import annotations

import json
import socket
import struct
import sys

import pytest

from overlaycast.discovery.probe import PROBE_PORT
from overlaycast.lab.network.network import Network
from overlaycast.lab.topology.loading import load_topology
from overlaycast.lab.topology.topology import Topology
from tests.discovery.emulated import ASK
from tests.lab.inside import ROOT, inside
from tests.lab.topology.addresses import node_of

pytestmark = pytest.mark.lab


def true_way(topology: Topology, target: str) -> list[str]:
    """Return the routers on the way from the source to a host."""
    way, at = [], "source"
    for name in topology.path("source", target):
        at = topology.link(name).other(at)
        way.append(at)
    return way[:-1]


def probes_seen(watching: socket.socket) -> int:
    """Count the probes that have left, by what a packet socket has."""
    count = 0
    while True:
        try:
            frame, address = watching.recvfrom(2048)
        except BlockingIOError:
            return count
        if address[2] == socket.PACKET_OUTGOING and frame[12:14] == b"\x08\0" and frame[14 + 9] == socket.IPPROTO_UDP:
            count += struct.unpack_from("!H", frame, 14 + 20 + 2) == (PROBE_PORT,)


@inside
def test_48_paths_are_right_within_five_seconds_for_150_probes() -> None:
    topology = load_topology(ROOT / "topologies" / "regions.py", "regions")
    members = [host.name for host in topology.hosts(role="client")]
    assert len(members) == 48
    with Network(topology) as network:
        with network.in_namespace("source"):
            watching = socket.socket(socket.AF_PACKET, socket.SOCK_RAW, socket.htons(0x0003))
        watching.setblocking(False)
        words = [sys.executable, "-c", ASK, *(topology.address(name) for name in members)]
        with watching:
            out, complaint, code = network.host("source").pexec(words)
            probes = probes_seen(watching)
    assert code == 0, complaint
    found = dict(zip(members, json.loads(out.splitlines()[-1]), strict=True))
    print(probes, "probes, the last path after", round(max(route["took"] for route in found.values()), 2), "s")
    assert 96 < probes <= 150
    for name, route in found.items():
        assert [node_of(topology, router) for router in route["routers"]] == true_way(topology, name), name
        assert route["reached"]
        assert route["sources"][-1] == "answered"
        assert route["took"] < 5, name
