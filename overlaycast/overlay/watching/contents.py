"""Which file a file group distributes: announced by its source, passed on to everybody.

Owns: that all members check against the same announcement. Refuses: to look into it, and a source that comes with
another file while somebody has a part of the first: those would never get what they began.
"""

from __future__ import annotations

from overlaycast.overlay.state.group import Group
from overlaycast.overlay.state.members import Member
from overlaycast.wire.messages import Contents, Refused


def on_contents(group: Group, source: Member, contents: Contents, now: float) -> None:
    """Take what the source announces; from anybody else it counts for nothing."""
    if source is not group.source or group.settings.mode != "file" or contents == group.start.contents:
        return
    if group.start.contents is not None and any(one.alive and one.watch.next_seq for one in group.members.values()):
        reason = "the group is about another file; accepted: that one, or a new group"
        group.orders.outbox.append((source.id, Refused(code="other-contents", reason=reason)))
        return
    group.start.contents = contents
    group.start.next_seq = 0
    group.note(now, "contents", source, size=contents.size, sha256=contents.sha256)
    for member in group.members.values():
        if member is not source and member.alive:
            pass_on(group, member)


def pass_on(group: Group, member: Member) -> None:
    """Tell one that comes, or comes back."""
    if group.start.contents is not None and member.role != "source":
        group.orders.outbox.append((member.id, group.start.contents))
