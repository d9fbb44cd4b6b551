"""Data links as a fuzzer speaks them: a child or a stranger at a data port, a parent that a program has dialled."""

from __future__ import annotations

import asyncio
import random
import socket
import struct
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from typing import Any, Final

from overlaycast.errors import RemoteProtocolError
from overlaycast.wire import grants
from overlaycast.wire.frames import (
    NONCE_SIZE,
    OLDEST,
    SEQ_LIMIT,
    Challenge,
    Data,
    Decoder,
    Enter,
    Frame,
    Heartbeat,
    Hello,
    Knock,
    Start,
    Stop,
    encode,
)
from overlaycast.wire.grants import Bond, Nonces
from tests.fuzz.deck import Deck
from tests.fuzz.frames import FRAMES, Frames
from tests.fuzz.values import Heard

Step = Callable[[str, bytes], None]
"""Told what kind of thing is said, and its bytes."""

ANSWER_S: Final = 0.5
"""Seconds that a program has for its nonce."""


@dataclass(frozen=True, slots=True)
class Pair:
    """Two members, and the grant that joins them: it is proven, or shown."""

    grant: bytes
    bond: Bond
    proves: bool


def anywhere(chance: random.Random) -> tuple[str, int]:
    """Return a loopback address to come from: strangers do not share the honest ones' address."""
    return f"127.{chance.randrange(1, 8)}.{chance.randrange(4)}.{chance.randrange(1, 5)}", 0


@asynccontextmanager
async def dialled(port: int, chance: random.Random) -> AsyncIterator[tuple[asyncio.StreamReader, asyncio.StreamWriter]]:
    """Connect to a data port; at the end close, or reset the connection."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port, local_addr=anywhere(chance))
    try:
        yield reader, writer
    finally:
        hang_up(writer, chance)


def hang_up(writer: asyncio.StreamWriter, chance: random.Random) -> None:
    """Close in order, or by a reset."""
    sock = writer.get_extra_info("socket")
    if sock is not None and chance.random() < 0.3:
        with suppress(OSError):
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    writer.close()


class Mouth:
    """Says frames on a connection: each by itself, in portions, or several at once."""

    def __init__(self, writer: asyncio.StreamWriter, chance: random.Random, step: Step) -> None:
        self._writer = writer
        self._chance = chance
        self._step = step
        self._held = b""

    async def say(self, frame: type[Any] | str, data: bytes, last: bool = False) -> None:
        """Say this; unless it is the last, it may wait for the next."""
        self._step(f"frame {frame if isinstance(frame, str) else frame.__name__}", data)
        self._held += data
        if last or self._chance.random() < 0.8:
            held, self._held = self._held, b""
            await pour(self._writer, held, self._chance)


async def pour(writer: asyncio.StreamWriter, data: bytes, chance: random.Random) -> None:
    """Write at once, or in portions."""
    if len(data) > 1 and chance.random() < 0.1:
        at = chance.randrange(1, len(data))
        writer.write(data[:at])
        await asyncio.sleep(chance.choice((0, 0.001, 0.02)))
        data = data[at:]
    writer.write(data)
    async with asyncio.timeout(2):
        await writer.drain()


async def child(
    port: int, chance: random.Random, heard: Heard, step: Step, pair: Pair | None = None, rank: int = 1 << 60
) -> None:
    """Come as a child, with a grant that was given or a stranger's; say what a child may say, then one wrong thing."""
    async with dialled(port, chance) as (reader, writer):
        nonces = None
        if pair is not None and pair.proves:
            nonces = await knock(reader, writer, chance, step, calls=False)
        await speak_as_child(reader, writer, chance, heard, step, pair, rank, nonces)


async def knock(
    reader: asyncio.StreamReader, writer: asyncio.StreamWriter, chance: random.Random, step: Step, calls: bool
) -> Nonces | None:
    """Say a nonce, and return both; None: none was answered."""
    ours = chance.randbytes(NONCE_SIZE)
    said = encode(Knock(ours, calls=calls))
    step("frame Knock", said)
    await pour(writer, said, chance)
    with suppress(TimeoutError):
        async with asyncio.timeout(ANSWER_S):
            answer = await first_frame(reader)
        return Nonces(ours, answer.nonce, calls) if isinstance(answer, Challenge) else None
    return None


async def answer_knock(
    reader: asyncio.StreamReader, writer: asyncio.StreamWriter, knocked: Knock, chance: random.Random
) -> tuple[Nonces, Frame | None]:
    """Answer a program that has knocked; return both nonces, and what it says then."""
    nonces = Nonces(knocked.nonce, chance.randbytes(NONCE_SIZE), knocked.calls)
    writer.write(encode(Challenge(nonces.dialled)))
    return nonces, await first_frame(reader)


def entering(pair: Pair, nonces: Nonces, rank: int, resume: int, chance: random.Random) -> bytes:
    """Return the words of a child that knows its grant; now and then of one that does not."""
    key = pair.grant if chance.random() < 0.9 else chance.randbytes(len(pair.grant))
    return encode(grants.enter(key, pair.bond, nonces, Enter(pair.bond.child, 1, rank, resume, b"")))


async def speak_as_child(
    reader: asyncio.StreamReader,
    writer: asyncio.StreamWriter,
    chance: random.Random,
    heard: Heard,
    step: Step,
    pair: Pair | None,
    rank: int,
    nonces: Nonces | None,
) -> None:
    """What a child says from ENTER or HELLO on."""
    grant = pair.grant if pair is not None else None
    frames, mouth = Frames(chance, heard), Mouth(writer, chance, step)
    listening = asyncio.create_task(_listen(reader, heard))
    try:
        if pair is not None and chance.random() < 0.9:
            resume = chance.choice((OLDEST, heard.pick("seq", chance) or 0, (1 << 64) - 1))
            if nonces is None:
                await mouth.say(Hello, encode(Hello(pair.grant, rank, resume)))
            else:
                await mouth.say(Enter, entering(pair, nonces, rank, resume, chance))
        deck: Deck[type[Any]] = Deck((Hello if nonces is None else Enter, Start, Stop, Heartbeat), chance)
        for _ in range(chance.randrange(8) if grant is not None else chance.randrange(2)):
            frame = deck.deal()
            said = frames.accepted(frame, **({"grant": grant} if grant and frame is Hello else {}))
            await mouth.say(frame, said)
        frame = chance.choice(FRAMES)
        await mouth.say(frame, frames.wrong(frame) if chance.random() < 0.7 else frames.accepted(frame), last=True)
        # whether it ends us, or waits for the rest: not for long
        await asyncio.wait({listening}, timeout=chance.choice((0, 0.01, 0.05, 0.3)))
    finally:
        listening.cancel()


async def parent(
    reader: asyncio.StreamReader,
    writer: asyncio.StreamWriter,
    asked: Hello | Enter,
    chance: random.Random,
    heard: Heard,
    step: Step,
) -> None:
    """Be the parent that was dialled: some records in order, what a parent may say, then one wrong thing."""
    frames, mouth = Frames(chance, heard), Mouth(writer, chance, step)
    listening = asyncio.create_task(_listen(reader, heard))
    next_seq = asked.resume_from if asked.resume_from < SEQ_LIMIT else chance.choice((0, 1000))
    try:
        for _ in range(chance.randrange(6)):
            said, kind, next_seq = _as_parent(frames, chance, next_seq)
            await mouth.say(kind, said)
            heard.note({"seq": next_seq, "next_seq": next_seq})
            await asyncio.sleep(chance.choice((0, 0, 0.002, 0.02)))
        frame = chance.choice(FRAMES)
        await mouth.say(frame, frames.wrong(frame) if chance.random() < 0.7 else frames.accepted(frame), last=True)
        await asyncio.wait({listening}, timeout=chance.choice((0, 0.01, 0.1, 0.5)))
    finally:
        listening.cancel()
        hang_up(writer, chance)


def _as_parent(frames: Frames, chance: random.Random, next_seq: int) -> tuple[bytes, str, int]:
    """Return bytes that a parent may say now, and which number comes then."""
    how = chance.random()
    if how < 0.25:
        return encode(Heartbeat(next_seq, 0, seek=True)), "Heartbeat", next_seq
    if how < 0.75:
        payload = chance.randbytes(chance.choice((1, 188, 1316, 65_536)))
        records = range(next_seq, next_seq + chance.randrange(1, 20))
        seek = encode(Heartbeat(next_seq, 0, seek=True))
        said = seek + b"".join(encode(Data(seq, 1, payload)) for seq in records if seq < SEQ_LIMIT)
        return said, "Data", min(records.stop, SEQ_LIMIT - 1)
    frame = chance.choice([frame for frame in FRAMES if frame.__name__ in ("Heartbeat", "Data", "Refuse", "Digests")])
    return frames.accepted(frame), frame.__name__, next_seq


async def first_frame(reader: asyncio.StreamReader) -> Frame | None:
    """Return the first frame that comes."""
    decoder = Decoder()
    async with asyncio.timeout(3):
        while data := await reader.read(4096):
            for frame in decoder.feed(data):
                return frame
    return None


async def _listen(reader: asyncio.StreamReader, heard: Heard) -> None:
    """Read what comes, for its numbers."""
    decoder = Decoder()
    with suppress(OSError, RemoteProtocolError):
        while data := await reader.read(65_536):
            for frame in decoder.feed(data):
                heard.counts[f"data link answers {type(frame).__name__}"] += 1
                for name in ("seq", "next_seq", "oldest"):
                    if hasattr(frame, name):
                        heard.note({name: getattr(frame, name)})
