"""Lines of hosts' journals, from what ``logs.yml`` tells: whose they are, and where to go on reading.

Owns: the names of units as people may write them, and reading ``journalctl``'s cursor. Refuses: what would steer the
terminal.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Final

from overlaycast.deploy.events import Event
from overlaycast.streams import printable

JOURNAL_TASK: Final = "Read the journal"
EVERY: Final = "overlaycast-*"
_CURSOR: Final = "-- cursor: "
_NAME: Final = re.compile(r"[A-Za-z0-9:_.@*?-]{1,200}")


def unit_name(text: str) -> str:
    """Return a unit or a pattern of units: ``join@news`` is ``overlaycast-join@news.service``.

    Raises:
        ValueError: it can be none.
    """
    if not _NAME.fullmatch(text) or text.startswith("-"):
        raise ValueError("accepted is a unit such as join@news or coordinator, or a pattern such as 'join@*'")
    name = text if text.startswith("overlaycast-") else f"overlaycast-{text}"
    return name if name.endswith((".service", "*")) else f"{name}.service"


class Journal:
    """Hears the events of ``logs.yml``.

    Attributes:
        cursors: where each host's journal was read up to.
    """

    def __init__(self) -> None:
        self.cursors: Final[dict[str, str]] = {}

    def hear(self, event: Event) -> Iterator[tuple[str, str]]:
        """Take an event in, and yield the lines that it brings, each with its host."""
        if event.kind != "ok" or event.task != JOURNAL_TASK:
            return
        for line in str(event.result.get("stdout", "")).splitlines():
            if line.startswith(_CURSOR):
                self.cursors[event.host] = line.removeprefix(_CURSOR).strip()
            elif not line.startswith("-- "):  # it has no entries, or the host was started again
                yield event.host, printable(line)
