"""No record of a source that has been replaced comes after one of its successor."""

from __future__ import annotations

import pytest

from overlaycast.agent.records.arrival import Arrival
from overlaycast.agent.records.credible import UntrueError
from overlaycast.agent.records.lineage import Lineage
from overlaycast.agent.records.live_intake import LiveIntake
from overlaycast.agent.records.ring import Ring
from overlaycast.wire.frames import Data, End, Frame, Heartbeat, encode


def link(ring: Ring, lineage: Lineage) -> LiveIntake:
    intake = LiveIntake(ring, lambda wanted, offered: False, lineage=lineage)
    intake.feeding = True
    return intake


def brings(intake: LiveIntake, *frames: Frame) -> Arrival:
    data = b"".join(map(encode, frames))
    intake.buffer()[: len(data)] = data
    return intake.received(len(data))


def of(incarnation: int, *numbers: int) -> list[Data]:
    return [Data(number, 1, b"%d of %d" % (number, incarnation), incarnation) for number in numbers]


def held(ring: Ring) -> bytes:
    return bytes(ring.head.memory[: ring.head.complete])


@pytest.fixture
def ring() -> Ring:
    ring = Ring(2, 1 << 18)
    ring.anchor(0)
    return ring


@pytest.fixture
def lineage() -> Lineage:
    """Of a member that the coordinator has told of the second source."""
    lineage = Lineage()
    lineage.told = 2
    return lineage


def test_one_source_after_another_is_one_stream(ring: Ring, lineage: Lineage) -> None:
    records = [*of(1, 0, 1, 2), *of(2, 3, 4), *of(3, 5)]
    arrival = brings(link(ring, lineage), Heartbeat(0, 0, seek=True), *records)
    assert (arrival.records, arrival.duplicates, ring.position) == (6, 0, 6)
    assert arrival.bytes == sum(len(one.payload) for one in records)
    assert held(ring) == b"".join(map(encode, records))
    for number in (2, 3, 5):
        cursor = ring.cursor(number)
        cursor.seek = None
        assert bytes(ring.piece(cursor)).startswith(encode(records[number]))


def test_what_the_former_source_sends_after_its_successor_is_refused(ring: Ring, lineage: Lineage) -> None:
    former, successor = link(ring, lineage), link(ring, lineage)
    brings(former, Heartbeat(0, 0, seek=True), *of(1, 0, 1, 2))
    brings(successor, Heartbeat(2, 0, seek=True), *of(2, 2, 3))
    assert (ring.position, held(ring)) == (4, b"".join(map(encode, [*of(1, 0, 1, 2), *of(2, 3)])))
    assert brings(former, *of(1, 3)).duplicates == 1
    with pytest.raises(UntrueError, match="record 4 is of a source whose place another one has taken"):
        brings(former, *of(1, 4, 5))
    brings(successor, *of(2, 4))
    assert ring.position == 5


def test_the_former_source_cannot_end_the_stream(ring: Ring, lineage: Lineage) -> None:
    former, successor = link(ring, lineage), link(ring, lineage)
    brings(former, Heartbeat(0, 0, seek=True), *of(1, 0, 1))
    brings(successor, Heartbeat(2, 0, seek=True), *of(2, 2))
    brings(former, *of(1, 2))
    with pytest.raises(UntrueError, match="END of a source whose place another one has taken"):
        brings(former, End(3, 1, 0, bytes(32), 1))
    assert ring.end is None
    brings(successor, End(3, 1, 2, bytes(32), 2))
    assert ring.end is not None


def test_a_coordinator_that_counts_anew_is_believed(ring: Ring, lineage: Lineage) -> None:
    """It has lost its state: its next source has a lower number than the one that we know."""
    one = link(ring, lineage)
    brings(one, Heartbeat(0, 0, seek=True), *of(5, 0, 1))
    lineage.told = 1
    brings(one, *of(1, 2, 3))
    assert ring.position == 4


def test_without_a_word_of_the_coordinator_every_source_counts(ring: Ring) -> None:
    one = link(ring, Lineage())
    brings(one, Heartbeat(0, 0, seek=True), *of(5, 0, 1), *of(1, 2))
    assert ring.position == 3
