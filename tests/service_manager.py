"""A service manager as programs see it: a datagram socket to which they say how they are."""

from __future__ import annotations

import asyncio
import select
import socket
from types import TracebackType


class ServiceManager:
    """Listens at a path, or at an abstract address that begins with ``@``.

    ``unready`` says that nobody has said READY in what was heard so far.
    """

    def __init__(self, address: str) -> None:
        self.environ = {"NOTIFY_SOCKET": address}
        self.unready = True
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self._socket.setblocking(False)
        self._socket.bind(address.replace("@", "\0", 1))

    def __enter__(self) -> ServiceManager:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, tb: TracebackType | None) -> None:
        self._socket.close()

    async def heard(self, name: str | None = None, value: str | None = None, seconds: float = 90) -> dict[str, str]:
        """Wait for the next datagram; with ``name``, for one that says this; with ``value``, just that value."""
        loop = asyncio.get_running_loop()
        async with asyncio.timeout(seconds):
            while True:
                lines = self._read(await loop.sock_recv(self._socket, 4096))
                if name is None or (name in lines and value in (None, lines[name])):
                    return lines

    def _read(self, data: bytes) -> dict[str, str]:
        lines = dict(line.split("=", 1) for line in data.decode().split("\n"))
        self.unready = self.unready and "READY" not in lines
        return lines

    def nothing_more(self) -> bool:
        """Has everything been heard?"""
        return not select.select([self._socket], [], [], 0)[0]

    def wait_without_the_loop(self, seconds: float) -> None:
        """Wait for a datagram, or so long, while the loop stands still."""
        select.select([self._socket], [], [], seconds)

    def forget(self) -> None:
        """Read all that has come."""
        while not self.nothing_more():
            self._read(self._socket.recv(4096))

    def fill(self) -> None:
        """Let nothing more fit in."""
        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as other:
            other.setblocking(False)
            other.connect(self._socket.getsockname())
            try:
                while True:
                    other.send(b"STATUS=x")
            except BlockingIOError:
                return
