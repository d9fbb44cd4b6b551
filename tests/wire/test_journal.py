"""Journal entries: what one program writes, another reads back the same."""

from __future__ import annotations

import json

import pytest

from overlaycast.wire.journal import (
    ENTRY,
    KINDS,
    Assigned,
    Attached,
    Begun,
    CaughtUp,
    DataDamaged,
    Entry,
    Failure,
    Fed,
    FellBehind,
    FellSilent,
    FileDescribed,
    FileProgressed,
    FoundUntrue,
    InVain,
    ParentLinkFailed,
    RecordsLost,
    Sample,
    SinkLatency,
    Started,
    StreamEnd,
    Summary,
    Switched,
    Welcomed,
    encode,
)

ENTRIES: list[Entry] = [
    Started(pid=7, role="peer", name="anna", group="demo"),
    Welcomed(member=3),
    Assigned(epoch=2, parent=1, rank=9, depth=2, primary=True, standbys=(4, 5)),
    Attached(parent=1),
    Fed(parent=1, called=True),
    ParentLinkFailed(parent=1, reason="reset"),
    InVain(parents=(4, 5)),
    FellSilent(parent=1, silent_ms=36.5),
    Switched(from_parent=1, to_parent=4, reason="silence", gap_ms=40.25),
    DataDamaged(parent=4, what="a chunk"),
    FoundUntrue(parent=4, what="end", why="END before the end of the stream", pause_s=2),
    Sample(bytes=10, records=2, next_seq=2, gap_ms=3.5, latency_ms=None),
    RecordsLost(from_seq=5, to_seq=8),
    FellBehind(what="link", parent=1, late_ms=520.5),
    CaughtUp(what="link", seconds=25.5, lost=7),
    FileDescribed(size=9, record_size=3, chunk_records=2, sha256="a", digests_sha256="b", seconds=0.5),
    FileProgressed(percent=50, bytes=4, rate_mbit=8.5, left_s=1.5),
    Begun(next_seq=0, incarnation=1),
    StreamEnd(next_seq=9, sha256="ab"),
    Failure(reason="output: Größe"),
    Summary(received=9, latency_ms=SinkLatency(p50=1.5), bytes=10, links_failed={"reset": 2}, asked_in_vain=1),
]


@pytest.mark.parametrize("entry", ENTRIES, ids=lambda entry: entry.kind)
def test_what_is_written_is_read_back(entry: Entry) -> None:
    line = encode(entry, 12.34567891)
    assert "\n" not in line
    assert next(iter(json.loads(line).items())) == ("t", 12.345679)
    assert ENTRY.validate_json(line) == entry.model_copy(update={"t": 12.345679})


def test_every_kind_is_tried_above() -> None:
    assert {entry.kind for entry in ENTRIES} == KINDS


def test_the_parents_of_a_switch_have_short_names_in_the_file() -> None:
    written = json.loads(encode(Switched(from_parent=1, to_parent=4), 0))
    assert (written["from"], written["to"]) == (1, 4)
    assert set(written) == {"t", "kind", "from", "to", "reason", "gap_ms"}
