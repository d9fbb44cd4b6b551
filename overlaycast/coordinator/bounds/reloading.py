"""Which settings of a running coordinator follow when it is told to read them again.

Owns: their names, and what becomes of a difference. Refuses: reading settings, and everything that uses them. Pure.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from overlaycast.coordinator.bounds.settings import CoordinatorSettings

AT_ONCE: Final = ("members_limit", "members_per_address", "groups_limit", "subscribe_timeout_s", "unread_limit_kib")
"""They count for what comes from then on: nobody who is in is turned out. All others need a restart."""


@dataclass(frozen=True, slots=True)
class Reloaded:
    """What became of settings that were read again.

    Attributes:
        settings: those to go on with.
        changed: names of those that have another value now.
        later: names of those that would have another value after a restart.
    """

    settings: CoordinatorSettings
    changed: tuple[str, ...]
    later: tuple[str, ...]

    def __str__(self) -> str:
        """Say it in one line, in the words of the settings' file."""
        values = ", ".join(f"{name} is {getattr(self.settings, name)} now" for name in self.changed)
        restart = f"; after a restart also: {', '.join(self.later)}" if self.later else ""
        return f"settings were read again: {values or 'nothing changes'}{restart}"


def reloaded(running: CoordinatorSettings, wanted: CoordinatorSettings) -> Reloaded:
    """Return what becomes of a running coordinator's settings, of which these are wanted."""
    differ = [name for name in CoordinatorSettings.model_fields if getattr(running, name) != getattr(wanted, name)]
    changed = {name: getattr(wanted, name) for name in differ if name in AT_ONCE}
    later = tuple(name for name in differ if name not in AT_ONCE)
    return Reloaded(running.model_copy(update=changed), tuple(changed), later)
