"""A built network for real: Figure 2A and small ones, each in namespaces of its own."""

from __future__ import annotations

import errno
import json
import os
import re
import signal
import socket
import struct
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import Any

import pytest

from overlaycast.errors import ConfigError, LabError
from overlaycast.lab.fidelity import fidelity, reach
from overlaycast.lab.network.network import Network
from overlaycast.lab.network.tapwire import EARLY_NS
from overlaycast.lab.topology.graph import Link, Node
from overlaycast.lab.topology.loading import load_topology
from overlaycast.lab.topology.node_plan import KernelSettings
from overlaycast.lab.topology.shape import Shape
from overlaycast.lab.topology.topology import Topology
from tests.lab.inside import FIGURE_2A, inside
from tests.lab.topology.addresses import node_of

pytestmark = pytest.mark.lab


def small(**wishes: object) -> Topology:
    """Two LANs: ``a`` and ``b`` behind r, ``c`` behind s, and a wish for the link between the routers."""
    wish = Shape(**wishes)  # type: ignore[arg-type]
    nodes = [Node("r", "router"), Node("s", "router")]
    nodes += [Node(name, "host", role="client") for name in "abc"]
    links = [Link("r", "s", wish, wish)] + [
        Link(x, y, Shape(), Shape()) for x, y in (("r", "a"), ("r", "b"), ("s", "c"))
    ]
    return Topology.of("small", nodes, links)


def ping(network: Network, source: str, target: str, count: int = 3, extra: tuple[str, ...] = ()) -> str:
    argv = ["ping", "-q", "-c", str(count), "-i", "0.05", "-W", "1", *extra, network.topology.address(target)]
    out, _, _ = network.host(source).pexec(argv)
    return str(out)


def answered(network: Network, source: str, target: str) -> bool:
    """Do all answers come, however late? A busy machine is late, and loses nothing by that."""
    return " 0% packet loss" in ping(network, source, target, extra=("-W", "30"))


def silent(network: Network, source: str, target: str) -> bool:
    """Does no answer come within a second?"""
    return not re.search(r" [1-9]\d* received", ping(network, source, target))


@inside
def test_figure_2a_comes_up_true_to_what_was_asked() -> None:
    topology = load_topology(FIGURE_2A)
    with Network(topology) as network:
        found = fidelity.check(network)
        assert found.multicast_blocked
        assert found.multicast_forwarding == ()
        assert found.hosts == 16
        rows = {(row.link, row.direction): row for row in found.links}
        for uplink in topology.uplinks:
            for direction in ("ab", "ba"):
                row = rows[uplink.link, direction]
                assert row.ok
                assert row.asked == {"rate_mbit": 20, "delay_ms": 5}
                assert row.measured["rate_mbit"] == pytest.approx(20, rel=0.05)
                assert row.measured["delay_ms"] == pytest.approx(5, abs=1.5)
        assert json.loads(json.dumps(found.as_dict()))["links"][0]["asked"]
        assert network.account()["wire"] is None or network.account()["wire"]["frames"] == 0, (
            "the check is no part of it"
        )
        round_trip = re.search(r"= ([\d.]+)/", ping(network, "source", "202m", 10))
        assert round_trip
        assert float(round_trip[1]) >= 18 - 6 * EARLY_NS / 1e6  # six wires on the way there and back
        account = network.account()
        assert set(account["means"][uplink.link] for uplink in topology.uplinks) <= {"wire", "netem"}
        assert account["overrun"] == 0
        assert json.loads(json.dumps(account)) == account


@inside
def test_traceroute_sees_every_router_and_no_limit_on_icmp() -> None:
    topology = load_topology(FIGURE_2A)
    with Network(topology) as network:
        with network.in_namespace("control"):
            probe = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        with probe:
            probe.setsockopt(socket.IPPROTO_IP, 11, 1)  # IP_RECVERR
            probe.settimeout(10)
            seen = []
            for ttl in [1, 2, 3, 4] * 10:
                probe.setsockopt(socket.IPPROTO_IP, socket.IP_TTL, ttl)
                probe.sendto(b"x", (topology.address("202a"), 33434))
                with suppress(OSError):
                    probe.recv(1)  # the error wakes us
                _, extra, _, _ = probe.recvmsg(100, 512, 0x2000)  # MSG_ERRQUEUE
                offender = socket.inet_ntoa(extra[0][2][20:24])
                seen.append(node_of(topology, offender))
        assert seen == ["RS", "core1", "B", "A"] * 10
        assert network.namespace("B").read_sysctl("ipv4/icmp_ratelimit") == "0"


@inside
def test_every_interface_sends_as_soon_as_the_network_is_there() -> None:
    with Network(small(rate_mbit=50)) as network:
        for node in network.topology.nodes:
            devices = network._sockets[node.name].devices()
            interfaces = [device for device in network._indices[node.name] if device != "lo"]
            assert all(devices[device].operational for device in interfaces), node.name
        network.link_down("r", "a")
        network.link_up("r", "a")
        assert network._sockets["r"].devices()["r-lan"].operational


@inside
def test_kernel_settings_are_a_choice() -> None:
    with Network(small(), settings=KernelSettings(icmp_ratelimit=1000, rp_filter=1)) as network:
        assert network.namespace("r").read_sysctl("ipv4/icmp_ratelimit") == "1000"
        assert network.namespace("c").read_sysctl("ipv4/conf/all/rp_filter") == "1"
        assert answered(network, "a", "c")


@inside
def test_a_link_that_was_down_is_as_before_when_it_is_up() -> None:
    with Network(small(delay_ms=2)) as network:
        for ends, pair in ((("r", "s"), ("a", "c")), (("r", "a"), ("a", "c")), (("s", "c"), ("a", "c"))):
            routes = {name: _routes(network, name) for name in "rsabc"}
            assert answered(network, *pair)
            network.link_down(*ends)
            assert not network.link_is_up(*ends)
            assert silent(network, *pair)
            network.link_up(*ends)
            assert network.link_is_up(*ends)
            assert answered(network, *pair)
            assert {name: _routes(network, name) for name in "rsabc"} == routes


def _routes(network: Network, node: str) -> list[str]:
    shown = [
        network.host(node).pexec(["ip", *words])[0] for words in (["route"], ["neighbour", "show", "nud", "permanent"])
    ]
    return sorted(line for text in shown for line in text.split("\n"))


@inside
def test_a_link_changes_while_it_runs() -> None:
    with Network(small(rate_mbit=50), changeable=[("s", "r")]) as network:
        network.set_link("s", "r", delay_ms=30)
        round_trip = re.search(r"= ([\d.]+)/", ping(network, "a", "c"))
        assert round_trip
        assert float(round_trip[1]) >= 60 - 2 * EARLY_NS / 1e6
        network.set_link("s", "r", direction="ba", loss=1.0)  # from r to s
        assert network.shaper.asked("r-s", "ab").loss == 1.0
        assert network.shaper.asked("r-s", "ba").loss == 0.0
        assert silent(network, "a", "c")
        network.set_link("s", "r", loss=0, delay_ms=0, rate_mbit=5)
        assert network.shaper.read_back() == []
        rows = fidelity.measure(network, fidelity.Tolerance())
        assert [row.measured["rate_mbit"] for row in rows if row.link == "r-s"] == pytest.approx([5, 5], rel=0.05)


@inside
def test_a_change_that_the_means_cannot_make_is_refused() -> None:
    with Network(small(rate_mbit=50)) as network:
        with pytest.raises(LabError, match=r"link r-s: shaped by tbf, which cannot become .* changeable"):
            network.set_link("r", "s", loss=0.1)
        network.set_link("r", "s", rate_mbit=10)
        assert network.shaper.read_back() == []
        rows = fidelity.measure(network, fidelity.Tolerance())
        assert [row.measured["rate_mbit"] for row in rows if row.link == "r-s"] == pytest.approx([10, 10], rel=0.05)
        with pytest.raises(ConfigError, match="no link between 'a' and 'c'"):
            network.set_link("a", "c", rate_mbit=1)


@inside
def test_frames_that_find_a_queue_full_are_counted_whatever_shapes_the_link() -> None:
    for wishes in ({"rate_mbit": 2}, {"rate_mbit": 2, "delay_ms": 5}):
        with Network(small(**wishes)) as network:
            target = network.topology.address("c"), 9
            with network.in_namespace("a"):
                sender = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
            with sender:
                for _ in range(1000):  # 5 s of that rate, where 190 ms find room
                    sender.sendto(bytes(1200), target)
            overflowed = network.shaper.overflowed()
            assert overflowed["r-s"][0] > 100
            assert overflowed["r-s"][1] == 0
            assert overflowed["r-a"] == (0, 0)


@inside
def test_the_check_refuses_a_network_that_is_not_as_asked() -> None:
    with Network(small(rate_mbit=20, delay_ms=5)) as network:
        fidelity.check(network)
        wire = network.shaper._wire
        assert wire is not None
        wire.change("r-s", "ab", Shape(rate_mbit=20, delay_ms=15))  # behind the shaper's back
        with pytest.raises(LabError, match="fidelity: link r-s: ab: the wire has another shape"):
            fidelity.check(network)
        row = next(r for r in fidelity.measure(network, fidelity.Tolerance()) if (r.link, r.direction) == ("r-s", "ab"))
        assert not row.ok
        assert re.match(r"delay asked 5 ms, measured (1[4-9]|[2-9]\d)", row.why)
        wire.change("r-s", "ab", Shape(rate_mbit=12, delay_ms=5))
        row = next(r for r in fidelity.measure(network, fidelity.Tolerance()) if (r.link, r.direction) == ("r-s", "ab"))
        assert "rate asked 20 Mbit/s, measured" in row.why
        wire.change("r-s", "ab", Shape(rate_mbit=20, delay_ms=5))
        network.link_down("s", "c")
        with pytest.raises(LabError, match=r"fidelity: 4 pairs of hosts do not reach each other, first \('a', 'c'\)"):
            fidelity.check(network)


@inside
def test_loss_and_jitter_are_measured() -> None:
    with Network(small(delay_ms=10, jitter_ms=3, loss=0.2, duplicate=0.1, rate_mbit=20), seed=3) as network:
        rows = [row for row in fidelity.check(network).links if row.link == "r-s"]
        assert len(rows) == 2
        for row in rows:
            assert row.measured["loss"] == pytest.approx(0.2, abs=0.1)
            assert row.measured["duplicate"] == pytest.approx(0.1, abs=0.08)
            assert row.measured["delay_ms"] == pytest.approx(10, abs=4)


@inside
def test_more_than_the_wire_can_carry_makes_a_run_invalid() -> None:
    with Network(small(delay_ms=5)) as network:
        if network.shaper.means["r-s"] != "wire":
            pytest.skip("netem has no such ceiling")
        network.reset_account()
        assert network.account()["why"] == ""
        wire = network.shaper._wire
        assert wire is not None
        with network.in_namespace("a"):
            sender = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        # on a single processor the wire comes before every sender, and is never outrun; so it gets no time at all
        os.kill(wire.pid, signal.SIGSTOP)
        with sender:
            sender.setsockopt(socket.IPPROTO_UDP, 103, 22)  # UDP_SEGMENT: 60 small frames in one call
            sender.connect((network.topology.address("c"), 9))
            for _ in range(200):
                for _ in range(100):
                    with suppress(ConnectionRefusedError):  # no program listens there
                        sender.send(bytes(22 * 60))
                if network.counters()["r-s"].ab.overrun:
                    break
        os.kill(wire.pid, signal.SIGCONT)
        account = network.account()
        assert account["overrun"] > 0
        assert not account["valid"]
        assert account["why"]
        carried = None
        while carried != (carried := network.counters()["r-s"].ab):  # what is still on its way to it is not over
            network.shaper.status()  # the wire answers between frames: it was its turn since
        network.reset_account()
        account = network.account()
        assert account["valid"], f"what is over does not count: {account['why']}"


@contextmanager
def multicast_router(network: Network, router: str, devices: list[str], source: str) -> Iterator[None]:
    """Make a router's kernel forward the probe's group from ``source`` (on the first device) to the other devices."""
    base, mroute = 200, socket.IPPROTO_IP
    with network.in_namespace(router):
        control = socket.socket(socket.AF_INET, socket.SOCK_RAW, socket.IPPROTO_IGMP)
        indices = [socket.if_nametoindex(device) for device in devices]
    with control:
        control.setsockopt(mroute, base, 1)  # MRT_INIT
        for vif, index in enumerate(indices):
            control.setsockopt(mroute, base + 2, struct.pack("=HBBIiI", vif, 8, 1, 0, index, 0))  # VIFF_USE_IFINDEX
        ttls = bytes([0] + [1] * (len(devices) - 1) + [0] * (32 - len(devices)))
        group = socket.inet_aton(reach.GROUP[4])
        control.setsockopt(
            mroute, base + 4, struct.pack("=4s4sH32s2xIIIi", socket.inet_aton(source), group, 0, ttls, 0, 0, 0, 0)
        )
        yield


@inside
def test_the_check_sees_a_router_that_forwards_multicast() -> None:
    topology = small()
    with Network(topology) as network:
        assert reach.multicast(network) == reach.MulticastFinding((), ())
        with (
            multicast_router(network, "r", ["r-lan", "r-eth0"], topology.address("a")),
            multicast_router(network, "s", ["s-eth0", "s-eth1"], topology.address("a")),
        ):
            assert reach.multicast(network).leaks == (("r", "s"),)
            with pytest.raises(LabError, match="router r forwards multicast"):
                fidelity.check(network)
            assert not fidelity.check(network, multicast_blocked=False).multicast_blocked
        assert reach.multicast(network).leaks == ()


@inside
def test_counters_count_what_crossed_each_way_and_reading_sends_nothing() -> None:
    with Network(small(delay_ms=1)) as network:
        before = network.counters()
        assert network.counters() == before
        with network.in_namespace("a"):
            sender = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        with network.in_namespace("c"):
            receiver = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        with sender, receiver:
            receiver.bind((network.topology.address("c"), 0))
            receiver.settimeout(30)
            for _ in range(10):
                sender.sendto(bytes(958), receiver.getsockname())
                receiver.recv(2000)
        after = network.counters()
        there, back = after["r-s"].ab, after["r-s"].ba
        assert (there.packets - before["r-s"].ab.packets, there.bytes - before["r-s"].ab.bytes) == (10, 10_000)
        assert there.sent_bytes - before["r-s"].ab.sent_bytes == 10_000
        assert (back.packets, back.overrun) == (before["r-s"].ba.packets, 0)
        assert after["r-b"] == before["r-b"]


@inside
def test_hosts_are_mininet_nodes() -> None:
    with Network(small()) as network:
        host = network.host("a")
        assert host.shell is None, "no shell before its first use"
        assert host.cmd("ip -color=never -br addr show a-eth0").split()[2] == "10.0.0.2/24"
        assert "a-eth0" in host.cmd("ls /sys/class/net")
        net: Any = network.mininet  # Mininet has no annotations
        assert net.get("a") is host
        assert net["c"].IP() == network.topology.address("c")
        assert len(net.links) == 4
        assert net.pingAll(timeout="2") == 0.0
        net.configLinkStatus("r", "s", "down")
        assert not network.link_is_up("r", "s")
        net.configLinkStatus("r", "s", "up")
        assert host.connectionsTo(net["r"])[0][0].name == "a-eth0"


@inside
def test_programs_are_started_directly_and_end_with_the_network() -> None:
    with Network(small()) as network:
        process = network.host("b").popen(["sh", "-c", "sleep 600 & echo $$ $!; wait"], stderr=subprocess.DEVNULL)
        assert process.stdout is not None
        with process.stdout as said:
            own, child = map(int, said.readline().split())
        assert own == process.pid
        network.host("c").cmd("sleep 600 &")
        with pytest.raises(ValueError, match="list of words"):
            network.host("a").popen("ls", shell=True)
    assert process.returncode == -9
    assert _gone(own)
    deadline = time.monotonic() + 60
    while not _gone(child):  # it was killed with the first one, and is nobody's to wait for
        assert time.monotonic() < deadline
        time.sleep(0.01)
    network.close()


def _gone(pid: int) -> bool:
    """A process that is no more, or a zombie that waits to be fetched (we are process 1 here)."""
    try:
        with open(f"/proc/{pid}/stat") as stat:
            return stat.read().rpartition(")")[2].split()[0] == "Z"
    except OSError as error:
        return error.errno in (errno.ENOENT, errno.ESRCH)


@inside
def test_http_into_a_host_without_shaped_links() -> None:
    with Network(small()) as network:
        before = network.counters()
        serve = "import socket; s = socket.create_server(('127.0.0.1', 0)); print(s.getsockname()[1], flush=True); "
        serve += "c, _ = s.accept(); c.sendall(b'hello'); c.close()"
        process = network.host("c").popen([sys.executable, "-c", serve], stderr=subprocess.DEVNULL)
        assert process.stdout is not None
        with process.stdout as said:
            port = int(said.readline())
        with network.in_namespace("c"), socket.create_connection(("127.0.0.1", port), 10) as client:
            assert client.recv(5, socket.MSG_WAITALL) == b"hello"
        assert network.counters() == before


def test_a_network_is_not_built_outside() -> None:
    with pytest.raises(LabError, match="only inside run_isolated"), Network(small()):
        raise AssertionError("must not be built")


@inside
def test_a_failed_start_leaves_nothing() -> None:
    import overlaycast.lab.network.network as module

    def broken(*_: object) -> None:
        raise LabError("no wire today")

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(module, "WireProcess", broken)
        with pytest.raises(LabError, match="no wire today"), Network(small(delay_ms=1)):
            raise AssertionError("must not be built")
    with Network(small(delay_ms=1)) as network:
        assert answered(network, "a", "c")
