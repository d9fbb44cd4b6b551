"""What uplinks and hosts are seen to carry: transfers prove it from below, receivers that lack together from above.

Owns: one account per site's uplink and direction, from the reports of those whose copies cross it, and one per host of
whose children some lack. Refuses: choosing, and
anything that one receiver alone says: most of at least two, with different far ends, have to lack at once, twice
running, by what those who feed them receive themselves; else the fault is on their own side, or they lie.

Bounds are copies of the stream as those who feed have it. What was carried well counts for ``PROVEN_S``, what was not
for ``LACKING_S``: then the uplink may be tried again. Only live groups are looked at; a file goes as fast as it can,
and lacks nothing.

Invariants: an upper bound is never below what crossed when it was found; a copy too few is never proven, for nobody
receives more than the stream.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final, Literal

if TYPE_CHECKING:
    from overlaycast.overlay.state.group import Group
    from overlaycast.overlay.state.locality import Place
    from overlaycast.overlay.state.members import Member

Direction = Literal["out", "in"]

WINDOW: Final = 1.2
"""Report intervals to an account's window: everybody has said something in it."""
STALE: Final = 4
"""After so many windows without a word an account begins anew."""
TOGETHER: Final = 0.75
"""Share of the receivers that have to lack, for the uplink to be the reason."""
LACKING_WINDOWS: Final = 2
LACKING_S: Final = 120.0
PROVEN_S: Final = 600.0
QUIET: Final = 0.5
"""Below this share of the planned rate the stream itself is quiet, and shows nothing."""


@dataclass(slots=True)
class Account:
    """One direction of one uplink. Times are seconds of the caller's clock."""

    since: float
    heard: dict[int, tuple[float, int, bool]] = field(default_factory=dict)
    """Per receiver, in this window: what it gets of its copy, the other end's place, whether it lacks."""
    proven: int = 0
    proven_at: float = 0.0
    lacking: int = 0
    most: float | None = None
    most_until: float = 0.0

    def hear(self, receiver: int, share: float, other_end: int, lacks: bool) -> None:
        """Take what one receiver gets of its copy (0 to 1); its newest word counts."""
        self.heard[receiver] = (share, other_end, lacks)

    def turn(self, window_s: float, now: float) -> None:
        """Judge the window if it is over, and begin the next."""
        age = now - self.since
        if age < window_s:
            return
        heard, self.heard, self.since = list(self.heard.values()), {}, now
        if age > STALE * window_s:
            self.lacking = 0
            return
        lacking = [end for _, end, lacks in heard if lacks]
        if heard and not lacking:
            self._well(len(heard), now)
        elif len(set(lacking)) >= 2 and len(lacking) >= TOGETHER * len(heard):
            self.lacking += 1
            if self.lacking >= LACKING_WINDOWS:
                self.most, self.most_until = sum(share for share, _, _ in heard), now + LACKING_S
                self.proven = min(self.proven, int(self.most))
        else:
            self.lacking = 0

    def _well(self, copies: int, now: float) -> None:
        self.lacking = 0
        if copies >= self.proven or now - self.proven_at > PROVEN_S:
            self.proven, self.proven_at = copies, now
        if self.most is not None and copies > self.most:
            self.most = None

    def lower(self, now: float) -> int:
        """Return the copies that it is known to carry."""
        return self.proven if now - self.proven_at <= PROVEN_S else 0

    def upper(self, now: float) -> float | None:
        """Return the copies that it does not exceed, as far as is known."""
        return self.most if now <= self.most_until else None


def account(group: Group, place: Place, direction: Direction) -> Account | None:
    """Return the account of the link above a place, if there is one."""
    return group.carried.get((place.order, direction))


def note(group: Group, member: Member, parent: Member, now: float) -> None:
    """Take a receiver's report, counted already, to the accounts of the uplinks that its copy crosses."""
    settings = group.settings
    got, given = member.receive_mbit, group.stream_mbit if parent.role == "source" else parent.receive_mbit
    if settings.mode != "live" or not group.begun or got is None or given is None:
        return
    given = min(given, settings.rate_mbit)
    if given < QUIET * settings.rate_mbit or member.place is None or parent.place is None:
        return
    out, into = group.places.site(parent.place), group.places.site(member.place)
    share, lacks = min(got / given, 1.0), got < settings.rate_threshold * given
    window_s = WINDOW * settings.report_ms / 1000
    if lacks and parent.id not in group.hosts:
        group.hosts[parent.id] = Account(now)
    accounts: list[tuple[Account, int]] = []
    if (host := group.hosts.get(parent.id)) is not None:
        accounts.append((host, -member.id if out is into else into.order))  # a LAN's ends are its members
    if out is not into:
        accounts.append((group.carried.setdefault((out.order, "out"), Account(now)), into.order))
        accounts.append((group.carried.setdefault((into.order, "in"), Account(now)), out.order))
    for kept, other_end in accounts:
        kept.turn(window_s, now)
        kept.hear(member.id, share, other_end, lacks)


def settled(group: Group, host: Member, now: float) -> None:
    """Keep no account of a host that carries what it is given."""
    kept = group.hosts.get(host.id)
    if (
        kept is not None
        and kept.upper(now) is None
        and not kept.lacking
        and not any(one[2] for one in kept.heard.values())
    ):
        del group.hosts[host.id]
