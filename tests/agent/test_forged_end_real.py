"""A real receiver whose only parent forges the end of a live stream goes on, and tells the coordinator of it."""

from __future__ import annotations

from pathlib import Path

from overlaycast.wire.frames import End
from overlaycast.wire.messages import Assign, Extent, Report, Untrue
from tests.agent.fake_coordinator import FakeCoordinator
from tests.agent.hops.child import until
from tests.agent.hops.fake_parent import FakeParent
from tests.agent.processes import AgentProcess

LIAR = 7


async def test_its_recording_is_not_closed_and_the_liar_is_told_of(tmp_path: Path) -> None:
    async with FakeCoordinator() as coordinator, FakeParent(LIAR, (0, 10)) as liar:
        agent = await AgentProcess.start(tmp_path, coordinator.url, "join", "a")
        try:
            await coordinator.joined("a")
            coordinator.extent = Extent(least=10, most=500, over=False)
            member = coordinator.members["a"]
            await member.send(Assign(epoch=1, rank=9, depth=2, parent=liar.peer, extent=coordinator.extent))
            await coordinator.said("a", Report, lambda report: report.next_seq == 10)
            liar.finish(End(10, 0, 0, b"d" * 32))
            report = await coordinator.said("a", Report, lambda report: bool(report.untrue))
            assert report.untrue == (Untrue(parent=LIAR, what="end"),)
            assert report.state != "ended"
            first = liar.came
            await until(lambda: liar.came > first)  # it is all there is: it is tried again, later
            assert agent.process.returncode is None
            assert await coordinator.said("a", Report, lambda report: report.untrue is None)
        finally:
            await agent.end()
            print(agent.stderr)
