"""A program that is started again, a clock that jumps, a file that fits."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from overlaycast.lab.recording.journals import Journal
from overlaycast.lab.run import media
from overlaycast.wire.journal import Entry, Fed, Sample, Started, Summary


def life(t0: float, records: int) -> list[Entry]:
    """Return the entries of one life: a sample for every record."""
    samples = [Sample(t=t0 + 0.2 * n, bytes=100 * n, records=n, next_seq=n) for n in range(1, records + 1)]
    return [Started(t=t0, role="peer", name="h"), *samples]


def test_lives_begin_with_their_start() -> None:
    journal = Journal("h", (*life(0, 3), *life(10, 2)))
    assert [len(one.entries) for one in journal.lives()] == [4, 3]
    assert journal.last_life().entries[0].t == 10
    assert Journal("h").last_life() == Journal("h")


def test_what_was_received_adds_up_over_lives() -> None:
    journal = Journal("h", (*life(0, 3), *life(10, 2), *life(20, 1)))
    assert [sample.records for sample in journal.running()] == [1, 2, 3, 4, 5, 6]
    assert [sample.bytes for sample in journal.running()] == [100, 200, 300, 400, 500, 600]


@given(
    st.lists(st.floats(0.001, 5), min_size=4, max_size=40),
    st.floats(60, 1e6) | st.floats(-1e6, -60),
    st.integers(1, 20),
    st.integers(1, 20),
)
def test_a_jump_and_the_way_back_are_taken_out(pauses: list[float], by_s: float, first: int, then: int) -> None:
    right, t = [], 1_700_000_000.0
    for pause in pauses:
        t += pause
        right.append(t)
    there, back = min(first, len(right)), min(first + then, len(right))
    off = [t + by_s if there <= place < back else t for place, t in enumerate(right)]
    found = Journal("h", tuple(Fed(t=t) for t in off)).set_right([by_s, -by_s])
    assert [entry.t for entry in found.entries] == pytest.approx(right, abs=0.001)


def test_a_journal_of_a_steady_clock_stays_as_it_is() -> None:
    journal = Journal("h", (*life(0, 3), Summary(t=1)))
    assert journal.set_right([]) == journal


@pytest.fixture
def sent(tmp_path: Path) -> Path:
    """What was sent."""
    file = tmp_path / "sent"
    file.write_bytes(b"0123456789")
    return file


@pytest.mark.parametrize(
    ("received", "good"),
    [
        (b"0123456789", True),
        (b"6789", True),  # came late
        (b"9", True),
        (b"0120123456789", True),  # the source began again
        (b"01234567890123456789", True),
        (b"", False),
        (b"0123", False),  # ended early
        (b"012345678x", False),
        (b"x789", False),
        (b"0190123456789", False),
        (b"0" + b"0123456789" * 2, False),
    ],
)
def test_what_fits(tmp_path: Path, sent: Path, received: bytes, good: bool) -> None:
    file = tmp_path / "received"
    file.write_bytes(received)
    assert media.fits(file, sent) is good


def test_what_never_came_does_not_fit(tmp_path: Path, sent: Path) -> None:
    assert media.fits(tmp_path / "none", sent) is False
