"""Packet captures of a run: a pcap file per link, which Wireshark opens, written by a process of its own.

Owns: a socket (AF_PACKET, packet(7)) on one end of every link, the files' size limits, and the count of lost packets.
Refuses: to disturb the run. The writer has a low priority (nice), reads its sockets in batches, stops at a limit, and
leaves ``RESERVE`` of the disk to the run's own results. A link that goes down interrupts its capture, a link or a file
that cannot be opened or written has none, and a writer that dies costs the captures: none of them costs the run.

A file holds what its interface saw: both directions, with the kernel's time stamps in nanoseconds. Where segmentation
is offloaded, one packet may be a whole train of segments.

The process ends when its standard input does, hence also when we are killed. Format: libpcap's, version 2.4, link type
Ethernet.
"""

from __future__ import annotations

import errno
import io
import json
import os
import re
import select
import socket
import struct
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO, Final

if TYPE_CHECKING:
    from overlaycast.lab.network.network import Network

HEADER: Final = struct.pack("<IHHiIII", 0xA1B23C4D, 2, 4, 0, 0, 262_144, 1)
RECORD: Final = struct.Struct("<IIII")
LONGEST: Final = 65_536 + 64
EVERY_S: Final = 0.05
"""How often the sockets are read; until then packets wait in the kernel."""
BUFFER: Final = 8 << 20
RESERVE: Final = 128 << 20
"""Bytes of the disk that captures leave to others."""
NAMED: Final = 3
"""So many links are named where one reason ends the captures of many."""
NICE: Final = 5
_ETH_P_ALL, _SOL_PACKET, _PACKET_STATISTICS = 0x0003, 263, 6
_SO_TIMESTAMPNS, _SO_RCVBUFFORCE = 35, 33
_TIMESPEC: Final = struct.Struct("@ll")
_END_S: Final = 10.0


@dataclass(slots=True)
class LinkCapture:
    """One link's socket and file.

    Attributes:
        link: its name.
        inbox: closed once the file is full, so that the rest of the run costs nothing.
        file: the capture.
        most: bytes that the file may have.
        size: bytes that it has.
        seen: packets written.
        missed: packets that came faster than they were read.
        full: the next packet did not fit.
        trouble: why the file could not be written on.
    """

    link: str
    inbox: socket.socket
    file: BinaryIO
    most: int
    size: int = 0
    seen: int = 0
    missed: int = 0
    full: bool = False
    trouble: str | None = None

    def drain(self, room: bytearray) -> None:
        """Write the packets that wait; ``room`` is a buffer for one of them."""
        view = memoryview(room)
        while not (self.full or self.trouble):
            try:
                length, notes, _, _ = self.inbox.recvmsg_into([room], 64)
            except OSError as error:
                if error.errno == errno.ENETDOWN:  # told once; packets come again when the link is up
                    continue
                if not isinstance(error, BlockingIOError):
                    self._give_up(error)
                return
            if self.size + RECORD.size + length > self.most:
                self.close()
                self.full = True
                return
            try:
                self.file.write(RECORD.pack(*stamp(notes), length, length))
                self.file.write(view[:length])
            except OSError as error:
                self._give_up(error)
                return
            self.size += RECORD.size + length
            self.seen += 1

    def _give_up(self, error: OSError) -> None:
        self.end(error.strerror or str(error))

    def end(self, why: str) -> None:
        """Capture no more, and say why; of two reasons the first one counts."""
        if not self.full:
            self.trouble = self.trouble or why
        self.close()

    def close(self) -> None:
        """Count the packets that were lost, and close the socket. Safe to call twice."""
        if self.inbox.fileno() >= 0:
            with suppress(OSError):
                _, missed = struct.unpack("@II", self.inbox.getsockopt(_SOL_PACKET, _PACKET_STATISTICS, 8))
                self.missed += missed
            self.inbox.close()

    def count(self) -> dict[str, Any]:
        """Return the counts of this link, as JSON."""
        self.close()
        try:
            self.file.close()
        except OSError as error:  # what was kept back did not fit; closing again is no more than giving the file up
            self.trouble = self.trouble or error.strerror
        found = {"link": self.link, "packets": self.seen, "bytes": self.size, "missed": self.missed, "cut": self.full}
        return {**found, "trouble": self.trouble}


def stamp(notes: Sequence[tuple[int, int, bytes]]) -> tuple[int, int]:
    """Return the kernel's time of a packet, or the time now if it gave none."""
    for level, kind, data in notes:
        if level == socket.SOL_SOCKET and kind == _SO_TIMESTAMPNS and len(data) >= _TIMESPEC.size:
            seconds, nanos = _TIMESPEC.unpack_from(data)
            return seconds, nanos
    return divmod(time.time_ns(), 1_000_000_000)


def file_name(link: str) -> str:
    """Return the name of a link's file; unusual characters become dashes."""
    return re.sub(r"[^A-Za-z0-9_.#-]", "-", link) + ".pcap"


# --- the runner's end ------------------------------------------------------------------------------------------------


class Capture:
    """A running capture of all links of a network."""

    def __init__(self, process: subprocess.Popen[bytes] | None, folder: Path, trouble: Sequence[str] = ()) -> None:
        """Take over the writer, None if it could not be started, and what went wrong up to now."""
        self._process = process
        self._folder = folder
        self._trouble = list(trouble)
        self.summary: dict[str, Any] | None = None

    def stop(self) -> dict[str, Any]:
        """End it and return ``{folder, links, missed, cut, trouble}``; safe to call twice."""
        if self.summary is None:
            found = summary(self._folder.name, self._counts())
            self.summary = {**found, "trouble": [*self._trouble, *found["trouble"]]}
        return self.summary

    def _counts(self) -> list[dict[str, Any]]:
        if self._process is None:
            return []
        try:
            out, _ = self._process.communicate(timeout=_END_S)
            counts: list[dict[str, Any]] = json.loads(out)
            summary(self._folder.name, counts)  # what is no count is found here
        except (subprocess.TimeoutExpired, ValueError, KeyError, TypeError, OSError):
            self._process.kill()
            self._trouble.append(f"the writer ended with {self._process.wait()}; its files may lack packets")
            return []
        return counts


def summary(folder: str, counts: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """Return the part of a result that is about captures."""
    return {
        "folder": folder,
        "links": {one["link"]: {"packets": one["packets"], "bytes": one["bytes"]} for one in counts},
        "missed": sum(one["missed"] for one in counts),
        "cut": [one["link"] for one in counts if one["cut"]],
        "trouble": troubles({one["link"]: one["trouble"] for one in counts if one["trouble"]}),
    }


def troubles(by_link: Mapping[str, str]) -> list[str]:
    """Return a line for each reason, with the first links that it ended."""
    links: dict[str, list[str]] = {}
    for link, why in by_link.items():
        links.setdefault(why, []).append(link)
    return [f"{', '.join(some[:NAMED])}{_more(len(some) - NAMED)}: {why}" for why, some in links.items()]


def _more(count: int) -> str:
    return f" and {count} more" if count > 0 else ""


@contextmanager
def capturing(network: Network, folder: Path, mib_per_link: float) -> Iterator[Capture]:
    """Capture every link of a network into ``folder``, at most so many MiB of each; the summary tells what failed."""
    capture = _started(network, folder, round(mib_per_link * (1 << 20)))
    try:
        yield capture
    finally:
        capture.stop()


def _started(network: Network, folder: Path, most: int) -> Capture:
    refused: dict[str, str] = {}
    with ExitStack() as stack:
        taps: list[dict[str, Any]] = []
        try:
            folder.mkdir(parents=True, exist_ok=True)
            for old in folder.glob("*.pcap"):
                old.unlink()
            for link in network.topology.links:
                device = network.topology.interface(link.name, link.a).name
                try:
                    inbox = stack.enter_context(_socket(network, link.a, device))
                except OSError as error:
                    refused[link.name] = error.strerror or str(error)
                else:
                    taps.append({"link": link.name, "fd": inbox.fileno(), "file": str(folder / file_name(link.name))})
            process = subprocess.Popen(
                [sys.executable, "-m", "overlaycast.lab.network.capture", str(most)],
                pass_fds=[tap["fd"] for tap in taps],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                start_new_session=True,
            )
        except OSError as error:
            return Capture(None, folder, [f"nothing was captured: {error.strerror or error}"])
        assert process.stdin is not None
        with suppress(OSError):  # a writer that died is told at the end
            process.stdin.write(json.dumps(taps).encode() + b"\n")  # a large map's do not fit among the words
            process.stdin.flush()
        return Capture(process, folder, troubles(refused))


def _socket(network: Network, node: str, device: str) -> socket.socket:
    with network.in_namespace(node):
        inbox = socket.socket(socket.AF_PACKET, socket.SOCK_RAW, 0)
    try:
        inbox.setsockopt(socket.SOL_SOCKET, _SO_TIMESTAMPNS, 1)
        try:
            inbox.setsockopt(socket.SOL_SOCKET, _SO_RCVBUFFORCE, BUFFER)
        except PermissionError:  # in a user namespace: as much as any user may have
            inbox.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, BUFFER)
        inbox.bind((device, _ETH_P_ALL))
        inbox.setblocking(False)
    except OSError:
        inbox.close()
        raise
    return inbox


# --- the writer's end ------------------------------------------------------------------------------------------------


def opened(spec: Mapping[str, Any], inbox: socket.socket, most: int) -> LinkCapture:
    """Return a link's capture; one whose file cannot be opened has ended."""
    try:
        file = open(spec["file"], "wb", buffering=1 << 20)  # noqa: SIM115 -- ``count`` closes it
    except OSError as error:
        one = LinkCapture(spec["link"], inbox, io.BytesIO(), most)
        one.end(error.strerror or str(error))
        return one
    with suppress(OSError):  # a full disk is told with the first packet
        file.write(HEADER)
    return LinkCapture(spec["link"], inbox, file, most, len(HEADER))


def spare(folder: Path) -> int:
    """Return how many bytes of a folder's disk are free for us; many if nobody knows."""
    try:
        disk = os.statvfs(folder)
    except OSError:
        return sys.maxsize
    return disk.f_bavail * disk.f_frsize


def main(argv: Sequence[str]) -> int:
    """Read from standard input what to capture, write until it ends, then print what was written."""
    most, specs = int(argv[0]), json.loads(sys.stdin.readline() or "[]")
    os.nice(NICE)
    taps = [opened(spec, socket.socket(fileno=spec["fd"]), most) for spec in specs]
    folder = Path(specs[0]["file"]).parent if specs else Path()
    over, room = False, bytearray(LONGEST)
    while not over:
        over = bool(select.select([sys.stdin], [], [], EVERY_S)[0])
        if spare(folder) < RESERVE:
            for tap in taps:
                tap.end(f"less than {RESERVE >> 20} MiB of the disk are free")
        for tap in taps:
            tap.drain(room)
    print(json.dumps([tap.count() for tap in taps]))
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
