"""A tree made from the whole map, of which the coordinator knows only the paths from itself. Pure.

Owns: two trees of the places that members sit at. ``fewest_links`` is a floor: no overlay tree puts fewer copies on
links. ``within_depth`` keeps the depth limit, and is drawn by the overlay's own rules for plans (``levels``,
``exchange``) from true distances; it is no floor. Neither keeps degrees, delays or rates.

Why the first is a floor: merge the hosts of each place in any overlay tree. What is left joins all places, and each of
its edges puts a copy on all links of the path between two places. So there are at least as many copies as in the least
tree that spans the places, where an edge weighs what its path has of links (the fewer, if the two directions differ).
"""

from __future__ import annotations

import heapq
from collections import Counter
from typing import Final

import networkx as nx

from overlaycast.lab.simulate.baselines import Parents
from overlaycast.lab.simulate.draw import Draw
from overlaycast.overlay.placing.exchange import shorten
from overlaycast.overlay.placing.levels import SOURCE, share_out

NEIGHBOURS: Final = 16
"""Others that may come to feed a place while the plan is shortened."""


class FullMap:
    """The places of one draw, numbered from 0, the source's, and the links between each two."""

    def __init__(self, draw: Draw) -> None:
        self._draw = draw
        self._hosts = [host for host in (0, *draw.members) if host not in draw.backups]
        self._nodes = list(dict.fromkeys(draw.places[host] for host in self._hosts))
        ways = [draw.routes.links(node) for node in self._nodes]
        size = range(len(self._nodes))
        self._links = [[min(ways[a][self._nodes[b]], ways[b][self._nodes[a]]) for b in size] for a in size]
        self._before = self._spanning()

    def fewest_links(self) -> Parents:
        """Return the tree that puts the fewest copies on links, whatever its depth."""
        return self._parents(self._before)

    def within_depth(self, limit: int) -> Parents:
        """Return a tree that puts few copies on links and is no deeper than ``limit``."""
        order = list(self._before)  # each place after the one before it
        stop = {place: number for number, place in enumerate(order)} | {0: SOURCE}
        place_of = [*order, 0]  # the last one is ``SOURCE``'s

        def links(one: int, other: int) -> int:
            way: int = self._links[place_of[one]][place_of[other]]
            return way

        members = Counter(self._draw.places[host] for host in self._hosts[1:])
        within = [int(members[self._nodes[place]] > 1) for place in order]
        room = [max(1, limit - levels) for levels in within]
        plan = share_out([stop[self._before[place]] for place in order], within, limit, links)
        most = [len(place_of)] * len(place_of)
        near = [sorted((way, stop[other]) for way, other in self._near(place)) for place in order]
        berths = shorten([berth.parent for berth in plan], room, most, near, links)
        return self._parents({place: place_of[berth.parent] for place, berth in zip(order, berths, strict=True)})

    def _spanning(self) -> dict[int, int]:
        """Return per place the one before it in a minimum spanning tree, from the source outwards."""
        graph: nx.Graph[int] = nx.Graph()
        graph.add_node(0)
        for one, ways in enumerate(self._links):
            graph.add_weighted_edges_from((one, other, ways[other]) for other in range(one))
        return {place: before for before, place in nx.bfs_edges(nx.minimum_spanning_tree(graph), 0)}

    def _near(self, place: int) -> list[tuple[int, int]]:
        others = [(way, other) for other, way in enumerate(self._links[place]) if other != place]
        return list({*heapq.nsmallest(NEIGHBOURS, others), (self._links[place][0], 0)})

    def _parents(self, before: dict[int, int]) -> Parents:
        """Return each host's parent: the first one of a place is fed from the place before, and feeds the others."""
        places = self._draw.places
        heads: dict[int, int] = {}
        for host in self._hosts:
            heads.setdefault(places[host], host)
        found: Parents = [None] * len(places)
        for host in self._hosts[1:]:
            found[host] = heads[places[host]]
        for place, above in before.items():
            found[heads[self._nodes[place]]] = heads[self._nodes[above]]
        return found
