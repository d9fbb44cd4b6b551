"""A ring's pages come in pieces, a little ahead of the stream: nodes that need a slab at once do not stall together."""

from __future__ import annotations

import ctypes
import mmap

from hypothesis import given
from hypothesis import strategies as st

from overlaycast.agent.records.ring import Ring
from overlaycast.agent.records.slab import AHEAD, SLAB_BYTES
from overlaycast.wire.frames import HEADER_SIZE, MAX_RECORD


def resident(memory: memoryview) -> int:
    """Return how many bytes of it the kernel has pages for (mincore(2))."""
    pages = (ctypes.c_ubyte * -(-len(memory) // mmap.PAGESIZE))()
    start = ctypes.addressof(ctypes.c_char.from_buffer(memory))
    assert ctypes.CDLL(None).mincore(ctypes.c_void_p(start), ctypes.c_size_t(len(memory)), pages) == 0
    return sum(page & 1 for page in pages) * mmap.PAGESIZE


def fresh(slabs: int = 4) -> Ring:
    one = Ring(slabs)
    one.anchor(0)
    return one


@given(st.lists(st.integers(1, MAX_RECORD), min_size=1, max_size=60))
def test_the_next_record_of_that_size_finds_its_pages_and_not_many_more(sizes: list[int]) -> None:
    ring = fresh(100)
    for size in sizes:
        ring.append(bytes(size), 0)
        wanted = min(ring.head.complete + HEADER_SIZE + size, SLAB_BYTES)
        assert wanted <= ring.head.backed <= wanted + AHEAD + mmap.PAGESIZE


def test_a_slow_stream_does_not_take_a_whole_slab_at_once() -> None:
    ring = fresh()
    ring.append(bytes(8000), 0)
    assert resident(ring.head.memory) == ring.head.backed < SLAB_BYTES / 8


def test_reads_of_a_fast_one_find_pages_also_in_the_next_slab() -> None:
    ring, read = fresh(), SLAB_BYTES // 2
    ring.commit(1, read)
    assert resident(ring.head.memory) == SLAB_BYTES
    ring.commit(2, read)
    ring.room_for(1)
    assert ring.head.complete == 0
    assert resident(ring.head.memory) == read


def test_memory_that_is_used_again_has_its_pages() -> None:
    ring = fresh(2)
    while ring.head.number < 2:
        ring.append(bytes(MAX_RECORD), 0)
    assert ring.head.complete < SLAB_BYTES / 2
    assert ring.head.backed == resident(ring.head.memory) == SLAB_BYTES
