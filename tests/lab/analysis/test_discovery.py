"""What the coordinator found out, beside the truth: paths and rates; copies on uplinks; how soon first records came."""

from __future__ import annotations

from dataclasses import replace

import pytest

from overlaycast.lab.analysis import judge
from overlaycast.lab.experiment.experiment import Cast, Expectation
from overlaycast.lab.recording.located import Located, Way, addresses, located, way
from overlaycast.lab.recording.recording import Recording
from overlaycast.lab.report import words
from overlaycast.lab.results.metrics import METRICS
from overlaycast.lab.results.result import Result
from overlaycast.lab.topology.loading import load_topology
from overlaycast.lab.topology.topology import Topology
from overlaycast.wire.journal import Fed, StreamEnd, Welcomed
from overlaycast.wire.views import MemberView, PerformanceView
from tests.lab import made_up
from tests.lab.made_up import ROOT, T0


def known(changes: dict[str, Located] | None = None) -> Recording:
    """Return the made-up run with a coordinator that knew everything but what is changed."""
    run = made_up.recording()
    truth = {host: Located(one.routers[0], one.rate_mbit) for host, one in run.network.ways.items()}
    return replace(run, located=truth | (changes or {}))


def value(result: Result, metric: str) -> object:
    return METRICS[metric].read(result, ())


def regions(words: str = "") -> Topology:
    return load_topology(ROOT / "topologies" / "regions.py", f"regions{words}")


def test_a_coordinator_that_knows_everything() -> None:
    result = judge.build(known())
    assert (value(result, "complete_paths"), value(result, "rate_error"), value(result, "rates_close")) == (1, 0, 1)
    assert all(one.true_mbit == 20 for one in result.located)


def test_a_silent_hop_a_wrong_one_and_nothing_are_not_complete() -> None:
    true = known().located["202b"].routers
    result = judge.build(
        known({"202b": Located((None, *true[1:]), 20), "202c": Located(("elsewhere",), 20), "202d": Located(())})
    )
    survivors = len(result.survivors())
    assert value(result, "complete_paths") == pytest.approx((survivors - 3) / survivors)
    assert [one.host for one in result.located if not one.complete] == ["202b", "202c", "202d"]


def test_how_many_routers_are_silent_at_a_paths_end_does_not_count() -> None:
    run = known()
    way = run.network.ways["202b"]
    heard = way.routers[0][:-1]
    silent = replace(way, routers=((*heard, None, None),))
    run = replace(run, network=replace(run.network, ways={**run.network.ways, "202b": silent}))
    for seen, complete in (((*heard, None), True), (heard, True), ((*heard[:-1], None), False), ((), False)):
        result = judge.build(replace(run, located={**run.located, "202b": Located(seen, 20)}))
        assert [one.complete for one in result.located if one.host == "202b"] == [complete]


def test_the_worst_rate_counts_and_one_that_is_missing_is_not_close() -> None:
    true = known().located["202b"].routers
    off = judge.build(known({"202b": Located(true, 28)}))
    assert value(off, "rate_error") == pytest.approx(0.4)
    missing = judge.build(known({"202b": Located(true, None)}))
    assert value(missing, "rate_error") is None
    assert value(missing, "rates_close") == value(off, "rates_close") == pytest.approx(1 - 1 / len(off.survivors()))


def test_nothing_known_is_not_measured_and_meets_nothing() -> None:
    result = judge.build(made_up.recording())
    for metric in ("complete_paths", "rate_error", "rates_close"):
        (judged,) = judge.expectations(result, [Expectation(metric=metric, op=">=", limit=0.5)])
        assert (judged.value, judged.ok) == (None, False)


def test_copies_over_uplinks_are_counted_each_way() -> None:
    result = judge.build(made_up.recording(made_up.Story(copies_into={"north": 3})))
    copies_in, copies_out = value(result, "uplink_copies_in"), value(result, "uplink_copies_out")
    assert isinstance(copies_in, float)
    assert copies_in == pytest.approx(3, abs=0.1)
    assert isinstance(copies_out, float)
    assert copies_out < 0.2
    without = judge.build(replace(made_up.recording(), counters=()))
    assert value(without, "uplink_copies_in") is None


def test_the_start_is_counted_from_the_last_subscription() -> None:
    run = made_up.recording()
    late = run.journals["202c"]
    entries = (Welcomed(t=T0 - 0.5, member=3), Fed(t=T0 + 0.1, parent=1), *late.entries[1:])
    result = judge.build(replace(run, journals={**run.journals, "202c": replace(late, entries=entries)}))
    assert result.first_record_s == pytest.approx(0.7)
    by_host = {one.host: one.first_record_s for one in result.delivery}
    assert by_host["202c"] == pytest.approx(0.1)
    assert by_host["202b"] == pytest.approx(0.2)
    assert value(result, "member_first_record_s") == pytest.approx(0.2)


def test_one_that_never_had_a_record_leaves_the_start_unknown() -> None:
    run = made_up.recording()
    book = run.journals["202c"]
    result = judge.build(replace(run, journals={**run.journals, "202c": replace(book, entries=book.entries[:1])}))
    assert result.first_record_s is None
    assert value(result, "member_first_record_s") is None


def test_the_end_is_when_the_last_one_has_everything() -> None:
    run = made_up.recording()
    assert value(judge.build(run), "delivered_s") == pytest.approx(30.02)
    book = run.journals["202c"]
    short = replace(book, entries=tuple(one for one in book.entries if not isinstance(one, StreamEnd)))
    assert value(judge.build(replace(run, journals={**run.journals, "202c": short})), "delivered_s") is None


def test_the_report_says_what_the_coordinator_did_not_find_out() -> None:
    true = known().located["202b"].routers
    wrong = {"202b": Located((None, *true[1:]), 20), "202c": Located(true, 31), "202d": Located((), None)}
    lines = [line.replace("\N{NO-BREAK SPACE}", " ") for line in words.misread(judge.build(known(wrong)))]
    assert lines[0].startswith("202b: found ? → ")
    assert "31 Mbit/s on 20 Mbit/s" in lines[1]
    assert lines[2].startswith("202d: found nothing instead of ")
    assert lines[2].endswith("no rate on 20 Mbit/s")
    assert words.misread(judge.build(known())) == ()
    assert words.misread(judge.build(known(dict.fromkeys(known().located, Located(())))))[-1].startswith("and ")


def test_true_ways_are_those_that_a_trace_can_show() -> None:
    assert way(regions(), "source", "a1") == Way((("R0", "R1", "La"),), 20)
    assert way(regions(",anonymous=1"), "source", "c1").routers == (("R0", None, "Lc"),)
    assert way(regions(",mpls=1"), "source", "e1").routers == (("R0", "R3", "Le"),)
    assert set(way(regions(",ecmp=1"), "source", "a1").routers) == {("R0", "X1", "R1", "La"), ("R0", "X2", "R1", "La")}
    assert way(regions(), "source", "source").routers == ((),)
    apart = regions(",far=1,nat=1")
    assert way(apart, "control", "a1").routers == (("K", "R3", "R0", "R1", "La"),)
    assert way(apart, "control", "f1").routers == (("K", "R3", "Lf"),)
    assert not apart.reaches("control", "f1")


def test_what_the_coordinator_tells_is_named_as_the_topology_does() -> None:
    network = regions()
    names = addresses(network)
    path = ("R0", "R1", "La")
    by_name = {node: address for address, node in names.items()}
    view = MemberView.model_construct(
        id=2,
        name="a1",
        role="peer",
        routers=(by_name["La"], None, by_name["R0"]),
        performance=PerformanceView(rate_mbit=19.0),
    )
    newer = view.model_copy(update={"id": 3, "routers": (*(by_name[name] for name in reversed(path)), "192.0.2.1")})
    assert located([view], names)["a1"] == Located(("R0", None, "La"), 19)
    assert located([view, newer], names)["a1"].routers == ("192.0.2.1", *path)


def test_every_receiver_of_an_experiment_has_a_true_way() -> None:
    _, cast, network = made_up.experiment()
    assert isinstance(cast, Cast)
    assert set(network.ways) == set(cast.peers)
