"""Whose trains of echoes may not cross the network together: two on one thin link would measure each other (pure).

Owns: which paths are taken to share a link. Refuses: who comes next (``turns``), and what is sent.

Two members are taken for neighbours if more than half of the hops on the shorter path are on both: behind one uplink
that is so, and all paths have their first hops in common. The paths to the same router at the same distance are the
same. Beyond it, hops that are silent on both paths may be the same one; a hop that is silent on one of them only is
taken for no router of the other, or a member of which few routers are known would be everybody's neighbour. Members
without a path are neighbours of each other.
"""

from __future__ import annotations

from typing import TypeAlias

Path: TypeAlias = tuple[str | None, ...]


def neighbours(one: Path, other: Path) -> bool:
    """Return whether the ways to two members are likely to share their thinnest link."""
    same = [hop for hop, (mine, theirs) in enumerate(zip(one, other, strict=False)) if mine == theirs]
    common = max((hop + 1 for hop in same if one[hop] is not None), default=0)
    shared = common + sum(hop >= common for hop in same)
    return 2 * shared > min(len(one), len(other)) or not (one or other)
