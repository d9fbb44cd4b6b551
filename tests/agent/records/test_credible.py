"""A forwarder that lies does not end its children."""

from __future__ import annotations

import pytest

from overlaycast.agent.records.credible import (
    HOLD_S,
    MOST_SEQ,
    SLACK,
    SURE_S,
    HeldEnds,
    Horizon,
    UntrueError,
    Verdict,
)
from overlaycast.agent.records.live_intake import LiveIntake
from overlaycast.agent.records.ring import Ring
from overlaycast.wire.frames import Data, End, Heartbeat, encode
from overlaycast.wire.messages import Extent

LIAR, OTHER = 1, 2


def end(seq: int) -> End:
    return End(seq, 0, 0, b"d" * 32)


def test_numbers_go_no_further_than_the_stream_can_have_got() -> None:
    horizon = Horizon(rate_mbit=1)
    horizon.check(MOST_SEQ, 0.0)  # nothing is known yet
    horizon.saw(100, 0.0)
    horizon.check(100 + SLACK, 0.0)
    horizon.check(100 + SLACK + 2000, 1.0)
    for beyond in (100 + SLACK + 1_000_000, (1 << 63) - 1):
        with pytest.raises(UntrueError, match="further than the stream"):
            horizon.check(beyond, 1.0)
    with pytest.raises(UntrueError):
        Horizon(rate_mbit=1).check(MOST_SEQ + 1, 0.0)


def test_another_planned_rate_counts_from_then_on() -> None:
    horizon = Horizon(rate_mbit=1)
    horizon.saw(0, 0.0)
    with pytest.raises(UntrueError):
        horizon.check(SLACK + 3000, 1.0)
    horizon.plan(2)
    horizon.check(SLACK + 3000, 1.0)


def test_the_first_number_is_bounded_by_what_the_coordinator_knows() -> None:
    horizon = Horizon(rate_mbit=1)
    horizon.told(Extent(least=900, most=1000), 0.0)
    horizon.check(1000 + SLACK, 0.0)
    with pytest.raises(UntrueError, match="further than the stream"):
        horizon.check(1000 + SLACK + 1, 0.0)
    horizon.check(1000 + SLACK + 2000, 1.0)


def test_who_began_at_a_forged_number_finds_the_stream_all_the_same() -> None:
    horizon = Horizon(rate_mbit=1)
    horizon.saw(5, 0.0)
    with pytest.raises(UntrueError):
        horizon.check(10_000_000, 0.0)
    horizon.told(Extent(least=9_999_000, most=10_000_500), 0.0)
    horizon.check(10_000_000, 0.0)


def test_an_end_counts_when_another_member_has_it() -> None:
    ends = HeldEnds()
    assert not ends.hold(LIAR, end(50), 0.0)
    assert ends.holds(LIAR)
    assert ends.said(LIAR, Heartbeat(51, ended=True)) == Verdict()  # its own word is none
    assert ends.said(OTHER, Heartbeat(40)) == Verdict()
    assert ends.said(OTHER, Heartbeat(51)) == Verdict()  # it passes there
    assert ends.said(OTHER, Heartbeat(51, ended=True)) == Verdict(end(50))
    assert not ends.waiting


def test_an_end_that_another_member_has_already_does_not_wait() -> None:
    ends = HeldEnds()
    ends.said(LIAR, Heartbeat(51, ended=True))
    assert not ends.hold(LIAR, end(50), 0.0)  # its own word is none
    ends.said(OTHER, Heartbeat(51, ended=True))
    assert ends.hold(3, end(50), 0.0)
    ends.gone(OTHER)
    ends.gone(LIAR)
    assert not ends.hold(3, end(50), 0.0)
    assert ends.hold(4, end(50), 0.0)  # two say the same


def test_who_is_further_on_refutes_an_end() -> None:
    ends = HeldEnds()
    ends.hold(LIAR, end(50), 0.0)
    assert ends.said(OTHER, Heartbeat(52)) == Verdict(refuted=(LIAR,))
    assert not ends.waiting
    ends.hold(LIAR, end(50), 0.0)
    assert ends.passed(50) == Verdict()
    assert ends.passed(51) == Verdict(refuted=(LIAR,))


def test_the_coordinator_decides_by_the_word_of_the_source() -> None:
    ends = HeldEnds()
    ends.hold(LIAR, end(50), 0.0)
    assert ends.told(Extent(least=50, most=90), 0.1) == Verdict()
    assert ends.told(Extent(least=51, most=90), 0.1) == Verdict(refuted=(LIAR,))
    ends.hold(LIAR, end(50), 0.0)
    assert ends.told(Extent(least=50, most=50, over=True), 0.1) == Verdict(end(50))
    ends.hold(LIAR, end(50), 0.0)
    ends.hold(OTHER, end(60), 0.0)
    assert ends.told(Extent(least=60, most=60, over=True), 0.1) == Verdict(end(60), (LIAR,))
    ends.hold(LIAR, end(50), 0.0)
    assert ends.told(Extent(least=60, most=60, over=True), 0.1) == Verdict(refuted=(LIAR,))


def test_while_the_source_is_there_and_goes_on_an_end_is_false_but_its_word_may_be_on_its_way() -> None:
    ends = HeldEnds()
    ends.hold(LIAR, end(50), 0.0)
    assert ends.told(Extent(least=50, most=90, over=False), SURE_S / 2) == Verdict()
    assert ends.told(Extent(least=50, most=90, over=False), SURE_S) == Verdict(refuted=(LIAR,))


def test_a_true_end_that_a_liar_refuted_counts_by_the_coordinators_word() -> None:
    ends = HeldEnds()
    ends.hold(LIAR, end(50), 0.0)
    assert ends.said(OTHER, Heartbeat(99)).refuted == (LIAR,)
    assert ends.told(Extent(least=50, most=50, over=True), 0.3) == Verdict(end(50))
    assert ends.told(Extent(least=50, most=50, over=True), 0.4) == Verdict()


def test_an_end_that_nobody_refutes_counts_at_last_but_not_while_others_are_fed_before_it() -> None:
    ends = HeldEnds()
    ends.hold(LIAR, end(50), 0.0)
    ends.said(OTHER, Heartbeat(50))
    assert ends.hold(LIAR, end(50), 1.0) is False  # said again: it waits since it was said first
    assert ends.due(HOLD_S * 100) == Verdict()
    ends.said(OTHER, Heartbeat(50, stalled=True))
    assert ends.due(HOLD_S * 0.9) == Verdict()
    assert ends.due(HOLD_S) == Verdict(end(50))


def feed(intake: LiveIntake, *frames: Data | End | Heartbeat) -> None:
    data = b"".join(map(encode, frames))
    intake.buffer()[: len(data)] = data
    intake.received(len(data))


def test_an_end_that_is_not_believed_stays_out_and_counts_when_it_is_said_again() -> None:
    ring, believed = Ring(2), False
    intake = LiveIntake(ring, lambda wanted, offered: True, lambda _: believed)
    intake.feeding = True
    feed(intake, Heartbeat(0, seek=True), Data(0, 1, b"x"), end(1))
    assert ring.end is None
    assert ring.next_seq == 1
    believed = True
    feed(intake, Heartbeat(1, seek=True), end(1))
    assert ring.end == end(1)


def test_an_end_that_waited_is_put_into_the_ring_as_it_was_and_what_a_link_has_begun_is_kept() -> None:
    ring = Ring(2)
    intake = LiveIntake(ring, lambda wanted, offered: True, lambda _: False)
    intake.feeding = True
    feed(intake, Heartbeat(0, seek=True), Data(0, 1, b"x"), end(1))
    half = encode(Heartbeat(1))[:10]
    intake.buffer()[: len(half)] = half
    intake.received(len(half))
    ring.insert_end(end(1))
    assert ring.end == end(1)
    assert ring.next_seq == 2
    cursor = ring.cursor(0)
    cursor.seek = None
    assert bytes(ring.piece(cursor)) == encode(Data(0, 1, b"x")) + encode(end(1))
    rest = encode(Heartbeat(1))[10:]
    intake.buffer()[: len(rest)] = rest
    assert intake.received(len(rest)).said == [Heartbeat(1)]
    other = Ring(2)
    other.anchor(1)
    other.insert_end(end(1))
    assert other.end == end(1)


def test_an_end_before_records_that_we_have_is_none() -> None:
    ring = Ring(2)
    one, other = (LiveIntake(ring, lambda wanted, offered: True) for _ in range(2))
    one.feeding = other.feeding = True
    feed(one, Heartbeat(0, seek=True), Data(0, 1, b"x"), Data(1, 1, b"x"))
    with pytest.raises(UntrueError, match="before the end"):
        feed(other, Heartbeat(1, seek=True), end(1))


def test_no_link_begins_where_the_stream_cannot_be() -> None:
    intake = LiveIntake(Ring(2), lambda wanted, offered: True, check=lambda seq: Horizon(1).check(seq, 0.0))
    intake.feeding = True
    with pytest.raises(UntrueError, match="further than the stream"):
        feed(intake, Heartbeat((1 << 63) - 1, seek=True))
