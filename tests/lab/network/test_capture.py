"""A capture ends by itself, never the run: what its sockets and files refuse is told."""

from __future__ import annotations

import errno
import io
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from overlaycast.lab.network.capture import RECORD, Capture, LinkCapture, summary


class Inbox:
    """A packet socket that gives what it is told to."""

    def __init__(self, *given: bytes | int) -> None:
        self.given = list(given)
        self.closed = False

    def recvmsg_into(self, rooms: list[bytearray], _: int) -> tuple[int, list[Any], int, Any]:
        """Give the next packet, or fail as the next number says."""
        if not self.given:
            raise BlockingIOError(errno.EAGAIN, "nothing there")
        one = self.given.pop(0)
        if isinstance(one, int):
            raise OSError(one, "refused")
        rooms[0][: len(one)] = one
        return len(one), [], 0, None

    def fileno(self) -> int:
        """Return whether it is open, as a descriptor."""
        return -1 if self.closed else 5

    def getsockopt(self, *_: int) -> bytes:
        """Fail: the interface may be gone."""
        raise OSError(errno.ENETDOWN, "no interface")

    def close(self) -> None:
        """Remember it."""
        self.closed = True


class Full(io.BytesIO):
    """A file on a disk that is full."""

    def write(self, _: Any) -> int:
        """Refuse."""
        raise OSError(errno.ENOSPC, "No space left on device")


def drained(inbox: Inbox, file: io.BytesIO | None = None) -> LinkCapture:
    """Return a link's capture after two looks."""
    one = LinkCapture("a-b", inbox, io.BytesIO() if file is None else file, 1 << 20)  # type: ignore[arg-type]
    room = bytearray(2000)
    one.drain(room)
    one.drain(room)
    return one


def test_a_link_that_goes_down_interrupts_its_capture() -> None:
    one = drained(Inbox(b"before", errno.ENETDOWN, b"after"))
    assert (one.seen, one.size, one.trouble) == (2, 2 * RECORD.size + 11, None)
    assert one.count()["packets"] == 2


def test_a_socket_that_fails_ends_its_capture() -> None:
    one = drained(Inbox(b"before", errno.EBADF, b"after"))
    assert one.count() == {"link": "a-b", "packets": 1, "bytes": 22, "missed": 0, "cut": False, "trouble": "refused"}


def test_a_full_disk_ends_its_capture() -> None:
    one = drained(Inbox(b"before", b"after"), Full())
    assert (one.seen, one.trouble) == (0, "No space left on device")
    assert summary("c", [one.count()])["trouble"] == ["a-b: No space left on device"]


@pytest.mark.parametrize("code", ["import sys; sys.exit(3)", "print('no json')", "print('[{}]')"])
def test_a_writer_that_dies_costs_the_captures_only(tmp_path: Path, code: str) -> None:
    process = subprocess.Popen([sys.executable, "-c", code], stdin=subprocess.PIPE, stdout=subprocess.PIPE)
    capture = Capture(process, tmp_path / "captures")
    counts = capture.stop()
    assert counts["links"] == {}
    assert "the writer ended with" in counts["trouble"][0]
    assert capture.stop() is counts
