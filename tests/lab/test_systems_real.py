"""Multicast routes, captures and whole baselines on real networks."""

from __future__ import annotations

import json
import re
import shutil
import socket
import struct
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any, get_args
from xml.etree import ElementTree

import pytest

from overlaycast.lab.faults.faults import Fault
from overlaycast.lab.network.capture import HEADER, capturing
from overlaycast.lab.network.network import Network
from overlaycast.lab.run.multicast_routes import GROUP, laid, unheard
from overlaycast.lab.topology.loading import load_topology
from tests.lab.inside import FIGURE_2A, inside
from tests.lab.made_up import ROOT
from tests.lab.valid import run_until_valid
from tests.wireshark import dissected

pytestmark = pytest.mark.lab

KINDS = get_args(get_args(Fault)[0])
PORT = 5004
LAB = [sys.executable, "-m", "overlaycast.cli", "lab"]
SMALL = f"""\
name: small
topology: {{file: {ROOT}/topologies/figure_2a.py}}
members: {{peers: [202a, 202b, 202d, 202g]}}
stream: {{kind: synthetic, seconds: 4, rate_mbit: 4}}
group: {{rate_mbit: 4.2}}
expect:
  - {{metric: lost, op: "==", limit: 0}}
  - {{metric: sha256_ok, op: "==", limit: true}}
"""


def listener(network: Network, host: str) -> socket.socket:
    """Return a socket that has joined the group in a host."""
    with network.in_namespace(host):
        one = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    one.bind((GROUP, PORT))
    own = socket.inet_aton(network.topology.address(host))
    one.setsockopt(socket.IPPROTO_IP, socket.IP_ADD_MEMBERSHIP, struct.pack("4s4s", socket.inet_aton(GROUP), own))
    one.settimeout(10)
    return one


def sender(network: Network) -> socket.socket:
    """Return a socket of the source's that sends to the group."""
    with network.in_namespace("source"):
        one = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    one.setsockopt(socket.IPPROTO_IP, socket.IP_MULTICAST_TTL, 64)
    one.setsockopt(socket.IPPROTO_IP, socket.IP_MULTICAST_IF, socket.inet_aton(network.topology.address("source")))
    one.connect((GROUP, PORT))
    return one


def until_heard(network: Network, hosts: Sequence[str]) -> None:
    """Wait until the LANs of some hosts know that they want the group."""
    deadline = time.monotonic() + 60
    while missing := unheard(network, hosts):
        assert time.monotonic() < deadline, missing
        time.sleep(0.02)


@inside
def test_a_lan_knows_who_wants_the_group_and_hosts_ask_though_others_have_asked() -> None:
    """While a bridge floods, in its first 100 ms, hosts hear each other ask: in IGMPv2 the second one keeps quiet."""
    topology, receivers = load_topology(FIGURE_2A), ("202a", "202b", "202c", "202f")
    with Network(topology) as network, laid(network, "source", receivers):
        assert unheard(network, receivers) == ["202a", "202b", "202c"], "202f has its router for itself"
        inboxes = [listener(network, host) for host in receivers]
        until_heard(network, receivers)
        for host in receivers[:3]:
            spoken = re.findall(rf"{host}-eth0 *: +\d+ +(V\d)", network.host(host).pexec(["cat", "/proc/net/igmp"])[0])
            assert spoken == ["V3"]
        for inbox in inboxes:
            inbox.close()


@inside
def test_routers_forward_one_copy_to_everybody() -> None:
    topology, receivers = load_topology(FIGURE_2A), ("202a", "202b", "202g", "202m")
    with Network(topology) as network, laid(network, "source", receivers) as routers:
        assert routers == 9
        with sender(network) as out:
            inboxes = [listener(network, host) for host in receivers]
            until_heard(network, receivers)
            before = network.counters()
            for number in range(50):
                out.send(bytes([number]) * 1000)
            for inbox in inboxes:
                assert [inbox.recv(2000)[0] for _ in range(50)] == list(range(50))
                inbox.close()
            after = network.counters()
    crossed = {name: (count.ab.bytes + count.ba.bytes) for name, count in after.items()}
    for name, count in before.items():
        crossed[name] -= count.ab.bytes + count.ba.bytes
    one_copy = 50 * (1000 + 42)
    for link in ("core1-B", "B-A", "A-202a", "A-202b", "core1-C", "core2-E", "source-RS", "RS-core1"):
        assert one_copy <= crossed[link] < one_copy + 1000, link
    assert crossed["core2-D"] < 1000  # no host there has joined


@inside
def test_a_capture_holds_what_crossed_and_no_more_than_it_may(tmp_path: Path) -> None:
    topology = load_topology(FIGURE_2A)
    with Network(topology) as network, capturing(network, tmp_path / "c", 0.1) as capture:
        with network.in_namespace("202a"):
            inbox = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        inbox.bind((topology.address("202a"), PORT))
        inbox.settimeout(10)
        with network.in_namespace("source"):
            out = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        for number in range(100):
            out.sendto(bytes([number]) * 1200, (topology.address("202a"), PORT))
            assert inbox.recv(2000)[0] == number
        inbox.close()
        out.close()
        counts = capture.stop()
    assert len(counts["links"]) == len(topology.links)
    uplink = tmp_path / "c" / "core1-B.pcap"
    raw = uplink.read_bytes()
    assert raw[: len(HEADER)] == HEADER
    assert len(raw) == counts["links"]["core1-B"]["bytes"] <= 0.1 * (1 << 20)
    assert "core1-B" in counts["cut"]
    assert 70 <= counts["links"]["core1-B"]["packets"] < 100
    assert "core2-D" not in counts["cut"]


def run(tmp_path: Path, *words: str) -> dict[str, Any]:
    """Run the small experiment and return its result."""
    file, out = tmp_path / "small.yaml", tmp_path / "out"
    file.write_text(SMALL)
    done = run_until_valid([*LAB, "run", str(file), "--out", str(out), *words], out, tries=1, timeout=240, cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    result: dict[str, Any] = json.loads((out / "result.json").read_text())
    return result


def copies(result: dict[str, Any], link: str) -> float:
    """Return copies on the busier direction of a link."""
    (found,) = (one for one in result["links"] if one["name"] == link)
    return max(float(found["copies_ab"]), float(found["copies_ba"]))


def test_multicast_needs_one_copy_per_link(tmp_path: Path) -> None:
    result = run(tmp_path, "--system", "multicast")
    assert result["system"] == "multicast"
    assert result["multicast_blocked"] is False
    for link in ("core1-B", "core1-C", "RS-core1", "B-A"):
        assert copies(result, link) == pytest.approx(1, abs=0.03)


def test_a_star_needs_one_copy_per_receiver(tmp_path: Path) -> None:
    result = run(tmp_path, "--system", "unicast")
    assert result["system"] == "unicast"
    assert {member["parent_host"] for member in result["members"] if member["role"] == "peer"} == {"source"}
    assert copies(result, "core1-B") == pytest.approx(3, abs=0.15)
    assert copies(result, "RS-core1") == pytest.approx(4, abs=0.2)


@pytest.mark.skipif(not shutil.which("tshark"), reason="needs tshark to read captures")
def test_captures_are_read_by_wireshark_and_junit_by_ci(tmp_path: Path) -> None:
    result = run(tmp_path, "--capture", "--junit", str(tmp_path / "ci.xml"))
    assert set(result["captures"]["links"]) == {link["name"] for link in result["links"]}
    capture = tmp_path / "out" / "captures" / "core1-B.pcap"
    words = ["-Y", "overlaycast", "-T", "fields", "-e", "overlaycast.kind"]
    seen = dissected(capture, *words, environment={"HOME": str(tmp_path)})
    kinds = [kind for line in seen.split() for kind in line.split(",")]
    assert {"10", "11", "4", "5"} <= set(kinds)  # CHALLENGE, PROOF, DATA, HEARTBEAT
    assert kinds.count("4") >= result["records"]
    root = ElementTree.parse(tmp_path / "ci.xml").getroot()
    assert (root.get("tests"), root.get("failures"), root.get("errors")) == ("3", "0", "0")


def test_compare_runs_all_and_lays_them_side_by_side(tmp_path: Path) -> None:
    file, out = tmp_path / "small.yaml", tmp_path / "out"
    file.write_text(SMALL)
    words = [*LAB, "compare", str(file), "--systems", "overlay,multicast", "--out", str(out), "--json"]
    done = run_until_valid(words, out, timeout=240, cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    document = json.loads(done.stdout)
    assert document == json.loads((out / "compare.json").read_text())
    for site in ("north", "east"):  # a star needs 3 in the north; in 4 s one change of parent is 0.1
        assert document["sites"][site]["overlay"] == pytest.approx(document["sites"][site]["multicast"], abs=0.25)
    assert "IP multicast" in (out / "compare.html").read_text()


FAULTS = {
    "kill": "target: primary-with-largest-branch",
    "leave": "target: primary-with-largest-branch",
    "freeze": "target: 202b, heal_after_s: 1",
    "restart": "target: 202b, heal_after_s: 1",
    "link-down": "target: 'uplink:east', heal_after_s: 1.5",
    "link-flap": "target: 'uplink:north', times: 2, down_s: 0.5, up_s: 0.5",
    "link-loss": "target: 'uplink:north', loss: 0.05, heal_after_s: 1",
    "link-delay": "target: 'uplink:north', delay_ms: 60, heal_after_s: 1",
    "link-rate": "target: 'uplink:north', rate_mbit: 6, heal_after_s: 1",
    "partition": "sites: [east], heal_after_s: 1.5",
    "router-down": "target: C, heal_after_s: 1.5",
    "coordinator-kill": "heal_after_s: 1",
    "coordinator-freeze": "heal_after_s: 1",
    "coordinator-restart": "heal_after_s: 0",
    "slow-reader": "target: 202b, heal_after_s: 1",
    "disk-full": "target: 202b",
    "clock-step": "target: 202b, by_s: 120, heal_after_s: 1",
    "tamper": "target: 202a, heal_after_s: 1",
    "mute": "target: 202a, heal_after_s: 1",
    "lie": "target: 202b, heal_after_s: 1",
}


def test_each_kind_of_fault_has_its_run_with_captures() -> None:
    assert {one.model_fields["action"].annotation.__args__[0] for one in KINDS} == set(FAULTS)


@pytest.mark.slow
@pytest.mark.parametrize("action", FAULTS)
def test_a_capture_costs_no_run_whatever_goes_wrong(tmp_path: Path, action: str) -> None:
    text = SMALL.replace("seconds: 4", "seconds: 6").split("expect:")[0]
    timeline = f"timeline: [{{at_s: 2, action: {action}, {FAULTS[action]}}}]\n"
    file, out = tmp_path / "faulty.yaml", tmp_path / "out"
    file.write_text(f"{text}{timeline}expect: [{{metric: troubles, op: '<', limit: 99}}]\n")
    words = [*LAB, "run", str(file), "--out", str(out), "--capture"]
    done = run_until_valid(words, out, cwd=tmp_path, timeout=240)
    assert done.returncode == 0, done.stderr
    result = json.loads((out / "result.json").read_text())
    assert result["captures"]["trouble"] == []
    assert set(result["captures"]["links"]) == {link["name"] for link in result["links"]}
    assert result["captures"]["links"]["core1-B"]["packets"] > 100
    if action in ("link-down", "router-down", "partition"):  # all of east is beyond it
        [fault] = result["faults"]
        assert fault["affected"] == 1
        assert 1200 < fault["recovered_ms"] < 6000
        assert fault["back_ms"] is not None
