"""A file's chunks: what a source announces is what a receiver finds, and nothing else gets past the check."""

from __future__ import annotations

import hashlib
import random
from collections.abc import Callable
from itertools import accumulate
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from overlaycast.agent.records.arrival import Arrival
from overlaycast.agent.records.chunk_intake import ChunkIntake, slab_bytes
from overlaycast.agent.records.chunks import (
    LEAF,
    LEAST_CHUNK,
    Checks,
    DamagedError,
    Gathering,
    Layout,
    chunk_records,
    cut,
    describe,
    held_chunks,
    leaves,
)
from overlaycast.agent.records.ring import Ring
from overlaycast.agent.records.slab import LEAST_ROOM, MAX_FRAME
from overlaycast.errors import ConfigError, RemoteProtocolError
from overlaycast.wire.frames import HEADER, HEADER_SIZE, Data, Decoder, Digests, End, Frame, Heartbeat, Kind, encode
from overlaycast.wire.messages import MAX_CHUNK, MAX_CHUNK_RECORDS, MAX_CHUNKS, Contents

DIGEST = hashlib.sha256(b"abcdef").digest()


def reader(content: bytes) -> Callable[[int, int], bytes]:
    return lambda size, at: content[at : at + size]


def checks_of(content: bytes, record_size: int, per_chunk: int = 1, known: bool = True) -> tuple[Checks, bytes]:
    """What a source would announce, with chunks of our own choice; and the list as it travels."""
    chunk = record_size * per_chunk
    pieces = [content[at : at + chunk] for at in range(0, len(content), chunk)]
    digests = b"".join(hashlib.sha256(piece).digest() for piece in pieces)
    contents = Contents(
        size=len(content),
        record_size=record_size,
        chunk_records=per_chunk,
        sha256=hashlib.sha256(content).hexdigest(),
        digests_sha256=hashlib.sha256(leaves(digests)).hexdigest(),
    )
    return Checks(contents, lambda: None, digests if known else None), leaves(digests) + digests


def frames_of(content: bytes, record_size: int, first: int = 0) -> list[Frame]:
    records = range(first * record_size, len(content), record_size)
    data = [Data(at // record_size, 5, content[at : at + record_size]) for at in records]
    return [*data, End(-(-len(content) // record_size), 9, 0, hashlib.sha256(content).digest())]


def feed(intake: ChunkIntake, stream: bytes, cut: int = 1 << 30) -> list[Arrival]:
    arrivals = []
    while stream:
        room = intake.buffer()
        size = min(len(room), len(stream), cut)
        room[:size] = stream[:size]
        arrivals.append(intake.received(size))
        stream = stream[size:]
    return arrivals


def content_of(ring: Ring) -> bytes:
    """All payloads that the ring holds."""
    cursor, found = ring.cursor(ring.oldest), b""
    cursor.seek = None
    while piece := bytes(ring.piece(cursor)):
        ring.advance(cursor, len(piece))
        at = 0
        while at < len(piece):
            length = int.from_bytes(piece[at + 4 : at + 8], "big")
            found += piece[at + 24 : at + 24 + length] if piece[at] == 4 else b""
            at += 24 + length
    ring.drop(cursor)
    return found


@given(st.binary(max_size=300), st.integers(1, 40))
def test_what_is_announced_is_what_is_there(content: bytes, record_size: int) -> None:
    contents, digests = describe(len(content), record_size, 1, reader(content))
    assert contents.sha256 == hashlib.sha256(content).hexdigest()
    checks = Checks(contents, lambda: None, digests)
    assert held_chunks(checks, reader(content)) == checks.layout.chunks == -(-len(content) // record_size)


@given(st.binary(min_size=1, max_size=300), st.integers(1, 20), st.integers(1, 4), st.data())
def test_only_the_good_beginning_is_held(content: bytes, record_size: int, per_chunk: int, data: st.DataObject) -> None:
    checks, _ = checks_of(content, record_size, per_chunk)
    at = data.draw(st.integers(0, len(content) - 1))
    other = bytearray(content)
    other[at] ^= 1
    assert held_chunks(checks, reader(bytes(other))) == at // (record_size * per_chunk)
    assert held_chunks(checks, reader(content[:at])) == at // (record_size * per_chunk)


def test_a_file_that_shrinks_is_told() -> None:
    with pytest.raises(ConfigError, match="become shorter"):
        describe(10, 4, 1, reader(b"123456789"))


@pytest.mark.parametrize("size", [0, 1, 32768 * MAX_CHUNKS, 32768 * MAX_CHUNKS + 1, MAX_CHUNK * MAX_CHUNKS])
def test_chunks_grow_with_the_file_and_stay_bounded(size: int) -> None:
    records = chunk_records(size, 32768)
    assert records == 1 or size > 32768 * MAX_CHUNKS
    layout = Layout(
        Contents(size=size, record_size=32768, chunk_records=records, sha256="0" * 64, digests_sha256="0" * 64)
    )
    assert layout.chunks <= MAX_CHUNKS
    assert layout.bytes_before(layout.chunks) == size


@given(st.integers(0, MAX_CHUNK * MAX_CHUNKS))
def test_chunks_are_as_large_as_the_list_is_long(size: int) -> None:
    record_size, count = cut(size)
    announced = Contents(
        size=size, record_size=record_size, chunk_records=count, sha256="0" * 64, digests_sha256="0" * 64
    )
    chunk, length = record_size * count, 32 * Layout(announced).chunks
    assert chunk >= LEAST_CHUNK
    assert chunk == LEAST_CHUNK or chunk <= length or chunk * MAX_CHUNKS // 2 < size
    assert length <= 4 * chunk + 32


def test_a_record_of_the_users_size_is_kept() -> None:
    assert cut(1 << 30, 1000) == (1000, 32)
    assert (cut(16 << 20), cut(1 << 30)) == ((16384, 1), (65536, 2))


def test_a_file_beyond_all_bounds_is_refused() -> None:
    with pytest.raises(ConfigError, match="512 GiB"):
        chunk_records(MAX_CHUNK * MAX_CHUNKS + 1, 32768)


def test_a_link_that_is_not_trusted_yet_keeps_little_even_if_records_are_tiny() -> None:
    """Each of 8 Mi records of one byte would come with 24 B of header: 200 MiB for a link."""
    with pytest.raises(ConfigError, match="128 B or more"):
        chunk_records(MAX_CHUNK_RECORDS * MAX_CHUNKS + 1, 1)
    fields: dict[str, Any] = {"size": MAX_CHUNK, "sha256": "0" * 64, "digests_sha256": "0" * 64}
    for record_size, count in ((1, MAX_CHUNK), (64, MAX_CHUNK // 64)):
        with pytest.raises(ValidationError):
            Contents(record_size=record_size, chunk_records=count, **fields)
    assert Contents(record_size=128, chunk_records=MAX_CHUNK_RECORDS, **fields)


@given(st.binary(min_size=1, max_size=400), st.integers(1, 30), st.integers(1, 5), st.integers(1, 90), st.booleans())
def test_a_whole_file_enters_however_it_is_cut(
    content: bytes, record_size: int, per_chunk: int, cut: int, heartbeats: bool
) -> None:
    checks, told = checks_of(content, record_size, per_chunk, known=False)
    ring = Ring(4)
    ring.anchor(0)
    intake = ChunkIntake(ring, checks)
    intake.feeding = True
    assert intake.wants_digests
    frames: list[Frame] = [Digests(at, told[at : at + 48]) for at in range(0, len(told), 48)]
    frames.append(Heartbeat(0, seek=True))
    for frame in frames_of(content, record_size):
        frames += [frame, Heartbeat(3)] if heartbeats else [frame]
    arrivals = feed(intake, b"".join(map(encode, frames)), cut)
    assert not intake.wants_digests
    assert content_of(ring) == content
    assert ring.end is not None
    assert sum(arrival.bytes for arrival in arrivals) == len(content)
    assert sum(arrival.records for arrival in arrivals) == checks.layout.records == ring.end.seq
    assert sum(arrival.duplicates for arrival in arrivals) == 0


@given(st.binary(min_size=1, max_size=400), st.integers(1, 30), st.integers(1, 5), st.data())
def test_not_a_byte_of_a_changed_chunk_enters(
    content: bytes, record_size: int, per_chunk: int, data: st.DataObject
) -> None:
    checks, _ = checks_of(content, record_size, per_chunk)
    at = data.draw(st.integers(0, len(content) - 1))
    changed = bytearray(content)
    changed[at] ^= 0x80
    ring = Ring(4)
    ring.anchor(0)
    frames = [Heartbeat(0, seek=True), *frames_of(bytes(changed), record_size)]
    with pytest.raises(DamagedError, match=f"chunk {at // (record_size * per_chunk)} "):
        feed(ChunkIntake(ring, checks), b"".join(map(encode, frames)))
    chunk = record_size * per_chunk
    assert content_of(ring) == content[: at // chunk * chunk]
    # another parent goes on exactly there
    frames = [Heartbeat(ring.position, seek=True), *frames_of(content, record_size, ring.position)]
    feed(ChunkIntake(ring, checks), b"".join(map(encode, frames)))
    assert content_of(ring) == content
    assert ring.end is not None


@given(st.binary(min_size=1, max_size=400), st.integers(1, 30), st.integers(1, 5), st.integers(0, 900), st.data())
def test_when_so_much_more_has_come_as_is_due_a_chunk_is_whole(
    content: bytes, record_size: int, per_chunk: int, least: int, data: st.DataObject
) -> None:
    checks, _ = checks_of(content, record_size, per_chunk)
    ring = Ring(2)
    ring.anchor(0)
    intake = ChunkIntake(ring, checks)
    frames = frames_of(content, record_size)[:-1]
    stream = b"".join(map(encode, frames))
    cut = data.draw(st.integers(0, len(stream) - 1))
    feed(intake, encode(Heartbeat(0, seek=True)) + stream[:cut])
    ends = list(accumulate(len(encode(frame)) for frame in frames))
    whole = [frame for frame, end in zip(frames, ends, strict=True) if end <= cut]
    assert intake.position == sum(isinstance(frame, Data) for frame in whole)
    had, start = ring.position, len(stream) - intake.due(1 << 30)
    due = intake.due(least)
    assert due >= least or start + due == len(stream)
    feed(intake, stream[start : start + due])
    assert ring.position > had
    assert ring.position % per_chunk == 0 or ring.position == checks.layout.records
    assert intake.due(least) > 0 or ring.position == checks.layout.records


@given(st.lists(st.tuples(st.integers(0, 1), st.integers(1, 200)), max_size=60))
def test_two_links_at_once_give_each_record_once(turns: list[tuple[int, int]]) -> None:
    content = bytes(range(256)) * 3
    checks, _ = checks_of(content, 20, 3)
    ring = Ring(4)
    ring.anchor(0)
    intakes = [ChunkIntake(ring, checks) for _ in range(2)]
    stream = b"".join(map(encode, [Heartbeat(0, seek=True), *frames_of(content, 20)]))
    left = [stream, stream]
    records = 0
    for who, size in [*turns, (0, len(stream)), (1, len(stream))]:
        part, left[who] = left[who][:size], left[who][size:]
        records += sum(arrival.records for arrival in feed(intakes[who], part))
    assert records == checks.layout.records
    assert content_of(ring) == content


@given(
    seed=st.integers(0, 1 << 32),
    record_size=st.integers(5_000, 65_536),
    per_chunk=st.integers(1, 4),
    cut=st.sampled_from([3_000, 40_000, 400_000]),
    damaged=st.none() | st.just(0),
)
def test_what_can_be_read_is_good_and_stays(
    seed: int, record_size: int, per_chunk: int, cut: int, damaged: int | None
) -> None:
    """Two links at once over many slabs, heartbeats and digests between the records, one link with a changed byte."""
    rng = random.Random(seed)
    content = rng.randbytes(400_000)
    checks, told = checks_of(content, record_size, per_chunk, known=False)
    ring = Ring(3, per_chunk * (record_size + HEADER_SIZE) + MAX_FRAME + LEAST_ROOM)
    ring.anchor(0)
    sink, spans, seen = ring.cursor(0), [], b""
    streams = [spoken(content, record_size, told, rng) for _ in range(2)]
    if damaged is not None:
        record = rng.randrange(checks.layout.records) * record_size
        streams[damaged][streams[damaged].index(content[record : record + 20])] ^= 1
    links = [ChunkIntake(ring, checks) for _ in streams]
    while any(streams):
        who = rng.choice([n for n, stream in enumerate(streams) if stream])
        size = rng.randint(1, cut)
        try:
            feed(links[who], bytes(streams[who][:size]))
            del streams[who][:size]
        except DamagedError:
            assert who == damaged
            links[who].close()
            streams[who].clear()
        new = ring.pin(sink, 1 << 30)
        seen += b"".join(bytes(slab.memory[start:stop]) for slab, start, stop in new)
        spans += new
    assert seen == b"".join(map(encode, frames_of(content, record_size)))
    assert seen == b"".join(bytes(slab.memory[start:stop]) for slab, start, stop in spans)


def spoken(content: bytes, record_size: int, told: bytes, rng: random.Random) -> bytearray:
    """What a parent says that passes on what it gets itself: the list, and heartbeats wherever it waits."""
    frames: list[Frame] = [Digests(0, told), Heartbeat(0, seek=True)]
    for frame in frames_of(content, record_size):
        frames += [frame, Heartbeat(0)] if rng.random() < 0.2 else [frame]
    return bytearray(b"".join(map(encode, frames)))


@pytest.mark.parametrize("cut", [1, 10, 1000])
def test_a_parent_that_is_asked_again_begins_the_chunk_anew(cut: int) -> None:
    checks, _ = checks_of(b"abcdef", 2, 3)
    ring = Ring(4)
    ring.anchor(0)
    records = frames_of(b"abcdef", 2)
    frames = [Heartbeat(0, seek=True), *records[:2], Heartbeat(0, seek=True), *records]
    feed(ChunkIntake(ring, checks), b"".join(map(encode, frames)), cut)
    assert content_of(ring) == b"abcdef"
    assert ring.end is not None


@pytest.mark.parametrize(
    ("frames", "complaint"),
    [
        ([Data(0, 1, b"abc")], "where None was due"),
        ([Heartbeat(0, seek=True), Data(1, 1, b"abc")], "record 1 where 0 was due"),
        ([Heartbeat(0, seek=True), Data(0, 1, b"abcd")], "record 0 has 4 bytes; announced: 3"),
        ([Heartbeat(9, seek=True), Data(9, 1, b"abc")], "record 9 of a file that has 2"),
        ([Heartbeat(2, seek=True), End(2, 0, 0, bytes(32))], "END is not what the source announced"),
        ([Heartbeat(0, seek=True), End(2, 0, 0, DIGEST)], "END at 2 where 0 was due"),
    ],
)
def test_what_a_parent_may_not_say(frames: list[Frame], complaint: str) -> None:
    checks, _ = checks_of(b"abcdef", 3)
    ring = Ring(4)
    ring.anchor(0)
    with pytest.raises(RemoteProtocolError, match=complaint):
        feed(ChunkIntake(ring, checks), b"".join(map(encode, frames)))
    assert (content_of(ring), ring.end) == (b"", None)


def test_a_record_before_its_digest_is_refused() -> None:
    """Its own leaf has to be there, and no more."""
    content = bytes(LEAF + 1)
    checks, told = checks_of(content, 1, known=False)
    first = [Digests(0, told[:64]), Digests(64, told[64 : 64 + 32 * LEAF])]  # two leaves' digests, then one leaf
    ring = Ring(4)
    ring.anchor(0)
    frames = [*first, Heartbeat(0, seek=True), *frames_of(content, 1)]
    with pytest.raises(RemoteProtocolError, match=f"chunk {LEAF} before its digest"):
        feed(ChunkIntake(ring, checks), b"".join(map(encode, frames)))
    assert content_of(ring) == content[:LEAF]


@given(st.integers(1, 5 * LEAF), st.integers(1, 3000), st.integers(0, 2**32))
def test_what_is_known_of_a_list_can_be_passed_on_at_once(chunks: int, cut: int, seed: int) -> None:
    """In pieces that come as they like; what goes on from there makes the same list known elsewhere, never later."""
    above, told = checks_of(bytes(chunks), 1, known=False)
    below = Checks(above.contents, lambda: None)
    here, there, passed_on = Gathering(above), Gathering(below), 0
    for at in range(0, len(told), cut):
        here.take(Digests(at, told[at : at + cut]))
        stream, passed_on = above.frames(passed_on)
        for frame in Decoder().feed(stream):
            assert isinstance(frame, Digests)
            there.take(frame)
        assert [below.knows(chunk) for chunk in range(chunks)] == [above.knows(chunk) for chunk in range(chunks)]
    assert below.complete
    assert below.digests == above.digests == told[-32 * chunks :]


def test_a_forged_leaf_is_refused_and_those_before_it_stay() -> None:
    checks, told = checks_of(bytes(3 * LEAF), 1, known=False)
    second = 3 * 32 + LEAF * 32
    with pytest.raises(DamagedError, match="not the one that the source announced"):
        Gathering(checks).take(Digests(0, told[:second] + bytes(LEAF * 32)))
    assert [checks.knows(chunk) for chunk in (0, LEAF - 1, LEAF)] == [True, True, False]
    Gathering(checks).take(Digests(0, told))
    assert checks.complete


@pytest.mark.parametrize("pieces", [[(32, 32)], [(0, 160)], [(0, 32), (0, 32)], [(0, 33), (32, 32)]])
def test_a_list_that_does_not_fit_is_refused(pieces: list[tuple[int, int]]) -> None:
    checks, told = checks_of(b"abcdef", 3, known=False)
    gathering = Gathering(checks)
    *before, last = (Digests(offset, (told + bytes(64))[offset : offset + size]) for offset, size in pieces)
    for piece in before:
        gathering.take(piece)
    with pytest.raises(DamagedError):
        gathering.take(last)
    assert checks.digests is None


def test_a_forged_list_is_refused_and_the_true_one_taken() -> None:
    checks, told = checks_of(b"abcdef", 3, known=False)
    with pytest.raises(DamagedError, match="not the one that the source announced"):
        Gathering(checks).take(Digests(0, bytes(96)))
    Gathering(checks).take(Digests(0, told))
    assert checks.digests == told[32:]


def test_chunks_larger_than_a_slab_enter() -> None:
    content = bytes(range(256)) * 12_000  # 3 MB
    checks, _ = checks_of(content, 65_536, 32)
    ring = Ring(4)
    ring.resize(slab_bytes(checks.layout), 4)
    ring.anchor(0)
    frames = [Heartbeat(0, seek=True), *frames_of(content, 65_536)]
    feed(ChunkIntake(ring, checks), b"".join(map(encode, frames)), 50_000)
    assert content_of(ring) == content


def test_an_empty_file_needs_no_list() -> None:
    checks, _ = checks_of(b"", 3, known=False)
    ring = Ring(4)
    ring.anchor(0)
    intake = ChunkIntake(ring, checks)
    assert not intake.wants_digests
    feed(intake, encode(Heartbeat(0, seek=True)) + encode(frames_of(b"", 3)[0]))
    assert ring.end is not None


@pytest.mark.parametrize("begin", [6, 50])
def test_no_record_comes_behind_a_files_end_however_empty(begin: int) -> None:
    checks, _ = checks_of(bytes(550), 100, 4)
    ring = Ring(4)
    ring.anchor(0)
    intake = ChunkIntake(ring, checks)
    feed(intake, encode(Heartbeat(begin, seek=True)))
    empty = HEADER.pack(Kind.DATA, 0, 1, 0, begin, 1)
    with pytest.raises(DamagedError, match=f"record {begin} of a file that has"):
        feed(intake, empty)
