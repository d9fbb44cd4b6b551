"""Records in datagrams and back, over a network that loses, doubles and reorders; and the two programs on loopback."""

from __future__ import annotations

import hashlib
import json
import signal
import socket
import subprocess
import sys
from pathlib import Path
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from overlaycast.lab.actors.multicast_stream import (
    DATAGRAM_HEADER,
    PIECE,
    WINDOW,
    Assembly,
    LostRecords,
    Record,
    StreamOver,
    datagrams,
    end_datagram,
)
from overlaycast.lab.recording import journals
from overlaycast.wire.journal import Fed, StreamEnd, Summary
from tests.ports import free_port

DIGEST = hashlib.sha256(b"").digest()
sizes = st.lists(st.integers(1, 4 * PIECE), min_size=1, max_size=40)


def cut(lengths: list[int]) -> tuple[list[bytes], list[bytes]]:
    """Return records of these lengths, and the datagrams of all."""
    records = [bytes([seq % 251]) * length for seq, length in enumerate(lengths)]
    return records, [datagram for seq, record in enumerate(records) for datagram in datagrams(seq, 5, record)]


def put_together(arriving: list[bytes], count: int) -> tuple[Assembly, list[Record | LostRecords | StreamOver]]:
    """Return what an assembly says to these datagrams and END."""
    assembly, results = Assembly(), []
    for datagram in (*arriving, end_datagram(count, 5, 0, DIGEST)):
        results += assembly.take(datagram)
    return assembly, results


@given(sizes)
def test_what_is_cut_is_put_together_again(lengths: list[int]) -> None:
    records, sent = cut(lengths)
    assert all(len(datagram) <= DATAGRAM_HEADER + PIECE for datagram in sent)
    _, results = put_together(sent, len(records))
    assert [one.payload for one in results if isinstance(one, Record)] == records
    assert results[-1] == StreamOver(len(records), 0, DIGEST)
    assert not [one for one in results if isinstance(one, LostRecords)]


@given(sizes, st.data())
def test_every_record_comes_once_in_order_or_is_lost(lengths: list[int], data: st.DataObject) -> None:
    records, sent = cut(lengths)
    kept = data.draw(st.lists(st.sampled_from(range(len(sent))), max_size=3 * len(sent)))
    _, results = put_together([sent[index] for index in kept], len(records))
    seen: list[int] = []
    for one in results:
        if isinstance(one, Record):
            assert one.payload == records[one.seq]
            seen.append(one.seq)
        elif isinstance(one, LostRecords):
            assert one.first < one.after
            seen += range(one.first, one.after)
    assert seen == sorted(set(seen))
    if seen:  # from the first that is known, nothing is passed over in silence
        assert seen == list(range(seen[0], len(records)))


@given(sizes, st.randoms(use_true_random=False))
def test_a_shuffle_within_the_window_loses_nothing(lengths: list[int], random: Any) -> None:
    records, sent = cut(lengths)
    order = sorted(range(len(sent)), key=lambda index: index + random.uniform(0, WINDOW / 2))
    _, results = put_together(
        [sent[order[0]] if order[0] == 0 else sent[0], *[sent[index] for index in order]], len(records)
    )
    assert [one.payload for one in results if isinstance(one, Record)] == records


@given(st.lists(st.binary(max_size=80), max_size=30))
def test_garbage_is_passed_over(garbage: list[bytes]) -> None:
    records, sent = cut([3000] * 3)
    assembly, results = Assembly(), []
    for datagram in sent:
        results += assembly.take(datagram)
        for junk in garbage:
            assembly.take(junk[:DATAGRAM_HEADER])
    assert [one.payload for one in results if isinstance(one, Record)] == records


def test_doubles_and_a_hole_are_counted() -> None:
    records, sent = cut([100] * (2 * WINDOW))
    assembly, results = put_together([*sent[:3], sent[1], *sent[4:]], len(records))
    assert assembly.duplicated == 1
    assert [one for one in results if isinstance(one, LostRecords)] == [LostRecords(3, 4)]


def words(role: str, folder: Path, port: int, *more: str) -> list[str]:
    """Return the command of one end."""
    fixed = ["--group", "239.20.0.7", "--port", str(port), "--interface", "127.0.0.1", "--name", role, "--member", "2"]
    journal = ["--journal", str(folder / f"{role}.jsonl")]
    return [sys.executable, "-m", "overlaycast.lab.actors.multicast_node", role, *fixed, *journal, *more]


def wait_for(file: Path, kind: str, process: subprocess.Popen[bytes]) -> None:
    """Return once a journal has a line of a kind."""
    import select
    import time

    deadline = time.monotonic() + 60
    while not file.exists() or f'"{kind}"' not in file.read_text():
        assert time.monotonic() < deadline
        assert process.poll() is None
        select.select([], [], [], 0.02)


def test_the_two_programs_write_what_the_lab_reads(tmp_path: Path) -> None:
    sent, got, port = tmp_path / "sent", tmp_path / "got", free_port(socket.SOCK_DGRAM)
    sent.write_bytes(bytes(range(256)) * 400)
    with subprocess.Popen(words("join", tmp_path, port, "--output", str(got))) as receiver:
        wait_for(tmp_path / "join.jsonl", "welcome", receiver)
        more = ("--file", str(sent), "--rate", "2000000", "--record-size", "7896")
        subprocess.run(words("send", tmp_path, port, *more), check=True, timeout=60)
        assert receiver.wait(30) == 0
    assert got.read_bytes() == sent.read_bytes()
    source, sink = (journals.read(role, tmp_path / f"{role}.jsonl") for role in ("send", "join"))
    first, last = source.last(Summary), sink.last(Summary)
    assert first is not None
    assert last is not None
    assert (last.received, last.lost, last.digest_ok) == (13, 0, True)
    assert last.sha256 == first.sha256 == hashlib.sha256(sent.read_bytes()).hexdigest()
    assert sink.last(StreamEnd) is not None
    assert last.latency_ms is not None
    assert last.latency_ms.p50 is not None
    assert sink.all(Fed)[0].parent == 1


def test_a_receiver_that_is_stopped_says_what_it_has(tmp_path: Path) -> None:
    port, got = free_port(socket.SOCK_DGRAM), tmp_path / "got"
    with subprocess.Popen(words("join", tmp_path, port, "--output", str(got))) as receiver:
        wait_for(tmp_path / "join.jsonl", "welcome", receiver)
        receiver.send_signal(signal.SIGTERM)
        assert receiver.wait(30) == 0
    last = [json.loads(line) for line in (tmp_path / "join.jsonl").read_text().splitlines()][-1]
    assert (last["kind"], last["received"], last["digest_ok"]) == ("summary", 0, None)


def test_a_disk_that_is_full_ends_it_with_one_line(tmp_path: Path) -> None:
    port, sent = free_port(socket.SOCK_DGRAM), tmp_path / "sent"
    sent.write_bytes(bytes(20_000))
    with subprocess.Popen(words("join", tmp_path, port, "--output", "/dev/full"), stderr=subprocess.PIPE) as receiver:
        wait_for(tmp_path / "join.jsonl", "welcome", receiver)
        more = ("--file", str(sent), "--rate", "8000000", "--record-size", "7896")
        subprocess.run(words("send", tmp_path, port, *more), check=True, timeout=60)
        _, complaint = receiver.communicate(timeout=30)
    assert receiver.returncode == 1
    assert complaint.decode().count("\n") == 1
    assert "No space left on device" in complaint.decode()
