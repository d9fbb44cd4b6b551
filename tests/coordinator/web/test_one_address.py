"""What one address may hold, and what it may send, without disturbing others."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator

import pytest
from hypothesis import given
from hypothesis import strategies as st
from websockets.asyncio.client import connect
from websockets.frames import Frame, Opcode

from overlaycast.coordinator.bounds.settings import CoordinatorSettings
from overlaycast.coordinator.web.frames import FrameCounter
from overlaycast.coordinator.web.newcomers import Newcomers
from overlaycast.errors import ConfigError
from overlaycast.settings import load
from overlaycast.wire.messages import Assign, Refused, Welcome
from tests.coordinator.conftest import Member, Running, Start, eventually, member_link, subscription

SIZES = st.sampled_from([0, 1, 125, 126, 127, 65535, 65536, 70000])


@given(st.lists(st.tuples(SIZES, st.booleans()), max_size=8), st.randoms())
def test_frames_are_counted_however_their_bytes_come(frames: list[tuple[int, bool]], chance: object) -> None:
    import random

    assert isinstance(chance, random.Random)
    stream = b"".join(Frame(Opcode.PING if n < 126 else Opcode.BINARY, b"x" * n).serialize(mask=m) for n, m in frames)
    counter, at, seen = FrameCounter(), 0, 0
    while at < len(stream):
        step = chance.choice([1, 2, 3, 100, 65536])
        seen += counter.begun(stream[at : at + step])
        at += step
    assert seen == len(frames)


class _Link:
    def __init__(self, host: str) -> None:
        self.host = host
        self.gone = ""

    def cut(self, reason: str) -> None:
        self.gone = reason


def test_one_newcomer_too_many_ends_the_oldest_of_its_address_then_of_the_fullest() -> None:
    newcomers = Newcomers(2, 3)
    with contextlib.ExitStack() as stack:
        evil = [_Link("evil") for _ in range(3)]
        for link in evil:
            stack.enter_context(newcomers.waiting(link))
        assert [bool(link.gone) for link in evil] == [True, False, False]
        others = [_Link("a"), _Link("b")]
        for link in others:
            stack.enter_context(newcomers.waiting(link))
        assert [bool(link.gone) for link in (*evil, *others)] == [True, True, False, False, False]
    assert newcomers._hosts == {}
    assert newcomers._all == 0


async def test_idle_links_keep_no_newcomer_out(start: Start) -> None:
    async with start(newcomers_per_address=3) as running, contextlib.AsyncExitStack() as stack:
        token = await running.create()
        idle = [await stack.enter_async_context(member_link(running)) for _ in range(6)]
        anna = await stack.enter_async_context(member_link(running))
        await anna.say(subscription(token))
        assert isinstance(await anna.hear(), Welcome)
        await eventually(lambda: sum(link.socket.close_code is not None for link in idle) == 4)
        assert idle[-1].socket.close_code is None


async def test_one_address_cannot_fill_a_group_and_the_source_has_its_place(start: Start) -> None:
    async with start(members_per_address=2, members_limit=3) as running, contextlib.AsyncExitStack() as stack:
        token = await running.create()
        answers = []
        for name, role in (("a", "peer"), ("b", "relay"), ("c", "peer"), ("s", "source")):
            one = await stack.enter_async_context(member_link(running))
            await one.say(subscription(token, name=name, role=role))
            answers.append(await one.hear())
        assert [isinstance(answer, Welcome) for answer in answers] == [True, True, False, True]
        assert isinstance(answers[2], Refused)
        assert answers[2].code == "full"
        assert "127.0.0.1" in answers[2].reason


async def test_who_never_answers_makes_room_at_an_address_that_has_no_more(
    start: Start, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with start(members_per_address=2) as running, contextlib.AsyncExitStack() as stack:
        token = await running.create()
        mute, good, more, late = [await stack.enter_async_context(member_link(running)) for _ in range(4)]
        await good.say(subscription(token, name="good"))
        assert isinstance(await good.hear(), Welcome)
        assert isinstance(await good.hear(), Assign)
        await mute.say(subscription(token, name="mute"))
        await eventually(lambda: running.groups.get("demo").connected == 2)
        await more.say(subscription(token, name="more"))
        assert isinstance(await more.hear(), Refused)  # it may still answer
        monkeypatch.setattr("overlaycast.coordinator.groups.driver.MUTE_S", 0.0)
        await late.say(subscription(token, name="late"))
        assert isinstance(await late.hear(), Welcome)
        await asyncio.wait_for(mute.socket.wait_closed(), 10)
        assert "never answered" in str(mute.socket.close_reason)
        assert good.socket.close_code is None
        assert running.groups.get("demo").connected == 2


@contextlib.asynccontextmanager
async def forwarded(running: Running, host: str) -> AsyncIterator[Member]:
    headers = {"X-Forwarded-For": host}
    async with connect(running.member_url, proxy=None, compression=None, additional_headers=headers) as socket:
        yield Member(socket)


@pytest.mark.parametrize(
    ("trusted", "seen"), [([], "127.0.0.1"), (["127.0.0.0/8"], "192.0.2.9"), (["::1"], "127.0.0.1")]
)
async def test_only_a_trusted_proxy_says_where_a_member_is(start: Start, trusted: list[str], seen: str) -> None:
    async with start(trusted_proxy=trusted) as running:
        token = await running.create()
        async with forwarded(running, "192.0.2.9") as anna:
            await anna.say(subscription(token))
            assert isinstance(await anna.hear(), Welcome)
            assert running.overlay().records[1]["host"] == seen


def test_a_trusted_proxy_is_an_address_or_a_network() -> None:
    options = load(
        CoordinatorSettings, ["--trusted-proxy", "192.0.2.1", "--trusted-proxy", "::1"], "overlaycast coordinator"
    )
    assert options.trusted_proxy == ["192.0.2.1/32", "::1/128"]
    with pytest.raises(ConfigError, match="accepted: an IP address"):
        load(CoordinatorSettings, ["--trusted-proxy", "*"], "overlaycast coordinator")


@pytest.mark.parametrize("frame", [Frame(Opcode.PING, b"x" * 125), Frame(Opcode.CONT, b"", fin=False)])
async def test_a_flood_of_frames_ends_its_link(start: Start, frame: Frame) -> None:
    async with start() as running, running.http() as http:
        token = await running.create()
        async with member_link(running) as anna:
            await anna.say(subscription(token))
            assert isinstance(await anna.hear(), Welcome)
            transport = anna.socket.transport
            transport.write(Frame(Opcode.TEXT, b"", fin=False).serialize(mask=True))
            for _ in range(20):
                transport.write(frame.serialize(mask=True) * 1000)
            await asyncio.wait_for(anna.socket.wait_closed(), 10)
        assert (await http.get("/healthz")).status_code == 200
        await eventually(lambda: running.groups.get("demo").connected == 0)
