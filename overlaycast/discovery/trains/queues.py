"""Who waits for a train, in which order: groups take turns, then addresses, and newcomers come first (pure).

Owns: the order. Refuses: how many may go at once (``turns``).

A site of which nothing is known has one *representative*, and those come before all others of their group. Of one
address the newest comes first, so a crowd that does not answer holds up no newcomer.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Generic, Protocol, TypeVar


class Waiter(Protocol):
    """What waits: the group and the address that it counts for."""

    @property
    def group(self) -> str: ...
    @property
    def host(self) -> str: ...


W = TypeVar("W", bound=Waiter)


@dataclass(slots=True)
class _Group(Generic[W]):
    """One group's waiters, by address: the representatives of sites, and all others."""

    first: dict[str, list[W]] = field(default_factory=dict)
    later: dict[str, list[W]] = field(default_factory=dict)

    def lists(self) -> tuple[dict[str, list[W]], dict[str, list[W]]]:
        return self.first, self.later


class Queues(Generic[W]):
    """All that wait. A waiter is in it once at most."""

    def __init__(self) -> None:
        self._groups: dict[str, _Group[W]] = {}
        self.first = 0
        """How many of those that wait are representatives."""
        self.later = 0
        """How many are not."""

    def __bool__(self) -> bool:
        return bool(self._groups)

    def add(self, one: W, first: bool) -> None:
        """Let one wait; ``first``: it stands for a site of which nothing is known."""
        group = self._groups.setdefault(one.group, _Group())
        hosts = group.first if first else group.later
        hosts.setdefault(one.host, []).append(one)
        self.first += first
        self.later += not first

    def remove(self, one: W) -> bool:
        """Let one wait no more; False: it did not."""
        group = self._groups.get(one.group)
        for hosts in group.lists() if group is not None else ():
            if one in hosts.get(one.host, ()):
                hosts[one.host].remove(one)
                if not hosts[one.host]:
                    del hosts[one.host]
                assert group is not None
                self.first -= hosts is group.first
                self.later -= hosts is group.later
                if not (group.first or group.later):
                    del self._groups[one.group]
                return True
        return False

    def take(self, one: W) -> None:
        """It is the turn of one that waits: its address is behind the others of its group now, and the group too."""
        self.remove(one)
        if (group := self._groups.pop(one.group, None)) is not None:
            self._groups[one.group] = group
            for hosts in group.lists():
                if (waiting := hosts.pop(one.host, None)) is not None:
                    hosts[one.host] = waiting

    def order(self) -> Iterator[W]:
        """Yield those that wait, in the order in which they come: of each group one, then of each another one."""
        turns = [self._of(group) for group in self._groups.values()]
        while turns:
            left = []
            for turn in turns:
                if (one := next(turn, None)) is not None:
                    yield one
                    left.append(turn)
            turns = left

    @staticmethod
    def _of(group: _Group[W]) -> Iterator[W]:
        for hosts in group.lists():
            queues = [reversed(waiting) for waiting in hosts.values()]
            while queues:
                left = []
                for queue in queues:
                    if (one := next(queue, None)) is not None:
                        yield one
                        left.append(queue)
                queues = left

    def known(self) -> Iterator[W]:
        """Yield those that wait and are no representatives, those of one address together."""
        for group in self._groups.values():
            for waiting in group.later.values():
                yield from reversed(waiting)
