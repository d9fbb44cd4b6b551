"""Members are called where they claim to be, and must answer with what only they know."""

from __future__ import annotations

import asyncio
import contextlib
import socket
import threading
from collections.abc import AsyncIterator, Awaitable, Callable

import pytest

from overlaycast.coordinator.bounds.settings import CoordinatorSettings
from overlaycast.coordinator.groups import measuring
from overlaycast.coordinator.members import callback
from overlaycast.coordinator.members.callback import Callbacks
from overlaycast.coordinator.state.secret import hash_of
from overlaycast.settings import load
from overlaycast.wire.frames import Challenge, Decoder, Proof, encode
from overlaycast.wire.messages import Welcome
from overlaycast.wire.proof import proof
from tests.coordinator.conftest import Start, eventually, member_link, subscription

SECRET = "s" * 32
Answer = Callable[[Challenge], bytes]


class Port:
    """A data port, or what an attacker says is one."""

    def __init__(self, answer: Answer) -> None:
        self.answer = answer
        self.heard: list[bytes] = []
        self.port = 0
        self.open = 0

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.open += 1
        data = await reader.readexactly(40)
        self.heard.append(data)
        (challenge,) = Decoder().feed(data)
        assert isinstance(challenge, Challenge)
        writer.write(self.answer(challenge))
        with contextlib.suppress(OSError):
            await reader.read()
        writer.transport.abort()
        with contextlib.suppress(OSError):
            await writer.wait_closed()
        self.open -= 1


@contextlib.asynccontextmanager
async def listening(answer: Answer, host: str = "127.0.0.1") -> AsyncIterator[Port]:
    port = Port(answer)
    async with await asyncio.start_server(port.serve, host, 0) as server:
        port.port = server.sockets[0].getsockname()[1]
        yield port
        await eventually(lambda: port.open == 0)


def good(challenge: Challenge) -> bytes:
    return encode(proof(SECRET, challenge))


def called(allow_local: bool, *claims: tuple[str, int]) -> Awaitable[callback.Answers]:
    return Callbacks(allow_local).call("g", "192.0.2.1", claims, hash_of(SECRET))


@pytest.mark.parametrize("host", ["127.0.0.1", "localhost"])
async def test_who_knows_the_secret_is_where_it_says(host: str) -> None:
    async with listening(good) as port:
        assert await called(True, (host, port.port)) == {(host, port.port): ("127.0.0.1", port.port)}
        assert len(port.heard) == 1


async def test_each_call_has_a_nonce_of_its_own() -> None:
    async with listening(good) as port:
        await called(True, ("127.0.0.1", port.port))
        await called(True, ("127.0.0.1", port.port))
        assert len(set(port.heard)) == 2


@pytest.mark.parametrize(
    "answer",
    [
        lambda challenge: b"",
        lambda challenge: b"220 mail.example ESMTP ready, and so on and so forth, longer than a proof\r\n",
        lambda challenge: encode(proof("t" * 32, challenge)),
        lambda challenge: encode(proof(SECRET, Challenge(b"x" * 16))),
        lambda challenge: encode(Proof(challenge.nonce * 2)),
        lambda challenge: good(challenge)[:-1],
        lambda challenge: encode(challenge),
    ],
    ids=["silent", "another service", "another member", "replayed", "echo", "cut", "mirror"],
)
async def test_whoever_else_answers_is_not_the_member(answer: Answer, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(callback, "CONNECT_S", 0.3)
    async with listening(answer) as port:
        assert await called(True, ("127.0.0.1", port.port)) == {("127.0.0.1", port.port): None}


async def test_a_name_is_looked_up_to_its_end_before_its_address_has_another_turn(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    looked_up, answer, known = [], threading.Event(), socket.getaddrinfo

    def slow(host: str, *rest: object, **more: object) -> object:
        looked_up.append(host)
        if host == "slow.invalid":
            answer.wait(60)
        return known("127.0.0.1", *rest, **more)  # type: ignore[arg-type]

    monkeypatch.setattr(socket, "getaddrinfo", slow)
    async with listening(good) as port:
        callbacks = Callbacks(True)
        gone = asyncio.ensure_future(callbacks.call("g", "192.0.2.1", [("slow.invalid", 9)], hash_of(SECRET)))
        await eventually(lambda: looked_up)
        gone.cancel()
        claims = [("quick.invalid", port.port)]
        here = asyncio.ensure_future(callbacks.call("g", "192.0.2.1", claims, hash_of(SECRET)))
        elsewhere = await callbacks.call("g", "192.0.2.2", [("other.invalid", port.port)], hash_of(SECRET))
        assert looked_up == ["slow.invalid", "other.invalid"]
        assert elsewhere == {("other.invalid", port.port): ("127.0.0.1", port.port)}
        answer.set()
        assert await here == {claims[0]: ("127.0.0.1", port.port)}


@pytest.mark.parametrize("host", ["127.0.0.1", "localhost", "0.0.0.0", "::ffff:127.0.0.1", "::1"])
async def test_nothing_on_the_coordinators_own_host_is_called(host: str) -> None:
    async with listening(good) as port:
        assert await called(False, (host, port.port)) == {(host, port.port): None}
        assert port.heard == []


async def test_what_cannot_be_called_is_not_there() -> None:
    claims = [("127.0.0.1", 1), ("no-such-host.invalid", 9), ("a" * 64, 9), ("fe80::1%nowhere", 9)]
    assert await called(True, *claims) == dict.fromkeys(claims)


async def test_a_member_is_called_after_its_echoes_and_others_hear_of_it(start: Start) -> None:
    async with start(allow_local=True) as running:
        token = await running.create()
        keys: list[str] = []
        async with (
            listening(lambda challenge: encode(proof(keys[0], challenge))) as port,
            member_link(running) as anna,
        ):
            claims = [{"host": "127.0.0.1", "port": 8471}, {"host": "localhost", "port": port.port}]
            await anna.say(subscription(token, addresses=[*claims, {"host": "127.0.0.2", "port": 1}]))
            greeting = await anna.hear()
            assert isinstance(greeting, Welcome)
            keys.append(greeting.secret)
            await anna.hear()  # its first order comes after it was measured
            assert anna.echoes > 0
            assert running.overlay().answers == [(1, {("localhost", port.port): ("127.0.0.1", port.port)})]
            events = running.groups.get("demo").log.since(0, 100)
            assert [event.details for event in events if event.kind == "no-answer"] == [
                {"host": "127.0.0.2", "port": 1}
            ]


async def test_who_did_not_answer_is_called_again_while_it_is_connected(
    start: Start, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(measuring, "CALL_AGAIN_S", 0.02)
    monkeypatch.setattr(measuring, "LONGEST_CALL_PAUSE_S", 0.05)
    async with start(allow_local=True) as running:
        token = await running.create()
        keys: list[str] = []
        heard: list[Challenge] = []

        def later(challenge: Challenge) -> bytes:
            heard.append(challenge)
            return encode(proof(keys[0], challenge)) if len(heard) > 3 else b""

        async with listening(later) as port, member_link(running) as anna:
            await anna.say(subscription(token, addresses=[{"host": "localhost", "port": port.port}]))
            greeting = await anna.hear()
            assert isinstance(greeting, Welcome)
            keys.append(greeting.secret)
            await anna.hear()
            await eventually(lambda: bool(running.overlay().answers))
            log = running.groups.get("demo").log.since(0, 100)
            told = [(one.kind, one.details) for one in log if one.kind in ("no-answer", "answers")]
            where = {"host": "localhost", "port": port.port}
            assert told == [("no-answer", where), ("answers", where)]  # and not a line for each call
            assert running.overlay().answers == [(1, {("localhost", port.port): ("127.0.0.1", port.port)})]


async def test_who_has_gone_is_not_called_again(start: Start, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(measuring, "CALL_AGAIN_S", 0.02)
    async with start(allow_local=True) as running, listening(lambda _: b"") as port:
        token = await running.create()
        async with member_link(running) as anna:
            await anna.say(subscription(token, addresses=[{"host": "localhost", "port": port.port}]))
            assert isinstance(await anna.hear(), Welcome)
            await eventually(lambda: len(port.heard) > 1)
            assert running.groups.get("demo")._measuring
        await eventually(lambda: not running.groups.get("demo")._measuring)


async def test_by_default_a_claim_is_looked_into_and_nothing_local_is_called(start: Start) -> None:
    async with start() as running, listening(good) as port, member_link(running) as anna:
        token = await running.create()
        await anna.say(subscription(token, addresses=[{"host": "127.0.0.2", "port": port.port}]))
        assert isinstance(await anna.hear(), Welcome)
        await anna.hear()
        log = running.groups.get("demo").log
        await eventually(lambda: any(event.kind == "no-answer" for event in log.since(0, 100)))
        assert port.heard == []
        assert running.overlay().answers == []


@pytest.mark.parametrize(
    ("words", "local"),
    [
        ([], False),
        (["--allow-local"], True),
        (["--listen", "127.0.0.1:8470"], True),
        (["--listen", "localhost:8470"], True),
        (["--listen", "[::1]:8470"], True),
        (["--listen", "192.0.2.1:8470"], False),
        (["--listen", "127.0.0.1:8470", "--trusted-proxy", "127.0.0.1"], False),
    ],
)
def test_members_of_a_coordinator_on_loopback_are_on_this_host(words: list[str], local: bool) -> None:
    settings = load(CoordinatorSettings, words, "overlaycast coordinator")
    assert settings.local_members is local
    assert settings.allow_local is (words == ["--allow-local"])
