"""Which member feeds which. Keeps the tree's invariants and chooses nothing.

Owns: parent, children, rank, height and size of the members. Refuses: choosing, promises, messages.

Invariants, checked before every change, which then either happens whole or raises:
    1. one parent; a branch is attached to the source, or its top is an orphan that waits;
    2. rank(parent) < rank(child), so no edge can close a cycle;
    3. no member has more children than its degree;
    4. no member is deeper than the group's limit.

Ranks are 63-bit numbers: level in the upper bits, order of handing out in the lower ``LEVEL_BITS``. A member's rank
only grows. Between two levels there is room for some forty halvings, so a branch that moves keeps its own ranks. A
level may be wished for that is higher than one above the parent's: members that sit further from the source get
higher ones, so that a member that comes later and sits on the way to them may still feed them.
Depth is not stored: a walk of at most ``depth_limit`` steps tells it, and a branch moves without being visited.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from overlaycast.errors import LocalProtocolError
from overlaycast.overlay.state.members import NO_MEMBERS, Member

LEVEL_BITS: Final = 40
RANK_LIMIT: Final = 1 << 63


def ancestors(member: Member) -> Iterator[Member]:
    """Yield the member's parent, its parent's parent, and so on up to the top of its branch."""
    above = member.parent
    while above is not None:
        yield above
        above = above.parent


def top(member: Member) -> Member:
    """Return the top of the branch that the member is in: the source, or an orphan."""
    while member.parent is not None:
        member = member.parent
    return member


def depth(member: Member) -> int:
    """Return how many hops the member is below the top of its branch."""
    hops = 0
    above = member.parent
    while above is not None:
        hops += 1
        above = above.parent
    return hops


def delay_ms(member: Member) -> float:
    """Return the planned delay from the source: the sum of the edges' estimates."""
    total = 0.0
    while member.parent is not None:
        total += member.edge_ms
        member = member.parent
    return total


def branch(member: Member) -> Iterator[Member]:
    """Yield the member and everybody below it, parents before children."""
    queue = [member]
    for one in queue:
        yield one
        queue.extend(one.children)


def ceiling(member: Member) -> int:
    """Return the rank that the member has to stay below: its children's lowest, or the limit."""
    return min((child.rank for child in member.children), default=RANK_LIMIT)


def soft_ceiling(member: Member) -> int:
    """The same, and below those that it is a standby for: a rank above theirs would end those promises."""
    return min((ward.rank for ward in member.wards), default=RANK_LIMIT)


class Tree:
    """The structure of one group."""

    def __init__(self, depth_limit: int) -> None:
        self.depth_limit = depth_limit
        self.root: Member | None = None
        self.order = 0
        """Numbers handed out in ranks so far; ranks of one level follow this order."""
        self.highest = 0
        """The highest rank that anybody has had."""

    def plant(self, source: Member) -> None:
        """Make the source the root, with rank 0."""
        source.rank = 0
        self.root = source

    def fresh_rank(self, level: int) -> int:
        """Return a rank of this level that nobody has had, above all others of the level."""
        self.order += 1
        rank = (level << LEVEL_BITS) | self.order
        self.highest = max(self.highest, rank)
        return rank

    def rank_below(self, member: Member, parent: Member, level: int = 0) -> int:
        """Return the rank that the member needs as a child of ``parent``, below which it ``fits``.

        The present rank is kept where it will do; otherwise one of ``level`` if that fits, and if not one between the
        parent's and the children's.
        """
        if member.rank > parent.rank:
            return member.rank
        high = ceiling(member)
        if parent.rank < (soft := soft_ceiling(member)) - 1:
            high = min(high, soft)
        least = (parent.rank >> LEVEL_BITS) + 1
        for wished in (max(level, least), least):
            if (wished + 1) << LEVEL_BITS <= high:
                return self.fresh_rank(wished)
        return parent.rank + (high - parent.rank) // 2

    def fits(self, member: Member, parent: Member) -> bool:
        """Whether ``attach`` would accept this, ranks given by ``rank_below``."""
        return (
            len(parent.children) < parent.degree
            and parent.rank < ceiling(member)
            and (member.rank > parent.rank or ceiling(member) - parent.rank > 1)
            and depth(parent) + 1 + member.height <= self.depth_limit
        )

    def attach(self, member: Member, parent: Member, edge_ms: float = 0.0, level: int = 0) -> None:
        """Attach an orphan (with all that is below it) to ``parent``; ``level``: of a new rank, if it needs one.

        Raises:
            LocalProtocolError: an invariant would break; nothing has changed.
        """
        if member.parent is not None or member is self.root:
            raise LocalProtocolError(f"{member} already has its place")
        if not self.fits(member, parent):
            raise LocalProtocolError(f"{member} does not fit below {parent}")
        member.rank = self.rank_below(member, parent, level)
        member.parent = parent
        member.edge_ms = edge_ms
        if parent.children is NO_MEMBERS:
            parent.children = []
        parent.children.append(member)
        self._grow(parent, member.height + 1, member.size)

    def detach(self, member: Member) -> None:
        """Take the member, with its branch in one piece, off its parent."""
        parent = member.parent
        if parent is None:
            return
        parent.children.remove(member)
        member.parent = None
        above: Member | None = parent
        while above is not None:
            above.size -= member.size
            above.height = max((child.height + 1 for child in above.children), default=0)
            above = above.parent

    @staticmethod
    def _grow(member: Member | None, height: int, size: int) -> None:
        while member is not None:
            member.size += size
            if member.height < height:
                member.height = height
            height += 1
            member = member.parent

    def raise_rank(self, member: Member, above: int) -> bool:
        """Give a member without children a rank above ``above``, if its own is not; False: it has children."""
        if member.rank > above:
            return True
        if member.children:
            return False
        member.rank = self.fresh_rank((above >> LEVEL_BITS) + 1)
        return True

    def lift(self, member: Member, above: int) -> list[Member]:
        """Raise the ranks of a branch above ``above``, in the order of the old ones; return whose have grown.

        Those whose rank is above their parent's new one keep it: no rank falls.
        """
        lifted: list[Member] = []
        row = [(member, above)]
        while row:
            grown = [(one, least) for one, least in row if one.rank <= least]
            for one, least in grown:
                one.rank = self.fresh_rank((least >> LEVEL_BITS) + 1)
            lifted += [one for one, _ in grown]
            row = sorted(
                ((child, one.rank) for one, _ in grown for child in one.children), key=lambda pair: pair[0].rank
            )
        return lifted


def check(tree: Tree, members: Iterator[Member]) -> None:
    """Verify every invariant from scratch, for tests and for restored snapshots.

    Raises:
        LocalProtocolError: the first one that is broken.
    """
    for member in members:
        _check_member(tree, member)


def _check_member(tree: Tree, member: Member) -> None:
    def broken(what: str) -> LocalProtocolError:
        return LocalProtocolError(f"{member}: {what}")

    if len(member.children) > member.degree:
        raise broken(f"{len(member.children)} children, degree {member.degree}")
    if member.height != max((child.height + 1 for child in member.children), default=0):
        raise broken("wrong height")
    if member.size != 1 + sum(child.size for child in member.children):
        raise broken("wrong size")
    if member.parent is None:
        return
    if member.parent.children.count(member) != 1:
        raise broken("not its parent's child")
    if member.parent.rank >= member.rank:
        raise broken("rank not above its parent's")
    if depth(member) > tree.depth_limit:
        raise broken("too deep")
