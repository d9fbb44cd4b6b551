"""Where the coordinator takes the members to be, asked again and again; the last answer about each counts.

Owns: the asking. Refuses: to compare with the truth (``analysis/discovery``).
"""

from __future__ import annotations

import asyncio
from contextlib import suppress
from typing import Final

from overlaycast.errors import LabError
from overlaycast.lab.recording.located import Located, addresses, located
from overlaycast.lab.run.carrier import Carrier
from overlaycast.lab.topology.topology import Topology

ASK_EVERY_S: Final = 5.0


class Whereabouts:
    """What is known, by host."""

    def __init__(self, carrier: Carrier, topology: Topology) -> None:
        """Say whom to ask, and whose addresses the answers name."""
        self.known: dict[str, Located] = {}
        self._carrier = carrier
        self._names = addresses(topology)

    async def run(self) -> None:
        """Ask for ever."""
        while True:
            await self.look()
            await asyncio.sleep(ASK_EVERY_S)

    async def look(self) -> None:
        """Ask once; a coordinator that is away says nothing."""
        with suppress(LabError):
            self.known |= located(await self._carrier.members(), self._names)
