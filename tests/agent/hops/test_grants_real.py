"""A grant is proven and not shown: a real data port, thieves who have read every byte, and parents who are none."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Final

import pytest

from overlaycast.agent.hops.called import MOST_UNKNOWN
from overlaycast.agent.hops.door import ENTER_S, MOST_PENDING
from overlaycast.failover.admission import HOLD_S
from overlaycast.wire import grants
from overlaycast.wire.frames import (
    EDGE,
    IDLE,
    OLDEST,
    VERSION,
    Call,
    Challenge,
    Data,
    Decoder,
    Enter,
    Frame,
    Heartbeat,
    Hello,
    Knock,
    Offer,
    Proof,
    Refuse,
    RefuseCode,
    Start,
    encode,
)
from overlaycast.wire.grants import Bond, Identity, Nonces
from overlaycast.wire.messages import Accept, Address, Assign
from tests.agent.hops.child import Child, child, until
from tests.agent.hops.proving import GROUP, PARENT, Parent, ProvingChild, accept, grant, parent, peer

CHILD: Final = 7
PATIENCE_S: Final = 20.0
Said = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]


def fed(frames: list[Frame]) -> bool:
    return any(isinstance(frame, Data) for frame in frames)


@asynccontextmanager
async def honest(port: Parent) -> AsyncIterator[ProvingChild]:
    """A child that is in, and is fed."""
    port.down.accept(accept(CHILD))
    one = await ProvingChild.at(port.address)
    await one.enter(CHILD, await one.nonces())
    await one.until(fed)
    yield one
    seen = len(one.frames)
    await one.until(lambda frames: sum(isinstance(frame, Data) for frame in frames[seen:]) > 20)
    assert not [frame for frame in one.frames if isinstance(frame, Refuse)]  # nothing has disturbed it
    assert sum(isinstance(frame, Data) for frame in one.frames[seen:]) > 20
    await one.close()


async def turned_away(thief: ProvingChild) -> None:
    """It gets no record, nor any word that tells it more than that it may not come in."""
    frames = await thief.closed(PATIENCE_S)
    assert [type(frame) for frame in frames if not isinstance(frame, Challenge | Refuse)] == []
    await thief.close()


async def test_a_child_that_proves_its_grant_is_fed_by_a_parent_that_proves_it_too() -> None:
    async with parent() as port:
        port.down.accept(accept(CHILD))
        one = await ProvingChild.at(port.address)
        nonces = await one.nonces()
        bond = await one.enter(CHILD, nonces)
        await one.until(fed)
        assert one.frames[1] == grants.answer(grant(CHILD), bond, nonces)
        assert isinstance(one.frames[2], Heartbeat)
        assert port.down.children.keys() == {CHILD}
        await one.close()


async def test_nonces_are_never_the_same() -> None:
    async with parent() as port:
        callers = [await ProvingChild.at(port.address) for _ in range(20)]
        seen = {(await one.nonces()).dialled for one in callers}
        assert len(seen) == len(callers)
        assert {len(nonce) for nonce in seen} == {16}
        for one in callers:
            await one.close()


async def test_who_has_read_all_that_was_said_gets_nothing() -> None:
    async with parent() as port, honest(port) as one:
        heard = b"".join(encode(frame) for frame in one.frames[:3])
        assert grant(CHILD) not in one.said + heard
        for stop in (48, len(one.said)):  # the knock first, then all of it
            again = await ProvingChild.at(port.address)
            again.writer.write(one.said[:stop])
            again.writer.write(one.said[stop:])
            await turned_away(again)
        patient = await ProvingChild.at(port.address)  # the same, in turn
        await patient.nonces()
        patient.writer.write(one.said[48:])
        await turned_away(patient)
        for part in (one.said[-32:-16], one.said[-16:], heard[-80:-64]):  # a proof's halves are no grant
            for key in (part, one.said[-32:]):
                guess = await ProvingChild.at(port.address)
                await guess.enter(CHILD, await guess.nonces(), key)
                await turned_away(guess)
        assert port.down.children.keys() == {CHILD}


async def test_who_has_the_grant_may_not_show_it() -> None:
    """As the programs of before did: only children that were announced so may do that."""
    async with parent() as port, honest(port):
        old = await ProvingChild.at(port.address)
        await old.say(Hello(grant(CHILD), 9, EDGE))
        assert await old.closed(PATIENCE_S) == [Refuse(RefuseCode.VERSION)]
        await old.close()


async def test_a_child_of_the_first_version_still_shows_its_grant() -> None:
    async with parent() as port:
        shown = b"shown" + bytes(11)
        port.down.accept(Accept(epoch=1, child=8, name="old", grant=shown.hex()))
        old = await ProvingChild.at(port.address)
        await old.say(Hello(shown, 9, OLDEST))
        assert isinstance((await old.until(fed))[0], Heartbeat)
        await old.close()


@pytest.mark.parametrize(
    "frames",
    [
        (Knock(b"n" * 16, version=VERSION + 1),),
        (Knock(b"n" * 16), Knock(b"m" * 16)),
        (Knock(b"n" * 16), Hello(grant(CHILD), 9, EDGE)),
        (Knock(b"n" * 16), Offer(CHILD, 1, bytes(32))),
        (Knock(b"n" * 16), Challenge(b"n" * 16)),
        (Knock(b"n" * 16, calls=True), Enter(CHILD, 1, 9, EDGE, bytes(32))),
        (Knock(b"n" * 16, calls=True), Call(grant(CHILD))),
        (Enter(CHILD, 1, 9, EDGE, bytes(32)),),
        (Offer(CHILD, 1, bytes(32)),),
        (Proof(bytes(32)),),
    ],
    ids=lambda frames: "-".join(type(frame).__name__ for frame in frames),
)
async def test_words_out_of_order_end_a_connection(frames: tuple[Frame, ...]) -> None:
    async with parent() as port, honest(port):
        one = await ProvingChild.at(port.address)
        for frame in frames:
            await one.say(frame)
        began = time.monotonic()
        await turned_away(one)
        assert time.monotonic() - began < PATIENCE_S / 2


async def test_a_child_may_be_earlier_than_its_announcement_and_its_last_word_counts() -> None:
    async with parent() as port:
        early = await ProvingChild.at(port.address)
        nonces = await early.nonces()
        bond = await early.enter(CHILD, nonces, rank=1)
        await early.say(Start(EDGE))
        risen = grants.enter(grant(CHILD), bond, nonces, Enter(CHILD, 2, 9, IDLE, b""))
        await early.say(risen)
        await asyncio.sleep(HOLD_S / 4)
        port.down.accept(accept(CHILD))
        await early.until(fed)
        assert early.frames[1] == grants.answer(grant(CHILD), bond, nonces)
        assert port.down.children[CHILD].rank == 9
        await early.say(grants.enter(grant(CHILD), bond, nonces, Enter(CHILD, 3, 20, IDLE, b"")))
        await until(lambda: port.down.children[CHILD].rank == 20)
        await early.say(grants.enter(grant(8), bond, nonces, Enter(8, 3, 20, IDLE, b"")))
        await early.close()


async def test_strangers_who_knock_are_few_and_not_for_long() -> None:
    async with parent() as port, honest(port):
        began = time.monotonic()
        crowd = [await ProvingChild.at(port.address) for _ in range(MOST_PENDING + 50)]
        for n, one in enumerate(crowd):
            if n % 2:
                await one.say(Knock(b"n" * 16))
            assert port.down.door.pending <= MOST_PENDING
        port.down.accept(accept(8))
        newcomer = await ProvingChild.at(port.address)
        await newcomer.enter(8, await newcomer.nonces())
        assert fed(await newcomer.until(fed))
        await newcomer.close()
        for one in crowd:
            await one.closed(PATIENCE_S)
            await one.close()
        assert port.down.door.pending == 0
        assert time.monotonic() - began < ENTER_S + PATIENCE_S
        assert port.down.door.refused >= len(crowd)


# --- parents that are none ------------------------------------------------------------------------------------------


@asynccontextmanager
async def impostor(says: Said) -> AsyncIterator[Address]:
    """Somebody at the parent's address: answers the knock, and then says this."""

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            await says(reader, writer)
            await reader.read(-1)
        except (OSError, asyncio.IncompleteReadError):
            pass
        finally:
            writer.close()

    server = await asyncio.start_server(answer, "127.0.0.1", 0)
    try:
        host, port = server.sockets[0].getsockname()
        yield Address(host=host, port=port)
    finally:
        server.close()


RECORDS: Final = b"".join(encode(Data(seq, 1, b"forged")) for seq in range(5))
SEEK: Final = encode(Heartbeat(0, 0, seek=True))


async def _forged(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    await reader.readexactly(48)
    writer.write(encode(Challenge(b"p" * 16)) + encode(Proof(bytes(32))) + SEEK + RECORDS)


async def _none(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    await reader.readexactly(48)
    writer.write(encode(Challenge(b"p" * 16)) + SEEK + RECORDS)


async def _large(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    await reader.readexactly(48)
    writer.write(encode(Challenge(b"p" * 16)) + RECORDS[: len(RECORDS) // 5] + encode(Data(1, 1, bytes(5000))))


async def _mirror(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    await reader.readexactly(48)
    writer.write(encode(Challenge(b"p" * 16)))
    entered = (await reader.readexactly(24 + 56))[-32:]
    writer.write(encode(Proof(entered)) + SEEK + RECORDS)


async def _silent(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    await reader.readexactly(48)


async def _garbage(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    await reader.readexactly(48)
    writer.write(b"HTTP/1.1 400 Bad Request\r\n\r\n" + RECORDS)


async def _garbage_later(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    await reader.readexactly(48)
    writer.write(encode(Challenge(b"p" * 16)) + b"?" * 100)


async def _shown(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    writer.write(SEEK + RECORDS)


async def _hangs_up(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    await reader.readexactly(48)
    writer.write(encode(Challenge(b"p" * 16)))
    writer.close()


async def _refuses(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    await reader.readexactly(48)
    writer.write(encode(Challenge(b"p" * 16)))
    await reader.readexactly(24 + 56)
    writer.write(encode(Refuse(RefuseCode.FULL)))


def proving_child(one: Child) -> None:
    """Let it be a member of the group."""
    one.uplink._identity = lambda: Identity(GROUP, CHILD)


@pytest.mark.parametrize(
    "says",
    [_forged, _none, _large, _mirror, _silent, _garbage, _garbage_later, _shown, _hangs_up, _refuses],
    ids=lambda says: says.__name__.strip("_"),
)
async def test_a_child_takes_nothing_from_a_parent_that_proves_nothing(says: Said) -> None:
    async with impostor(says) as address, child() as one:
        proving_child(one)
        one.order(1, peer(CHILD, address))
        await until(lambda: bool(one.failures))
        assert one.ring.next_seq is None
        assert one.ring.position == 0
        assert not one.uplink.standbys_ready


async def test_a_child_goes_to_the_parent_that_proves_itself() -> None:
    async with impostor(_forged) as address, parent() as port, child() as one:
        proving_child(one)
        port.down.accept(accept(CHILD))
        liar = peer(CHILD, address).model_copy(update={"member": 3})
        one.order(1, liar, peer(CHILD, port.address))
        await one.reaches(20)
        assert one.uplink.parent == PARENT
        assert one.ring.next_seq is not None


# --- parents that call ------------------------------------------------------------------------------------------------


async def test_a_parent_that_calls_proves_its_grant_and_then_the_child_does() -> None:
    calls: asyncio.Queue[ProvingChild] = asyncio.Queue()

    async def rings(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await calls.put(ProvingChild(reader, writer))

    server = await asyncio.start_server(rings, "127.0.0.1", 0)
    host, at = server.sockets[0].getsockname()
    async with parent() as port:
        port.down.accept(accept(CHILD, addresses=(Address(host=host, port=at),)))
        mute = await calls.get()  # one that does not answer the knock is called again
        await mute.until(lambda frames: len(frames) > 0)
        await mute.close()
        one = await calls.get()
        await one.until(lambda frames: len(frames) > 0)
        knock = one.frames[0]
        assert isinstance(knock, Knock)
        assert knock.calls
        await one.say(Challenge(b"c" * 16))
        await one.until(lambda frames: len(frames) > 1)
        nonces, bond = Nonces(knock.nonce, b"c" * 16, calls=True), Bond(GROUP, PARENT, CHILD)
        assert isinstance(one.frames[1], Offer)
        assert grants.offers(grant(CHILD), bond, nonces, one.frames[1])
        await one.enter(CHILD, nonces)
        await one.until(fed)
        assert one.frames[2] == grants.answer(grant(CHILD), bond, nonces)
        await one.close()
    server.close()


async def test_a_called_child_that_proves_nothing_is_not_let_in() -> None:
    calls: asyncio.Queue[ProvingChild] = asyncio.Queue()

    async def rings(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await calls.put(ProvingChild(reader, writer))

    server = await asyncio.start_server(rings, "127.0.0.1", 0)
    host, at = server.sockets[0].getsockname()
    async with parent() as port:
        port.down.accept(accept(CHILD, addresses=(Address(host=host, port=at),)))
        for answer in (Enter(CHILD, 1, 9, EDGE, bytes(32)), Hello(grant(CHILD), 9, EDGE), Knock(b"n" * 16)):
            thief = await calls.get()
            await thief.say(Challenge(b"c" * 16))
            await thief.until(lambda frames: len(frames) > 1)
            await thief.say(answer)
            frames = await thief.closed(PATIENCE_S)
            assert not fed(frames)
            await thief.close()
        assert not port.down.children
    server.close()


async def test_a_child_that_is_called_answers_its_parent_and_no_stranger() -> None:
    """``Parent`` is here the child's port; its own parent dials it by hand, among strangers who have knocked before."""
    async with parent() as port, child() as one:
        proving_child(one)
        strangers = []
        for _ in range(MOST_UNKNOWN + 5):
            stranger = await ProvingChild.at(port.address)
            nonces = await stranger.nonces(calls=True)
            await stranger.say(grants.offer(b"?" * 16, Bond(GROUP, PARENT, CHILD), nonces, 1))
            strangers.append(stranger)
        early = await ProvingChild.at(port.address)
        bond = Bond(GROUP, PARENT, CHILD)
        nonces = await early.nonces(calls=True)
        await early.say(grants.offer(grant(CHILD), bond, nonces, 1))
        await until(lambda: len(port.answered) == len(strangers) + 1)
        for said, link, sock in port.answered:
            one.uplink.answer(said, link, sock)
        port.answered.clear()
        assert len(one.uplink.called) == MOST_UNKNOWN
        assert one.uplink.called.refused == 6  # of the address that has most, the oldest
        one.uplink.assign(Assign(epoch=1, rank=9, depth=1, parent=peer(CHILD, None)))
        frames = await early.until(lambda frames: len(frames) > 1)
        entered = frames[1]
        assert isinstance(entered, Enter)
        assert grants.enters(grant(CHILD), bond, nonces, entered)
        await early.say(grants.answer(grant(CHILD), bond, nonces))
        early.writer.write(encode(Heartbeat(0, 0, seek=True)) + encode(Data(0, 1, b"x")))
        await one.reaches(1)
        assert all(not Decoder().feed(b"") and len(stranger.frames) == 1 for stranger in strangers)
        for stranger in (*strangers, early):
            await stranger.close()


async def test_a_parent_that_has_not_proven_itself_takes_no_place_of_one_that_has() -> None:
    """A stranger who says that it is the parent gets no answer, while the link that is awaited stays free."""
    async with parent() as port, child() as one:
        proving_child(one)
        one.uplink.assign(Assign(epoch=1, rank=9, depth=1, parent=peer(CHILD, None)))
        bond = Bond(GROUP, PARENT, CHILD)
        for key, answered in ((b"?" * 16, False), (grant(CHILD), True)):
            caller = await ProvingChild.at(port.address)
            nonces = await caller.nonces(calls=True)
            await caller.say(grants.offer(key, bond, nonces, 1))
            await until(lambda: bool(port.answered))
            one.uplink.answer(*port.answered.pop())
            if answered:
                frames = await caller.until(lambda frames: len(frames) > 1)
                assert isinstance(frames[-1], Enter)
            else:
                assert not any(link.connected for link in one.uplink.links.values())
            await caller.close()
