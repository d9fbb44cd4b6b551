"""Journals are read as written; half a last line is no error, any other broken line is."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from overlaycast.errors import LabError
from overlaycast.lab.recording import journals
from overlaycast.lab.run.watch import Watch
from overlaycast.wire.journal import Begun, Sample, Switched


def line(**fields: object) -> bytes:
    """Return one journal line."""
    return json.dumps({"t": 1.5, **fields}).encode() + b"\n"


SAMPLE = line(kind="sample", bytes=10, records=2, next_seq=2, gap_ms=3.5, latency_ms=1.25)


def test_entries_are_typed() -> None:
    lines = [
        SAMPLE,
        line(kind="switch", **{"from": 3, "to": 4}, reason="reset", gap_ms=9),
        line(kind="begin", next_seq=0),
    ]
    found = journals.parse("h", lines, "h.jsonl")
    assert found.all(Sample)[0].latency_ms == 1.25
    assert (found.all(Switched)[0].from_parent, found.all(Switched)[0].to_parent) == (3, 4)
    assert found.last(Begun) is not None
    assert found.member is None


def test_a_killed_writer_leaves_half_a_line() -> None:
    assert len(journals.parse("h", [SAMPLE, SAMPLE[:-9]], "h.jsonl").entries) == 1


def test_unknown_kinds_and_fields_are_passed_over() -> None:
    assert journals.parse("h", [line(kind="mood", good=True)], "h").entries == ()
    assert len(journals.parse("h", [line(kind="begin", next_seq=1, colour="red")], "h").entries) == 1


@pytest.mark.parametrize("broken", [b"{]\n", b"[]\n", b'{"t": 1}\n', line(kind="sample", bytes=1)])
def test_a_broken_line_is_named(broken: bytes) -> None:
    with pytest.raises(LabError, match=r"h\.jsonl:2: "):
        journals.parse("h", [SAMPLE, broken, SAMPLE], "h.jsonl")


@given(st.lists(st.binary(max_size=40), max_size=5))
def test_garbage_gives_one_kind_of_error(lines: list[bytes]) -> None:
    said = "h.jsonl:"
    found = 0
    try:
        found = len(journals.parse("h", [one + b"\n" for one in lines], "h.jsonl").entries)
    except LabError as error:
        said = str(error)
    assert said.startswith("h.jsonl:")
    assert found <= len(lines)


def test_no_file_is_an_empty_journal(tmp_path: Path) -> None:
    assert journals.read("h", tmp_path / "none").entries == ()


async def test_watch_reads_on_as_the_file_grows(tmp_path: Path) -> None:
    path = tmp_path / "h.jsonl"
    watch = Watch({"h": path})
    async with asyncio.timeout(60), asyncio.TaskGroup() as group:
        reading = group.create_task(watch.run())
        path.write_bytes(SAMPLE + line(kind="begin", next_seq=7)[:-4])
        await watch.until(lambda: bool(watch.seen["h"].samples))
        assert watch.seen["h"].begin is None
        with path.open("ab") as file:
            file.write(line(kind="begin", next_seq=7)[-4:])
        await watch.until(lambda: watch.seen["h"].begin is not None)
        with path.open("ab") as file:
            file.write(line(kind="end", next_seq=9))
        await watch.until(lambda: watch.seen["h"].ended)
        reading.cancel()
