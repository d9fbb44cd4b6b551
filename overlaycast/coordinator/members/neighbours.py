"""Whose trains of echoes may not cross the network together: two on one thin link would measure each other (pure).

Owns: which paths are taken to share a link. Refuses: who comes next (``shares``), and what is sent.

Two members are taken for neighbours if more than half of the routers on the shorter path are on both: behind one uplink
that is so, and all paths have their first routers in common. Members without a known path are neighbours of each other.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final, TypeAlias

Path: TypeAlias = frozenset[str]
UNKNOWN: Final[Path] = frozenset()


def path_of(routers: Sequence[str | None]) -> Path:
    """Return the path with these routers, of which some may be unknown."""
    return frozenset(router for router in routers if router is not None)


def neighbours(one: Path, other: Path) -> bool:
    """Return whether the ways to two members are likely to share their thinnest link."""
    return 2 * len(one & other) > min(len(one), len(other)) or not (one or other)
