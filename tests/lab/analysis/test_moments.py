"""The tree at every moment and the way in of every member, from journals alone."""

from __future__ import annotations

from dataclasses import replace
from itertools import pairwise

from hypothesis import given
from hypothesis import strategies as st

from overlaycast.lab.analysis import moments as told
from overlaycast.lab.analysis.joins import joins
from overlaycast.lab.analysis.moments import moments
from overlaycast.lab.analysis.stretch import stretches
from overlaycast.lab.recording import journals as j
from overlaycast.lab.recording.recording import Recording
from overlaycast.wire.journal import Fed, Started, Summary
from tests.lab import made_up
from tests.lab.made_up import AFTER_KILL, AFTER_SILENCE, START, T0, Story

BACKUP = {"backup": "source"}


def at(recording: Recording, second: float) -> told.Moment:
    """Return the moment that holds at a second of the stream."""
    return [moment for moment in moments(recording) if moment.at_s <= second][-1]


def test_moments_are_the_trees_that_the_story_tells() -> None:
    recording = made_up.recording()
    assert at(recording, 5).edges == START | BACKUP
    assert at(recording, 15).edges == AFTER_KILL | BACKUP
    assert at(recording, 25).edges == {k: v for k, v in (AFTER_SILENCE | BACKUP).items() if k != "202g"}
    assert at(recording, 25).gone == ("202a", "202g")


def test_between_a_death_and_its_repair_the_children_hang_on_nobody() -> None:
    just_after = at(made_up.recording(), 10.001)
    assert just_after.gone == ("202a",)
    assert not {"202b", "202c", "202d"} & set(just_after.edges)
    assert just_after.edges["202e"] == "202d"


def test_a_fault_is_a_moment_of_its_own_however_fast_the_repair() -> None:
    found = moments(made_up.recording(Story(kill_gap_ms=4)))
    times = [moment.at_s for moment in found if 9.9 < moment.at_s < 10.1]
    assert times == [10.0, 10.004]


def test_who_moved_is_told() -> None:
    words = [what for moment in moments(made_up.recording()) for what in moment.what]
    assert "202b is fed by backup" in words
    assert any(what.startswith("primary-dies") for what in words)


def test_a_leaver_is_fed_no_more() -> None:
    recording = made_up.recording()
    entries = tuple(one for one in recording.journals["202m"].entries if one.t < T0 + 14)
    gone = j.Journal("202m", (*entries, Summary(t=T0 + 14)))
    after = at(replace(recording, journals={**recording.journals, "202m": gone}), 15)
    assert "202m" not in after.edges


@given(st.lists(st.tuples(st.floats(0.01, 29), st.sampled_from(sorted(START)), st.integers(1, 15)), max_size=60))
def test_moments_are_in_order_and_differ(feds: list[tuple[float, str, int]]) -> None:
    recording = replace(made_up.recording(), faults=())
    books = dict(recording.journals)
    for second, host, parent in feds:
        entries = sorted((*books[host].entries, Fed(t=T0 + second, parent=parent)), key=lambda entry: entry.t)
        books[host] = j.Journal(host, tuple(entries))
    found = moments(replace(recording, journals=books))
    assert found[0].at_s == 0
    for one, following in pairwise(found):
        assert one.at_s < following.at_s
        assert (one.edges, one.gone) != (following.edges, following.gone)
    newest = {host: [fed.parent for fed in book.all(Fed)][-1:] for host, book in books.items()}
    hosts = {one.member: host for host, one in books.items()} | {2: "backup"}
    for host, parents in newest.items():
        if parents and hosts.get(parents[0]):
            assert found[-1].edges[host] == hosts[parents[0]]


def test_very_many_moments_are_thinned_but_begin_and_end_stay() -> None:
    recording = replace(made_up.recording(), faults=())
    feds = [Fed(t=T0 + 0.05 * step, parent=1 + step % 2 * 4) for step in range(1, 500)]
    book = recording.journals["202m"]
    entries = sorted((*book.entries, *feds), key=lambda entry: entry.t)
    found = moments(replace(recording, journals={**recording.journals, "202m": j.Journal("202m", tuple(entries))}))
    assert len(found) == told.MOST
    assert found[0].at_s == 0
    assert found[-1].at_s > 24.9


def test_joins_have_their_times() -> None:
    recording = made_up.recording()
    book = recording.journals["202b"]
    started = j.Journal("202b", (Started(t=T0 - 4, role="peer", name="202b"), *book.entries))
    found = {one.host: one for one in joins(replace(recording, journals={**recording.journals, "202b": started}))}
    assert (found["202b"].started_s, found["202b"].welcome_s, found["202b"].attached_s) == (-4, -3, -1)
    assert found["202b"].took_s == 3
    assert found["202b"].first_s == 0.2
    assert found["202c"].took_s is None


def test_who_never_came_never_joined() -> None:
    recording = made_up.recording()
    found = joins(replace(recording, journals={}))
    assert {(one.started_s, one.first_s, one.took_s) for one in found} == {(None, None, None)}


def test_stretch_of_the_direct_and_of_a_detour() -> None:
    _, cast, network = made_up.experiment()
    found = stretches(network, START | BACKUP, cast.source, cast.peers)
    assert found["202a"] == 1
    assert found["202e"] >= 1
    over_the_core = stretches(network, {"202a": "202j", "202j": cast.source}, cast.source, ["202a", "202j", "202m"])
    assert set(over_the_core) == {"202a", "202j"}
    assert over_the_core["202a"] > 2


def test_a_ring_leads_nowhere() -> None:
    _, cast, network = made_up.experiment()
    assert stretches(network, {"202a": "202b", "202b": "202a"}, cast.source, ["202a"]) == {}
