"""What people see of a running member on stderr: lines, and at a terminal one status line below them.

Owns: which of them is at the cursor. Refuses: to know what they say.
"""

from __future__ import annotations

import sys


class Console:
    """Stderr.

    Args:
        name: the member's name, before each line.
    """

    def __init__(self, name: str) -> None:
        self.is_terminal = sys.stderr.isatty()
        self._name = name
        self._status_shown = False

    def line(self, text: str) -> None:
        """Print one line, above the status line if there is one."""
        clear = "\r\x1b[K" if self._status_shown else ""
        self._status_shown = False
        print(f"{clear}overlaycast {self._name}: {text}", file=sys.stderr, flush=True)

    def status(self, text: str) -> None:
        """Replace the status line."""
        print("\r\x1b[K" + text, end="", file=sys.stderr, flush=True)
        self._status_shown = True

    def close(self) -> None:
        """Leave the cursor on a line of its own."""
        if self._status_shown:
            print(file=sys.stderr)
