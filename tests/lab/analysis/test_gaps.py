"""Each long silence is laid to what happened on the receiver's path, and one without a reason is found."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import pytest

from overlaycast.lab.analysis import judge
from overlaycast.lab.analysis.gaps import Paths, gaps
from overlaycast.lab.recording.journals import Journal
from overlaycast.lab.recording.recording import Passed, Recording, Stall
from overlaycast.lab.report import words
from overlaycast.lab.results.metrics import METRICS
from overlaycast.wire.journal import Assigned, Entry, Fed, RecordsLost, Sample, Started, Summary, Welcomed
from tests.lab import made_up
from tests.lab.made_up import T0


def calm(host: str, *entries: Entry) -> Recording:
    """Return the made-up run without faults and silences, and with these entries in one journal."""
    recording = made_up.recording()
    journals = {}
    for name, journal in recording.journals.items():
        kept = [one.model_copy(update={"gap_ms": 9.0}) if isinstance(one, Sample) else one for one in journal.entries]
        # whom a fault took away feeds its children to the end here
        kept = [one for one in kept if not (isinstance(one, Fed) and one.t > T0)]
        more = entries if name == host else ()
        journals[name] = Journal(name, tuple(sorted([*kept, *more], key=lambda entry: entry.t)))
    return replace(recording, journals=journals, faults=(), left=frozenset())


def silent(host: str, at_s: float = 15.1, gap_ms: float = 140.0) -> Recording:
    """Return a run with one silence that ends at a moment."""
    return calm(host, Sample(t=T0 + at_s, bytes=1, records=1, next_seq=1, gap_ms=gap_ms))


def causes(recording: Recording) -> list[tuple[str | None, str]]:
    """Return what is found for each silence."""
    return [(gap.cause, gap.of) for gap in gaps(recording) or ()]


def test_a_silence_without_a_reason_is_found_and_named() -> None:
    recording = silent("202e")
    assert causes(recording) == [(None, "")]
    result = judge.build(recording)
    assert METRICS["unexplained_gaps"].read(result, ()) == result.unexplained_gaps == 1
    asked = replace(result.expectations[0], metric="unexplained_gaps", ok=False)
    assert words.unexplained(replace(result, expectations=(asked,))) == (
        "202e was silent for 140\N{NO-BREAK SPACE}ms until 15.1 s",
    )
    assert words.unexplained(result) == (), "nobody asked"


def test_shorter_silences_are_none() -> None:
    assert causes(silent("202e", gap_ms=100.0)) == []
    assert judge.build(silent("202e", gap_ms=100.0)).unexplained_gaps == 0


@pytest.mark.parametrize(
    ("passed", "found"),
    [
        ([Passed(T0 + 14.9, "202a", "kill")], ("killed", "202a")),  # feeds 202d, which feeds 202e
        ([Passed(T0 + 12.2, "202d", "leave")], ("left", "202d")),
        ([Passed(T0 + 11.0, "202d", "leave")], (None, "")),  # too long ago
        ([Passed(T0 + 15.3, "202d", "leave")], (None, "")),  # later
        ([Passed(T0 + 14.9, "202g", "kill")], (None, "")),  # feeds others
        ([Passed(T0 + 14.9, "202d", "come")], (None, "")),  # whoever comes takes nothing away
    ],
)
def test_who_left_or_died_on_the_path_explains(passed: Sequence[Passed], found: tuple[str | None, str]) -> None:
    assert causes(replace(silent("202e"), passed=passed)) == [found]


def test_a_move_by_the_coordinator_explains_and_an_order_that_moves_nobody_does_not() -> None:
    one = Sample(t=T0 + 15.1, bytes=1, records=1, next_seq=1, gap_ms=140.0)
    first, second = Assigned(t=T0 - 2, epoch=1, parent=5), Assigned(t=T0 + 14, epoch=2, parent=5)
    assert causes(calm("202e", one, first, second)) == [(None, "")]
    assert causes(calm("202e", one, first, second.model_copy(update={"parent": 6}))) == [("moved", "202e")]
    assert causes(calm("202e", one, second)) == [("joined", "202e")]


@pytest.mark.parametrize(
    ("stalls", "found"),
    [
        ([("202e", 15.0, 80.0)], ("processors", "80 ms")),
        ([("202e", 14.9, 40.0), ("202a", 15.0, 40.0)], ("processors", "80 ms")),
        ([(None, 15.0, 70.0)], ("processors", "70 ms")),
        ([("202e", 15.0, 60.0)], (None, "")),  # less than half of it
        ([("202g", 15.0, 500.0)], (None, "")),  # somebody else
        ([("202e", 14.0, 500.0), ("202e", 15.4, 500.0)], (None, "")),  # before, and after
    ],
)
def test_processors_that_were_waited_for_explain(
    stalls: Sequence[tuple[str | None, float, float]], found: tuple[str | None, str]
) -> None:
    waited = [Stall(T0 + end_s - 0.1, T0 + end_s, host, ms) for host, end_s, ms in stalls]
    assert causes(replace(silent("202e"), stalls=waited)) == [found]


def test_a_fault_explains_until_it_is_healed() -> None:
    fault = replace(made_up.recording().faults[0], at=T0 + 10)
    assert causes(replace(silent("202e"), faults=(fault,))) == [(None, "")]
    assert causes(replace(silent("202e", at_s=11), faults=(fault,))) == [("fault", "primary-dies")]
    healed = replace(fault, healed_at=T0 + 14)
    assert causes(replace(silent("202e"), faults=(healed,))) == [("fault", "primary-dies")]


def test_pauses_of_files_are_not_measured() -> None:
    recording = silent("202e")
    group = recording.experiment.group.model_copy(update={"mode": "file"})
    of_file = replace(recording, experiment=recording.experiment.model_copy(update={"group": group}))
    assert gaps(of_file) is None
    assert judge.build(of_file).unexplained_gaps is None


def test_a_path_is_what_fed_at_any_time_between_and_rings_end() -> None:
    recording = calm("202e", Fed(t=T0 + 5, parent=made_up.ids(made_up.recording().cast)["202a"]))
    paths = Paths(recording)
    assert paths.between("202e", T0 + 1, T0 + 2) == {"202e", "202d", "202a", "source"}
    assert paths.between("202e", T0 + 6, T0 + 7) == {"202e", "202a", "source"}
    assert paths.between("nobody", T0, T0 + 1) == {"nobody"}
    ring = Paths(replace(recording, journals={"a": fed("a", 1, 2), "b": fed("b", 2, 1)}))
    assert ring.between("a", T0, T0 + 1) == {"a", "b"}


def fed(host: str, member: int, parent: int) -> Journal:
    """Return the journal of a member with a parent."""
    return Journal(host, (Welcomed(t=T0, member=member), Fed(t=T0, parent=parent)))


def test_a_record_that_an_earlier_life_lost_is_lost() -> None:
    recording = calm("202e")
    assert judge.build(recording).lost_by_any == 0
    early = (Started(t=T0, role="peer", name="202e"), RecordsLost(t=T0 + 1, from_seq=5, to_seq=8))
    later = recording.journals["202e"].entries
    journals = {
        **recording.journals,
        "202e": Journal("202e", (*early, Started(t=T0, role="peer", name="202e"), *later)),
    }
    result = judge.build(replace(recording, journals=journals))
    assert METRICS["lost_by_any"].read(result, ()) == 3
    assert {one.host: one.lost for one in result.delivery}["202e"] == 0, "its last life lost nothing"


def test_a_hole_that_a_leaver_did_not_tell_of_is_lost() -> None:
    recording = calm("202e")
    life = (Started(t=T0, role="peer", name="x"), Summary(t=T0 + 3, first_seq=10, next_seq=30, received=18))
    journals = {**recording.journals, "202e": Journal("202e", (*life, *recording.journals["202e"].entries))}
    # the made-up journal has no start of its own, so this is one life; the last summary counts
    assert judge.build(replace(recording, journals=journals)).lost_by_any == 0
    alone = {**recording.journals, "202e": Journal("202e", life)}
    assert judge.build(replace(recording, journals=alone)).lost_by_any == 2


def test_causes_are_counted_for_the_report() -> None:
    result = judge.build(replace(silent("202e"), passed=[Passed(T0 + 14.9, "202a", "kill")]))
    assert words.explained(result) == "1 × killed"
    assert words.explained(judge.build(silent("202e"))) == "1 × unexplained"
