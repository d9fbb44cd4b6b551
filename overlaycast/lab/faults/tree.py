"""The tree of a run as faults see it: who feeds whom at one moment. Pure."""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass
from typing import Final


@dataclass(frozen=True, slots=True)
class Place:
    """One member's place in the tree, as the coordinator tells it.

    Attributes:
        id: the member.
        host: the emulated host it runs on (members are named after their hosts).
        role: source, peer, relay or backup.
        site: where that host is, by the topology; None for hosts of no site.
        parent: who feeds it, or None.
        primary: fed by the source on behalf of its site.
        depth: hops from the source.
        rank: its place in the group's total order.
        standbys: whom it turns to by itself, in order.
        state: as the coordinator sees it.
    """

    id: int
    host: str
    role: str
    site: str | None
    parent: int | None
    primary: bool = False
    depth: int = 0
    rank: int | None = None
    standbys: tuple[int, ...] = ()
    state: str = ""


@dataclass(frozen=True, slots=True)
class Tree:
    """The members' places at one moment."""

    epoch: int
    places: tuple[Place, ...]

    def by_host(self) -> dict[str, Place]:
        """Return ``{host: place}``."""
        return {place.host: place for place in self.places}

    def children(self) -> dict[int, tuple[Place, ...]]:
        """Return ``{member: its children, by name}``; members without children are left out."""
        found: dict[int, list[Place]] = defaultdict(list)
        for place in sorted(self.places, key=lambda place: place.host):
            if place.parent is not None:
                found[place.parent].append(place)
        return {parent: tuple(children) for parent, children in found.items()}

    def branch(self, member: int) -> tuple[Place, ...]:
        """Return everybody below ``member``, nearest first."""
        children = self.children()
        found: list[Place] = []
        todo = list(children.get(member, ()))
        seen = {member}
        while todo:
            place = todo.pop(0)
            if place.id in seen:  # a tree told by a network that changes meanwhile may be torn
                continue
            seen.add(place.id)
            found.append(place)
            todo += children.get(place.id, ())
        return tuple(found)

    def edges(self) -> dict[str, str]:
        """Return ``{host: host of its parent}`` for all that have one."""
        hosts = {place.id: place.host for place in self.places}
        return {
            place.host: hosts[place.parent]
            for place in self.places
            if place.parent is not None and place.parent in hosts
        }


EMPTY: Final = Tree(0, ())
