"""Open a TAP interface: the kernel's end is a network card, ours a descriptor of Ethernet frames (tuntap in
the kernel's documentation). Owns nothing beyond the call; the interface lives as long as its namespace.
"""

from __future__ import annotations

import fcntl
import os
import struct
from typing import Final

from overlaycast.errors import LabError, MissingError

_DEVICE: Final = "/dev/net/tun"
_TUNSETIFF: Final = 0x400454CA
_TUNSETPERSIST: Final = 0x400454CB
_IFF_TAP: Final = 0x0002
_IFF_NO_PI: Final = 0x1000


def open_tap(name: str) -> int:
    """Make the TAP interface ``name`` in the calling thread's namespace; return its non-blocking descriptor.

    Raises:
        MissingError: there is no ``/dev/net/tun``, or we may not open it.
        LabError: the kernel refused the interface.
    """
    try:
        fd = os.open(_DEVICE, os.O_RDWR | os.O_NONBLOCK | os.O_CLOEXEC)
    except OSError as error:
        raise MissingError(
            f"{_DEVICE}: {error.strerror}; links with delay or loss need it here: 'sudo modprobe tun' and"
            f" 'sudo chmod 666 {_DEVICE}', or run with sudo"
        ) from None
    try:
        fcntl.ioctl(fd, _TUNSETIFF, struct.pack("16sH22x", name.encode(), _IFF_TAP | _IFF_NO_PI))
        # the interface goes with its namespace, all at once; going with its descriptor costs 15 ms each
        fcntl.ioctl(fd, _TUNSETPERSIST, 1)
    except OSError as error:
        os.close(fd)
        raise LabError(f"{name}: cannot make a TAP interface: {error.strerror}") from None
    return fd
