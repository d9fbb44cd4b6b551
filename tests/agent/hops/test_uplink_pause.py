"""A file's receiver whose disk is behind reads nothing, and goes on when the disk has caught up."""

from __future__ import annotations

import random

from overlaycast.agent.hops.uplink import Uplink
from overlaycast.agent.records.ring import Ring
from overlaycast.wire.group import GroupSettings
from overlaycast.wire.journal import Entry
from overlaycast.wire.messages import MemberMessage


class Nobody:
    """Listens to nothing."""

    def received(self, arrival: object) -> float | None:
        return None

    def journal(self, entry: Entry) -> None: ...

    def tell(self, message: MemberMessage) -> None: ...

    def parent_changed(self) -> None: ...

    def delivers(self, parent: int) -> None: ...

    def link_failed(self, parent: int, reason: str) -> None: ...

    def asked_in_vain(self, parents: tuple[int, ...]) -> None: ...

    def fruitless(self, parents: tuple[int, ...]) -> None: ...

    def untrue(self, parent: int, what: str, why: str, pause_s: float) -> None: ...

    def ask_extent(self) -> None: ...

    def starved_changed(self) -> None: ...


async def test_who_paused_is_paused_until_told_to_go_on_whatever_becomes_of_its_links() -> None:
    """An order that comes meanwhile may close the only link; silence would then never be suspected again."""
    uplink = Uplink(Ring(2), GroupSettings(mode="file"), 0, Nobody(), lambda *_: None, random.Random(1), bool)
    assert not uplink.paused
    uplink.pause()
    assert uplink.paused
    uplink.go_on()
    assert not uplink.paused
    assert uplink.machine.listening
    uplink.close()
