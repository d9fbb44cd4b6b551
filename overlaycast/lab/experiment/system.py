"""The names of what can carry a stream. Not in ``systems``: options name them too, and must be quick to import."""

from __future__ import annotations

from typing import Final, Literal, get_args

System = Literal["overlay", "unicast", "multicast"]
SYSTEMS: Final[tuple[System, ...]] = get_args(System)
