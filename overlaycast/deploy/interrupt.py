"""Ctrl-C, SIGTERM and the end of the terminal, while Ansible works: it is asked to end, and we wait for it.

Owns: the handlers of these signals, and what was there before. Refuses: to end anything (``runner``).
"""

from __future__ import annotations

import signal
from collections.abc import Callable
from types import FrameType, TracebackType
from typing import Any, Final, Self

_SIGNALS: Final = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


class Interrupt:
    """A context; calling it says whether one of the signals came.

    Attributes:
        code: the exit code that follows: 128 and the signal's number; 0: none came.
    """

    def __init__(self) -> None:
        self.code = 0
        self._before: list[tuple[signal.Signals, Callable[[int, FrameType | None], Any] | int | None]] = []

    def __enter__(self) -> Self:
        for number in _SIGNALS:
            if signal.getsignal(number) is not signal.SIG_IGN:  # as nohup and a shell's & ask
                self._before.append((number, signal.signal(number, self._came)))
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for number, before in self._before:
            signal.signal(number, before)

    def __call__(self) -> bool:
        return self.code != 0

    def _came(self, number: int, _: FrameType | None) -> None:
        self.code = self.code or 128 + number
