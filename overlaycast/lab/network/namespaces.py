"""Network namespaces of the calling thread: make one, enter it, come back.

Owns: the file descriptors of namespaces. Invariant: a thread that left its own namespace is back when the ``with``
ends, whatever happened in it. If it cannot go back, the process ends, because it would change the wrong network.
A namespace lives as long as a descriptor, a socket or a process holds it: see setns(2), network_namespaces(7).
"""

from __future__ import annotations

import ctypes
import os
from collections.abc import Container, Iterator
from contextlib import contextmanager
from ipaddress import IPv6Address
from pathlib import Path
from typing import Final

from overlaycast.errors import LabError

_CLONE_NEWNET: Final = 0x40000000
_MS_BIND: Final = 4096
_MNT_DETACH: Final = 2
_RTF_LOCAL: Final = 0x80000000
_OWN: Final = "/proc/thread-self/ns/net"
_libc = ctypes.CDLL(None, use_errno=True)
# unshare and setns: the standard library has os.unshare and os.setns from Python 3.12 only.
# mount and umount2: no version has them, and mount(8) would be a process per node.


class Namespace:
    """A network namespace, held open until ``close``."""

    __slots__ = ("fd", "name")

    def __init__(self, name: str) -> None:
        """Make a new, empty namespace; the calling thread stays where it is.

        Raises:
            LabError: the kernel refused.
        """
        self.name = name
        home = os.open(_OWN, os.O_RDONLY | os.O_CLOEXEC)
        try:
            _call(_libc.unshare(_CLONE_NEWNET), f"{name}: cannot make a network namespace")
            self.fd = os.open(_OWN, os.O_RDONLY | os.O_CLOEXEC)
        finally:
            _return(home)

    @contextmanager
    def entered(self) -> Iterator[None]:
        """Move the calling thread into the namespace: what it opens or starts inside the ``with`` belongs there.

        Nothing may be awaited inside; another task would run in the wrong network.
        """
        home = os.open(_OWN, os.O_RDONLY | os.O_CLOEXEC)
        try:
            self.enter()
            yield
        finally:
            _return(home)

    def enter(self) -> None:
        """Move the calling thread here for good (a thread that serves this namespace alone)."""
        _call(_libc.setns(self.fd, _CLONE_NEWNET), f"{self.name}: cannot enter its network namespace")

    def pin(self, folder: Path) -> None:
        """Make it known to ``ip netns``, in a folder of ``names``."""
        target = folder / self.name
        target.touch()
        source = f"/proc/self/fd/{self.fd}".encode()
        _call(_libc.mount(source, str(target).encode(), None, _MS_BIND, None), f"{target}: cannot bind")

    def write_sysctls(self, values: dict[str, str], optional: Container[str] = ()) -> None:
        """Write settings below /proc/sys/net, which shows the calling thread's namespace.

        Those that are ``optional`` are left out where the kernel does not have them.

        Raises:
            LabError: names the setting.
        """
        with self.entered():
            for key, value in values.items():
                file = Path("/proc/sys/net", key)
                if key in optional and not file.exists():
                    continue
                try:
                    file.write_text(value)
                except OSError as error:
                    raise LabError(
                        f"{self.name}: /proc/sys/net/{key}: cannot write {value}: {error.strerror}"
                    ) from error

    def read_sysctl(self, key: str) -> str:
        """Return a setting below /proc/sys/net."""
        with self.entered():
            return Path("/proc/sys/net", key).read_text().strip()

    def local_six(self) -> set[str]:
        """Return the IPv6 addresses that the kernel takes for its own: to which it has a local route."""
        with self.entered():
            lines = Path("/proc/thread-self/net/ipv6_route").read_text().splitlines()
        routes = [line.split() for line in lines]
        return {str(IPv6Address(int(one[0], 16))) for one in routes if int(one[8], 16) & _RTF_LOCAL}

    def close(self) -> None:
        """Let go; the kernel removes the namespace when nothing else holds it."""
        if self.fd >= 0:
            os.close(self.fd)
            self.fd = -1


@contextmanager
def names(folder: Path) -> Iterator[None]:
    """Make a folder for the names of namespaces, on a mount of its own: to unmount it removes all names at once.

    Use it only in a mount namespace of our own, because names outlive a crash.
    """
    folder.mkdir(exist_ok=True)
    path = str(folder).encode()
    _call(_libc.mount(b"tmpfs", path, b"tmpfs", 0, b"mode=0755"), f"{folder}: cannot mount")
    try:
        yield
    finally:
        _call(_libc.umount2(path, _MNT_DETACH), f"{folder}: cannot unmount")


def _return(home: int) -> None:
    if _libc.setns(home, _CLONE_NEWNET) != 0:
        os._exit(70)  # this thread would go on in the wrong network, which is worse than an end
    os.close(home)


def _call(result: int, what: str) -> None:
    if result != 0:
        raise LabError(f"{what}: {os.strerror(ctypes.get_errno())}")
