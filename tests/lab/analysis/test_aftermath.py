"""What faults did: seen from receivers' silences, over the whole transfer, and not measured where there was no time."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

import pytest

from overlaycast.lab.analysis import judge
from overlaycast.lab.experiment.experiment import Expectation
from overlaycast.lab.recording.journals import Journal
from overlaycast.lab.recording.recording import FaultDone, Recording
from overlaycast.lab.report import words
from overlaycast.lab.results.fault_seen import FaultSeen
from overlaycast.lab.results.result import Result
from overlaycast.wire.journal import Entry, FellSilent, Sample, StreamEnd
from tests.lab import made_up
from tests.lab.made_up import RECORD, T0, Story

NORTH_IS_SILENT = ("202k", "202l", "202m")


def silent(journal: Journal, at: float, gap_ms: float) -> Journal:
    """Return a journal in which no record came for so long; the sample after it tells."""
    until = at + gap_ms / 1000
    still = max((one.records for one in journal.all(Sample) if one.t <= at), default=0)
    entries: list[Entry] = []
    told = False
    for entry in journal.entries:
        if isinstance(entry, Sample) and at < entry.t:
            if entry.t <= until:
                update = {"records": still, "bytes": still * RECORD, "gap_ms": 0.0, "latency_ms": None}
                entry = entry.model_copy(update=update)
            elif not told:
                entry, told = entry.model_copy(update={"gap_ms": gap_ms}), True
        entries.append(entry)
    return Journal(journal.host, tuple(entries))


def cut(recording: Recording, **changes: object) -> Recording:
    """Return the made-up run with one cut link instead of its faults."""
    before = recording.start_tree
    fault = FaultDone("cut", "link-down", "link:A/B", "A-B", T0 + 10, "no carrier", healed_at=T0 + 11.8, before=before)
    return replace(recording, faults=[replace(fault, **changes)])  # type: ignore[arg-type]


def quiet(hosts: Mapping[str, float], at: float = T0 + 10.05) -> Recording:
    """Return a run of whole journals, without faults, in which these hosts were silent for so many milliseconds."""
    story = Story(kill_gap_ms=9.0, silence_gap_ms=9.0)
    recording = made_up.recording(story)
    whole = recording.journals["202m"]
    journals = dict(recording.journals)
    for host in recording.cast.peers:
        one = journals[host]
        own = tuple(entry for entry in one.entries if entry.t < T0)
        journals[host] = Journal(host, (*own, *(entry for entry in whole.entries if entry.t > T0)))
    journals |= {host: silent(journals[host], at, gap) for host, gap in hosts.items()}
    return replace(recording, journals=journals, faults=[])


def only(recording: Recording) -> FaultSeen:
    """Return what the only fault did."""
    [fault] = judge.build(recording).faults
    return fault


def asked(result: Result, metric: str, op: str = "<=", limit: float = 1e9) -> tuple[object, bool]:
    """Return what was measured, and whether an expectation that is easily met was met."""
    [one] = judge.expectations(result, [Expectation(metric=metric, op=op, limit=limit)])
    return one.value, one.ok


def test_members_beyond_a_cut_link_are_cut_off() -> None:
    away = NORTH_IS_SILENT
    recording = cut(quiet(dict.fromkeys(away, 1800.0)), away=away, silenced=away)
    fault = only(recording)
    assert (fault.affected, fault.recovered_ms, fault.longest_gap_ms) == (3, 1800.0, 1800.0)
    assert fault.back_ms is not None
    assert 0 < fault.back_ms < 600
    assert "3 receivers behind it fell silent" in words.fault_story(fault)


def test_whoever_is_silent_was_cut_off_although_the_map_has_another_way() -> None:
    """With fixed routes a cut inside a ring of routers cuts receivers off that a map would call connected."""
    recording = quiet({"202k": 2200.0, "202l": 2200.0})
    alarm = FellSilent(t=T0 + 10.4, parent=1, silent_ms=350)
    book = recording.journals["202k"]
    merged = tuple(sorted((*book.entries, alarm), key=lambda entry: entry.t))
    fault = only(cut(replace(recording, journals={**recording.journals, "202k": Journal("202k", merged)})))
    assert (fault.affected, fault.detected_ms, fault.recovered_ms) == (2, 400.0, 2200.0)
    assert fault.back_ms is not None


def test_a_pause_of_the_machine_cuts_off_nobody() -> None:
    fault = only(cut(quiet({"202k": 150.0})))
    assert (fault.affected, fault.recovered_ms) == (0, None)
    assert "No surviving receiver was cut off" in words.fault_story(fault)


def test_the_target_itself_is_away_and_not_cut_off() -> None:
    recording = quiet({"202k": 1800.0})
    fault = only(cut(recording, target="202k", away=("202k",), silenced=("202k",)))
    assert fault.affected == 0
    assert fault.back_ms is not None
    assert "received again" in words.fault_story(fault)


def test_those_beyond_a_link_that_stays_down_are_told_of() -> None:
    away = NORTH_IS_SILENT
    fault = only(cut(quiet(dict.fromkeys(away, 1800.0)), away=away, silenced=away, healed_at=None))
    assert fault.affected == 0
    assert "3 members beyond it were cut off for good" in words.fault_story(fault)


def test_who_never_received_again_has_not_recovered() -> None:
    recording = quiet({"202k": 60_000.0})
    book = recording.journals["202k"]
    entries = tuple(entry for entry in book.entries if isinstance(entry, Sample) or entry.t < T0 + 10)
    fault = only(cut(replace(recording, journals={**recording.journals, "202k": Journal("202k", entries)})))
    assert (fault.affected, fault.recovered_ms) == (1, None)
    assert "not all received again" in words.fault_story(fault)


def test_a_stream_in_bursts_is_not_silent_between_them() -> None:
    recording = quiet({})
    book = recording.journals["202k"]
    bursts = [one.model_copy(update={"gap_ms": 980.0}) if isinstance(one, Sample) else one for one in book.entries]
    fault = only(cut(replace(recording, journals={**recording.journals, "202k": Journal("202k", tuple(bursts))})))
    assert fault.affected == 0


def test_a_silence_that_outlasts_the_next_fault_is_the_first_ones() -> None:
    recording = cut(quiet({"202k": 2500.0}))
    [first] = recording.faults
    second = replace(first, id="later", target="202a", action="link-loss", at=T0 + 11, healed_at=None)
    faults = judge.build(replace(recording, faults=[first, second])).faults
    assert faults[0].recovered_ms == 2500.0


def test_a_silence_after_the_next_fault_is_not_of_one_that_is_not_healed_yet() -> None:
    """A coordinator that is away for long has cut nobody off whom a link's longer delay cut off later."""
    recording = cut(quiet({"202k": 1800.0}, at=T0 + 15.25), healed_at=T0 + 25, target="coordinator")
    [first] = recording.faults
    first = replace(first, action="coordinator-kill")
    second = replace(first, id="later", target="202a", action="link-delay", at=T0 + 15.2, healed_at=T0 + 16)
    faults = judge.build(replace(recording, faults=[first, second])).faults
    assert [fault.affected for fault in faults] == [0, 1]


OF_WINDOWS = ("moved", "moved_while_well", "moved_below_top", "recovered_ms", "bystanders_moved", "bystanders_gap_ms")


@pytest.mark.parametrize("metric", OF_WINDOWS)
def test_nothing_is_measured_after_the_end(metric: str) -> None:
    result = judge.build(cut(quiet({}), at=T0 + 30.5, healed_at=None))
    assert asked(result, metric) == (None, False)
    assert "Nothing was measured" in words.fault_story(result.faults[0])


def test_where_nobody_was_cut_off_there_is_no_time_to_recover() -> None:
    assert asked(judge.build(cut(quiet({}))), "recovered_ms") == (None, False)


def test_faults_that_strike_together_share_their_window() -> None:
    recording = cut(quiet({"202k": 1800.0}))
    [first] = recording.faults
    faults = judge.build(replace(recording, faults=[first, replace(first, id="other")])).faults
    assert [fault.recovered_ms for fault in faults] == [1800.0, 1800.0]
    assert all(fault.measured for fault in faults)


def as_file(recording: Recording, read_s: float = 1.0) -> Recording:
    """Return the run as one of a file group, whose source has read its file long before anybody has it."""
    group = recording.experiment.group.model_copy(update={"mode": "file"})
    source = recording.journals["source"]
    total = source.all(Sample)[-1].records
    entries: list[Entry] = []
    for entry in source.entries:
        if isinstance(entry, Sample) and entry.t >= T0 + read_s:
            entry = entry.model_copy(update={"records": total, "bytes": total * RECORD})
        elif isinstance(entry, StreamEnd):
            entry = entry.model_copy(update={"t": T0 + read_s})
        entries.append(entry)
    entries.sort(key=lambda entry: entry.t)
    journals = {**recording.journals, "source": Journal("source", tuple(entries))}
    return replace(recording, journals=journals, experiment=recording.experiment.model_copy(update={"group": group}))


def test_a_files_figures_are_measured_over_the_transfer() -> None:
    result = judge.build(as_file(made_up.recording()))
    kill, silence = result.faults
    assert (kill.affected, kill.moved, kill.recovered_ms) == (5, 3, 41.0)
    assert (silence.affected, silence.recovered_ms) == (2, 118.0)
    for site in result.sites:
        assert site.inbound_copies == pytest.approx(1, abs=0.02)
    for copies in (*kill.inbound_copies.values(), *silence.inbound_copies.values()):
        assert copies == pytest.approx(1, abs=0.02)


def test_two_copies_of_a_file_into_a_site_are_seen() -> None:
    result = judge.build(as_file(made_up.recording(Story(copies_into={"north": 2}))))
    value, _ = asked(result, "inbound_copies_per_site")
    assert value == pytest.approx(2, abs=0.03)


def test_copies_before_a_fault_at_the_very_begin_are_not_measured() -> None:
    result = judge.build(cut(quiet({}), at=T0 + 0.1))
    assert asked(result, "inbound_copies_per_site") == (None, False)
