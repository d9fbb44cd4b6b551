"""Where a member is: routers on the way from the root. Pure."""

from __future__ import annotations

from typing import Final

Key = str | tuple[object, ...]

OUTSIDE: Final = "outside"
"""Begins the keys of what stands for the routers of members that no path locates."""


class Router:
    """A router, or a wildcard, and what is known of the link above it."""

    __slots__ = (
        "_up",
        "children",
        "count",
        "delay_ms",
        "depth",
        "heard",
        "inbound",
        "key",
        "name",
        "order",
        "outbound",
        "outside",
        "own_mbit",
        "parent",
        "rate_mbit",
        "readings",
        "timed",
    )

    def __init__(self, key: Key, parent: Router | None, name: str | None = None, order: int = 0) -> None:
        self.key = key
        self.name = name
        self.outside = isinstance(key, tuple) and key[0] == OUTSIDE
        self.parent = parent
        self.depth: int = parent.depth + 1 if parent else 0
        self.children: list[Router] = []
        self.count = 0
        self.delay_ms: float = parent.delay_ms if parent else 0.0
        self.timed = False
        self.heard = False
        self.rate_mbit: float | None = None
        """The best that is believed of any router at or below this one; None: not known."""
        self.own_mbit: float | None = None
        """The best that is believed of what members of this very router have shown."""
        self.readings: dict[int, float] = {}
        """What the echoes of members of this very router have shown, by member."""
        self.inbound = 0
        self.outbound = 0
        self.order = order
        self._up: tuple[Router, ...] = (self, *parent.up()) if parent else (self,)
        if parent:
            parent.children.append(self)

    def __repr__(self) -> str:
        return f"<router {self.label} count={self.count} delay={self.delay_ms:.1f}>"

    @property
    def label(self) -> str:
        """A name for people: the router's address, or what stands for it."""
        return self.name or (self.key if isinstance(self.key, str) else "/".join(str(part) for part in self.key))

    def up(self) -> tuple[Router, ...]:
        """Return this router and all above it."""
        return self._up


def meeting(one: Router, other: Router) -> Router:
    """Return the deepest router that is above both, or one of them."""
    while one is not other:
        if one.depth >= other.depth:
            assert one.parent is not None
            one = one.parent
        else:
            assert other.parent is not None
            other = other.parent
    return one


def lies_in(router: Router | None, around: Router) -> bool:
    """Whether a router is known, and is the other one or below it."""
    return router is not None and around in router.up()


def links_between(one: Router | None, other: Router | None) -> int:
    """Return how many links a copy from one router to another passes, as far as they are known."""
    if one is other or one is None or other is None:
        return 0
    return one.depth + other.depth - 2 * meeting(one, other).depth
