"""A run of figure 2A on real hosts that never happened, concluded and reported like an emulated one."""

from __future__ import annotations

import json
from dataclasses import replace
from io import StringIO
from pathlib import Path
from typing import Any

import pytest
from rich.console import Console

from overlaycast.errors import LabError
from overlaycast.lab.analysis import judge, series
from overlaycast.lab.experiment.experiment import Expectation
from overlaycast.lab.faults.aim import Hit
from overlaycast.lab.hosts import noted, recorded
from overlaycast.lab.hosts.clocks import REFERENCE, Clock, Exchange
from overlaycast.lab.hosts.gathered import Gathered, Struck
from overlaycast.lab.hosts.noted import Noted, Trees
from overlaycast.lab.recording.recording import Recording
from overlaycast.lab.report import junit, terminal
from overlaycast.lab.report.page import render
from overlaycast.lab.results.metrics import METRICS
from overlaycast.lab.results.outcome import Outcome
from tests.lab import made_up
from tests.lab.hosts.test_orders import site
from tests.lab.made_up import PER_STEP, RECORD, STEPS, T0

ONE, SITE = made_up.recording(), site()
TREES = Trees(
    [(T0 - 2, ONE.start_tree)] + [(fault.at + 0.1, fault.after) for fault in ONE.faults if fault.after is not None]
)
ENTERS = {"202a": (0, 50), "202b": (50, 150), "202g": (0, 100), "202h": (100, 150), "202j": (0, 150), "202l": (0, 150)}
"""The hosts that are fed from outside their site, from one step to another."""
AT = {"primary-dies": 10, "silent-death": 20}


def meter(host: str) -> str:
    """Return what a host counted: what it gets from the source's host, in packets of 1448 bytes of payload."""
    begin, end = ENTERS.get(host, (0, 0))
    lines = []
    for step in range(-5, STEPS + 10, 5):
        records = PER_STEP * min(max(step - begin, 0), max(end - begin, 0))
        above_tcp = (RECORD + 24) * records
        packets = above_tcp // 1448
        counter = {f"from_{SITE.numbers['source']}": [above_tcp + 52 * packets, packets]}
        lines.append(json.dumps({"t": T0 + 0.2 * step, "counters": counter}) + "\n")
    return "".join(lines)


def hit(name: str, target: str) -> Hit:
    if name == "primary-dies":
        return Hit(target, members=(target,), away=(target,), silenced=(target,))
    return Hit(target, links=(("C1", target),), away=(target,), silenced=(target,))


def deed(name: str, what: str, at: float, **more: Any) -> str:
    entry = {"deed": name, "what": what, "at": at, "ok": True, "evidence": "it is so", "why": "asked"}
    return json.dumps(entry | more) + "\n"


def gathered(**deeds: str) -> Gathered:
    """Return what was gathered; ``deeds`` by host, where they are others."""
    hosts = SITE.hosts
    clock = Clock((Exchange(T0 - 20, 0.2, 0.1, 0.2), Exchange(T0 + 40, 0.2, 0.3, 0.6)))
    said = {"202a": deed("primary-dies", "do", T0 + 10), "202g": deed("silent-death", "do", T0 + 20)} | deeds
    faults = dict(ONE.experiment.faults)
    struck = [
        Struck(name, faults[name], hit(name, target), (target,))
        for name, target in (("primary-dies", "202a"), ("silent-death", "202g"))
    ]
    return Gathered(
        facts={one.host: {"version": "0.1.0", "kernel": "6.1", "beside": ["overlaycast-join@news"]} for one in hosts},
        journals=ONE.journals,
        noted={
            one.host: Noted(
                one.host,
                REFERENCE if one.host == "source" else clock,
                deeds=said.get(one.host, ""),
                meter=meter(one.host),
            )
            for one in hosts
        },
        units={},
        last_words={},
        received=ONE.received,
        trees=TREES,
        struck=struck,
        metrics={"control_bytes": 5, "control_messages": 2},
        multicast=True,
    )


def recording(got: Gathered | None = None, **changed: Any) -> Recording:
    place = replace(SITE, **changed)
    return recorded.recording(place, got or gathered(), ONE.sent, {"overlaycast": "0.1.0"}, T0 - 30, T0 + 60)


def test_it_comes_to_the_verdict_of_the_emulated_run() -> None:
    emulated, real = judge.build(ONE), judge.build(recording())
    assert real.verdict == emulated.verdict == "passed"
    assert [(one.metric, one.ok, one.why) for one in real.expectations] == [
        (one.metric, True, None) for one in emulated.expectations
    ]
    assert {use.site: use.inbound_copies for use in real.sites} == pytest.approx(
        {"north": 1, "east": 1, "south": 1, "west": 1}, abs=0.02
    )
    assert real.hosts is not None
    assert emulated.hosts is None
    assert [fault.evidence for fault in real.faults] == ["it is so", "it is so"]


def test_what_is_not_measured_meets_no_expectation_and_is_told_by_name() -> None:
    asked = (
        Expectation(metric="queue_overflow", op="==", limit=0),
        Expectation(metric="inbound_copies_per_site", op="<=", limit=1.1),
        Expectation(metric="lost", op="==", limit=0),
    )
    one = recording(counted=False)
    result = judge.build(replace(one, experiment=one.experiment.model_copy(update={"expect": asked})))
    assert [(each.ok, each.value) for each in result.expectations] == [(False, None), (False, None), (True, 0)]
    assert result.verdict == "failed"
    assert all(link.copies_ab is None for link in result.links)
    console = Console(file=StringIO(), width=160)
    terminal.show(result, Path("report.html"), console)
    said = console.file.getvalue()  # type: ignore[attr-defined]
    assert "unknown" in said
    assert "not measured: inbound_copies_per_site: not every host has nftables" in said
    assert "On real hosts: All" in said
    xml = junit.document([Outcome("one", "one.yaml", result, "", 1.0)])
    assert "not measured on real hosts: frames that found a queue full" in xml


def test_every_metric_that_no_host_can_measure_has_its_own_reason() -> None:
    told = recording(counted=False).hosts
    assert told is not None
    ways = [told.not_measured[metric] for metric in ("complete_paths", "rate_error", "rates_close")]
    assert all(why.startswith("the true routers and rates between real hosts") for why in ways)
    assert "leaves a site" in told.not_measured["uplink_copies_in"]
    assert "leaves a site" in told.not_measured["uplink_copies_out"]
    counted = recording()
    assert counted.hosts is not None
    assert "uplink_copies_out" not in counted.hosts.not_measured
    result = judge.build(counted)
    for metric in ("uplink_copies_in", "uplink_copies_out", "first_record_s", "delivered_s", "member_first_record_s"):
        assert METRICS[metric].read(result, ()) is not None


def test_the_report_says_that_the_hosts_were_real_and_what_differs() -> None:
    one = recording()
    page = render(judge.build(one), series.build(one), one.network)
    assert "real hosts · overlay" in page
    assert "links are as they are: no rate, delay or loss of the topology was made" in page
    assert "overlaycast-join@news ran beside it on 16 hosts" in page
    assert "with up to 0.30 ms of error" in page
    assert "round trips to the source differ from the experiment&#39;s for 14 hosts" in page
    assert "faults of links were carried out at the hosts" in page
    assert "oslo-1" in page


def test_a_fault_that_did_not_happen_fails_the_run() -> None:
    with pytest.raises(LabError, match=r"^fault silent-death: 202g did not do it: its timer has not fired$"):
        recording(gathered(**{"202g": ""}))
    broken = deed("silent-death", "do", T0 + 20, ok=False, evidence="nft failed with 1: no")
    with pytest.raises(LabError, match=r"^fault silent-death: 202g: nft failed with 1: no$"):
        recording(gathered(**{"202g": broken}))


def test_a_heal_brings_back_and_one_at_the_runs_end_is_none() -> None:
    done = deed("silent-death", "do", T0 + 21.5)
    healed = done + deed("silent-death", "undo", T0 + 25, evidence="30 packets had been dropped")
    got = gathered(**{"202g": healed})
    last = got.struck[1]
    lasting = replace(last, fault=last.fault.model_copy(update={"heal_after_s": 4.0}))
    one = recording(replace(got, struck=[got.struck[0], lasting]))
    assert one.faults[1].healed_at == pytest.approx(T0 + 25, abs=0.001)
    assert one.faults[1].evidence == "it is so; 30 packets were dropped"
    assert one.left == frozenset({"202a"})
    assert one.hosts is not None
    assert "fault silent-death took effect 1.5 s later than asked: orders took so long" in one.hosts.differs
    queued = done + deed(
        "silent-death", "undo", T0 + 25, evidence="eth0 has its own queue again, 7 packets had been dropped"
    )
    assert recording(gathered(**{"202g": queued})).faults[1].evidence == "it is so; 7 packets were dropped"
    at_end = done + deed("silent-death", "undo", T0 + 40, why="at the end of the run")
    assert recording(gathered(**{"202g": at_end})).faults[1].healed_at is None


def test_links_are_those_that_hosts_can_count() -> None:
    names = {link.name for link in noted.links({"source": None, "202a": "north"})}
    assert names == {"uplink of north", "source", "202a"}
    network = recording().network
    assert network.route("source", "202a") == ("source", "@", "@north", "202a")
    assert network.route("202a", "202b") == ("202a", "@north", "202b")
