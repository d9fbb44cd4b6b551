"""The ring at its edges: empty, numbers that go back, readers in the middle of a frame, a step back in time."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from overlaycast.agent.records.chunks import Checks, DamagedError, describe, leaves
from overlaycast.agent.records.cutter import SYNC, packet_boundary
from overlaycast.agent.records.live_intake import LiveIntake
from overlaycast.agent.records.ring import Cursor, Ring
from overlaycast.agent.records.slab import LEAST_ROOM
from overlaycast.errors import LocalProtocolError, RemoteProtocolError
from overlaycast.wire.frames import HEADER_SIZE, TS_PACKET, Data, Digests, Heartbeat, encode

SLAB = LEAST_ROOM
RECORD = LEAST_ROOM // 4 - HEADER_SIZE
"""Four fill a slab."""


def read_seek(cursor: Cursor) -> int | None:
    """Return what the reader is told before it gets more."""
    seek, cursor.seek = cursor.seek, None
    return seek


def anchored(slabs: int = 2) -> Ring:
    ring = Ring(slabs, SLAB)
    ring.anchor(0)
    return ring


def fill(ring: Ring, records: int) -> None:
    """Append records that are a millisecond apart."""
    for _ in range(records):
        ring.append(bytes(RECORD), 1000 * ring.position)


@pytest.mark.parametrize(("slabs", "size"), [(1, SLAB), (2, SLAB - 1)])
def test_a_ring_has_room(slabs: int, size: int) -> None:
    with pytest.raises(LocalProtocolError, match="at least 2 slabs"):
        Ring(slabs, size)


def test_what_an_empty_ring_cannot_say() -> None:
    ring = Ring(2, SLAB)
    with pytest.raises(LocalProtocolError, match="no first number"):
        ring.append(b"x", 1)
    with pytest.raises(LocalProtocolError, match="empty"):
        ring.first_frame()
    assert ring.seq_back(1000) == 0


def test_the_oldest_frame_says_what_it_is() -> None:
    ring = anchored()
    ring.append(b"abc", 1, incarnation=7)
    assert ring.first_frame() == (7, 3)


def test_numbers_do_not_go_back_and_sizes_do_not_change_under_way() -> None:
    ring = anchored()
    fill(ring, 3)
    ring.anchor(3)
    with pytest.raises(LocalProtocolError, match="cannot go back to 2"):
        ring.anchor(2)
    with pytest.raises(LocalProtocolError, match="in use"):
        ring.resize(SLAB, 2)


@given(st.integers(0, 40), st.integers(0, 30))
def test_a_step_back_begins_with_the_first_record_that_is_no_older(records: int, back_ms: int) -> None:
    ring = anchored(slabs=3)
    fill(ring, records)
    if records == 0:
        assert ring.seq_back(1000 * back_ms) == 0
    else:
        assert ring.seq_back(1000 * back_ms) == max(ring.oldest, records - 1 - back_ms)


def test_a_step_back_finds_its_record_between_two_entries_of_the_index() -> None:
    ring = anchored(slabs=3)
    for seq in range(400):
        ring.append(bytes(500), 1000 * seq)
    assert ring.oldest == 0
    assert [ring.seq_back(1000 * back) for back in (0, 1, 50, 399, 1000)] == [399, 398, 349, 0, 0]


def test_an_empty_head_is_passed_over() -> None:
    ring = anchored(slabs=3)
    fill(ring, 4)
    ring.roll()
    assert ring.seq_back(1000) == 2


def test_a_reader_pushed_out_in_the_last_frame_of_a_slab_gets_its_rest_and_misses_nothing() -> None:
    ring = anchored()
    fill(ring, 4)
    cursor = ring.cursor(3)
    cursor.seek = None
    ring.advance(cursor, 10)
    fill(ring, 5)
    assert ring.oldest == 4
    assert cursor.tail is not None
    assert (len(cursor.tail), cursor.seek, cursor.skipped) == (HEADER_SIZE + RECORD - 10, None, 0)
    assert ring.newest(cursor) is None
    ring.advance(cursor, len(ring.piece(cursor)))
    assert bytes(ring.piece(cursor)[:HEADER_SIZE]) == encode(Data(4, 4000, bytes(RECORD)))[:HEADER_SIZE]


def test_a_reader_at_the_head_takes_what_has_just_come() -> None:
    ring = anchored()
    cursor = ring.cursor_at_edge()
    assert ring.newest(cursor) is None  # it is to be told its number first
    cursor.seek = None
    fill(ring, 1)
    newest = ring.newest(cursor)
    assert newest is not None
    assert len(newest) == HEADER_SIZE + RECORD
    with pytest.raises(LocalProtocolError, match="does not hold"):
        ring.advance(cursor, len(newest) + 1)


def test_a_reader_that_is_on_the_ring_need_not_rejoin_and_one_behind_gets_nothing_here() -> None:
    ring = anchored()
    fill(ring, 20)
    assert ring.rejoin(ring.cursor_at_edge(keeps=True))
    behind = ring.cursor(0, keeps=True)
    assert not ring.rejoin(behind)
    behind.seek = None
    assert (bytes(ring.piece(behind)), ring.newest(behind)) == (b"", None)
    ring.finish(behind)
    assert behind.tail is None
    behind.behind = ring.oldest
    assert ring.lag_bytes(behind) == sum(HEADER_SIZE + RECORD for _ in range(ring.oldest, 20))


def test_a_thread_takes_no_more_at_once_than_it_may() -> None:
    ring = anchored(slabs=4)
    cursor = ring.cursor(0)
    fill(ring, 10)
    spans = ring.pin(cursor, 1)
    assert [(start, stop) for _, start, stop in spans] == [(0, 4 * (HEADER_SIZE + RECORD))]
    Ring.unpin(spans)


def test_a_live_link_brings_no_digests_and_waits_for_nothing_whole() -> None:
    ring = anchored()
    intake = LiveIntake(ring, lambda wanted, offered: True)
    fill(ring, 3)
    assert intake.position == ring.position
    assert not intake.wants_digests
    assert intake.due(100.0) == 0
    said = encode(Digests(0, bytes(32)))
    intake.buffer()[: len(said)] = said
    with pytest.raises(RemoteProtocolError, match="DIGESTS"):
        intake.received(len(said))


def test_a_list_of_another_length_is_not_the_announced_one() -> None:
    data = bytes(100_000)
    contents, digests = describe(len(data), 1000, 10, lambda size, at: data[at : at + size])
    with pytest.raises(DamagedError):
        Checks(contents, lambda: None, digests[:-32])
    assert len(leaves(digests)) % 32 == 0


def test_a_sync_byte_alone_is_no_packet() -> None:
    data = bytes([SYNC]) + bytes(9) + (bytes([SYNC]) + bytes(TS_PACKET - 1)) * 3
    assert packet_boundary(data, 0) == 10


def test_a_reader_that_is_moved_gets_the_rest_of_its_frame_first() -> None:
    ring = anchored()
    fill(ring, 2)
    cursor = ring.cursor(0)
    cursor.seek = None
    ring.finish(cursor)
    assert cursor.tail is None
    ring.advance(cursor, 10)
    ring.finish(cursor)
    ring.finish(cursor)
    assert cursor.tail is not None
    assert (len(cursor.tail), cursor.offset) == (HEADER_SIZE + RECORD - 10, HEADER_SIZE + RECORD)
    at_edge = ring.cursor_at_edge()
    ring.finish(at_edge)
    assert at_edge.tail is None
    assert (ring.lag_bytes(at_edge), ring.lag_bytes(cursor)) == (0, HEADER_SIZE + RECORD)


def test_a_standby_says_its_number_and_the_ring_stays_where_it_is() -> None:
    ring = Ring(2, SLAB)
    standby, parent = (LiveIntake(ring, lambda wanted, offered: True) for _ in range(2))
    said = encode(Heartbeat(5, 0, seek=True))
    standby.buffer()[: len(said)] = said
    standby.received(len(said))
    assert (standby.expected, ring.next_seq) == (5, None)
    parent.buffer()
    standby.close()
    assert ring.writer is parent


def test_a_reader_is_told_where_it_goes_on_behind_a_hole() -> None:
    ring = anchored(slabs=3)
    cursor = ring.cursor(0)
    read_seek(cursor)
    fill(ring, 2)
    ring.anchor(9)
    fill(ring, 1)
    ring.advance(cursor, len(ring.piece(cursor)))
    assert (cursor.offset, bytes(ring.piece(cursor))) == (0, b"")
    assert read_seek(cursor) == 9
