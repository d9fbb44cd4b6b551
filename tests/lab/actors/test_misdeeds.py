"""What a rogue does is valid protocol, and only what it was ordered to do."""

from __future__ import annotations

import pytest

from overlaycast.lab.actors.misdeeds import Misdeeds
from overlaycast.wire.frames import Data, End, Frame, Heartbeat, Hello, encode
from overlaycast.wire.messages import NotReceiving, Pong, Report

RECORD = Data(7, 1000, b"abc", 1)
LAST = End(8, 2000, 0, bytes(32), 1)
TOLD = Report(epoch=3, parent=2, state="streaming", next_seq=8, interval_ms=1000, bytes=900, records=9)
OTHERS: list[Frame] = [Heartbeat(7), Heartbeat(7, seek=True), Hello(bytes(16), 5, 0)]


@pytest.mark.parametrize("kind", ["tamper", "mute", "lie"])
def test_honest_until_ordered(kind: str) -> None:
    rogue = Misdeeds(kind)
    assert [rogue.forwarded(frame) for frame in (RECORD, LAST, *OTHERS)] == [RECORD, LAST, *OTHERS]
    assert rogue.said(TOLD) == (TOLD,)
    assert rogue.count == 0


def test_tampering_changes_a_byte_and_nothing_that_anybody_checks() -> None:
    rogue = Misdeeds("tamper", active=True)
    changed = rogue.forwarded(RECORD)
    assert changed == Data(7, 1000, bytes([ord("a") ^ 0xFF]) + b"bc", 1)
    assert [rogue.forwarded(frame) for frame in (LAST, *OTHERS)] == [LAST, *OTHERS]
    assert rogue.said(TOLD) == (TOLD,)
    assert rogue.count == 1


def test_the_mute_claims_progress() -> None:
    rogue = Misdeeds("mute", active=True)
    assert rogue.forwarded(RECORD) == Heartbeat(8)
    assert rogue.forwarded(LAST) is None
    assert [rogue.forwarded(frame) for frame in OTHERS] == OTHERS
    assert rogue.count == 2


def test_the_liar_is_starving_by_its_own_account_and_blames_its_parent() -> None:
    rogue = Misdeeds("lie", active=True)
    lie, blame = rogue.said(TOLD)
    assert isinstance(lie, Report)
    assert (lie.bytes, lie.records) == (0, 0)
    assert isinstance(blame, NotReceiving)
    assert (blame.parent, blame.epoch, blame.now_from) == (2, 3, None)
    assert rogue.forwarded(RECORD) == RECORD
    pong = Pong(nonce=1, next_seq=3)
    assert rogue.said(pong) == (pong,)


def test_every_misdeed_can_be_sent() -> None:
    for kind in ("tamper", "mute"):
        done = Misdeeds(kind, active=True).forwarded(RECORD)
        assert done is not None
        assert encode(done)
