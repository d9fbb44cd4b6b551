"""What uvicorn says of others' mistakes: one line a minute and no traceback, so that no stranger fills the log.

Owns: which of its lines those are. Refuses: to touch what it says of ours.
"""

from __future__ import annotations

import logging
import time
from typing import Final

from overlaycast.coordinator.bounds.lines import Lines, others

LOGGER: Final = "uvicorn.error"
_ALSO: Final = "Invalid UTF-8 sequence"
"""uvicorn's warnings are all about others; this one it takes for an error of ours."""


class Complaints(logging.Filter):
    """Lets the first one pass, and then one a minute, with how many were left out."""

    def __init__(self) -> None:
        super().__init__()
        self._lines = Lines(1, time.monotonic())

    def filter(self, record: logging.LogRecord) -> bool:
        """Return whether this is written."""
        if record.levelno > logging.WARNING and not str(record.msg).startswith(_ALSO):
            return True
        left_out = self._lines.due(time.monotonic())
        if left_out is None:
            return False
        record.msg, record.args, record.exc_info = f"{record.getMessage()}{others(left_out)}", None, None
        record.levelno, record.levelname = logging.WARNING, "WARNING"
        return True


def bound_complaints() -> None:
    """Put the filter in front of uvicorn's log, in the place of an earlier one."""
    logger = logging.getLogger(LOGGER)
    logger.filters = [one for one in logger.filters if not isinstance(one, Complaints)]
    logger.addFilter(Complaints())
