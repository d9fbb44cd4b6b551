"""What uplinks and hosts are seen to carry: transfers prove it from below, receivers that lack together from above.

Owns: one account for each direction of each site's uplink, from the reports of those whose copies cross it, and one for
each host with a child that lacks. Refuses: choosing, and to believe a single receiver.

A receiver *lacks* if it gets less than the group's ``rate_threshold`` of what its parent has. An uplink is full if most
of its receivers lack at the same time, twice in a row, and their other ends differ. Otherwise the fault is on the
receivers' own side, or they lie.

Bounds are copies of the stream as the parents have it. What was carried well counts for ``PROVEN_S``, what was not
for ``LACKING_S``: then the uplink may be tried again. Only live groups are looked at; a file goes as fast as it can,
and lacks nothing.

Invariants: an upper bound is never below what crossed when it was found; a copy too few is never proven, for nobody
receives more than the stream.
"""

from __future__ import annotations

from typing import Final

from overlaycast.overlay.state.account import Account, Direction
from overlaycast.overlay.state.group import Group
from overlaycast.overlay.state.members import Member
from overlaycast.overlay.state.router import Router

WINDOW: Final = 1.2
"""Report intervals to an account's window: everybody has said something in it."""
QUIET: Final = 0.5
"""Below this share of the planned rate the stream itself is quiet, and shows nothing."""


def account(group: Group, router: Router, direction: Direction) -> Account | None:
    """Return the account of the link above a router, if there is one."""
    return group.watch.carried.get((router.order, direction))


def note(group: Group, member: Member, parent: Member, now: float) -> None:
    """Take a receiver's report, counted already, to the accounts of the uplinks that its copy crosses."""
    settings = group.settings
    got = member.watch.receive_mbit
    given = group.watch.stream_mbit if parent.role == "source" else parent.watch.receive_mbit
    if settings.mode != "live" or not group.start.begun or got is None or given is None:
        return
    given = min(given, settings.rate_mbit)
    if given < QUIET * settings.rate_mbit or member.router is None or parent.router is None:
        return
    out, into = group.routers.site(parent.router), group.routers.site(member.router)
    share, lacks = min(got / given, 1.0), got < settings.rate_threshold * given
    window_s = WINDOW * settings.report_ms / 1000
    if lacks and parent.id not in group.watch.hosts:
        group.watch.hosts[parent.id] = Account(now)
    accounts: list[tuple[Account, int]] = []
    if (host := group.watch.hosts.get(parent.id)) is not None:
        accounts.append((host, -member.id if out is into else into.order))  # a LAN's ends are its members
    if out is not into:
        accounts.append((group.watch.carried.setdefault((out.order, "out"), Account(now)), into.order))
        accounts.append((group.watch.carried.setdefault((into.order, "in"), Account(now)), out.order))
    for kept, other_end in accounts:
        kept.turn(window_s, now)
        kept.hear(member.id, share, other_end, lacks)


def settled(group: Group, host: Member, now: float) -> None:
    """Keep no account of a host that carries what it is given."""
    kept = group.watch.hosts.get(host.id)
    if (
        kept is not None
        and kept.upper(now) is None
        and not kept.lacking
        and not any(one[2] for one in kept.heard.values())
    ):
        del group.watch.hosts[host.id]
