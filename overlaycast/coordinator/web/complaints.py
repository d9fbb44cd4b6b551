"""What uvicorn says of others' mistakes: one line a minute and no traceback, so that no stranger fills the log.

Owns: which of its lines those are. Refuses: to touch what it says of ours.
"""

from __future__ import annotations

import logging
import time
from typing import Final

from overlaycast.coordinator.bounds.allowance import Allowance

LOGGER: Final = "uvicorn.error"
_LINES_PER_S: Final = 1 / 60
_ALSO: Final = "Invalid UTF-8 sequence"
"""uvicorn's warnings are all about others; this one it takes for an error of ours."""


class Complaints(logging.Filter):
    """Lets the first one pass, and then one a minute, with how many were left out."""

    def __init__(self) -> None:
        super().__init__()
        self._lines = Allowance(_LINES_PER_S, 1, time.monotonic())
        self._unsaid = 0

    def filter(self, record: logging.LogRecord) -> bool:
        """Return whether this is written."""
        if record.levelno > logging.WARNING and not str(record.msg).startswith(_ALSO):
            return True
        if not self._lines.take(1, time.monotonic()):
            self._unsaid += 1
            return False
        left_out = f" ({self._unsaid} more in the last minutes)" if self._unsaid else ""
        record.msg, record.args, record.exc_info = f"{record.getMessage()}{left_out}", None, None
        record.levelno, record.levelname = logging.WARNING, "WARNING"
        self._unsaid = 0
        return True


def bound_complaints() -> None:
    """Put the filter in front of uvicorn's log, in the place of an earlier one."""
    logger = logging.getLogger(LOGGER)
    logger.filters = [one for one in logger.filters if not isinstance(one, Complaints)]
    logger.addFilter(Complaints())
