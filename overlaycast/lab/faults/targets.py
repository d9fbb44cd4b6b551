"""The target expressions of faults, resolved against the tree at the moment of the fault. Pure.

Owns: the notation for targets. Refuses: to guess. An expression that fits no member is an error, because a fault that
hits no member would prove nothing.

Invariant: the same tree and the same expression give the same target (ties break by branch size, then by name).
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from math import ceil
from random import Random
from typing import Final

from overlaycast.errors import LabError
from overlaycast.lab.faults.tree import Seat, Tree
from overlaycast.lab.results.fault_seen import SEVERAL

PRIMARY: Final = "primary-with-largest-branch"
ANOTHER: Final = "another-forwarder"
BACKUP: Final = "backup"
SOURCE: Final = "source"
LEAF: Final = "leaf"
ALL_PRIMARIES: Final = "all-primaries"
FORWARDER_OF: Final = "forwarder-of:"
SHARE: Final = "share:"
PLAIN: Final = (PRIMARY, ANOTHER, BACKUP, SOURCE, LEAF, ALL_PRIMARIES)
ACCEPTED: Final = f"a host's name or several after commas, {', '.join(PLAIN)}, {FORWARDER_OF}SITE, {SHARE}0.3"


def complaint(target: str, hosts: Iterable[str], sites: Iterable[str]) -> str | None:
    """Return what is wrong with an expression on this network, or None."""
    if target in PLAIN:
        return None
    if target.startswith(SHARE):
        return None if _share(target) else f"{target!r}; accepted: {SHARE} and a number above 0, up to 1"
    if target.startswith(FORWARDER_OF):
        site = target.removeprefix(FORWARDER_OF)
        known = sorted(sites)
        return None if site in known else f"no site {site!r}; accepted: {', '.join(known)}"
    known = sorted(hosts)
    wrong = [host for host in _named(target) if host not in known]
    return f"no host {wrong[0]!r}; accepted: {ACCEPTED}; hosts: {', '.join(known)}" if wrong else None


def _named(target: str) -> tuple[str, ...]:
    """Return the hosts that an expression names itself."""
    return tuple(dict.fromkeys(host.strip() for host in target.split(SEVERAL.strip())))


def _share(target: str) -> float | None:
    try:
        share = float(target.removeprefix(SHARE))
    except ValueError:
        return None
    return share if 0 < share <= 1 else None


def resolve(target: str, tree: Tree, gone: Mapping[str, str | None], draw: Random) -> tuple[str, ...]:
    """Return the hosts that an expression means now, at least one.

    Args:
        target: the expression.
        tree: the seats now.
        gone: hosts that are away, with their sites.
        draw: the seed's choices.

    Raises:
        LabError: no member fits.
    """
    alive = [seat for seat in tree.seats if seat.host not in gone]
    if target == ALL_PRIMARIES:
        return _all(target, [seat for seat in alive if seat.role == "peer" and seat.primary])
    if target.startswith(SHARE):
        peers = sorted(seat.host for seat in alive if seat.role == "peer")
        return tuple(sorted(draw.sample(peers, ceil((_share(target) or 0.0) * len(peers)))))
    if target == SOURCE:
        return _all(target, [seat for seat in tree.seats if seat.role == "source"])
    chosen = _chosen(target, tree, alive, gone)
    return _named(target) if chosen is None else (chosen,)


def _all(target: str, seats: Sequence[Seat]) -> tuple[str, ...]:
    if not seats:
        raise LabError(f"target {target}: no member fits at this moment")
    return tuple(sorted(seat.host for seat in seats))


def _chosen(target: str, tree: Tree, alive: list[Seat], gone: Mapping[str, str | None]) -> str | None:
    """Return the one member that an expression describes; None if it names hosts."""
    if target == BACKUP:
        return _first(target, [seat for seat in alive if seat.role == "backup"], tree)
    forwarders = [seat for seat in alive if seat.role in ("peer", "relay") and _forwards(tree, seat, gone)]
    if target == LEAF:
        leaves = [seat for seat in alive if seat.role == "peer" and seat not in forwarders]
        return _first(target, leaves, tree)
    if target == PRIMARY:
        return _first(target, [seat for seat in forwarders if seat.primary], tree)
    if target.startswith(FORWARDER_OF):
        site = target.removeprefix(FORWARDER_OF)
        return _first(target, [seat for seat in forwarders if seat.site == site], tree)
    if target == ANOTHER:
        elsewhere = [seat for seat in forwarders if seat.site not in set(gone.values())]
        return _first(target, elsewhere or forwarders, tree)
    return None


def _forwards(tree: Tree, seat: Seat, gone: Mapping[str, str | None]) -> bool:
    return any(child.host not in gone for child in tree.children().get(seat.id, ()))


def _first(target: str, candidates: list[Seat], tree: Tree) -> str:
    if not candidates:
        raise LabError(f"target {target}: no member fits at this moment")
    return min(candidates, key=lambda seat: (-len(tree.branch(seat.id)), seat.host)).host
