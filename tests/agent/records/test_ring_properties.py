"""The ring against a simple model: every record once, in order, byte for byte, however cut, at any reader's pace."""

from __future__ import annotations

import random
from dataclasses import dataclass, field

import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from overlaycast.agent.records.live_intake import LiveIntake
from overlaycast.agent.records.ring import Cursor, Gone, Ring
from overlaycast.agent.records.slab import LEAST_ROOM
from overlaycast.errors import LocalProtocolError, RemoteProtocolError
from overlaycast.wire.frames import MAX_RECORD, Data, Decoder, End, Heartbeat, Hello, Refuse, RefuseCode, encode

SLAB = 2 * LEAST_ROOM
SLABS = 3
sizes = st.one_of(st.integers(1, 200), st.integers(1, MAX_RECORD))


def record(seq: int, size: int) -> Data:
    return Data(seq, 1_000_000 + seq, random.Random(seq).randbytes(size), 3)


def pour(intake: LiveIntake, data: bytes, portion: int = 1 << 16) -> None:
    """Read ``data`` as a socket would deliver it."""
    view = memoryview(data)
    while view:
        room = intake.buffer()
        size = min(len(room), len(view), portion)
        room[:size] = view[:size]
        intake.received(size)
        view = view[size:]


def read_all(ring: Ring, cursor: Cursor, portion: int) -> bytes:
    taken = b""
    while got := bytes(ring.piece(cursor)[:portion]):
        taken += got
        ring.advance(cursor, len(got))
    return taken


@dataclass
class Reader:
    """A child as the model sees it: what it was told, what it got."""

    cursor: Cursor
    due: int | None
    decoder: Decoder = field(default_factory=Decoder)
    seen: list[int] = field(default_factory=list)


class RingMachine(RuleBasedStateMachine):
    """One parent pours records in; readers come, read some, are evicted, move, go."""

    def __init__(self) -> None:
        super().__init__()
        self.ring = Ring(SLABS, SLAB)
        self.intake = LiveIntake(self.ring, lambda wanted, offered: True)
        self.intake.feeding = True
        self.stream: dict[int, Data] = {}
        self.next = 0
        self.readers: list[Reader] = []
        self.queue = b""

    @initialize(first=st.integers(0, 1 << 40))
    def begin(self, first: int) -> None:
        self.next = first
        self.queue = encode(Heartbeat(first, first, seek=True))

    @rule(sizes=st.lists(sizes, min_size=1, max_size=8), beat=st.booleans())
    def send(self, sizes: list[int], beat: bool) -> None:
        for size in sizes:
            data = record(self.next, size)
            self.stream[self.next] = data
            self.queue += encode(data)
            self.next += 1
        if beat:
            self.queue += encode(Heartbeat(self.next))

    @rule(hole=st.integers(1, 5))
    def skip(self, hole: int) -> None:
        self.next += hole
        self.queue += encode(Heartbeat(self.next, seek=True))

    @rule(portion=st.integers(1, 200_000), all_of_it=st.booleans())
    def receive(self, portion: int, all_of_it: bool) -> None:
        now = len(self.queue) if all_of_it else min(portion, len(self.queue))
        pour(self.intake, self.queue[:now], portion)
        self.queue = self.queue[now:]

    @rule(back=st.integers(0, 40))
    def join(self, back: int) -> None:
        wanted = max(0, self.ring.position - back)
        held = {seq for seq in self.stream if self.ring.oldest <= seq < self.ring.position}
        if wanted < self.ring.position and wanted not in held:
            with pytest.raises(Gone):
                self.ring.cursor(wanted)
        else:
            self.readers.append(Reader(self.ring.cursor(wanted), None))

    @precondition(lambda self: self.readers)
    @rule(data=st.data(), portion=st.integers(1, 300_000))
    def read(self, data: st.DataObject, portion: int) -> None:
        reader = data.draw(st.sampled_from(self.readers))
        cursor = reader.cursor
        if cursor.seek is not None and cursor.tail is None:
            # the child is told before it gets more
            assert not reader.decoder.held
            reader.due, cursor.seek = cursor.seek, None
        got = bytes(self.ring.piece(cursor)[:portion])
        self.ring.advance(cursor, len(got))
        for frame in reader.decoder.feed(got):
            assert isinstance(frame, Data | End)
            assert frame == self.stream[frame.seq]
            assert frame.seq == reader.due
            reader.seen.append(frame.seq)
            reader.due = frame.seq + 1

    @precondition(lambda self: self.readers)
    @rule(data=st.data(), back=st.integers(0, 20))
    def move(self, data: st.DataObject, back: int) -> None:
        reader = data.draw(st.sampled_from(self.readers))
        self.ring.finish(reader.cursor)
        if reader.cursor.tail is None:
            try:
                self.ring.place(reader.cursor, max(0, self.ring.position - back))
            except Gone:
                return

    @precondition(lambda self: self.readers)
    @rule(data=st.data())
    def leave(self, data: st.DataObject) -> None:
        reader = data.draw(st.sampled_from(self.readers))
        self.readers.remove(reader)
        self.ring.drop(reader.cursor)

    @invariant()
    def memory_is_bounded(self) -> None:
        assert self.ring.memory_bytes <= SLABS * SLAB
        assert all(len(reader.cursor.tail or b"") <= MAX_RECORD + 24 for reader in self.readers)


TestRing = RingMachine.TestCase


@given(st.lists(sizes, min_size=1, max_size=30), st.integers(1, 70_000), st.integers(1, 70_000), st.data())
def test_two_parents_cut_anyhow_make_one_stream(sizes: list[int], cut: int, other: int, data: st.DataObject) -> None:
    """A hedged switch: both links deliver overlapping parts, interleaved at any byte; each record enters once."""
    frames = [record(seq, size) for seq, size in enumerate(sizes)]
    start = data.draw(st.integers(0, len(frames)))
    stop = data.draw(st.integers(start, len(frames)))
    ring = Ring(8, 1 << 20)
    reader = ring.cursor(0)
    links = []
    for first, part in ((0, frames[:stop]), (start, frames[start:])):
        intake = LiveIntake(ring, lambda wanted, offered: False)
        intake.feeding = True
        beats = [encode(Heartbeat(first, seek=True))]
        beats += [encode(frame) + encode(Heartbeat(frame.seq + 1)) * (frame.seq % 3 == 0) for frame in part]
        links.append((intake, b"".join(beats)))
    queues = [memoryview(data) for _, data in links]
    # the second link starts only when the first has come to its start, as START does
    while queues[0] or queues[1]:
        may = [n for n in (0, 1) if queues[n] and (n == 0 or ring.position >= start)]
        turn = data.draw(st.sampled_from(may)) if len(may) == 2 else may[0]
        intake = links[turn][0]
        room = intake.buffer()
        size = min(len(room), len(queues[turn]), cut if turn == 0 else other)
        room[:size] = queues[turn][:size]
        intake.received(size)
        queues[turn] = queues[turn][size:]
    reader.seek = None
    assert read_all(ring, reader, 1 << 20) == b"".join(encode(frame) for frame in frames)


@given(st.binary(max_size=300), st.integers(1, 50))
def test_garbage_breaks_the_link_and_nothing_else(garbage: bytes, portion: int) -> None:
    ring = Ring(2)
    good = LiveIntake(ring, lambda wanted, offered: False)
    good.feeding = True
    pour(good, encode(Heartbeat(5, seek=True)) + encode(record(5, 100)))
    bad = LiveIntake(ring, lambda wanted, offered: False)
    try:
        pour(bad, garbage, portion)
    except RemoteProtocolError:
        bad.close()
    reader = ring.cursor(5)
    pour(good, encode(record(6, 50)))
    reader.seek = None
    assert read_all(ring, reader, 1 << 20) == encode(record(5, 100)) + encode(record(6, 50))


def fed_intake(ring: Ring) -> LiveIntake:
    intake = LiveIntake(ring, lambda wanted, offered: False)
    intake.feeding = True
    pour(intake, encode(Heartbeat(5, seek=True)))
    return intake


@pytest.mark.parametrize(
    "frame",
    [
        record(6, 10),
        record(4, 10),
        End(7, 0, 0, b"d" * 32),
        Hello(b"g" * 16, 1, 0),
    ],
)
def test_what_a_parent_may_not_say(frame: Data | End | Hello) -> None:
    ring = Ring(2)
    with pytest.raises(RemoteProtocolError):
        pour(fed_intake(ring), encode(frame))
    assert ring.next_seq == 5


def test_refusal_and_stalled_heartbeat_are_passed_on() -> None:
    ring = Ring(2)
    intake = fed_intake(ring)
    data = encode(Heartbeat(5, 2, stalled=True)) + encode(Refuse(RefuseCode.GONE, 3))
    room = intake.buffer()
    room[: len(data)] = data
    assert intake.received(len(data)).said == [Heartbeat(5, 2, stalled=True), Refuse(RefuseCode.GONE, 3)]


def test_a_jump_is_a_loss_only_where_it_is_accepted() -> None:
    ring = Ring(2)
    answers = iter([False, True])
    asked = []

    def may_skip(wanted: int, offered: int) -> bool:
        asked.append((wanted, offered))
        return next(answers)

    intake = LiveIntake(ring, may_skip)
    intake.feeding = True
    pour(intake, encode(Heartbeat(5, seek=True)) + encode(record(5, 10)))
    pour(intake, encode(Heartbeat(9, seek=True)) + encode(record(9, 10)))
    assert ring.next_seq == 6
    data = encode(Heartbeat(8, seek=True)) + encode(record(8, 10)) + encode(record(9, 10))
    room = intake.buffer()
    room[: len(data)] = data
    arrival = intake.received(len(data))
    assert asked == [(6, 9), (6, 8)]
    assert (arrival.lost, arrival.records, ring.next_seq) == ([(6, 8)], 2, 10)


def test_end_takes_a_number_and_can_be_resumed_to() -> None:
    ring = Ring(2)
    ring.anchor(0)
    ring.append(b"x", 1)
    end = End(1, 2, 0, b"d" * 32)
    ring.append_end(end)
    reader = ring.cursor(1)
    assert (reader.seek, ring.next_seq) == (1, 2)
    reader.seek = None
    assert read_all(ring, reader, 100) == encode(end)
    with pytest.raises(LocalProtocolError):
        ring.append_end(end)


def test_a_slow_cursor_loses_its_place_and_knows_it() -> None:
    ring = Ring(2, SLAB)
    ring.anchor(0)
    slow, fast = ring.cursor(0), ring.cursor(0)
    slow.seek = fast.seek = None
    seen = b""
    for seq in range(20):
        ring.append(record(seq, 50_000).payload, 0)
        seen += read_all(ring, fast, 1 << 20)
        if seq == 0:
            ring.advance(slow, 100)  # a part of record 0 is sent
    assert fast.skipped == 0
    assert len(Decoder().feed(seen)) == 20
    rest = bytes(slow.tail or b"")
    assert len(rest) == 50_024 - 100
    ring.advance(slow, len(rest))
    assert slow.seek == ring.oldest
    assert slow.skipped == ring.oldest - 1


def test_a_pinned_slab_is_not_written_over() -> None:
    ring = Ring(2, SLAB)
    ring.anchor(0)
    sink = ring.cursor_at_edge()
    ring.append(b"a" * 50_000, 0)
    spans = ring.pin(sink, 1 << 20)
    before = bytes(spans[0][0].memory[: spans[0][2]])
    for _ in range(40):
        ring.append(b"b" * 60_000, 0)
    assert bytes(spans[0][0].memory[: spans[0][2]]) == before
    ring.unpin(spans)


@pytest.mark.parametrize("begin", [0, 3, 5])
def test_a_reader_that_keeps_everything_may_come_before_the_first_number_is_known(begin: int) -> None:
    """A child of a file group asks for record 3 while its parent still looks what it has from an earlier run."""
    ring = Ring(SLABS, SLAB)
    cursor = ring.cursor(3, keeps=True)
    assert bytes(ring.piece(cursor)) == b""
    assert not ring.rejoin(cursor)
    ring.anchor(begin)
    for seq in range(begin, 7):
        ring.append(b"%d" % seq, 0)
    assert (cursor.seek, ring.rejoin(cursor)) == (3, begin <= 3)
    assert cursor.behind == (None if begin <= 3 else 3)
    if begin <= 3:
        cursor.seek = None
        frames = Decoder().feed(read_all(ring, cursor, 1000))
        assert [frame.seq for frame in frames if isinstance(frame, Data)] == [3, 4, 5, 6]


@pytest.mark.parametrize("there", [1, 2, 3, 4])
def test_a_reader_that_is_ahead_of_the_ring_is_told_where_it_goes_on(there: int) -> None:
    """A source begins at record 0 for a child that has 0 to 2 already, and is read after its first few records."""
    ring = Ring(SLABS, SLAB)
    cursor = ring.cursor(3, keeps=True)
    cursor.seek = None  # the reader has been told that 3 comes next
    ring.anchor(0)
    for seq in range(there):
        ring.append(b"%d" % seq, 0)
    assert ring.rejoin(cursor)
    told, cursor.seek = cursor.seek or 3, None
    for seq in range(there, 7):
        ring.append(b"%d" % seq, 0)
    frames = Decoder().feed(read_all(ring, cursor, 1000))
    assert [frame.seq for frame in frames if isinstance(frame, Data)] == list(range(told, 7))
    assert told <= 3
