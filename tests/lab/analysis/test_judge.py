"""From made-up journals, counters and trees to conclusions: what is there is seen, what is missing is not made up."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from overlaycast.lab.analysis import judge, series, story
from overlaycast.lab.experiment.experiment import Expectation
from overlaycast.lab.recording.journals import Journal
from overlaycast.lab.recording.recording import Curve
from overlaycast.lab.results import metrics
from overlaycast.lab.results.result import Result
from overlaycast.wire.journal import Assigned, Entry, Fed, InVain, ParentLinkFailed, Started, StreamEnd, Summary
from tests.lab import made_up
from tests.lab.made_up import AFTER_KILL, START, T0, Story


def concluded(**changes: object) -> Result:
    """Return the result of the made-up run with something changed."""
    return judge.build(made_up.recording(Story(**changes)))  # type: ignore[arg-type]


def value(result: Result, metric: str) -> object:
    """Return what was measured for a metric."""
    return next(one.value for one in result.expectations if one.metric == metric)


def failed(result: Result) -> set[str]:
    """Return the metrics whose expectations were not met."""
    return {one.metric for one in result.expectations if not one.ok}


def test_good_run_passes() -> None:
    result = concluded()
    assert result.verdict == "passed"
    assert failed(result) == set()
    assert result.records == 3750
    assert result.tree.depth == 3
    assert result.tree.primaries == 4
    assert [site.inbound_by_tree for site in result.sites] == [1, 1, 1, 1]


def test_faults_are_told() -> None:
    kill, silence = concluded().faults
    assert (kill.target, kill.affected, kill.moved, kill.recovered_ms) == ("202a", 5, 3, 41.0)
    assert kill.orphans[0].heir == "202b"
    assert kill.orphans[0].heir_fed_by == "backup"
    assert (silence.target, silence.affected, silence.detected_ms) == ("202g", 2, 106.0)


def test_bystanders_are_those_that_a_fault_did_not_cut_off() -> None:
    kill, silence = concluded(kill_gap_ms=900.0, silence_gap_ms=800.0).faults
    assert (kill.longest_gap_ms, silence.longest_gap_ms) == (900.0, 800.0)
    for fault in (kill, silence):
        assert fault.bystanders_gap_ms is not None
        assert fault.bystanders_gap_ms < 100
        assert fault.bystanders_latency_ms is not None


def test_frames_that_found_a_queue_full_are_counted_over_all_links() -> None:
    run = made_up.recording()
    link, other = (one.name for one in run.network.links[:2])
    result = judge.build(replace(run, overflowed={link: (3, 0), other: (1, 2)}))
    asked = Expectation(metric="queue_overflow", op="==", limit=0, unit="frames")
    (judged,) = judge.expectations(result, [asked])
    assert (judged.value, judged.ok) == (6, False)
    assert judge.expectations(judge.build(run), [asked])[0].ok


def test_links_that_fail_and_parents_asked_in_vain_are_counted_over_all_lives() -> None:
    run = made_up.recording()
    book = run.journals["202b"]
    more = (
        Started(t=T0 - 9, role="peer", name="202b"),
        ParentLinkFailed(t=T0 - 8, parent=1, reason="reset"),
        InVain(t=T0 - 8, parents=(3, 4)),
        Started(t=T0 - 7, role="peer", name="202b"),
        ParentLinkFailed(t=T0 - 6, parent=1, reason="unreachable"),
    )
    result = judge.build(replace(run, journals={**run.journals, "202b": Journal("202b", (*more, *book.entries))}))
    assert (metrics.METRICS["links_failed"].read(result, ()), metrics.METRICS["asked_in_vain"].read(result, ())) == (
        2,
        2,
    )
    (one,) = [one for one in result.delivery if one.host == "202b"]
    assert (one.links_failed, one.asked_in_vain) == (2, 2)
    assert metrics.METRICS["links_failed"].read(judge.build(run), ()) == 0


def test_the_dead_are_promised_nothing() -> None:
    by_host = {one.host: one for one in concluded().delivery}
    assert not by_host["202a"].survived
    assert not by_host["202g"].survived
    assert by_host["202a"].lost == 0
    assert by_host["202a"].received == 50 * made_up.PER_STEP


def test_loss_fails() -> None:
    result = concluded(lost={"202e": 3})
    assert value(result, "lost") == 3
    assert failed(result) == {"lost"}
    assert result.faults[0].lost == 3
    assert result.faults[1].lost == 0


def test_doubles_fail_and_are_found_in_their_window() -> None:
    result = concluded(twice={"202k": 2})
    assert value(result, "duplicated") == 2
    assert failed(result) == {"duplicated"}
    assert [fault.duplicated for fault in result.faults] == [2, 0]


def test_a_wrong_file_fails_whatever_the_journal_claims() -> None:
    assert failed(concluded(wrong_file={"202m"})) == {"sha256_ok"}


def test_two_copies_on_an_uplink_fail() -> None:
    result = concluded(copies_into={"north": 2})
    assert value(result, "inbound_copies_per_site") == pytest.approx(2, abs=0.01)
    assert failed(result) == {"inbound_copies_per_site", "inbound_copies_after"}


def test_two_orphans_fed_from_outside_fail() -> None:
    after, last = AFTER_KILL | {"202c": "backup"}, made_up.AFTER_SILENCE | {"202c": "backup"}
    result = concluded(after_kill=after, after_silence=last)
    assert failed(result) == {"heir_fed_from_outside"}
    assert result.faults[0].orphans[0].heir is None


def test_a_sibling_not_fed_by_the_heir_fails() -> None:
    after, last = AFTER_KILL | {"202c": "202e"}, made_up.AFTER_SILENCE | {"202c": "202e"}
    result = concluded(after_kill=after, after_silence=last)
    assert failed(result) == {"heir_fed_from_outside"}


def test_a_move_below_the_top_fails() -> None:
    after = AFTER_KILL | {"202e": "202b"}
    last = made_up.AFTER_SILENCE | {"202e": "202b"}
    result = concluded(after_kill=after, after_silence=last)
    assert failed(result) == {"moved_below_top"}
    assert result.faults[0].moved_below_top == 1


def test_a_false_alarm_that_ends_where_it_began_is_no_move() -> None:
    recording = made_up.recording()
    kill = recording.faults[0]
    ids = {host: journal.member for host, journal in recording.journals.items()}
    below = recording.journals["202e"]
    entries = list(below.entries)
    away_and_back = [Fed(t=kill.at + 2.0, parent=ids["202b"]), Fed(t=kill.at + 2.1, parent=ids["202d"])]
    journals = {**recording.journals, "202e": replace(below, entries=tuple([*entries, *away_and_back]))}
    result = judge.build(replace(recording, journals=journals))
    assert result.faults[0].moved_below_top == 0
    stays = {**recording.journals, "202e": replace(below, entries=tuple([*entries, away_and_back[0]]))}
    assert judge.build(replace(recording, journals=stays)).faults[0].moved_below_top == 1


def test_a_move_without_need_fails() -> None:
    after, last = AFTER_KILL | {"202m": "202j"}, made_up.AFTER_SILENCE | {"202m": "202j"}
    result = concluded(after_kill=after, after_silence=last)
    assert [fault.moved_while_well for fault in result.faults] == [1, 0]


def test_a_tree_with_two_copies_into_a_site_fails() -> None:
    result = concluded(start=START | {"202m": "source"})
    assert "inbound_copies_by_tree" in failed(result)


def test_receiver_that_never_came_is_not_made_up() -> None:
    recording = made_up.recording()
    journals = {host: one for host, one in recording.journals.items() if host != "202m"}
    received = {host: file for host, file in recording.received.items() if host != "202m"}
    result = judge.build(replace(recording, journals=journals, received=received))
    assert failed(result) >= {"receivers_finished", "sha256_ok", "media_readable", "lost", "longest_gap_ms"}
    assert value(result, "longest_gap_ms") is None


def test_unmeasured_promises_are_not_kept() -> None:
    result = judge.build(replace(made_up.recording(), faults=[], multicast_blocked=None))
    assert failed(result) >= {"multicast_blocked", "heir_fed_from_outside", "recovered_ms", "affected"}


def test_of_a_source_that_died_nothing_is_known() -> None:
    recording = made_up.recording()
    source = recording.journals["source"]
    cut = Journal("source", tuple(entry for entry in source.entries if not isinstance(entry, StreamEnd | Summary)))
    result = judge.build(
        replace(recording, journals={**recording.journals, "source": cut}, troubles=["source ended with 1: broken"])
    )
    assert "lost" in failed(result)
    assert value(result, "lost") is None
    assert result.troubles == ("source ended with 1: broken",)


def test_a_late_network_proves_nothing() -> None:
    result = judge.build(replace(made_up.recording(), shaping={"valid": False}))
    assert result.verdict == "invalid"


def test_freed_target_counts_as_receiver_again() -> None:
    recording = made_up.recording()
    healed = [replace(fault, healed_at=fault.at + 2) for fault in recording.faults]
    by_host = {one.host: one for one in judge.build(replace(recording, faults=healed)).delivery}
    assert by_host["202a"].survived
    assert by_host["202a"].lost > 0


@given(st.sampled_from(sorted(metrics.METRICS)), st.sampled_from(["==", "!=", "<=", "<", ">=", ">"]), st.integers(0, 9))
@settings(max_examples=60, deadline=None)
def test_operators_mean_what_they_say(metric: str, op: str, limit: int) -> None:
    result, grown = _GOOD, ("memory_growth_mib", "descriptor_growth")
    found = ("complete_paths", "rate_error", "rates_close")
    one = judge.expectations(result, [Expectation(metric=metric, op=op, limit=limit)])[0]
    if one.value is None:  # nothing was healed, nobody was to say why or gave orders: not measured is not kept
        assert metric in ("back_ms", "reason_given", "startup_ms", "fed_as_planned", *grown, *found)
        assert not one.ok
        return
    assert one.ok == eval(f"{float(one.value)} {op} {float(limit)}")


_GOOD = concluded()


@given(st.dictionaries(st.sampled_from(["202b", "202e", "202h", "202m"]), st.integers(1, 50), max_size=3))
@settings(max_examples=20, deadline=None)
def test_the_worst_survivor_decides(lost: dict[str, int]) -> None:
    assert value(concluded(lost=lost), "lost") == max(lost.values(), default=0)


@given(st.lists(st.tuples(st.floats(0.1, 5), st.floats(0, 100)), min_size=1, max_size=12), st.floats(-5, 70))
def test_curve_never_falls_and_stays_within(steps: list[tuple[float, float]], t: float) -> None:
    times, values, now, total = [], [], 0.0, 0.0
    for pause, more in steps:
        now, total = now + pause, total + more
        times.append(now)
        values.append(total)
    curve = Curve(tuple(times), tuple(values))
    assert values[0] <= curve.at(t) <= values[-1]
    assert curve.at(t) <= curve.at(t + 0.5) + 1e-9


def test_series_has_a_value_for_each_step() -> None:
    made = series.build(made_up.recording())
    steps = len(made.source_mbit)
    assert steps == 155
    assert {len(one.rate_mbit) for one in made.receivers} == {steps}
    assert {len(one.gap_ms) for one in made.receivers} == {steps}
    assert {len(rates) for rates in made.uplinks.values()} == {steps}
    assert made.source_mbit[10] == pytest.approx(7.896, abs=0.01)
    assert [picture.label for picture in made.pictures] == [
        "as the stream began",
        "after primary-dies",
        "after silent-death",
    ]


def test_story_is_in_order() -> None:
    events = story.events(made_up.recording())
    assert [event["at_s"] for event in events] == sorted(event["at_s"] for event in events)
    assert [event["fault"] for event in events if event["kind"] == "fault"] == ["primary-dies", "silent-death"]
    assert any(event["kind"] == "switch" and event["host"] == "202b" for event in events)


def _fed(host: str, *entries: Entry) -> dict[str, Journal]:
    """Return the made-up journals, one with further entries."""
    journals = made_up.recording().journals
    merged = sorted([*journals[host].entries, *entries], key=lambda entry: entry.t)
    return {**journals, host: Journal(host, tuple(merged))}


def _ordered(parents: dict[str, str]) -> dict[str, Journal]:
    """Return the made-up journals with an order to everybody before the stream."""
    number = made_up.recording().journals
    ids = {host: journal.member for host, journal in number.items()}
    return {
        host: replace(
            one, entries=(one.entries[0], Assigned(t=T0 - 2, epoch=3, parent=ids[parents[host]]), *one.entries[1:])
        )
        if host in parents
        else one
        for host, one in number.items()
    }


def _measured(journals: Mapping[str, Journal], metric: str, fault: str | None = None) -> object:
    result = judge.build(replace(made_up.recording(), journals=journals))
    (one,) = judge.expectations(result, [Expectation(metric=metric, op=">=", limit=0, fault=fault)])
    return one.value


def test_links_by_call_are_counted_at_each_fault_and_at_the_end() -> None:
    number = {host: one.member for host, one in made_up.recording().journals.items()}
    assert _measured(made_up.recording().journals, "links_by_call") == 0
    called = Fed(t=T0 - 0.5, parent=number["202j"], called=True)
    assert _measured(_fed("202k", called), "links_by_call") == 1
    lost = Fed(t=T0 + 15, parent=number["source"])
    assert _measured(_fed("202k", called, lost), "links_by_call") == 0
    late = Fed(t=T0 + 5, parent=number["202j"], called=True)
    assert _measured(_fed("202k", late), "links_by_call") == 1
    result = judge.build(replace(made_up.recording(), journals=_fed("202k", called, lost)))
    assert [(seen.before_fault, seen.receivers, seen.by_call) for seen in result.feeding] == [
        ("primary-dies", 11, 1),
        ("silent-death", 11, 0),
        (None, 11, 0),
    ]


def test_fed_as_planned_is_a_share_of_those_who_were_given_orders() -> None:
    assert _measured(made_up.recording().journals, "fed_as_planned") is None  # nobody gives orders
    planned = _ordered(START)
    assert _measured(planned, "fed_as_planned") == pytest.approx(6 / 11, abs=0.001)  # five moved untold
    number = {host: one.member for host, one in planned.items()}
    told = dict(planned)
    number["backup"] = made_up.ids(made_up.recording().cast)["backup"]
    for host in ("202b", "202c", "202d", "202h", "202i"):
        parent = number[made_up.AFTER_SILENCE[host]]
        at = T0 + (10.2 if host < "202e" else 20.2)
        entries = [*told[host].entries, Assigned(t=at, epoch=4, parent=parent)]
        told[host] = Journal(host, tuple(sorted(entries, key=lambda entry: entry.t)))
    assert _measured(told, "fed_as_planned") == 1.0


def test_an_order_of_the_last_moment_need_not_be_obeyed_yet() -> None:
    planned = _ordered(START)
    end = next(entry.t for entry in planned["source"].entries if isinstance(entry, StreamEnd))
    first = made_up.recording().faults[0].at
    source = planned["source"].member
    for age, share in ((0.3, 11 / 11), (3.0, 10 / 11)):
        entries = [*planned["202k"].entries, Assigned(t=first - age, epoch=4, parent=source)]
        journals = {**planned, "202k": Journal("202k", tuple(sorted(entries, key=lambda entry: entry.t)))}
        result = judge.build(replace(made_up.recording(), journals=journals))
        assert result.feeding[0].as_planned == round(share * 11)
        assert result.feeding[0].at_s < end - T0
