"""What one address may hold, and what it may send, without disturbing others."""

from __future__ import annotations

import asyncio
import contextlib
import os
import socket
import time
from collections.abc import AsyncIterator

import pytest
from hypothesis import given
from hypothesis import strategies as st
from websockets.asyncio.client import connect
from websockets.frames import Frame, Opcode

from overlaycast.coordinator.bounds.address import block_of
from overlaycast.coordinator.bounds.settings import CoordinatorSettings
from overlaycast.coordinator.web.frames import FrameCounter
from overlaycast.coordinator.web.newcomers import Newcomers
from overlaycast.coordinator.web.serving import _PING_LIMIT_S
from overlaycast.errors import ConfigError
from overlaycast.settings import load
from overlaycast.wire.messages import Assign, EchoRequest, Refused, Welcome
from overlaycast.wire.text import decode_from_coordinator
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
    def __init__(self, block: str) -> None:
        self.block = block
        self.gone = False

    def abort(self) -> None:
        self.gone = True


def test_one_newcomer_too_many_ends_the_oldest_of_its_address_then_of_the_fullest() -> None:
    newcomers = Newcomers(2, 3)
    evil = [_Link("evil") for _ in range(3)]
    for link in evil:
        newcomers.add(link)
    assert [link.gone for link in evil] == [True, False, False]
    others = [_Link("a"), _Link("b")]
    for link in others:
        newcomers.add(link)
    assert [link.gone for link in (*evil, *others)] == [True, True, False, False, False]
    for link in (*evil, *others):
        newcomers.remove(link)
    assert newcomers._blocks == {}
    assert newcomers._all == 0


@pytest.mark.parametrize(
    ("host", "block"),
    [
        ("192.0.2.1", "192.0.2.1"),
        ("2001:db8::1", "2001:db8::/64"),
        ("2001:db8:0:0:ffff:ffff:ffff:ffff", "2001:db8::/64"),
        ("2001:db8:0:1::1", "2001:db8:0:1::/64"),
        ("fe80::1%eth0", "fe80::/64"),
        ("localhost", "localhost"),
    ],
)
def test_a_host_that_can_take_many_addresses_counts_as_one(host: str, block: str) -> None:
    assert block_of(host) == block


@pytest.mark.parametrize(
    ("limit", "given", "most"), [(10_000, None, 500), (200, None, 100), (3, None, 2), (1, None, 1), (200, 200, 200)]
)
def test_one_address_has_not_all_places_of_a_group_unless_told(limit: int, given: int | None, most: int) -> None:
    assert CoordinatorSettings(members_limit=limit, members_per_address=given).most_at_one_address == most


def descriptors() -> int:
    return len(os.listdir("/proc/self/fd"))


UPGRADE = (
    b"GET /v1/member HTTP/1.1\r\nHost: x\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
    b"Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n\r\n"
)


@pytest.mark.parametrize("first", [b"", b"GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n", UPGRADE])
async def test_strangers_that_are_put_out_are_gone_at_once_though_they_answer_nothing(
    start: Start, first: bytes, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("overlaycast.coordinator.web.connections.REQUEST_LIMIT", 3600.0)
    async with start(newcomers_per_address=4, subscribe_timeout_s=3600) as running:
        before, idle = descriptors(), []
        for _ in range(40):
            sock = socket.create_connection(("127.0.0.1", running.port))
            sock.sendall(first)
            idle.append(sock)
            await asyncio.sleep(0.005)
        began = time.monotonic()
        await eventually(lambda: descriptors() - before <= len(idle) + 4)
        assert time.monotonic() - began < _PING_LIMIT_S / 2  # after that, something else would end them
        token = await running.create()
        async with member_link(running) as anna:
            await anna.say(subscription(token))
            assert isinstance(await anna.hear(), Welcome)
        for sock in idle:
            sock.close()


async def test_a_link_that_is_refused_is_gone_soon_though_it_answers_nothing(start: Start) -> None:
    async with start() as running, asyncio.timeout(60):
        reader, writer = await asyncio.open_connection("127.0.0.1", running.port)
        writer.write(UPGRADE)
        assert b" 101 " in await reader.readuntil(b"\r\n\r\n")
        began = time.monotonic()
        writer.write(Frame(Opcode.TEXT, b"nonsense").serialize(mask=True))
        with contextlib.suppress(ConnectionError):
            assert b"bad-message" in await reader.read()
        assert time.monotonic() - began < _PING_LIMIT_S
        writer.close()
        with contextlib.suppress(ConnectionError):
            await writer.wait_closed()


async def test_a_stranger_cannot_leave_much_to_be_kept(start: Start) -> None:
    async with start() as running, member_link(running) as anna:
        anna.socket.transport.write(Frame(Opcode.TEXT, b"x" * 200_000).serialize(mask=True))
        await asyncio.wait_for(anna.socket.wait_closed(), 60)
        assert anna.socket.close_code == 1006
        token = await running.create()
        async with member_link(running) as bert:
            await bert.say(subscription(token))
            assert isinstance(await bert.hear(), Welcome)


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
        monkeypatch.setattr("overlaycast.coordinator.members.places.MUTE_S", 3600.0)
        mute, good, more, late = [await stack.enter_async_context(member_link(running)) for _ in range(4)]
        await good.say(subscription(token, name="good"))
        assert isinstance(await good.hear(), Welcome)
        assert isinstance(await good.hear(), Assign)
        await mute.say(subscription(token, name="mute"))
        await unanswered(mute)
        await more.say(subscription(token, name="more"))
        assert isinstance(await more.hear(), Refused)  # it may still answer
        monkeypatch.setattr("overlaycast.coordinator.members.places.MUTE_S", 0.0)
        await late.say(subscription(token, name="late"))
        assert isinstance(await late.hear(), Welcome)
        await asyncio.wait_for(mute.socket.wait_closed(), 60)
        assert "never answered" in str(mute.socket.close_reason)
        assert good.socket.close_code is None
        await eventually(lambda: running.groups.get("demo").connected == 2)


async def unanswered(member: Member) -> Welcome:
    """Return a member's welcome when it is asked for an echo, which it does not answer."""
    welcome = await member.hear()
    assert isinstance(welcome, Welcome)
    async with asyncio.timeout(60):
        assert isinstance(decode_from_coordinator(await member.socket.recv()), EchoRequest)
    return welcome


async def come_and_go(running: Running, token: str, **changes: object) -> Welcome:
    async with member_link(running) as one:
        await one.say(subscription(token, **changes))
        welcome = await one.hear()
        assert isinstance(welcome, Welcome)
        assert isinstance(await one.hear(), Assign)
    await eventually(lambda: running.groups.get("demo").connected == 0)
    return welcome


async def ask(running: Running, token: str, **changes: object) -> Welcome | Refused:
    async with member_link(running) as one:
        await one.say(subscription(token, **changes))
        answer = await one.hear()
    assert isinstance(answer, Welcome | Refused)
    await eventually(lambda: running.groups.get("demo").connected == 0)
    return answer


def forget(running: Running, member: int) -> None:
    running.overlay().forget(member)
    running.groups.get("demo")._collect()


def resume_of(welcome: Welcome) -> dict[str, object]:
    return {"member": welcome.member, "secret": welcome.secret, "epoch": 0, "rank": 0, "next_seq": 0}


@pytest.mark.parametrize("limits", [{"members_limit": 2, "members_per_address": 9}, {"members_per_address": 2}])
async def test_a_member_that_is_away_keeps_its_place_until_it_is_forgotten(
    start: Start, limits: dict[str, int]
) -> None:
    async with start(**limits) as running:
        token = await running.create()
        anna = await come_and_go(running, token, name="anna")
        await come_and_go(running, token, name="bert")
        refused = await ask(running, token, name="cleo")
        assert isinstance(refused, Refused)
        assert refused.code == "full"
        assert ("2 of them away" in refused.reason) is ("members_limit" in limits)
        assert isinstance(await ask(running, token, name="source", role="source"), Welcome)
        again = await ask(running, token, name="anna", resume=resume_of(anna))
        assert isinstance(again, Welcome)
        assert again.member == anna.member
        for member in (1, 2, 3):
            forget(running, member)
        assert running.groups.get("demo").members == 0
        assert isinstance(await ask(running, token, name="cleo"), Welcome)


async def test_a_secret_opens_no_place_but_its_members_own(start: Start) -> None:
    async with start(members_per_address=1) as running:
        token = await running.create()
        anna = await come_and_go(running, token, name="anna")
        other = await ask(running, token, name="somebody-else", resume=resume_of(anna))
        assert isinstance(other, Refused)
        forget(running, anna.member)
        await come_and_go(running, token, name="bert")
        late = await ask(running, token, name="anna", resume=resume_of(anna))
        assert isinstance(late, Refused)


async def test_places_outlive_a_restart(start: Start) -> None:
    async with start(members_per_address=1) as running:
        token = await running.create()
        anna = await come_and_go(running, token, name="anna")
    async with start(members_per_address=1) as running:
        assert running.groups.get("demo").members == 1
        assert isinstance(await ask(running, token, name="bert"), Refused)
        assert isinstance(await ask(running, token, name="anna", resume=resume_of(anna)), Welcome)


@pytest.mark.parametrize("limits", [{"members_limit": 2, "members_per_address": 9}, {"members_per_address": 2}])
async def test_who_never_answered_is_forgotten_when_its_place_is_needed_though_it_is_away(
    start: Start, limits: dict[str, int], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("overlaycast.coordinator.members.places.MUTE_S", 0.0)
    async with start(**limits) as running:
        token = await running.create()
        await come_and_go(running, token, name="anna")
        async with member_link(running) as mute:
            await mute.say(subscription(token, name="mute"))
            welcome = await unanswered(mute)
        await eventually(lambda: running.groups.get("demo").connected == 0)
        assert isinstance(await ask(running, token, name="bert"), Welcome)
        assert welcome.member not in running.overlay().records
        assert running.groups.get("demo").members == 2


async def test_who_was_not_asked_yet_is_not_mute(start: Start, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("overlaycast.coordinator.members.places.MUTE_S", 0.0)
    monkeypatch.setattr("overlaycast.coordinator.members.measure._LIMIT", 3600.0)
    async with start(members_limit=1, measure_at_once=1) as running:
        other, token = await running.create("other"), await running.create()
        async with member_link(running) as asked, member_link(running) as waits, member_link(running) as late:
            await asked.say(subscription(other, group="other"))
            await unanswered(asked)
            await waits.say(subscription(token, name="waits"))
            assert isinstance(await waits.hear(), Welcome)
            await late.say(subscription(token, name="late"))
            assert isinstance(await late.hear(), Refused)


async def test_a_link_that_was_a_members_is_a_strangers_until_it_is_gone(
    start: Start, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("overlaycast.coordinator.web.connections.CLOSE_LIMIT", 3600.0)
    async with start(newcomers_per_address=4) as running, contextlib.AsyncExitStack() as stack:
        token = await running.create()
        anna = await come_and_go(running, token, name="anna")
        before, held = descriptors(), []
        for _ in range(20):
            one = await stack.enter_async_context(member_link(running))
            await one.say(subscription(token, name="anna", resume=resume_of(anna)))
            assert isinstance(await one.hear(), Welcome)
            one.socket.transport.pause_reading()  # it does not answer the end of its link
            held.append(one)
        began = time.monotonic()
        await eventually(lambda: descriptors() - before <= len(held) + 5)
        assert time.monotonic() - began < _PING_LIMIT_S / 2  # after that, something else would end them
        for one in held:
            one.socket.transport.abort()


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


async def test_a_proxy_that_names_no_address_is_said_to(start: Start) -> None:
    async with start(trusted_proxy=["127.0.0.0/8"]) as running:
        token = await running.create()
        async with forwarded(running, "unknown") as anna:
            await anna.say(subscription(token))
            answer = await anna.hear()
            assert isinstance(answer, Refused)
            assert "a proxy says that this member is at 'unknown'" in answer.reason


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
            await asyncio.wait_for(anna.socket.wait_closed(), 60)
        assert (await http.get("/healthz")).status_code == 200
        await eventually(lambda: running.groups.get("demo").connected == 0)
