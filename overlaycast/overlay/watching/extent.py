"""What the source says of its stream, for members that have to know whether a parent tells the truth.

Owns: who has asked whether the stream is over. Refuses: to tell anybody more than the source has said (``credit``).

A member to which a parent has said END asks. It is answered at once, and again when the source says that the stream is
over: an END often is at the members before the source's own word is here.
"""

from __future__ import annotations

from overlaycast.overlay.state import credit
from overlaycast.overlay.state.group import Group
from overlaycast.overlay.state.members import Member
from overlaycast.wire.messages import Ping, Report


def on_source_report(group: Group, message: Report, now: float) -> None:
    """The source reports how far it is, and whether that is the end."""
    credit.on_source_report(group, message.next_seq, now, ended=message.state == "ended")
    if group.watch.end is not None:
        waiting, group.watch.asking = group.watch.asking, {}
        for member_id in waiting:
            _answer(group, member_id)


def asked(group: Group, member: Member) -> None:
    """A member asks how far the stream is."""
    _answer(group, member.id)
    if group.watch.end is None:
        group.watch.asking[member.id] = None


def _answer(group: Group, member_id: int) -> None:
    group.orders.outbox.append((member_id, Ping(nonce=group.watch.nonce(), extent=credit.extent(group))))
