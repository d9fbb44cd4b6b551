"""A host that turns out to carry less keeps its children, and breaks the promises that it has no room for."""

from __future__ import annotations

import pytest

from overlaycast.overlay.plan import capacity
from overlaycast.overlay.watching import watch
from tests.overlay.faulty import Faulty


def test_a_check_that_finds_a_lower_degree_breaks_promises(monkeypatch: pytest.MonkeyPatch) -> None:
    world = Faulty(default_out_degree=4, start_members=6)
    world.join(0, "source")
    for number in range(6):
        world.join(1 + number % 2)
    for _ in range(3):
        world.second()
    host = next(one for one in world.group.members.values() if one.children and one.promised and one.role == "peer")
    children = list(host.children)
    monkeypatch.setattr(capacity, "degree", lambda group, member: 0)
    watch._look_at_host(world.group, host, world.now)
    assert host.degree == len(children)
    assert list(host.children) == children
    assert host.promised == 0
    world.check_plan()
