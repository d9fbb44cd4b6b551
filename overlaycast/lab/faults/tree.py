"""The tree of a run as faults see it: which member feeds which at one moment. Pure."""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass
from typing import Final

import networkx as nx


@dataclass(frozen=True, slots=True)
class Seat:
    """One member's seat in the tree, as the coordinator reports it.

    Attributes:
        id: the member.
        host: the emulated host it runs on (members are named after their hosts).
        role: source, peer, relay or backup.
        site: where that host is, by the topology; None for hosts of no site.
        parent: the member that feeds it, or None.
        primary: fed by the source on behalf of its site.
        depth: hops from the source.
        rank: its position in the group's total order.
        standbys: the members it turns to by itself, in order.
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
    """The members' seats at one moment."""

    epoch: int
    seats: tuple[Seat, ...]

    def by_host(self) -> dict[str, Seat]:
        """Return ``{host: seat}``."""
        return {seat.host: seat for seat in self.seats}

    def children(self) -> dict[int, tuple[Seat, ...]]:
        """Return ``{member: its children, by name}``; members without children are left out."""
        found: dict[int, list[Seat]] = defaultdict(list)
        for seat in sorted(self.seats, key=lambda seat: seat.host):
            if seat.parent is not None:
                found[seat.parent].append(seat)
        return {parent: tuple(children) for parent, children in found.items()}

    def branch(self, member: int) -> tuple[Seat, ...]:
        """Return every seat below ``member``, nearest first."""
        below: nx.DiGraph[int] = nx.DiGraph(
            {parent: [child.id for child in found] for parent, found in self.children().items()}
        )
        below.add_node(member)
        seats = {seat.id: seat for seat in self.seats}
        # the tree may change while it is read, so it may hold a loop; a search visits each seat once
        return tuple(seats[child] for _, child in nx.bfs_edges(below, member))

    def edges(self) -> dict[str, str]:
        """Return ``{host: host of its parent}`` for all that have one."""
        hosts = {seat.id: seat.host for seat in self.seats}
        return {
            seat.host: hosts[seat.parent] for seat in self.seats if seat.parent is not None and seat.parent in hosts
        }


EMPTY: Final = Tree(0, ())
