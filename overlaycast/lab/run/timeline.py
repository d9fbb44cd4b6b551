"""The faults of a run, each at its time: aimed, injected and verified, healed, with the tree before and after.

Owns: which hosts are away, and what was seen of each fault. Refuses: how a fault is injected
(``injection``), and how its target is chosen (``aim``).
"""

from __future__ import annotations

import asyncio
import random
import time
from collections.abc import Awaitable, Callable
from contextlib import suppress
from dataclasses import dataclass, field, replace
from typing import Final, Protocol

from overlaycast.errors import LabError
from overlaycast.lab import injection
from overlaycast.lab.faults import aim
from overlaycast.lab.faults.aim import Ground, Hit
from overlaycast.lab.faults.faults import Fault
from overlaycast.lab.faults.tree import EMPTY, Tree
from overlaycast.lab.injection import Stage
from overlaycast.lab.recording.recording import FaultDone
from overlaycast.lab.run.progress import RunProgress

LOOK_EVERY_S: Final = 0.25
CALM_S: Final = 1.0
"""The tree is settled once no member has a dead parent, and no order was given for so long."""
BEFORE_NEXT_S: Final = 0.3
"""The tree after a fault is taken at the latest so long before the next one."""
LAST_S: Final = 8.0


class Trees(Protocol):
    """Where the tree is read."""

    async def tree(self) -> Tree: ...


@dataclass(slots=True)
class Timeline:
    """The faults of one run.

    Attributes:
        stage: what faults act on.
        trees: where the tree is read.
        progress: where it is shown.
        site_of: host -> site.
        ground: the network, for what faults aim at.
        seed: of choices among members.
        done: what happened, in the order of time.
        gone: hosts that are away now, with their sites.
        coming_back: of these, hosts whose fault will be healed.
    """

    stage: Stage
    trees: Trees
    progress: RunProgress
    site_of: Callable[[str], str | None]
    ground: Ground
    seed: int = 0
    done: list[FaultDone] = field(default_factory=list)
    gone: dict[str, str | None] = field(default_factory=dict)
    coming_back: set[str] = field(default_factory=set)

    async def play(
        self,
        faults: tuple[tuple[str, Fault], ...],
        wait_until_s: Callable[[float], Awaitable[None]],
        began_at: float,
        end_s: float | None,
        group: asyncio.TaskGroup,
    ) -> None:
        """Start each fault at its time; what follows from it goes on in ``group``.

        Args:
            faults: in the order of time.
            wait_until_s: returns so many seconds after the source began.
            began_at: when that was (wall seconds).
            end_s: when the stream will end, after it began; None if that is not known.
            group: tasks that outlive this call.
        """
        following = [*[fault.at_s for _, fault in faults[1:]], end_s][: len(faults)]
        for (name, fault), until_s in zip(faults, following, strict=True):
            await wait_until_s(fault.at_s)
            before = await self._newest_tree()
            hit = aim.aim(fault, self.ground, before, self.gone, random.Random(f"{self.seed} {name}"))
            self._take_away(fault, hit)
            deadline = time.time() + LAST_S if until_s is None else began_at + until_s - BEFORE_NEXT_S
            group.create_task(self._fault(name, fault, hit, before, deadline))

    def _take_away(self, fault: Fault, hit: Hit) -> None:
        self.gone |= {host: self.site_of(host) for host in hit.away}
        if fault.heals_after_s is not None:
            self.coming_back |= set(hit.away)

    async def _fault(self, name: str, fault: Fault, hit: Hit, before: Tree, deadline: float) -> None:
        self.progress.event(f"fault {name}: {fault.action} {hit.label}", bad=True)
        done = await injection.inject(self.stage, fault, hit)
        self.progress.event(f"fault {name}: {done.evidence}", bad=True)
        what = (name, fault.action, fault.aim, hit.label, done.at, done.evidence, hit.away, hit.silenced)
        index = len(self.done)
        self.done.append(FaultDone(*what, before=before))
        async with asyncio.TaskGroup() as side:
            if fault.heals_after_s is not None:
                side.create_task(self._heal(fault, hit, fault.heals_after_s, index))
            after = await self._settled(deadline)
        self.done[index] = replace(self.done[index], after=after)

    async def _heal(self, fault: Fault, hit: Hit, after_s: float, index: int) -> None:
        await asyncio.sleep(after_s)
        healed_at = await injection.heal(self.stage, fault, hit)
        for host in hit.away:
            program = self.stage.programs.get(host)
            if program is not None and program.returncode is None:  # a program that ended meanwhile does not come back
                self.gone.pop(host, None)
            self.coming_back.discard(host)
        self.done[index] = replace(self.done[index], healed_at=healed_at)
        self.progress.event(f"healed: {fault.action} {hit.label}")

    async def _newest_tree(self) -> Tree:
        try:
            return await self.trees.tree()
        except LabError:  # the coordinator itself may be what was taken away
            known = [fault.after or fault.before for fault in self.done]
            if not known:
                raise
            return known[-1]

    async def _settled(self, deadline: float) -> Tree | None:
        """Return the tree once repairs are over, or what it is at ``deadline``."""
        calm_since, last = time.time(), EMPTY
        while time.time() < deadline:
            await asyncio.sleep(LOOK_EVERY_S)
            with suppress(LabError):
                tree = await self.trees.tree()
                if tree.epoch != last.epoch or self._has_orphans(tree):
                    calm_since = time.time()
                last = tree
                if time.time() - calm_since >= CALM_S:
                    return tree
        return last if last is not EMPTY else None

    def _has_orphans(self, tree: Tree) -> bool:
        """Return whether a living member has a dead parent, or none."""
        edges = tree.edges()
        living = [seat for seat in tree.seats if seat.host not in self.gone and seat.role != "source"]
        return any(edges.get(seat.host) in self.gone or seat.parent is None for seat in living)
