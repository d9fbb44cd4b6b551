"""What programs hold and how long they wait for a processor, read from ``/proc`` while they run.

Owns: the two lists. Refuses: to judge. A program that ends between two looks is passed over. What the whole machine
waits for has no host: a machine below this one that holds its processors back, and the process that carries links.
"""

from __future__ import annotations

import asyncio
import os
import time
from collections.abc import Callable, Mapping
from contextlib import suppress
from pathlib import Path
from typing import Final

from overlaycast.lab.recording.recording import Footprint, Stall

LOOK_EVERY_S: Final = 0.1
FOOTPRINT_EVERY: Final = 10
"""Looks from one footprint to the next."""
LEAST_MS: Final = 20.0
"""A shorter wait within one look is passed over: it happens all the time."""


class Meter:
    """Reads all programs of one run again and again."""

    def __init__(self, pids: Callable[[], Mapping[str | None, int]], proc: Path = Path("/proc")) -> None:
        """Say what returns the running programs, host -> process id; nothing is read yet.

        Without a host (None) is what serves all of them.
        """
        self.footprints: list[Footprint] = []
        self.stalls: list[Stall] = []
        self._pids, self._proc = pids, proc
        self._waited_ms: dict[tuple[str | None, int], float] = {}
        self._looked_at = 0.0

    async def run(self) -> None:
        """Look until cancelled."""
        looks = 0
        while True:
            self.look(time.time(), footprints=looks % FOOTPRINT_EVERY == 0)
            looks += 1
            await asyncio.sleep(LOOK_EVERY_S)

    def look(self, now: float, *, footprints: bool) -> None:
        """Read every program once, and note the stalls since the last time."""
        before, self._waited_ms = self._waited_ms, {}
        self._stalled(before, None, 0, now, self._stolen_ms)
        for host, pid in self._pids().items():
            with suppress(OSError, ValueError, IndexError):
                self._stalled(before, host, pid, now, self._waited)
                if footprints and host is not None:
                    self.footprints.append(self._footprint(now, host, pid))
        self._looked_at = now

    def _stalled(
        self,
        before: Mapping[tuple[str | None, int], float],
        host: str | None,
        pid: int,
        now: float,
        read: Callable[[int], float],
    ) -> None:
        waited_ms = self._waited_ms[host, pid] = read(pid)
        more_ms = waited_ms - before.get((host, pid), waited_ms)
        if more_ms >= LEAST_MS:
            self.stalls.append(Stall(self._looked_at, now, host, round(more_ms, 1)))

    def _waited(self, pid: int) -> float:
        """Return for how long the main thread could have run but had no processor, in ms."""
        return int((self._proc / str(pid) / "schedstat").read_text().split()[1]) / 1e6

    def _stolen_ms(self, _: int) -> float:
        """Return for how long a host below this machine held its processors back, on average over them."""
        with suppress(OSError, ValueError, IndexError):
            with (self._proc / "stat").open() as file:
                ticks = int(file.readline().split()[8])
            return ticks * 1000 / os.sysconf("SC_CLK_TCK") / (os.cpu_count() or 1)
        return 0.0

    def _footprint(self, now: float, host: str, pid: int) -> Footprint:
        of = self._proc / str(pid)
        pages = int((of / "statm").read_text().split()[1])
        return Footprint(now, host, pid, pages * os.sysconf("SC_PAGE_SIZE"), len(os.listdir(of / "fd")))
