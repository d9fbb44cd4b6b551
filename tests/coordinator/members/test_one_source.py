"""Who may take the source's place: nobody while it is there, and whoever has the group's token when it is not."""

from __future__ import annotations

import asyncio
import json

import pytest

from overlaycast.wire.messages import Refused, Welcome
from overlaycast.wire.text import encode
from tests.coordinator.conftest import Member, Start, eventually, member_link, subscription


async def answered(member: Member, token: str, **changes: object) -> object:
    await member.say(subscription(token, **changes))
    return await member.hear()


@pytest.mark.parametrize("host", ["a..b", "-x", "a b", "127.0.0.1\n", "x" * 300, "[::1]"])
async def test_an_address_that_is_none_reaches_nobody(start: Start, host: str) -> None:
    """Whoever names it is refused. The source and the peers, who would have to dial it, hear nothing of it."""
    async with start() as running:
        token = await running.create()
        async with member_link(running) as source, member_link(running) as peer, member_link(running) as stranger:
            assert isinstance(await answered(source, token, role="source"), Welcome)
            assert isinstance(await answered(peer, token, name="peer"), Welcome)
            asked = json.loads(encode(subscription(token, name="stranger", dials=False)))
            asked["addresses"] = [{"host": host, "port": 9}]
            await stranger.socket.send(json.dumps(asked))
            refused = await stranger.hear()
            assert isinstance(refused, Refused)
            assert refused.code == "bad-message"
            assert len(running.overlay().records) == 2
            for member in (source, peer):
                async with asyncio.timeout(60):
                    await (await member.socket.ping())


async def test_the_sources_place_is_kept_while_it_is_there(start: Start) -> None:
    async with start() as running:
        token = await running.create()
        async with member_link(running) as source:
            assert isinstance(await answered(source, token, role="source"), Welcome)
            for changes in ({"name": "thief"}, {"name": "anna"}, {"name": "thief", "dials": False, "reachable": False}):
                async with member_link(running) as thief:
                    refused = await answered(thief, token, role="source", **changes)
                    assert isinstance(refused, Refused)
                    assert refused.code == "source-taken"


@pytest.mark.xfail(strict=True, reason="a join token is full power over its group (SECURITY.md)")
async def test_a_join_token_does_not_open_the_place_of_a_source_that_is_away(start: Start) -> None:
    async with start() as running:
        token = await running.create()
        async with member_link(running) as source:
            assert isinstance(await answered(source, token, role="source"), Welcome)
        await eventually(lambda: running.overlay().gone)
        async with member_link(running) as thief:
            assert isinstance(await answered(thief, token, role="source", name="thief"), Refused)
