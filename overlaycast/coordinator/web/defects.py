"""What is said of our own defects: one line each, and only so many, however often somebody makes them happen.

Owns: those lines. Refuses: to mend anything; a link or a request that fails ends, and nothing else does.
"""

from __future__ import annotations

import asyncio
import logging
import time
from typing import Any, Final

from overlaycast.coordinator.bounds.allowance import Allowance
from overlaycast.errors import in_one_line
from overlaycast.streams import printable

log = logging.getLogger(__name__)

AT_ONCE: Final = 10
_LINES_PER_S: Final = 1 / 60


class Defects:
    """Of one server: ``AT_ONCE`` lines, then one a minute with how many were left out."""

    def __init__(self) -> None:
        self._lines = Allowance(_LINES_PER_S, AT_ONCE, time.monotonic())
        self._unsaid = 0

    def say(self, what: str, error: BaseException | None) -> None:
        """Say in one line that ``what`` happened, and why."""
        if not self._lines.take(1, time.monotonic()):
            self._unsaid += 1
            return
        why = "" if error is None else f": {printable(in_one_line(error))}"
        left_out = f" ({self._unsaid} more in the last minutes)" if self._unsaid else ""
        self._unsaid = 0
        log.error("%s%s%s", what, why, left_out)

    def heard(self, _: asyncio.AbstractEventLoop, context: dict[str, Any]) -> None:
        """Take what nobody has caught, from the event loop."""
        first, *_rest = str(context.get("message") or "a callback failed").splitlines()
        self.say(printable(first), context.get("exception"))
