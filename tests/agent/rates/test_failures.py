"""Failures of links: counted all, told when a kind begins and then once a minute."""

from __future__ import annotations

from overlaycast.agent.rates.failures import CALL, IN_VAIN, Failures, Told


def test_all_are_counted() -> None:
    failures = Failures()
    assert (failures.links, failures.links_failed, failures.asked_in_vain) == ({}, 0, 0)
    for kind in ("reset", "unreachable", "reset", IN_VAIN, CALL):
        failures.note(kind, 3)
    assert failures.links == {"call": 1, "reset": 2, "unreachable": 1}
    assert (failures.links_failed, failures.asked_in_vain) == (4, 1)


def test_a_kind_is_told_when_it_begins_and_then_once_a_minute_with_its_count() -> None:
    failures, told = Failures(), []
    for second in range(150):
        failures.note("unreachable", second)
        told += [(second, one) for one in failures.due(second)]
    assert told == [
        (0, Told("unreachable", 0, 1)),
        (60, Told("unreachable", 60, 60)),
        (120, Told("unreachable", 120, 60)),
    ]
    # the last ones are told though no other follows, and nothing is told twice
    assert failures.due(179.9) == []
    assert failures.due(180) == [Told("unreachable", 149, 29)]
    assert failures.due(999) == []


def test_another_kind_does_not_wait() -> None:
    failures = Failures()
    failures.note("reset", 1)
    assert failures.due(0) == [Told("reset", 1, 1)]
    failures.note(IN_VAIN, 2)
    failures.note("reset", 4)
    assert failures.due(1) == [Told(IN_VAIN, 2, 1)]
    failures.note("reset", 5)
    assert failures.due(60) == [Told("reset", 5, 2)]
