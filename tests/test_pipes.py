"""Named pipes, sockets and devices where users name files: they work as users of Unix tools expect, or are refused."""

from __future__ import annotations

import os
import socket
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import cast

import pytest

from overlaycast import named_files
from overlaycast.agent.ends.media import open_input
from overlaycast.agent.ends.output import Output
from overlaycast.agent.ends.recording import Recording, note_part
from overlaycast.agent.records.chunks import Checks
from overlaycast.cli import main
from overlaycast.coordinator.state.folder import open_folder
from overlaycast.coordinator.state.store import Store
from overlaycast.document import placed_yaml
from overlaycast.errors import ConfigError, OverlaycastError
from overlaycast.journal import LineFile, MemberJournal
from overlaycast.tokens import read_token
from overlaycast.wire.journal import Welcomed


@pytest.fixture
def pipe(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setattr(named_files, "TOLD_AFTER_S", 0.02)
    path = tmp_path / "pipe"
    os.mkfifo(path)
    return path


@contextmanager
def other_side(act: Callable[[], None]) -> Iterator[None]:
    """Have somebody at the other side of a pipe, a moment later."""
    thread = threading.Timer(0.2, act)
    thread.daemon = True
    thread.start()
    yield
    thread.join()


def write(path: Path, text: str) -> None:
    path.write_text(text)


def waits(capsys: pytest.CaptureFixture[str], path: Path, whom: str) -> bool:
    return capsys.readouterr().err == f"overlaycast: {path}: waits until somebody {whom}\n"


# --- what is read -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("read", [lambda path: read_token(path, "token-file"), placed_yaml.read])
def test_a_file_that_is_a_pipe_waits_for_its_writer_and_says_so(
    pipe: Path, capsys: pytest.CaptureFixture[str], read: Callable[[Path], object]
) -> None:
    with other_side(lambda: write(pipe, "a-token-of-a-group")):
        assert read(pipe)
    assert waits(capsys, pipe, "writes to it")


def test_so_does_an_input(pipe: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with other_side(lambda: write(pipe, "x")):
        open_input(str(pipe), 1000)
    assert waits(capsys, pipe, "writes to it")


def test_what_is_written_already_is_not_waited_for(capsys: pytest.CaptureFixture[str]) -> None:
    """As with ``--token-file <(command)``."""
    end, written = os.pipe()
    os.write(written, b"a-token-of-a-group")
    os.close(written)
    try:
        assert read_token(Path(f"/dev/fd/{end}"), "token-file") == "a-token-of-a-group"
    finally:
        os.close(end)
    assert capsys.readouterr().err == ""


# --- what is written ----------------------------------------------------------------------------------------------


def test_an_output_that_is_a_pipe_waits_for_its_reader_and_says_so(
    pipe: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    read: list[int] = []
    with other_side(lambda: read.append(os.open(pipe, os.O_RDONLY))):
        written = Output(str(pipe)).open_live().descriptor(0, 1)
    os.write(written, b"x")
    assert os.read(read[0], 9) == b"x"
    assert waits(capsys, pipe, "reads it")


def test_so_does_a_file_that_a_command_writes(pipe: Path, capsys: pytest.CaptureFixture[str]) -> None:
    read: list[str] = []
    with other_side(lambda: read.append(pipe.read_text())):
        named_files.write_text(pipe, "what a command has made")
    assert read == ["what a command has made"]
    assert waits(capsys, pipe, "reads it")


@pytest.mark.parametrize("kind", ["pipe", "socket"])
def test_a_journal_that_nobody_reads_is_refused(pipe: Path, tmp_path: Path, kind: str) -> None:
    with socket.socket(socket.AF_UNIX) as sock:
        sock.bind(str(tmp_path / "socket"))
        with pytest.raises(ConfigError) as caught:
            MemberJournal(tmp_path / kind)
    why = "nobody reads it" if kind == "pipe" else "is a socket"
    assert str(caught.value) == f"journal: {tmp_path / kind}: {why}; accepted: a file, or a pipe that is read"


def test_a_journal_that_is_a_pipe_works_and_never_blocks(pipe: Path, capsys: pytest.CaptureFixture[str]) -> None:
    reader = os.open(pipe, os.O_RDONLY | os.O_NONBLOCK)
    journal = MemberJournal(pipe)
    journal.write(Welcomed(member=3))
    assert os.read(reader, 999).startswith(b"{")
    began = time.monotonic()
    for member in range(5000):
        journal.write(Welcomed(member=member))
    assert time.monotonic() - began < 30
    assert capsys.readouterr().err == "overlaycast: journal given up: nobody reads it fast enough\n"
    journal.close()
    os.close(reader)


def test_a_line_that_is_written_in_part_ends_the_journal(pipe: Path) -> None:
    reader, why = os.open(pipe, os.O_RDONLY | os.O_NONBLOCK), list[str]()
    file = LineFile(pipe, why.append)
    file.write("x" * (1 << 20))
    assert (why, file.closed) == (["it took only a part of a line"], True)
    os.close(reader)


def test_what_stands_beside_an_output_blocks_nobody(tmp_path: Path) -> None:
    for name in ("x.parts", "x.part", "x.digests", "x.digests.new"):
        os.mkfifo(tmp_path / name)
    path = tmp_path / "x"
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT)
    note_part(path, descriptor, 7)
    assert Recording(path, descriptor).descriptor(7, 1) == descriptor
    path.unlink()
    output = Output(str(path))
    assert not output.known_list()
    output.keep_list(b"digests")
    with pytest.raises(ConfigError) as caught:
        output.open_part(cast(Checks, None), lambda descriptor: lambda size, at: b"")  # it is refused before
    assert str(caught.value) == f"output: {path}.part: is no regular file"


# --- the coordinator's own, and Ansible's ---------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["admin.token", "lock", "state.db"])
def test_what_the_state_folder_holds_is_regular(tmp_path: Path, name: str) -> None:
    os.mkfifo(tmp_path / name)
    with pytest.raises(OverlaycastError) as caught:
        Store(open_folder(tmp_path).database)
    assert f"{tmp_path / name}: is no regular file" in str(caught.value)


def test_an_inventory_that_is_a_pipe_is_refused(pipe: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["deploy", "up", str(pipe)]) == 2
    assert f"{pipe}: no such inventory; accepted is a file or a folder" in capsys.readouterr().err
