"""Packet captures of a run: a pcap file per link, which Wireshark opens, written by a process of its own.

Owns: a socket (AF_PACKET, packet(7)) on one end of every link, the files' size limits, and the count of lost packets.
Refuses: to disturb the run. The writer has a low priority (nice), reads its sockets in batches, and stops at a limit.
A link that goes down interrupts its capture, a file that cannot be written ends it, and a writer that dies costs the
captures: none of them costs the run.

A file holds what its interface saw: both directions, with the kernel's time stamps in nanoseconds. Where segmentation
is offloaded, one packet may be a whole train of segments.

The process ends when its standard input does, hence also when we are killed. Format: libpcap's, version 2.4, link type
Ethernet.
"""

from __future__ import annotations

import errno
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

from overlaycast.errors import LabError

if TYPE_CHECKING:
    from overlaycast.lab.network.network import Network

HEADER: Final = struct.pack("<IHHiIII", 0xA1B23C4D, 2, 4, 0, 0, 262_144, 1)
RECORD: Final = struct.Struct("<IIII")
LONGEST: Final = 65_536 + 64
EVERY_S: Final = 0.05
"""How often the sockets are read; until then packets wait in the kernel."""
BUFFER: Final = 8 << 20
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
        self.trouble = error.strerror or str(error)
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

    def __init__(self, process: subprocess.Popen[bytes], folder: Path) -> None:
        """Take over the writer."""
        self._process = process
        self._folder = folder
        self.summary: dict[str, Any] | None = None

    def stop(self) -> dict[str, Any]:
        """End it and return ``{folder, links, missed, cut, trouble}``; safe to call twice."""
        if self.summary is None:
            try:
                out, _ = self._process.communicate(timeout=_END_S)
                self.summary = summary(self._folder.name, json.loads(out))
            except (subprocess.TimeoutExpired, ValueError, KeyError, OSError):
                self._process.kill()
                why = f"the writer ended with {self._process.wait()}; its files may lack packets"
                self.summary = {**summary(self._folder.name, ()), "trouble": [why]}
        return self.summary


def summary(folder: str, counts: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """Return the part of a result that is about captures."""
    return {
        "folder": folder,
        "links": {one["link"]: {"packets": one["packets"], "bytes": one["bytes"]} for one in counts},
        "missed": sum(one["missed"] for one in counts),
        "cut": [one["link"] for one in counts if one["cut"]],
        "trouble": [f"{one['link']}: {one['trouble']}" for one in counts if one["trouble"]],
    }


@contextmanager
def capturing(network: Network, folder: Path, mib_per_link: float) -> Iterator[Capture]:
    """Capture every link of a network into ``folder``, at most so many MiB of each.

    Raises:
        LabError: a socket was refused.
    """
    folder.mkdir(parents=True, exist_ok=True)
    for old in folder.glob("*.pcap"):
        old.unlink()
    with ExitStack() as stack:
        taps: list[dict[str, Any]] = []
        for link in network.topology.links:
            inbox = stack.enter_context(_socket(network, link.a, network.topology.interface(link.name, link.a).name))
            taps.append({"link": link.name, "fd": inbox.fileno(), "file": str(folder / file_name(link.name))})
        words = [
            sys.executable,
            "-m",
            "overlaycast.lab.network.capture",
            str(round(mib_per_link * (1 << 20))),
            json.dumps(taps),
        ]
        process = subprocess.Popen(
            words,
            pass_fds=[tap["fd"] for tap in taps],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            start_new_session=True,
        )
    capture = Capture(process, folder)
    try:
        yield capture
    finally:
        capture.stop()


def _socket(network: Network, node: str, device: str) -> socket.socket:
    try:
        with network.in_namespace(node):
            inbox = socket.socket(socket.AF_PACKET, socket.SOCK_RAW, 0)
        inbox.setsockopt(socket.SOL_SOCKET, _SO_TIMESTAMPNS, 1)
        try:
            inbox.setsockopt(socket.SOL_SOCKET, _SO_RCVBUFFORCE, BUFFER)
        except PermissionError:  # in a user namespace: as much as any user may have
            inbox.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, BUFFER)
        inbox.bind((device, _ETH_P_ALL))
        inbox.setblocking(False)
    except OSError as error:
        raise LabError(f"cannot capture on {device}: {error.strerror}") from error
    return inbox


# --- the writer's end ------------------------------------------------------------------------------------------------


def main(argv: Sequence[str]) -> int:
    """Write until standard input ends, then print what was written."""
    most, specs = int(argv[0]), json.loads(argv[1])
    os.nice(NICE)
    with ExitStack() as stack:
        taps = []
        for spec in specs:
            inbox = stack.enter_context(socket.socket(fileno=spec["fd"]))
            file = stack.enter_context(open(spec["file"], "wb", buffering=1 << 20))
            with suppress(OSError):  # a full disk is told with the first packet
                file.write(HEADER)
            taps.append(LinkCapture(spec["link"], inbox, file, most, len(HEADER)))
        over, room = False, bytearray(LONGEST)
        while not over:
            over = bool(select.select([sys.stdin], [], [], EVERY_S)[0])
            for tap in taps:
                tap.drain(room)
        print(json.dumps([tap.count() for tap in taps]))
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
