"""A source's input that fails: one line that names it."""

from __future__ import annotations

import errno
import os
import pty
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from overlaycast.agent.ends.media import DeviceInput, FileInput, Input, PipeInput, open_input
from overlaycast.errors import ConfigError

UNREADABLE = "/proc/self/mem"
"""A regular file, of which nothing is mapped at its beginning."""


async def drained(source: Input) -> int:
    """Return the bytes of an input."""
    return sum([len(portion) async for portion in source.portions()])


@pytest.fixture
def unreadable() -> Iterator[FileInput]:
    source = open_input(UNREADABLE, 100)
    assert isinstance(source, FileInput)
    yield source
    os.close(source.descriptor)


async def test_a_file_that_cannot_be_read_is_told_by_its_name(unreadable: FileInput) -> None:
    said = f"^{UNREADABLE}: {os.strerror(errno.EIO)}$"
    with pytest.raises(ConfigError, match=said):
        await drained(unreadable)
    with pytest.raises(ConfigError, match=said):
        unreadable.head()
    with pytest.raises(ConfigError, match=said):
        unreadable.read(1, 0)


async def test_a_terminal_that_hangs_up_is_told_by_its_name() -> None:
    ours, theirs = pty.openpty()
    os.close(theirs)
    try:
        with pytest.raises(ConfigError, match=f"^the terminal: {os.strerror(errno.EIO)}$"):
            await drained(PipeInput(ours, "the terminal", 100))
    finally:
        os.close(ours)


async def test_a_file_that_becomes_shorter_is_not_sent_as_if_that_were_all(tmp_path: Path) -> None:
    path = tmp_path / "media"
    path.write_bytes(bytes(1000))
    source = open_input(str(path), 100)
    os.truncate(path, 400)
    with pytest.raises(ConfigError, match=r"media: it has become shorter while it was being sent$"):
        await drained(source)


async def test_a_file_that_grows_is_sent_as_far_as_it_goes(tmp_path: Path) -> None:
    path = tmp_path / "media"
    path.write_bytes(bytes(1000))
    source = open_input(str(path), 100)
    with path.open("ab") as more:
        more.write(bytes(500))
    assert await drained(source) == 1500


@pytest.mark.parametrize(("path", "first"), [("/dev/null", None), ("/dev/zero", bytes(100))])
async def test_devices_that_nothing_can_wait_for(path: str, first: bytes | None) -> None:
    source = open_input(path, 100)
    assert isinstance(source, DeviceInput)
    assert await anext(source.portions(), None) == first


OWN_STDIN = """
import asyncio, os, sys
from overlaycast.agent.ends.media import open_input

async def main():
    async for data in open_input("-", 100).portions():
        print(data.decode(), os.get_blocking(0))

asyncio.run(main())
"""


def test_a_shared_pipe_stays_as_the_neighbours_opened_it() -> None:
    ended = subprocess.run(
        ["bash", "-c", f'echo -n word | {sys.executable} -c "$0"', OWN_STDIN],
        capture_output=True,
        text=True,
        timeout=60,
        check=True,
    )
    assert ended.stdout == "word True\n"


def test_standard_input_that_is_closed_or_a_folder_is_refused_in_one_line(tmp_path: Path) -> None:
    folder = os.open(tmp_path, os.O_RDONLY)
    before = os.dup(0)
    try:
        os.dup2(folder, 0)
        with pytest.raises(ConfigError, match="standard input: is a folder"):
            open_input("-", 100)
        os.close(0)
        with pytest.raises(ConfigError, match="standard input: Bad file descriptor"):
            open_input("-", 100)
    finally:
        os.dup2(before, 0)
        os.close(before)
        os.close(folder)
