"""What is said of our own defects: one line each, and only so many, however often somebody makes them happen.

Owns: those lines. Refuses: to mend anything; a link or a request that fails ends, and nothing else does.
"""

from __future__ import annotations

import asyncio
import logging
import time
from typing import Any, Final

from overlaycast.coordinator.bounds.lines import Lines, others
from overlaycast.errors import in_one_line
from overlaycast.streams import printable

log = logging.getLogger(__name__)

AT_ONCE: Final = 10


class Defects:
    """Of one server: ``AT_ONCE`` lines, then one a minute with how many were left out."""

    def __init__(self) -> None:
        self._lines = Lines(AT_ONCE, time.monotonic())

    def say(self, what: str, error: BaseException | None) -> None:
        """Say in one line that ``what`` happened, and why."""
        left_out = self._lines.due(time.monotonic())
        if left_out is None:
            return
        why = "" if error is None else f": {printable(in_one_line(error))}"
        log.error("%s%s%s", what, why, others(left_out))

    def heard(self, _: asyncio.AbstractEventLoop, context: dict[str, Any]) -> None:
        """Take what nobody has caught, from the event loop."""
        first, *_rest = str(context.get("message") or "a callback failed").splitlines()
        self.say(printable(first), context.get("exception"))
