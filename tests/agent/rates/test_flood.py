"""What a parent may send at most: words and bytes, each with a rate, and a pause of our own excuses what waited."""

from __future__ import annotations

import pytest

from overlaycast.agent.rates.flood import LEAST_BACKLOG, MOST_WORDS, PAUSE_S, Flow
from overlaycast.wire.group import GroupSettings

SETTINGS = GroupSettings(rate_mbit=8, heartbeat_ms=25)
RING = 32 << 20


def test_heartbeats_at_the_usual_pace_never_are_too_many() -> None:
    flow = Flow(SETTINGS, RING)
    assert not any(flow.words(2, n * 0.02) for n in range(100_000))


def test_a_flood_of_heartbeats_is_noticed() -> None:
    flow = Flow(SETTINGS, RING)
    assert not flow.words(MOST_WORDS, 0.0)
    assert flow.words(1, 0.0)


def test_heartbeats_that_waited_while_we_stood_still_are_no_flood() -> None:
    flow = Flow(SETTINGS, RING)
    flow.words(1, 0.0)
    waited = int(PAUSE_S * 50)
    assert not any(flow.words(100, PAUSE_S) for _ in range(waited // 100))


def test_a_stream_at_twice_its_rate_never_is_too_much() -> None:
    flow = Flow(SETTINGS, RING)
    assert max(flow.bytes(20_000, 0.0, n * 0.01) for n in range(100_000)) < 0.01


def test_all_that_a_ring_holds_may_come_at_once_and_no_more() -> None:
    flow = Flow(SETTINGS, RING)
    assert flow.bytes(LEAST_BACKLOG, 0.0, 0.0) == 1.0
    assert flow.bytes(1, 0.0, 0.0) > 1.0
    assert Flow(SETTINGS, LEAST_BACKLOG).bytes(LEAST_BACKLOG, 0.0, 0.0) == 0.25


@pytest.mark.parametrize(("stream_mbit", "too_much"), [(0.0, True), (100.0, False)])
def test_a_source_that_is_faster_than_planned_is_told_by_the_coordinator(stream_mbit: float, too_much: bool) -> None:
    flow = Flow(SETTINGS, RING)
    second = 12_500_000
    assert any(flow.bytes(second, stream_mbit, float(n)) > 1.0 for n in range(60)) is too_much
