"""While the source is gone nobody is fed, and nobody else is to blame for it.

Owns: whether the source is gone, and which of its children have turned to others since (``Start.parted``). Refuses:
moving anybody; ``start`` gives them their places back when there is a source again.

A source whose control link alone is down still feeds its children, and they say so.
"""

from __future__ import annotations

from overlaycast.overlay.state.group import Group
from overlaycast.overlay.state.members import Member


def is_gone(group: Group, but: Member | None = None) -> bool:
    """Whether the source has left, or its control link is down, and no child of it (``but`` for this one) is fed."""
    source = group.source
    if source is None or (source.connected and not source.leaving):
        return False
    return not feeds(source, but)


def feeds(source: Member, but: Member | None) -> bool:
    """Whether children of the source, others than this one, say that it feeds them."""
    return any(
        one is not but and one.connected and one.watch.status == "streaming" and one.watch.fed_by == source.id
        for one in source.children
    )


def note_parting(group: Group, child: Member, parent: Member | None, now: float) -> None:
    """Take note that a member has turned away from its parent by itself: it may have been for want of a source."""
    if parent is not None and parent is group.source:
        group.start.parted[child.id] = now


def parted(group: Group, source: Member) -> list[Member]:
    """Return, and forget, who has turned away from the source since it was heard last, and is a member still."""
    turned, group.start.parted = group.start.parted, {}
    since = source.watch.heard_at
    found = [group.living(child) for child, at in turned.items() if at >= since]
    return [one for one in found if one is not None and one.parent is not None and one.parent is not source]
