"""How a live input is cut into records."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from overlaycast.agent.records.cutter import SYNC, Cutter, is_transport_stream
from overlaycast.wire.frames import TS_PACKET


def packets(count: int) -> bytes:
    """Return a transport stream; its payload has sync bytes too, as real ones have."""
    return b"".join(bytes([SYNC, number % 256]) + b"G" * 10 + bytes(TS_PACKET - 12) for number in range(count))


def cut(data: bytes, portions: list[int], size: int) -> tuple[list[bytes], list[bytes]]:
    """Return the records that a live pipe makes of data in portions of these sizes, and those at its end."""
    cutter = Cutter(size)
    records = []
    for portion in [*portions, len(data)]:
        records += cutter.feed(data[:portion]) + cutter.rest()
        data = data[portion:]
    return records, cutter.rest(last=True)


def test_what_is_a_transport_stream() -> None:
    assert is_transport_stream(packets(5))
    assert is_transport_stream(packets(1))
    assert not is_transport_stream(packets(1) + b"x" * 400)
    assert not is_transport_stream(b"")


@given(st.lists(st.binary(max_size=50), max_size=20), st.integers(1, 40))
def test_records_are_the_input_cut(portions: list[bytes], size: int) -> None:
    cutter = Cutter(size)
    full = [record for portion in portions for record in cutter.feed(portion)]
    assert all(len(record) == size for record in full)
    assert b"".join([*full, *cutter.rest(last=True)]) == b"".join(portions)
    assert cutter.rest(last=True) == []


@given(st.integers(4, 60), st.lists(st.integers(1, 3000), max_size=30), st.integers(TS_PACKET, 8000))
def test_a_transport_stream_is_cut_between_packets_whatever_the_portions(
    count: int, portions: list[int], size: int
) -> None:
    data = packets(count)
    records, end = cut(data, portions, size)
    assert b"".join(records + end) == data
    assert end == []
    assert all(record[0] == SYNC and len(record) % TS_PACKET == 0 and len(record) <= size for record in records)


@given(st.binary(max_size=500), st.lists(st.integers(1, 700), max_size=30))
def test_a_stream_that_falls_out_of_step_is_in_step_again_and_nothing_is_lost(junk: bytes, portions: list[int]) -> None:
    data = packets(10) + junk + packets(20)
    records, end = cut(data, portions, 7 * TS_PACKET)
    assert b"".join(records + end) == data
    assert all(len(record) <= 7 * TS_PACKET for record in records)
    assert records[-1][0] == SYNC or end


@given(st.binary(min_size=1, max_size=3000), st.lists(st.integers(1, 700), max_size=30))
def test_what_is_no_transport_stream_goes_as_it_comes(data: bytes, portions: list[int]) -> None:
    data = b"x" + data
    records, end = cut(data, portions, 1000)
    assert b"".join(records) == data
    assert end == []


def test_a_short_word_that_could_be_a_packets_beginning_goes_at_the_end() -> None:
    assert cut(b"Go", [1, 1], 1000) == ([], [b"Go"])


def test_records_smaller_than_a_packet_are_cut_as_asked() -> None:
    assert [len(record) for record in cut(packets(2), [], 100)[0]] == [100, 100, 100, 76]
