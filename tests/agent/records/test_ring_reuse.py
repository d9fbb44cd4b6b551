"""A file's ring takes no more memory than its readers need: what all have passed is in the file."""

from __future__ import annotations

from overlaycast.agent.records.ring import Cursor, Ring

SLAB = 1 << 18
RECORD = 60_000
PER_SLAB = SLAB // RECORD
LEAST = 3
MOST = 8


def file_ring() -> Ring:
    ring = Ring(MOST, SLAB)
    ring.resize(SLAB, LEAST)
    ring.anchor(0)
    return ring


def fill(ring: Ring, records: int, *readers: Cursor) -> None:
    """Append; these readers take everything at once."""
    for _ in range(records):
        ring.append(bytes(RECORD), 1)
        for cursor in readers:
            cursor.seek = None
            while piece := ring.piece(cursor):
                ring.advance(cursor, len(piece))
                cursor.seek = None


def test_readers_that_keep_up_need_few_slabs() -> None:
    ring = file_ring()
    fill(ring, 100, ring.cursor(0, keeps=True), ring.cursor(0, keeps=True))
    assert ring.memory_bytes == LEAST * SLAB
    assert 100 - ring.oldest >= (LEAST - 1) * PER_SLAB


def test_one_that_is_behind_has_all_there_is() -> None:
    ring = file_ring()
    late = ring.cursor(0, keeps=True)
    fill(ring, (MOST - 1) * PER_SLAB, ring.cursor(0, keeps=True))
    assert (ring.oldest, late.behind) == (0, None)
    fill(ring, 100)
    assert ring.memory_bytes <= MOST * SLAB
    assert late.behind == 0  # it reads the file, and holds nothing here any more


def test_one_that_reads_the_file_keeps_no_slab() -> None:
    ring = file_ring()
    fill(ring, 100)
    back = ring.cursor(0, keeps=True)
    assert back.behind == 0
    before = ring.memory_bytes
    fill(ring, 100, ring.cursor_at_edge(keeps=True))
    assert ring.memory_bytes == before == LEAST * SLAB


def test_what_is_being_written_stays() -> None:
    """The sink's cursor has passed the first slab, its thread has not."""
    ring = file_ring()
    sink, child = ring.cursor_at_edge(), ring.cursor(0, keeps=True)
    fill(ring, PER_SLAB, child)
    spans = ring.pin(sink, SLAB)
    fill(ring, 1, child)
    assert sink.slab > 0
    for _ in range(MOST - 2):
        fill(ring, PER_SLAB, child)
        Ring.unpin(ring.pin(sink, SLAB * MOST))
    assert ring.oldest == 0
    Ring.unpin(spans)
    fill(ring, PER_SLAB, child)
    assert ring.oldest > 0


def test_the_ring_is_small_again_when_the_last_one_has_caught_up() -> None:
    ring = file_ring()
    late, child = ring.cursor(0, keeps=True), ring.cursor(0, keeps=True)
    fill(ring, (MOST - 1) * PER_SLAB, child)
    assert ring.memory_bytes >= (MOST - 1) * SLAB
    fill(ring, 2 * PER_SLAB, child, late)
    assert ring.memory_bytes == LEAST * SLAB


def test_one_that_waits_at_the_first_record_holds_the_source_back_as_before() -> None:
    """It was here before there was a number, and takes nothing yet: a list of digests is still going out to it."""
    ring = Ring(MOST, SLAB)
    ring.resize(SLAB, LEAST)
    early = ring.cursor(0, keeps=True)
    ring.anchor(0)
    fill(ring, (MOST - 1) * PER_SLAB)
    assert ring.lag_bytes(early) > ring.capacity_bytes // 2
    assert ring.rejoin(early)


def test_one_that_comes_too_late_for_the_ring_is_as_far_behind_as_can_be() -> None:
    ring = file_ring()
    fill(ring, (LEAST + 1) * PER_SLAB)
    assert ring.lag_bytes(ring.cursor(0, keeps=True)) == ring.capacity_bytes


def test_a_live_ring_keeps_the_past() -> None:
    ring = Ring(MOST, SLAB)
    ring.anchor(0)
    fill(ring, (MOST - 1) * PER_SLAB, ring.cursor(0))
    assert ring.oldest == 0
