"""What becomes of a running group's settings when others are asked for. Pure.

Owns: what differs, and which of it may change. Refuses: what only the group itself knows, such as how deep its tree is
(``overlay``).
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any, Final

from overlaycast.wire.group import GroupSettings, changing

FIXED: Final = "cannot change while the group runs"


@dataclass(frozen=True, slots=True)
class Changes:
    """What would become of a group's settings.

    Attributes:
        settings: as they would be: all that differs counts.
        changed: what differs, by name, in the order of the settings: old and new value.
        refused: which of it may not change, by name, and why.
    """

    settings: GroupSettings
    changed: dict[str, tuple[Any, Any]] = field(default_factory=dict)
    refused: dict[str, str] = field(default_factory=dict)

    @property
    def told(self) -> bool:
        """Must members learn of it?"""
        return any(changing(name).told for name in self.changed)


def changes(present: GroupSettings, wanted: GroupSettings, names: Iterable[str] | None = None) -> Changes:
    """Return what it means to have the settings that were given in ``wanted``; all others stay as they are.

    Args:
        names: those that count as given; None: those with which ``wanted`` was made.
    """
    given = wanted.model_fields_set if names is None else set(names)
    new = {name: getattr(wanted, name) for name in GroupSettings.model_fields if name in given}
    changed = {name: (old, value) for name, value in new.items() if (old := getattr(present, name)) != value}
    refused = {name: f"{FIXED}: {changing(name).counts}" for name in changed if not changing(name).may}
    return Changes(present.model_copy(update={name: new[name] for name in changed}), changed, refused)
