"""A forwarder that lies does not end its children."""

from __future__ import annotations

import pytest

from overlaycast.agent.records.credible import MOST_SEQ, SLACK, HeldEnds, Horizon
from overlaycast.agent.records.live_intake import LiveIntake
from overlaycast.agent.records.ring import Ring
from overlaycast.errors import RemoteProtocolError
from overlaycast.wire.frames import Data, End, Heartbeat, encode


def test_numbers_go_no_further_than_the_stream_can_have_got() -> None:
    horizon = Horizon(rate_mbit=1)
    horizon.check(MOST_SEQ, 0.0)  # nothing is known yet
    horizon.saw(100, 0.0)
    horizon.check(100 + SLACK, 0.0)
    horizon.check(100 + SLACK + 2000, 1.0)
    for beyond in (100 + SLACK + 1_000_000, (1 << 63) - 1):
        with pytest.raises(RemoteProtocolError, match="further than the stream"):
            horizon.check(beyond, 1.0)
    with pytest.raises(RemoteProtocolError):
        Horizon(rate_mbit=1).check(MOST_SEQ + 1, 0.0)


def test_an_end_waits_until_another_link_confirms_or_refutes_it() -> None:
    ends = HeldEnds()
    assert not ends.hold(1, 50)
    assert ends.holds(1)
    assert ends.said(1, 99) == ([], [])  # its own word is none
    assert ends.said(2, 40) == ([], [])
    assert ends.said(2, 51) == ([1], [])
    assert ends.said(2, 52) == ([], [1])
    assert ends.believe(1)
    assert not ends.believe(1)
    assert not ends.holds(1)
    assert ends.hold(1, 50)
    ends.gone(1)
    assert not ends.hold(1, 50)


def feed(intake: LiveIntake, *frames: Data | End | Heartbeat) -> None:
    data = b"".join(map(encode, frames))
    intake.buffer()[: len(data)] = data
    intake.received(len(data))


def test_an_end_that_is_not_believed_stays_out_and_counts_when_it_is_said_again() -> None:
    ring, believed = Ring(2), False
    intake = LiveIntake(ring, lambda wanted, offered: True, lambda _: believed)
    intake.feeding = True
    end = End(1, 0, 0, b"d" * 32)
    feed(intake, Heartbeat(0, seek=True), Data(0, 1, b"x"), end)
    assert ring.end is None
    assert ring.next_seq == 1
    believed = True
    feed(intake, Heartbeat(1, seek=True), end)
    assert ring.end == end


def test_no_link_begins_beyond_every_stream() -> None:
    intake = LiveIntake(Ring(2), lambda wanted, offered: True)
    intake.feeding = True
    with pytest.raises(RemoteProtocolError, match="any stream"):
        feed(intake, Heartbeat((1 << 63) - 1, seek=True))
