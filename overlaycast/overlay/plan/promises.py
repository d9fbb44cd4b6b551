"""Every forwarder's death is planned while it lives: heirs, siblings and their standbys.

Owns: who is whose standby, and the degree that is kept free for it. Refuses: moving anybody.

When a forwarder dies, one child of each site that it feeds, the *heir*, turns to a standby outside, and its siblings
turn to the heir. An heir whose dead parent was fed within the same site finds the next parent there, so that no
second copy enters the site; a site's head is replaced from outside: a backup server, another site's member with room
in its uplink, and last the grandparent, whose slot the death frees.

Invariants: a standby ranks below its ward, is alive, and is not in the branch of the ward's parent; a promise counts
against the degree of the member that gave it, except the grandparent's for one child, for that child takes its parent's
slot.
"""

from __future__ import annotations

from overlaycast.overlay.plan.capacity import room
from overlaycast.overlay.plan.reach import linked
from overlaycast.overlay.state.group import Group
from overlaycast.overlay.state.members import NO_MEMBERS, Member
from overlaycast.overlay.state.router import Router
from overlaycast.overlay.state.tree import ancestors

_ONE = ((False,), (True,))
"""Nearly all members have one standby: they share these."""


def _hold(ward: Member, standby: Member, counts: bool) -> None:
    ward.standbys = (*ward.standbys, standby)
    ward.counted = (*ward.counted, counts) if ward.counted else _ONE[counts]
    if standby.wards is NO_MEMBERS:
        standby.wards = []
    standby.wards.append(ward)
    standby.promised += counts


def release(group: Group, ward: Member) -> None:
    """Give all its standbys' promises back."""
    for standby, counts in zip(ward.standbys, ward.counted, strict=True):
        standby.wards.remove(ward)
        if counts:
            standby.promised -= 1
            group.candidates.offer(standby)
    if ward.standbys:
        ward.standbys, ward.counted = (), ()
        group.touch(ward)


def withdraw(group: Group, standby: Member) -> None:
    """Break all promises that this member gave: it is gone, or cannot keep them."""
    for ward in list(standby.wards):
        release(group, ward)
        if ward.parent is not None:
            group.orders.replan[ward.parent.id] = None


def join(group: Group, child: Member) -> None:
    """Take note of a new child; a sibling's place at the heir is kept free at once, the rest is for ``plan``."""
    parent = child.parent
    assert parent is not None
    trim(group, parent)
    group.orders.replan[parent.id] = None
    if child.children:
        group.orders.replan[child.id] = None
    if parent.role == "source" or child.standbys:
        return
    heir = _heir_for(group, parent, child)
    if heir is not None and heir.spare > 0 and linked(heir, child):
        _hold(child, heir, True)


def part(group: Group, child: Member, parent: Member, alone: bool) -> None:
    """Take note that a child has left its parent; ``alone``: if it was the heir, its siblings need another."""
    release(group, child)
    group.orders.replan[parent.id] = None
    for ward in list(child.wards) if alone else ():
        if ward.parent is parent:
            release(group, ward)


def trim(group: Group, member: Member) -> None:
    """Break promises that the member has no degree left for, the newest first; those wards are planned for anew."""
    if not member.wards:
        return
    for ward in reversed(list(member.wards)):
        if member.spare >= 0:
            return
        if any(one is member and counts for one, counts in zip(ward.standbys, ward.counted, strict=True)):
            release(group, ward)
            if ward.parent is not None:
                group.orders.replan[ward.parent.id] = None


def drop_overtaken(group: Group, standby: Member) -> None:
    """Break the promises to members that the standby's rank has passed."""
    for ward in list(standby.wards):
        if ward.rank <= standby.rank:
            release(group, ward)
            if ward.parent is not None:
                group.orders.replan[ward.parent.id] = None


def families(group: Group, forwarder: Member) -> list[list[Member]]:
    """Return a forwarder's children by site, each family with its heir first and the others in order of rank.

    The heir is a neighbour of the forwarder where there is one: it can take over for all with the shortest ways. The
    source's children are a family each, for nobody takes over for the source.
    """
    children = sorted(forwarder.children, key=lambda child: child.rank)
    if len(children) == 1 or forwarder.role == "source":
        return [[child] for child in children]
    by_site: dict[Router | None, list[Member]] = {}
    for child in children:
        by_site.setdefault(_site(group, child), []).append(child)
    for family in by_site.values():
        heir = _heir(forwarder, family)
        if heir is not None:
            family.remove(heir)
            family.insert(0, heir)
    return list(by_site.values())


def _heir(forwarder: Member, family: list[Member]) -> Member | None:
    able = [child for child in family if child.degree and child.trusted]
    able.sort(key=lambda child: not child.reachable)  # the one that all its siblings can dial
    return next((child for child in able if child.router is forwarder.router), able[0] if able else None)


def _heir_for(group: Group, parent: Member, child: Member) -> Member | None:
    """The sibling that a new child will turn to: the heir of those that rank below it."""
    site = _site(group, child)
    above = [one for one in parent.children if one.rank < child.rank and _site(group, one) is site]
    return _heir(parent, sorted(above, key=lambda one: one.rank))


def _site(group: Group, member: Member) -> Router | None:
    return None if member.router is None else group.routers.site(member.router)


# --- planning -----------------------------------------------------------------------------------------------------


def plan_all(group: Group) -> None:
    """Plan for every forwarder whose children or place have changed since the last call."""
    while group.orders.replan:
        pending, group.orders.replan = group.orders.replan, {}
        forwarders = [one for one in map(group.living, pending) if one is not None and one.children]
        # the source last: its children need a standby only where the way to the source breaks, heirs need it more
        for forwarder in sorted(forwarders, key=lambda one: (one.role == "source", one.rank)):
            # while a forwarder is accused its children's plan is being carried out: it must not change under them
            if forwarder.id not in group.watch.inquiries:
                plan(group, forwarder)


def plan(group: Group, forwarder: Member) -> None:
    """Give each child of this forwarder a standby; those whose standby still serves keep it."""
    for family in families(group, forwarder):
        heir = family[0]
        _plan_outside(group, forwarder, heir)
        for child in family[1:]:
            if child.rank < heir.rank and not child.children and not child.wards:
                group.tree.raise_rank(child, heir.rank)
                group.touch(child)
            if not _plan_inside(child, heir, family, group):
                _plan_outside(group, forwarder, child)


def _plan_inside(child: Member, heir: Member, family: list[Member], group: Group) -> bool:
    present = child.standbys[0] if child.standbys else None
    if present is not None and present.parent is child.parent and _serves(present, child):
        return True
    for sibling in (heir, *family):
        if sibling is not child and sibling.spare > 0 and _serves(sibling, child):
            release(group, child)
            _hold(child, sibling, True)
            group.touch(child)
            return True
    return False


def _serves(standby: Member, ward: Member) -> bool:
    return standby.trusted and standby.rank < ward.rank and linked(standby, ward)


def _plan_outside(group: Group, forwarder: Member, child: Member) -> None:
    if child.standbys and _still_outside(group, forwarder, child):
        return
    release(group, child)
    found = _outside(group, forwarder, child)
    if found is not None:
        _hold(child, *found)
        group.touch(child)


def _still_outside(group: Group, forwarder: Member, child: Member) -> bool:
    standby = child.standbys[0]
    if not _acceptable(forwarder, child, standby):
        return False
    if standby is forwarder.parent:
        # better than the grandparent is wanted for a site's head; and only one child inherits its slot
        return not child.counted[0] and not _is_head(group, forwarder)
    return child.counted[0]


def _is_head(group: Group, forwarder: Member) -> bool:
    parent = forwarder.parent
    return parent is None or _site(group, parent) is not _site(group, forwarder)


def _acceptable(forwarder: Member, child: Member, standby: Member) -> bool:
    if standby is child or standby is forwarder or not _serves(standby, child):
        return False
    if standby.parent is None and standby.role != "source":
        return False
    return forwarder.role == "source" or forwarder not in ancestors(standby)


def _outside(group: Group, forwarder: Member, child: Member) -> tuple[Member, bool] | None:
    """Return a standby for a child whose parent's whole branch is gone, and whether it costs a slot."""
    grandparent = _grandparent(forwarder, child)
    if grandparent is not None and not _is_head(group, forwarder):
        return grandparent, False
    for server in sorted(group.servers, key=lambda server: (server.promised, server.id)):
        # the copy replaces the dead parent's, or the child's own: none is added at the child's site
        if (
            server.spare > 0
            and _acceptable(forwarder, child, server)
            and room(group, server.router, child.router, True)
        ):
            return server, True
    other = _elsewhere(group, forwarder, child)
    if other is not None:
        return other, True
    if grandparent is not None:
        return grandparent, False
    above = forwarder.parent
    return (above, True) if above is not None and above.spare > 0 and _serves(above, child) else None


def _grandparent(forwarder: Member, child: Member) -> Member | None:
    grandparent = forwarder.parent
    if grandparent is None or not _serves(grandparent, child):
        return None
    taken = any(
        standby is grandparent and not counts
        for sibling in forwarder.children
        if sibling is not child
        for standby, counts in zip(sibling.standbys, sibling.counted, strict=True)
    )
    return None if taken else grandparent


def _elsewhere(group: Group, forwarder: Member, child: Member) -> Member | None:
    """A member of another site with room, found outwards from the child; the source is not one."""
    if child.router is None:
        return None
    site = _site(group, child)

    def accept(member: Member) -> bool:
        return (
            member.role != "source"
            and _site(group, member) is not site
            and _acceptable(forwarder, child, member)
            and room(group, member.router, child.router, True)
        )

    start = site.parent if site is not None and site.parent is not None else group.routers.root
    searched = site
    for router in start.up():
        found = group.candidates.near(router, accept, 1) or group.candidates.below(router, accept, searched)
        if found:
            return min(found, key=lambda member: (member.promised, member.rank))
        searched = router
    return None
