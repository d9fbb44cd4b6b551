"""Fig. 8, 808 to 814: which of two has failed, the one that accuses or its parent, and what follows.

Owns: ``Watch.inquiries``. Refuses: deciding who accuses whom (``watch``), and choosing parents but through ``repair``
and ``placement``. Invariant: an accused parent is asked whether it lives before its other children are moved, unless
its control link is gone as well.
"""

from __future__ import annotations

from typing import Final

from overlaycast.overlay.mending import repair
from overlaycast.overlay.placing import placement
from overlaycast.overlay.plan import mass_failure, moves, unusable_pair
from overlaycast.overlay.state.group import Group
from overlaycast.overlay.state.members import Member
from overlaycast.overlay.state.processes import Inquiry
from overlaycast.overlay.watching import relief, source_lost
from overlaycast.wire.messages import Ping

PING_S: Final = 1.0
"""How long an accused member has to answer."""
NEW_PARENT_S: Final = 1.0
"""How long a member has to be fed by a new parent before it is given another: its parents may all lack its next record,
and it takes the loss only when each has had time to say so."""


def accuse(group: Group, parent: Member, reporter: Member, now: float) -> None:
    """Fig. 8, 808: find out which of the two has failed."""
    if parent.role == "source" and source_lost.is_gone(group, but=reporter):
        relief.look(group, now, but=reporter)
        return  # all wait for a source
    if not parent.connected and parent.role != "source":
        repair.suspect(group, parent, now, "its child is not fed and its control link is gone")
        return
    if source_lost.is_gone(group):
        relief.look(group, now)
        return  # whoever feeds it, there is nothing to be had
    inquiry = group.watch.inquiries.get(parent.id)
    if inquiry is None:
        inquiry = Inquiry(parent.id, now, group.watch.nonce())
        group.watch.inquiries[parent.id] = inquiry
        group.orders.outbox.append((parent.id, Ping(nonce=inquiry.nonce)))
        relieved = parent.role == "source" and group.relief is not None
        group.timers.arm(now + (relief.ANSWER_S if relieved else PING_S), "inquiry", parent.id)
    if reporter.id not in inquiry.reporters:
        nonce = group.watch.nonce()
        inquiry.reporters[reporter.id] = nonce
        group.orders.outbox.append((reporter.id, Ping(nonce=nonce)))


def may_feed(member: Member, child: Member) -> bool:
    """Whether the child was sent there, or may have turned there by itself: then its parent's word on it counts."""
    return member in (child.parent, *child.standbys, *child.fallbacks)


def answered(group: Group, member: Member, nonce: int, now: float) -> None:
    """Take the answer of one that accuses or is accused; the last one concludes."""
    for inquiry in list(group.watch.inquiries.values()):
        if nonce == inquiry.nonce and member.id == inquiry.parent:
            inquiry.answered.add(inquiry.parent)
        elif inquiry.reporters.get(member.id) == nonce:
            inquiry.answered.add(member.id)
        else:
            continue
        if len(inquiry.answered) == len(inquiry.reporters) + 1:
            conclude(group, inquiry, now)


def conclude(group: Group, inquiry: Inquiry, now: float) -> None:
    """All have answered, or time is up: a member that has not answered has failed."""
    group.watch.inquiries.pop(inquiry.parent, None)
    group.timers.cancel("inquiry", inquiry.parent)
    parent = group.living(inquiry.parent)
    if parent is None:
        return
    group.orders.replan[parent.id] = None
    silent = inquiry.parent not in inquiry.answered
    if silent and parent.role == "source" and relief.silent(group, parent, inquiry.asked_at, now):
        return
    if silent and parent.role != "source":
        mass_failure.fell_silent(group, inquiry.asked_at, now)
        repair.suspect(group, parent, now, "accused and silent")
        return
    for reporter_id in inquiry.reporters:
        reporter = group.living(reporter_id)
        if reporter is not None:
            _judge(group, parent, reporter, reporter_id in inquiry.answered, now)


def _judge(group: Group, parent: Member, reporter: Member, answered: bool, now: float) -> None:
    """The parent lives, as far as is known: what follows for one that has accused it."""
    if not answered:
        repair.suspect(group, reporter, now, "accused its parent and is silent itself")
    elif source_lost.is_gone(group, but=reporter if parent.role == "source" else None):
        return  # meanwhile nobody is fed
    elif reporter.parent is not parent:
        unusable_pair.failed(group, parent, reporter, now)
    elif now - reporter.history.mended_at < NEW_PARENT_S:
        return  # it complains again if it is not fed by then
    elif reporter.watch.status != "streaming" or reporter.watch.fed_by != parent.id:
        unusable_pair.failed(group, parent, reporter, now)
        new_sender(group, reporter, parent, now)


def new_sender(group: Group, reporter: Member, parent: Member, now: float) -> None:
    """Fig. 8, 814: both live, the way between them does not."""
    parent.past(failures=parent.history.failures + 1)
    wishes = [one for one in (group.living(reporter.watch.fed_by), *reporter.standbys) if one is not None]
    moves.detach(group, reporter)
    if not repair.settle(group, reporter, [one for one in wishes if one is not parent]):
        found = placement.find(group, reporter, (parent,))
        if found is None and unusable_pair.is_about(parent, reporter) and reporter.children:
            _without_branch(group, reporter, now)
        else:
            if found is None:
                unusable_pair.forgive(reporter)  # nobody else has room for it
            moves.attach(group, reporter, found or parent)
    reporter.past(moved_at=now, mended_at=now)
    group.touch(reporter, force=True)
    new = reporter.parent
    group.note(now, "new-sender", reporter, was=parent.id, now=new.id if new else None)


def _without_branch(group: Group, orphan: Member, now: float) -> None:
    """Nobody but its own branch has room for it: its children go elsewhere first, mostly to where it was."""
    repair.regraft(group, orphan, now)
    repair.place_orphan(group, orphan)
