"""What faults of the network become at hosts: which must not hear which, and by which rules."""

from __future__ import annotations

import shutil
import subprocess

import pytest

from overlaycast.lab.faults.aim import Hit
from overlaycast.lab.hosts import severing, shaping
from overlaycast.lab.hosts.severing import Door
from tests.lab import made_up
from tests.lab.faults.test_aim import fault, hit

HOSTS = ("source", "202a", "202b", "202g", "202h")
DOORS = {
    "source": Door("192.0.2.1", 8600),
    "202a": Door("192.0.2.2", 8601),
    "202b": Door("192.0.2.3", 8600),
    "202g": Door("2001:db8::4", 8600),
    "202h": Door("192.0.2.5", 8600),
}


def pairs(one: Hit, hosts: tuple[str, ...] = HOSTS) -> set[tuple[str, str]]:
    return set(severing.pairs(made_up.topology(), one, hosts))


def test_an_access_link_parts_its_host_from_all_others() -> None:
    found = pairs(hit(fault("link-down", target="202a")))
    assert found == {("source", "202a"), ("202a", "202b"), ("202a", "202g"), ("202a", "202h")}
    assert severing.fewest(tuple(found)).keys() == {"202a"}


def test_an_uplink_parts_inside_from_outside_only() -> None:
    found = pairs(hit(fault("link-down", target="uplink:east")))
    assert found == {(a, b) for a in ("source", "202a", "202b") for b in ("202g", "202h")}
    cut = severing.fewest(tuple(sorted(found)))
    assert cut == {"202g": ("202a", "202b", "source"), "202h": ("202a", "202b", "source")}


def test_a_partition_and_a_router_part_the_same_pairs_as_their_links() -> None:
    uplink = pairs(hit(fault("link-down", target="uplink:east")))
    assert pairs(hit(fault("partition", sites=("east",)))) == uplink
    assert pairs(hit(fault("router-down", target="C1"))) == uplink | {("202g", "202h")}


def test_each_pair_is_treated_at_both_ends_where_both_must() -> None:
    assert severing.both_ends([("a", "b"), ("a", "c")]) == {"a": ("b", "c"), "b": ("a",), "c": ("a",)}


def test_silence_drops_packets_of_the_run_both_ways_and_no_others() -> None:
    assert severing.silence("202a", ("source", "202g"), DOORS).splitlines() == [
        "chain in {",
        "type filter hook input priority -10; policy accept;",
        "ip saddr 192.0.2.1 tcp dport 8601 counter drop",
        "ip saddr 192.0.2.1 tcp sport 8600 tcp dport != 8601 counter drop",
        "ip6 saddr 2001:db8::4 tcp dport 8601 counter drop",
        "ip6 saddr 2001:db8::4 tcp sport 8600 tcp dport != 8601 counter drop",
        "}",
        "chain out {",
        "type filter hook output priority -10; policy accept;",
        "ip daddr 192.0.2.1 tcp sport 8601 counter drop",
        "ip daddr 192.0.2.1 tcp dport 8600 tcp sport != 8601 counter drop",
        "ip6 daddr 2001:db8::4 tcp sport 8601 counter drop",
        "ip6 daddr 2001:db8::4 tcp dport 8600 tcp sport != 8601 counter drop",
        "}",
    ]


def test_what_goes_to_others_passes_a_queue_and_the_rest_does_not() -> None:
    words = [" ".join(one) for one in severing.slower("202a", ("source",), DOORS, ["netem", "delay", "50ms"])]
    assert words == [
        "qdisc add dev DEVICE root handle 1: htb default 1",
        "class add dev DEVICE parent 1: classid 1:1 htb rate 100gbit",
        "class add dev DEVICE parent 1: classid 1:4 htb rate 100gbit",
        "qdisc add dev DEVICE parent 1:4 handle 40: netem delay 50ms",
        "filter add dev DEVICE parent 1: protocol ip prio 1 u32 match ip dst 192.0.2.1/32"
        " match ip sport 8601 0xffff flowid 1:4",
        "filter add dev DEVICE parent 1: protocol ip prio 1 u32 match ip dst 192.0.2.1/32"
        " match ip dport 8600 0xffff flowid 1:4",
    ]


@pytest.mark.skipif(shutil.which("nft") is None, reason="nft is missing: apt-get install nftables")
def test_nft_understands_all_rules() -> None:
    others = ("source", "202g")
    for rules in (
        severing.silence("202a", others, DOORS),
        severing.lossy("202a", others, DOORS, 0.05),
        severing.narrow("202a", others, DOORS, 2.5),
        severing.counting("202a", others, DOORS, {host: number for number, host in enumerate(DOORS)}),
    ):
        text = f"table inet overlaycast_lab_test {{\n{rules}\n}}\n"
        words = ["unshare", "-rn", "nft", "-c", "-f", "-"]
        done = subprocess.run(words, input=text, capture_output=True, text=True, check=False)
        assert done.returncode == 0, f"{text}\n{done.stderr}"


@pytest.mark.skipif(shutil.which("tc") is None, reason="tc is missing: apt-get install iproute2")
def test_tc_understands_all_commands() -> None:
    queue = ["tbf", "rate", "2mbit", "burst", "16kb", "latency", "100ms"]
    plain = shaping.shape(made_up.topology(), "202a", ("202b", "202h"), {**DOORS, "202h": DOORS["202g"]})
    of_rates = [words for words in plain.steps[0]["commands"] if "netem" not in words]
    for commands in (severing.slower("202a", ("source", "202g"), DOORS, queue), of_rates):
        words = [" ".join(["tc", *("lo" if word == "DEVICE" else word for word in one)]) for one in commands]
        script = " && ".join(["ip link set lo up", *words, "tc qdisc del dev lo root"])
        done = subprocess.run(["unshare", "-rn", "sh", "-c", script], capture_output=True, text=True, check=False)
        assert done.returncode == 0, f"{script}\n{done.stderr}"
