"""``python -m overlaycast.lab.actors.multicast_node``: the two ends of the multicast baseline, run in emulated hosts.

Owns: a sender and a receiver over UDP multicast that write the same journals as overlaycast's own programs, so that the
same code judges both: same records, same clock, same counts at the sink. Refuses: to be a product; there is no flow
control, no authentication and no repair.
"""

from __future__ import annotations

import argparse
import hashlib
import os
import signal
import socket
import struct
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from types import FrameType
from typing import Final

from overlaycast.journal import MemberJournal
from overlaycast.lab.actors.multicast_stream import Assembly, LostRecords, Record, StreamOver, datagrams, end_datagram
from overlaycast.wire.journal import (
    Begun,
    Failure,
    Fed,
    RecordsLost,
    Sample,
    SinkLatency,
    Started,
    StreamEnd,
    Summary,
    Welcomed,
)

SAMPLE_S: Final = 0.2
HOPS: Final = 64
BUFFER: Final = 8 << 20
ENDS, ENDS_EVERY_S = 20, 0.05
"""END may get lost like any datagram, so it is sent so many times."""
LATEST_S: Final = 0.25
"""A sender that was stopped for longer does not make up for it by a burst, as overlaycast's own does not."""


class Stopped(Exception):
    """SIGTERM or SIGINT."""


class Totals:
    """What a node sent or wrote so far; gaps and latencies of the interval since the last sample, and of all."""

    def __init__(self) -> None:
        self.bytes = self.records = self.lost = 0
        self.first_seq: int | None = None
        self.next_seq = 0
        self.digest = hashlib.sha256()
        self.latencies: list[float] = []
        self.longest_ms, self.longest_at = 0.0, 0.0
        self._last: float | None = None
        self._gap_ms, self._sampled = 0.0, 0

    def count(self, seq: int, payload: bytes, latency_ms: float | None) -> None:
        """Take in one record."""
        now = time.monotonic()
        if self._last is not None:
            gap_ms = (now - self._last) * 1000
            self._gap_ms = max(self._gap_ms, gap_ms)
            if gap_ms > self.longest_ms:
                self.longest_ms, self.longest_at = gap_ms, time.time()
        self._last = now
        self.first_seq = seq if self.first_seq is None else self.first_seq
        self.next_seq = seq + 1
        self.bytes += len(payload)
        self.records += 1
        self.digest.update(payload)
        if latency_ms is not None:
            self.latencies.append(latency_ms)

    def sample(self, journal: MemberJournal) -> None:
        """Write a sample and begin a new interval."""
        recent = sorted(self.latencies[self._sampled :])
        middle = round(recent[len(recent) // 2], 3) if recent else None
        journal.write(
            Sample(
                bytes=self.bytes,
                records=self.records,
                next_seq=self.next_seq,
                gap_ms=round(self._gap_ms, 3),
                latency_ms=middle,
            )
        )
        self._gap_ms, self._sampled = 0.0, len(self.latencies)

    def summary(
        self, journal: MemberJournal, digest_ok: bool | None = None, duplicated: int = 0, reordered: int = 0
    ) -> None:
        """Write the last line."""
        ordered = sorted(self.latencies)
        journal.write(
            Summary(
                first_seq=self.first_seq or 0,
                next_seq=self.next_seq,
                expected=self.next_seq - (self.first_seq or 0),
                received=self.records,
                lost=self.lost,
                duplicated=duplicated,
                reordered=reordered,
                sha256=self.digest.hexdigest(),
                digest_ok=digest_ok,
                latency_ms=SinkLatency(p50=_share(ordered, 0.5), p99=_share(ordered, 0.99), max=_share(ordered, 1.0)),
                longest_gap_ms=round(self.longest_ms, 3),
                longest_gap_at=self.longest_at,
                bytes=self.bytes,
            )
        )


def _share(ordered: Sequence[float], share: float) -> float | None:
    return round(ordered[min(len(ordered) - 1, int(share * len(ordered)))], 3) if ordered else None


# --- the sender ----------------------------------------------------------------------------------------------------


def send(options: argparse.Namespace, journal: MemberJournal) -> int:
    """Send a file at a rate."""
    seen = Totals()
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as out, options.file.open("rb") as file:
        out.setsockopt(socket.IPPROTO_IP, socket.IP_MULTICAST_TTL, HOPS)
        out.setsockopt(socket.IPPROTO_IP, socket.IP_MULTICAST_IF, socket.inet_aton(options.interface))
        out.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, BUFFER)
        out.connect((options.group, options.port))
        journal.write(Begun(next_seq=0, incarnation=1))
        _send_all(out, file.read(), options, seen, journal)
        journal.write(StreamEnd(next_seq=seen.next_seq, sha256=seen.digest.hexdigest()))
        for _ in range(ENDS):
            out.send(end_datagram(seen.next_seq, time.time_ns() // 1000, 0, seen.digest.digest()))
            time.sleep(ENDS_EVERY_S)
    seen.summary(journal)
    return 0


def _send_all(
    out: socket.socket, data: bytes, options: argparse.Namespace, seen: Totals, journal: MemberJournal
) -> None:
    begun = sampled = time.monotonic()
    for seq, offset in enumerate(range(0, len(data), options.record_size)):
        due = begun + offset * 8 / options.rate
        now = time.monotonic()
        if due > now:
            time.sleep(due - now)
        elif now - due > LATEST_S:
            begun += now - due
        record = data[offset : offset + options.record_size]
        for datagram in datagrams(seq, time.time_ns() // 1000, record):
            out.send(datagram)
        seen.count(seq, record, None)
        if time.monotonic() - sampled >= SAMPLE_S:
            seen.sample(journal)
            sampled = time.monotonic()
    seen.sample(journal)


# --- the receiver --------------------------------------------------------------------------------------------------


def join(options: argparse.Namespace, journal: MemberJournal) -> int:
    """Receive to the end, or until asked to stop."""
    assembly, seen = Assembly(), Totals()
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as inbox:
        try:
            with options.output.open("wb", buffering=0) as file:
                _listen(inbox, options)
                journal.write(Welcomed(member=options.member))
                end = _receive(inbox, file.fileno(), assembly, seen, journal)
        except OSError as error:
            journal.write(Failure(reason=error.strerror or str(error)))
            print(f"multicast_node: {options.output}: {error.strerror}", file=sys.stderr)
            return 1
    whole = None if end is None or seen.lost else seen.digest.digest() == end.digest
    seen.summary(journal, whole, assembly.duplicated, assembly.reordered)
    return 0


def _listen(inbox: socket.socket, options: argparse.Namespace) -> None:
    inbox.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, BUFFER)
    inbox.bind((options.group, options.port))
    membership = struct.pack("4s4s", socket.inet_aton(options.group), socket.inet_aton(options.interface))
    inbox.setsockopt(socket.IPPROTO_IP, socket.IP_ADD_MEMBERSHIP, membership)


def _receive(
    inbox: socket.socket, file: int, assembly: Assembly, seen: Totals, journal: MemberJournal
) -> StreamOver | None:
    sampled = time.monotonic()
    inbox.settimeout(SAMPLE_S)
    try:
        while True:
            try:
                messages = assembly.take(inbox.recv(65_536))
            except TimeoutError:
                messages = []
            for one in messages:
                if isinstance(one, StreamOver):
                    seen.sample(journal)
                    seen.next_seq = one.seq
                    journal.write(StreamEnd(next_seq=one.seq, sha256=one.digest.hex()))
                    return one
                _note(one, file, seen, journal)
            if time.monotonic() - sampled >= SAMPLE_S:
                seen.sample(journal)
                sampled = time.monotonic()
    except Stopped:
        return None


def _note(one: Record | LostRecords, file: int, seen: Totals, journal: MemberJournal) -> None:
    if isinstance(one, LostRecords):
        seen.lost += one.after - one.first
        seen.next_seq = one.after
        journal.write(RecordsLost(from_seq=one.first, to_seq=one.after))
        return
    if seen.records == 0:
        journal.write(Fed(parent=1))
    seen.count(one.seq, one.payload, max(0.0, time.time() * 1000 - one.time_us / 1000))
    os.write(file, one.payload)


# --- the command line ----------------------------------------------------------------------------------------------


def _options(argv: Sequence[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="multicast_node")
    parser.add_argument("role", choices=("send", "join"))
    parser.add_argument("--group", required=True)
    parser.add_argument("--port", type=int, required=True)
    parser.add_argument("--interface", required=True, help="our own address on the way to the group")
    parser.add_argument("--name", required=True)
    parser.add_argument("--member", type=int, required=True)
    parser.add_argument("--journal", type=Path, required=True)
    parser.add_argument("--output", type=Path, help="join: where the stream goes")
    parser.add_argument("--file", type=Path, help="send: what to send")
    parser.add_argument("--rate", type=float, help="send: bits per second")
    parser.add_argument("--record-size", type=int, help="send: bytes per record")
    return parser.parse_args(argv)


def _stop(number: int, frame: FrameType | None) -> None:
    raise Stopped


def main(argv: Sequence[str]) -> int:
    """Run one end; exit code 0 also when asked to stop."""
    options = _options(argv)
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, _stop)
    journal = MemberJournal(options.journal)
    role = "source" if options.role == "send" else "peer"
    journal.write(Started(pid=os.getpid(), role=role, name=options.name, group=options.group))
    if options.role == "join":
        return join(options, journal)
    journal.write(Welcomed(member=options.member))
    try:
        return send(options, journal)
    except Stopped:
        return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
