"""A capture ends by itself, never the run: what its sockets and files refuse is told."""

from __future__ import annotations

import errno
import io
import json
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager, redirect_stdout
from pathlib import Path
from typing import Any

import pytest

from overlaycast.lab.network import capture as captures
from overlaycast.lab.network.capture import RECORD, Capture, LinkCapture, capturing, summary, troubles


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


def test_a_file_that_cannot_be_opened_costs_its_own_capture(tmp_path: Path) -> None:
    one = captures.opened({"link": "a-b", "file": str(tmp_path)}, Inbox(b"packet"), 1 << 20)  # type: ignore[arg-type]
    one.drain(bytearray(2000))
    assert one.count() | {"trouble": None} == one.count() | {"packets": 0, "trouble": None}
    assert one.trouble == "Is a directory"


def test_many_links_with_one_reason_are_one_line() -> None:
    assert troubles({}) == []
    assert troubles({"a": "full", "b": "gone", "c": "full"}) == ["a, c: full", "b: gone"]
    assert troubles(dict.fromkeys("abcde", "full")) == ["a, b, c and 2 more: full"]


class Unseen:
    """A network of so many links, whose sockets are refused."""

    def __init__(self, links: int, why: int = errno.EMFILE) -> None:
        self.topology = self
        self.links = [type("Link", (), {"name": f"router{n}-router{n + 1}", "a": f"router{n}"}) for n in range(links)]
        self.why = why

    def interface(self, *_: str) -> Any:
        """Return any."""
        return type("Interface", (), {"name": "eth0"})

    def in_namespace(self, _: str) -> Any:
        """Refuse."""
        raise OSError(self.why, "Too many open files")


def test_sockets_that_are_refused_cost_no_run(tmp_path: Path) -> None:
    with capturing(Unseen(2), tmp_path / "c", 1) as capture:  # type: ignore[arg-type]
        pass
    assert capture.stop()["trouble"] == ["router0-router1, router1-router2: Too many open files"]


def test_a_folder_that_cannot_be_made_costs_no_run(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with capturing(Unseen(2), tmp_path / "file" / "c", 1) as capture:  # type: ignore[arg-type]
        pass
    assert capture.stop()["trouble"] == ["nothing was captured: Not a directory"]


def writer(tmp_path: Path, links: int, monkeypatch: pytest.MonkeyPatch, free: int) -> tuple[list[Any], list[Any]]:
    """Run the writer over so many pairs of sockets of which each has one packet; return what it says, and the specs."""
    pairs = [socket.socketpair(socket.AF_UNIX, socket.SOCK_DGRAM) for _ in range(links)]
    specs = []
    for number, (inbox, out) in enumerate(pairs):
        inbox.setblocking(False)
        out.send(b"packet")
        out.close()
        name = f"{number}" + "n" * 120
        specs.append({"link": name, "fd": inbox.detach(), "file": str(tmp_path / f"{name}.pcap")})
    told = tmp_path / "told"
    told.write_text(json.dumps(specs) + "\n")
    said = io.StringIO()
    monkeypatch.setattr(captures, "spare", lambda _: free)
    monkeypatch.setattr("os.nice", lambda _: 0)
    with told.open() as stdin, redirect_stdout(said):
        monkeypatch.setattr(sys, "stdin", stdin)
        assert captures.main([str(1 << 20)]) == 0
    return json.loads(said.getvalue()), specs


def test_a_disk_that_is_nearly_full_is_left_to_the_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    counts, _ = writer(tmp_path, 2, monkeypatch, captures.RESERVE - 1)
    assert [one["packets"] for one in counts] == [0, 0]
    assert {one["trouble"] for one in counts} == {"less than 128 MiB of the disk are free"}
    counts, _ = writer(tmp_path, 2, monkeypatch, captures.RESERVE)
    assert [(one["packets"], one["trouble"]) for one in counts] == [(1, None), (1, None)]


def test_free_room_is_the_disks(tmp_path: Path) -> None:
    assert captures.spare(tmp_path) > 0
    assert captures.spare(tmp_path / "gone") == sys.maxsize


def test_a_map_of_a_thousand_links_is_told_whole(tmp_path: Path) -> None:
    """What is captured does not fit among a program's words (128 KiB each)."""

    class Many(Unseen):
        @contextmanager
        def in_namespace(self, _: str) -> Iterator[None]:
            """Let in."""
            yield

    def unbound(network: Any, node: str, device: str) -> socket.socket:
        return socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_NONBLOCK)

    folder = tmp_path / ("long-" * 30)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(captures, "_socket", unbound)
        with capturing(Many(600), folder, 1) as capture:  # type: ignore[arg-type]
            pass
    counts = capture.stop()
    assert counts["trouble"] == []
    assert len(counts["links"]) == len(list(folder.glob("*.pcap"))) == 600
