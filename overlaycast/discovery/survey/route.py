"""The route to one target, as a value. Pure.

Owns: what is said of each router on the way, and of those that do not answer. Refuses: finding it (``survey``).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

Router = str | None

Source = Literal["answered", "table", "guessed", "anonymous", "silent"]
"""How a hop is known. ``answered``: it answered a probe to this target. ``table``: this machine's routing table names
it. ``guessed``: the routes to other targets have it before the same router at the same distance. ``anonymous``: five
probes, to different targets if there are so many, got no answer. ``silent``: no answer yet."""


@dataclass(frozen=True, slots=True)
class Route:
    """The routers from here to ``target``, nearest first; ``None`` is one that does not answer.

    Args:
        target: the address.
        routers: those before the target, or as far as any of them answers.
        reached: the target itself answered.
        rtt_ms: one entry per router and then, if reached, the target's.
        sources: how each router is known, one entry per router.
        open: routers are being asked still, so that a better route may follow.
    """

    target: str
    routers: tuple[Router, ...]
    reached: bool
    rtt_ms: tuple[float | None, ...] = ()
    sources: tuple[Source, ...] = ()
    open: bool = False

    @property
    def hops_ms(self) -> tuple[float | None, ...]:
        """The round-trip times to the routers, without the target's."""
        return self.rtt_ms[: len(self.routers)]

    @property
    def shared(self) -> bool:
        """Whether some of it is taken from the routes to other targets."""
        return "guessed" in self.sources
