"""Members are asked how far they are from others, so that those find one another whom paths show far apart.

Owns: whom to ask, and about whom. Refuses: what it is worth (``ways``), and moving anybody (``improve.shorten``).

One member of each router is asked, if its copy passes more than one link, in a few rounds: first about those that are
near by their paths, and some others; then about the neighbours of its nearest ones, and some others again. Neighbours
of neighbours are mostly neighbours, so few rounds find the nearest of many (NN-descent: Dong, Charikar and Li,
"Efficient k-nearest neighbor graph construction for generic similarity measures", WWW 2011). A count holds in one
direction; so a router to which another one has counted is asked about that one in turn.
"""

from __future__ import annotations

import zlib
from collections.abc import Iterable, Sequence
from typing import Final

from overlaycast.overlay.mending import improve
from overlaycast.overlay.mending.replan import MOST, heads_of
from overlaycast.overlay.placing.nearest import nearest
from overlaycast.overlay.plan import moves
from overlaycast.overlay.state.group import Group
from overlaycast.overlay.state.locality import HERE
from overlaycast.overlay.state.members import Member
from overlaycast.overlay.state.processes import Asked
from overlaycast.overlay.state.router import Key
from overlaycast.overlay.state.ways import Way
from overlaycast.wire.messages import Address, DistanceReply, DistanceRequest, DistantMember

ROUND_S: Final = 2.0
"""A member counts for up to a second."""
ROUNDS: Final = 6
AT_ONCE: Final = 8
"""Members that one is asked about in one round."""
STRANGERS: Final = 1
"""Of those, such as nothing speaks for: they lead out of a neighbourhood that is not the nearest."""
TRIED: Final = 96
"""Routers that one router's members are asked about in all."""


def wake(group: Group, now: float) -> None:
    """Begin to ask, or go on, if the group is improved at all."""
    if group.settings.improve_s > 0 and not group.timers.armed("distances"):
        group.timers.arm(now + ROUND_S, "distances")


def ask(group: Group, now: float) -> None:
    """Ask all routers' heads that are not through with it; go on as long as there are any."""
    if group.settings.improve_s <= 0:
        return
    if not group.start.begun:
        wake(group, now)
        return
    heads = [head for head in heads_of(group) if not _is_beside_us(head)]
    group.distances.asked.clear()  # nobody counts for so long
    found = _routers(group, heads)
    routers = {*found, *(head.router.key for head in heads if head.router is not None)}
    group.ways.keep(routers)
    _keep(group, routers)
    if not 1 < len(heads) <= MOST:
        return
    fresh = any(head.router is not None and head.router.key not in group.distances.rounds for head in heads)
    by_paths = _by_paths(heads) if fresh else {}
    if [head for head in heads if _ask(group, head, found, by_paths, now)]:
        wake(group, now)


def on_reply(group: Group, member: Member, message: DistanceReply) -> None:
    """A member has counted. What nobody asked for, or asked of it elsewhere, does not count."""
    state, known = group.distances, group.routers.known
    asked = state.asked.get(member.id)
    if asked is None or asked.nonce != message.nonce or member.router is None or member.router.key != asked.router:
        return
    del state.asked[member.id]
    for distance in message.distances:
        key = asked.others.pop(distance.member, None)
        feeder = None if key is None else known.get(key)
        if feeder is None:
            continue
        # of the routers on the way, one at least is at either end
        way = Way(max(1, distance.hops - 1), distance.rtt_ms / 2)
        group.ways.learn(feeder, member.router, way)
        if member.parent is not None and member.parent.router is feeder:
            member.edge_ms = group.ways.delay_ms(member.parent, member) + moves.HOP_MS
        is_fed = group.source is None or feeder is not group.source.router
        if is_fed and asked.router not in state.tried.get(feeder.key, ()):
            state.wanted.setdefault(feeder.key, {})[asked.router] = None


def _routers(group: Group, heads: Iterable[Member]) -> dict[Key, Member]:
    """Return one member of each router that has a head, and the source."""
    found = {head.router.key: head for head in heads if head.router is not None and head.reachable}
    source = group.source
    if source is None or source.router is None or _is_beside_us(source):
        return found
    return found | {source.router.key: source} if source.located and source.reachable else found


def _is_beside_us(member: Member) -> bool:
    """Whether it is on the coordinator's own network: paths from there are ours, and its place is no router."""
    return member.router is not None and member.router.key == (HERE,)


def _keep(group: Group, found: set[Key]) -> None:
    """Forget routers that have no head any more."""
    state = group.distances
    for table in (state.rounds, state.tried, state.wanted):
        for key in [key for key in table if key not in found]:
            del table[key]
    for wanted in state.wanted.values():
        for key in [key for key in wanted if key not in found]:
            del wanted[key]


def _by_paths(heads: Iterable[Member]) -> dict[Key, list[Key]]:
    """Return by router the nearest others by their paths, the nearest first."""
    routers = [head.router for head in heads if head.router is not None]
    rows = nearest(routers, AT_ONCE // 2)
    return {router.key: [routers[one].key for _, one in row] for router, row in zip(routers, rows, strict=True)}


def _ask(group: Group, head: Member, found: dict[Key, Member], by_paths: dict[Key, list[Key]], now: float) -> bool:
    """Ask a head about some others, if it is not through with it."""
    router, state = head.router, group.distances
    assert router is not None
    assert head.parent is not None
    if not head.connected or group.ways.links(head.parent.router, router) < 2:
        return False  # it cannot be asked, or cannot be nearer
    rounds = state.rounds.get(router.key, 0)
    feeder = head.parent.router
    first = () if feeder is None else (feeder.key,)  # what it has is compared with what it might have
    targets = [
        found[key] for key in _next(group, router.key, rounds, list(found), [*first, *by_paths.get(router.key, ())])
    ]
    if not targets:
        if rounds <= ROUNDS:
            state.rounds[router.key] = ROUNDS + 1
            improve.shorten_later(group, head, now)
        return False
    state.rounds[router.key] = min(rounds + 1, ROUNDS)
    state.nonces += 1
    keys = {one.id: one.router.key for one in targets if one.router is not None}
    state.asked[head.id] = Asked(state.nonces, router.key, keys)
    others = tuple(DistantMember(member=one.id, address=_address(one)) for one in targets)
    group.orders.outbox.append((head.id, DistanceRequest(nonce=state.nonces, members=others)))
    return True


def _address(member: Member) -> Address:
    host, port = member.addresses[0]
    return Address(host=host, port=port)


def _next(group: Group, here: Key, rounds: int, all_: Sequence[Key], by_paths: Sequence[Key]) -> list[Key]:
    """Return the routers that one router's head is asked about in this round."""
    state = group.distances
    tried = state.tried.setdefault(here, {here})
    wanted = state.wanted.pop(here, {})
    chosen = dict.fromkeys([key for key in wanted if key not in tried][:AT_ONCE])
    if rounds < ROUNDS:
        likely = _neighbours_of_neighbours(group, here) if rounds else by_paths
        for key in likely:
            if len(chosen) < AT_ONCE - STRANGERS and key not in tried:
                chosen[key] = None
        for key in _strangers(here, rounds, all_):
            if len(chosen) < AT_ONCE and key not in tried:
                chosen[key] = None
    known = set(all_)
    found = [key for key in chosen if key in known][: TRIED - len(tried)]
    tried.update(found)
    return found


def _neighbours_of_neighbours(group: Group, here: Key) -> list[Key]:
    """Return those by the length of the way there that is known."""
    around = group.ways.around
    found: dict[Key, tuple[int, float]] = {}
    for near, first in around(here):
        for key, second in around(near):
            way = first.links + second.links, first.ms + second.ms
            found[key] = min(found.get(key, way), way)
    return sorted(found, key=lambda key: (*found[key], str(key)))


def _strangers(here: Key, rounds: int, all_: Sequence[Key]) -> list[Key]:
    """Return some of all routers, other ones for each router and round, and the same in each run."""
    return [all_[zlib.crc32(f"{here} {rounds} {draw}".encode()) % len(all_)] for draw in range(4 * AT_ONCE)]
