"""How often is told what others can make happen again and again: some lines at once, then one a minute or so (pure).

Owns: when a line is due, and how many were left out before it. Refuses: to write it.
"""

from __future__ import annotations

from typing import Final

from overlaycast.coordinator.bounds.allowance import Allowance

_LINES_PER_S: Final = 1 / 60


class Lines:
    """The lines about one thing: ``at_once`` of them, then ``per_s`` a second, which is one a minute if not given."""

    def __init__(self, at_once: int, now: float, per_s: float = _LINES_PER_S) -> None:
        self._allowance = Allowance(per_s, at_once, now)
        self._left_out = 0

    def due(self, now: float) -> int | None:
        """Take note that there is a line for ``now`` seconds.

        Returns:
            How many were left out since the last line that was due; None: this one is left out too.
        """
        if not self._allowance.take(1, now):
            self._left_out += 1
            return None
        left_out, self._left_out = self._left_out, 0
        return left_out


def others(left_out: int) -> str:
    """Return the words behind a line that stands for others as well."""
    return f" ({left_out} more in the last minutes)" if left_out else ""
