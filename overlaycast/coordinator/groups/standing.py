"""Where the coordinator stands, for the service manager: ready once it listens, and one line for people.

Owns: the words. Refuses: to tell it (``notify``). Pure.
"""

from __future__ import annotations

from collections.abc import Sequence

from overlaycast.coordinator.groups.driver import GroupDriver
from overlaycast.notify import Standing
from overlaycast.settings import Endpoint


def standing(groups: Sequence[GroupDriver], where: Endpoint, listens: bool) -> Standing:
    """Return where a coordinator with these groups stands."""
    if not listens:
        return Standing(False, "starts")
    members = sum(group.connected for group in groups)
    words = f"listens on {where}; {_counted(len(groups), 'group')}, {_counted(members, 'member')} connected"
    return Standing(True, words)


def _counted(number: int, what: str) -> str:
    return f"{number} {what}{'' if number == 1 else 's'}"
