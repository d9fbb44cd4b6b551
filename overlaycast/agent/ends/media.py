"""What a source sends: a file, standard input, or deterministic bytes; cut into records.

Owns: reading without blocking the loop and the cut into records. Refuses: when to send (``pace``).
"""

from __future__ import annotations

import asyncio
import os
import random
import select
import stat
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Final, Protocol

from overlaycast.errors import ConfigError
from overlaycast.named_files import told_if_waiting
from overlaycast.tokens import shown

PORTION: Final = 1 << 18
"""Bytes read at once, ahead of what is sent."""
_BLOCK: Final = 1 << 20


class Input(Protocol):
    """Where the stream comes from. ``live``: what comes is due when it comes."""

    live: bool

    def portions(self) -> AsyncIterator[bytes]:
        """Return the input, portion by portion; of live input, what has come."""


class FileInput:
    """A regular file."""

    live = False

    def __init__(self, descriptor: int, name: str) -> None:
        self.descriptor = descriptor
        self.name = name
        self.size = os.fstat(descriptor).st_size
        self._fixed: tuple[int, int] | None = None

    def fix(self) -> None:
        """From now on the file has to stay as it is: what is in it has been announced."""
        self._fixed = self._state()

    def _state(self) -> tuple[int, int]:
        status = os.fstat(self.descriptor)
        return status.st_size, status.st_mtime_ns

    def head(self) -> bytes:
        """Return the first bytes.

        Raises:
            ConfigError: they cannot be read.
        """
        return self.read(4096, 0)

    def read(self, size: int, at: int) -> bytes:
        """Return what is there, at most ``size`` bytes from byte ``at`` on.

        Raises:
            ConfigError: it cannot be read.
        """
        try:
            return os.pread(self.descriptor, size, at)
        except OSError as error:
            raise _unreadable(self.name, error) from None

    def read_into(self, buffers: list[memoryview], at: int) -> int:
        """Fill ``buffers`` with what is there from byte ``at`` on; return how many bytes that is.

        Raises:
            ConfigError: it cannot be read, has become shorter, or was ``fix``ed and has changed.
        """
        try:
            size = os.preadv(self.descriptor, buffers, at)
        except OSError as error:
            raise _unreadable(self.name, error) from None
        if self._fixed not in (None, self._state()):
            raise ConfigError(f"{self.name}: it was changed while it was being sent")
        if size < sum(map(len, buffers)):
            self._refuse_shorter(at + size)
        return size

    def _refuse_shorter(self, end: int) -> None:
        if end < self.size:
            raise ConfigError(f"{self.name}: it has become shorter while it was being sent")

    async def portions(self) -> AsyncIterator[bytes]:
        """Read ahead in a thread.

        Raises:
            ConfigError: it cannot be read, or has become shorter.
        """
        loop = asyncio.get_running_loop()
        offset = 0
        while True:
            data = await loop.run_in_executor(None, self.read, PORTION, offset)
            if not data:
                self._refuse_shorter(offset)
                return
            offset += len(data)
            yield data


class _LiveInput:
    """What comes over time. ``most``: bytes taken at once."""

    live = True

    def __init__(self, descriptor: int, name: str, most: int) -> None:
        self._descriptor = descriptor
        self._name = name
        self._most = most


class PipeInput(_LiveInput):
    """Standard input that is not a file: whatever comes, when it comes."""

    async def portions(self) -> AsyncIterator[bytes]:
        """Wait for input and take what is there, at most a record's worth at once.

        Raises:
            ConfigError: it cannot be read.
        """
        loop = asyncio.get_running_loop()
        os.set_blocking(self._descriptor, False)
        ready = asyncio.Event()
        loop.add_reader(self._descriptor, ready.set)
        try:
            while True:
                try:
                    data = os.read(self._descriptor, self._most)
                except BlockingIOError:
                    ready.clear()
                    await ready.wait()
                    continue
                except OSError as error:
                    raise _unreadable(self._name, error) from None
                if not data:
                    return
                yield data
        finally:
            loop.remove_reader(self._descriptor)


class DeviceInput(_LiveInput):
    """What is always ready, so that nothing can wait for it: ``/dev/null``, ``/dev/zero``. Read in a thread."""

    async def portions(self) -> AsyncIterator[bytes]:
        """Read on and on, a record's worth at once.

        Raises:
            ConfigError: it cannot be read.
        """
        loop = asyncio.get_running_loop()
        while True:
            try:
                data = await loop.run_in_executor(None, os.read, self._descriptor, self._most)
            except OSError as error:
                raise _unreadable(self._name, error) from None
            if not data:
                return
            yield data


class SyntheticInput:
    """Deterministic bytes: a pseudo-random block over and over, each portion marked with its number."""

    live = False

    def __init__(self, size: int, seed: int = 1) -> None:
        self.size = size
        self._block = random.Random(seed).randbytes(_BLOCK)

    async def portions(self) -> AsyncIterator[bytes]:
        """Return ``size`` bytes."""
        done = 0
        while done < self.size:
            portion = (done.to_bytes(8, "big") + self._block[8:PORTION])[: self.size - done]
            done += len(portion)
            yield portion


def open_input(path: str, record_size: int) -> FileInput | PipeInput | DeviceInput:
    """Open a file, or ``-`` for standard input.

    Raises:
        ConfigError: it cannot be read.
    """
    if not path:
        raise ConfigError("file: accepted is a name, or - for standard input")
    name = "standard input" if path == "-" else path
    try:
        with told_if_waiting(Path(path), "writes to it"):
            descriptor = _own_stdin() if path == "-" else os.open(path, os.O_RDONLY | os.O_CLOEXEC)
        kind = os.fstat(descriptor).st_mode
    except OSError as error:
        raise _unreadable(name, error) from None
    if stat.S_ISDIR(kind):
        raise ConfigError(f"{shown(name)}: is a folder; accepted: a file, or - for standard input")
    if stat.S_ISREG(kind):
        return FileInput(descriptor, name)
    return (PipeInput if _can_be_awaited(descriptor) else DeviceInput)(descriptor, name, record_size)


def _own_stdin() -> int:
    """Return standard input, opened anew where that can be done.

    Whether reads block belongs to what was opened, which we share with the shell and with our neighbour in the pipe.
    """
    if stat.S_ISREG(os.fstat(0).st_mode):
        return 0  # read by position: nothing is shared
    try:
        return os.open("/proc/self/fd/0", os.O_RDONLY | os.O_CLOEXEC)
    except OSError:  # a socket, or no /proc
        return 0


def _can_be_awaited(descriptor: int) -> bool:
    with select.epoll() as poll:
        try:
            poll.register(descriptor, select.EPOLLIN)
        except PermissionError:
            return False
    return True


def _unreadable(name: str, error: OSError) -> ConfigError:
    return ConfigError(f"{shown(name)}: {error.strerror}")
