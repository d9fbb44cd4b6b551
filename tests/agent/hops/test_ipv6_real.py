"""Real agents over IPv6."""

from __future__ import annotations

import random
import signal
import socket
from pathlib import Path

import pytest

from overlaycast.wire.group import GroupSettings
from tests.agent.test_stream_real import group, place_tree, same, starter, until_record


def has_ipv6() -> bool:
    try:
        socket.create_server(("::1", 0), family=socket.AF_INET6).close()
    except OSError:
        return False
    return True


@pytest.mark.skipif(not has_ipv6(), reason="this machine has no ::1")
async def test_a_chain_over_ipv6_survives_a_death(tmp_path: Path) -> None:
    media = tmp_path / "media"
    media.write_bytes(random.Random(6).randbytes(2_000_000))
    async with group(GroupSettings(report_ms=100)) as (coordinator, agents):
        start = starter(coordinator, agents, tmp_path)
        here = {"listen": "[::1]:0"}
        source = await start("send", "s", str(media), "--rate", "8M", **here)
        victim, heir, below = [await start("join", name, **here) for name in ("a", "h", "k")]
        await place_tree(coordinator, {"a": ("s", ()), "h": ("a", ("s",)), "k": ("h", ("s",))})
        assert {member.subscribe.addresses[0].host for member in coordinator.members.values()} == {"::1"}
        await coordinator.begin("s")
        await until_record(coordinator, "k", 60)
        victim.signal(signal.SIGKILL)
        await coordinator.fed_by("h", "s")
        for agent in (heir, below, source):
            code, err = await agent.ended()
            assert (agent.name, code) == (agent.name, 0), err
        assert same(heir, media)
        assert same(below, media)
