"""The media's own clock, rates, and the cut into records."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from overlaycast.agent.rates.pace import AtOnce, ConstantRate, MediaClock, pcr_of
from overlaycast.wire.frames import TS_PACKET

WRAP = 1 << 33


def packet(pcr: int | None = None, pid: int = 256) -> bytes:
    """A transport packet, with a clock reference of ``pcr`` ticks of 27 MHz if given."""
    head = bytes([0x47, pid >> 8, pid & 0xFF])
    if pcr is None:
        return head + b"\x10" + bytes(TS_PACKET - 4)
    base, extension = divmod(pcr, 300)
    base %= WRAP
    field = (base << 15 | 0x3F << 9 | extension).to_bytes(6, "big")
    return head + b"\x30\x07\x10" + field + bytes(TS_PACKET - 12)


def clock_of(stream: bytes, portion: int = 10_000) -> MediaClock:
    clock = MediaClock()
    for at in range(0, len(stream), portion):
        clock.saw(stream[at : at + portion], last=False)
    clock.saw(b"", last=True)
    return clock


@given(st.integers(0, WRAP * 300 - 1))
def test_a_reference_is_read_as_written(ticks: int) -> None:
    assert pcr_of(packet(ticks)) == pytest.approx(ticks / 27_000_000)


def test_no_reference() -> None:
    assert pcr_of(packet()) is None
    assert pcr_of(b"\x00" + packet(5)[1:]) is None


def stream(references: list[int], between: int = 10) -> bytes:
    return b"".join(packet(ticks) + packet() * (between - 1) for ticks in references)


@given(st.integers(0, WRAP * 300 - 1), st.integers(50, 7000))
def test_constant_bit_rate_is_a_straight_line_across_the_wrap(start: int, portion: int) -> None:
    step = 27_000_000 // 50
    data = stream([(start + n * step) % (WRAP * 300) for n in range(30)])
    clock = clock_of(data, portion)
    for offset in range(0, len(data), 1000):
        assert clock.due(offset) == pytest.approx(offset / (10 * TS_PACKET) * 0.02, abs=1e-6)


def test_variable_rate_is_linear_between_references() -> None:
    clock = clock_of(stream([0, 27_000_000, 27_000_000 * 4]))
    assert clock.due(5 * TS_PACKET) == pytest.approx(0.5)
    assert clock.due(15 * TS_PACKET) == pytest.approx(2.5)


def test_a_discontinuity_goes_on_at_the_rate_before() -> None:
    clock = clock_of(stream([0, 2_700_000, 5_400_000, 27_000_000 * 1000, 27_000_000 * 1000 + 2_700_000]))
    assert [clock.due(n * 10 * TS_PACKET) for n in range(5)] == pytest.approx([0, 0.1, 0.2, 0.3, 0.4])


def test_a_discontinuity_before_any_rate_is_known_goes_on_at_a_megabyte_a_second() -> None:
    clock = clock_of(stream([0, 27_000_000 * 1000, 27_000_000 * 1000 + 2_700_000]))
    assert clock.due(10 * TS_PACKET) == pytest.approx(10 * TS_PACKET / 1_000_000)


def test_a_clock_that_wraps_goes_on() -> None:
    clock = clock_of(stream([WRAP * 300 - 1_350_000, 1_350_000]))
    assert clock.due(10 * TS_PACKET) == pytest.approx(0.1)


def test_a_packet_out_of_step_is_no_reference() -> None:
    data = packet(0) + b"\x00" + packet(27_000_000 * 9)[1:] + packet(27_000_000)
    assert clock_of(data).due(2 * TS_PACKET) == pytest.approx(1.0)


def test_other_programmes_do_not_count() -> None:
    data = packet(0) + packet(27_000_000 * 9, pid=99) + packet(27_000_000)
    assert clock_of(data).due(2 * TS_PACKET) == pytest.approx(1.0)


def test_what_is_not_known_yet_waits() -> None:
    clock = MediaClock()
    assert clock.due(0) is None
    clock.saw(stream([0]), last=False)
    assert clock.due(0) is None
    clock.saw(stream([27_000_000]), last=False)
    assert clock.due(5 * TS_PACKET) == pytest.approx(0.5)
    assert clock.due(12 * TS_PACKET) is None


def test_a_stream_without_any_reference_is_due_at_once() -> None:
    assert clock_of(packet() * 10).due(1000) == 0.0


def test_rates() -> None:
    assert ConstantRate(8.0).due(1_000_000) == pytest.approx(1.0)
    assert AtOnce().due(1 << 40) == 0.0
