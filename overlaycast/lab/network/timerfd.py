"""One timer on the monotonic clock, as a descriptor. Through ctypes: os.timerfd_create comes with Python 3.13 only."""

from __future__ import annotations

import ctypes
import os
import time
from contextlib import suppress
from typing import Final

_NONBLOCK_CLOEXEC: Final = 0o4000 | 0o2000000
_ABSTIME: Final = 1
_libc = ctypes.CDLL(None, use_errno=True)


class _Itimerspec(ctypes.Structure):
    _fields_ = (
        ("interval_s", ctypes.c_long),
        ("interval_ns", ctypes.c_long),
        ("value_s", ctypes.c_long),
        ("value_ns", ctypes.c_long),
    )


class Timer:
    """A descriptor that becomes readable at the time it was set to."""

    def __init__(self) -> None:
        self.fd: int = _libc.timerfd_create(time.CLOCK_MONOTONIC, _NONBLOCK_CLOEXEC)
        if self.fd < 0:
            raise OSError(ctypes.get_errno(), "timerfd_create")
        self._spec = _Itimerspec()
        self._pointer = ctypes.byref(self._spec)
        self._settime = _libc.timerfd_settime

    def set(self, at_ns: int) -> None:
        """Fire at this monotonic time; 0 never. A time that has passed fires at once."""
        self._spec.value_s, self._spec.value_ns = divmod(at_ns, 1_000_000_000)
        self._settime(self.fd, _ABSTIME, self._pointer, None)

    def clear(self) -> None:
        """Make it unreadable again after it fired."""
        with suppress(BlockingIOError):
            os.read(self.fd, 8)
