"""Programs of their own whose coordinator, parents and children are the fuzzer: orders, records and their like.

Owns: those programs, a coordinator that says what no coordinator should, and a port at which it is everybody's parent
and child. What ends a program by design (the group's end, the stream's end) may end it, with its exit code; it is then
started again.
"""

from __future__ import annotations

import asyncio
import json
import random
from collections import deque
from collections.abc import Callable, Coroutine
from contextlib import AsyncExitStack, suppress
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any, Final

from pydantic import BaseModel
from websockets.asyncio.server import ServerConnection, serve
from websockets.exceptions import ConnectionClosed
from websockets.http11 import Request, Response

from overlaycast.errors import RemoteProtocolError
from overlaycast.wire import grants
from overlaycast.wire.frames import VERSION, Call, Decoder, End, Enter, Frame, Hello, Knock, Offer, encode
from overlaycast.wire.grants import Bond, Nonces
from overlaycast.wire.messages import Accept, Assign, Begin, Contents, Ended, Refused, Welcome
from overlaycast.wire.text import LATER_HEADER, LATER_TEXT, decode_from_coordinator
from tests.fuzz import hops
from tests.fuzz.campaign import Campaign
from tests.fuzz.deck import Deck
from tests.fuzz.messages import FROM_COORDINATOR, Messages, kind_of
from tests.fuzz.programs import Program
from tests.fuzz.values import Heard

SIDE: Final = "victims"
PORT: Final = 8471
PARENT_PORT: Final = 9100
FIRST_DATA_PORT: Final = 9101
END_S: Final = 30.0
KNOWN_GRANTS: Final = 2000
CONTENTS: Final = {
    "size": 1 << 20,
    "record_size": 1316,
    "chunk_records": 64,
    "sha256": "ab" * 32,
    "digests_sha256": "cd" * 32,
}
WORDS: Final = {
    "victim-source": ("send", "--synthetic", "900000", "--rate", "200k"),
    "victim-relay": ("relay",),
    "victim-live": ("join", "--output", "/dev/null"),
    "victim-file": ("join", "--output", "victim-file.out"),
    "victim-sender": ("send", "victim-sender.in", "--rate", "100k"),
}
FILE_MODE: Final = ("victim-file", "victim-sender")


@dataclass(eq=False)
class Victim:
    """One program."""

    name: str
    data_port: int
    program: Program
    heard: Heard
    member: int = 1
    epoch: int = 1
    lives: int = 0
    announced: deque[hops.Pair] = field(default_factory=lambda: deque(maxlen=20))
    """Grants of children that it was told of."""
    promised: deque[hops.Pair] = field(default_factory=lambda: deque(maxlen=20))
    """Grants of parents that it was told of."""

    @property
    def mode(self) -> str:
        """Of its group."""
        return "file" if self.name in FILE_MODE else "live"

    @property
    def sends(self) -> bool:
        """Is it a source?"""
        return WORDS[self.name][0] == "send"


class Victims:
    """All of them, and those who speak to them."""

    def __init__(self, campaign: Campaign, folder: Path) -> None:
        self._campaign = campaign
        self._folder = folder
        self._victims: dict[str, Victim] = {}
        self._known: dict[bytes, tuple[Victim, hops.Pair]] = {}
        self._stack = AsyncExitStack()
        self._answers = 0

    # --- programs ----------------------------------------------------------------------------------------------

    async def start(self) -> None:
        """Start the coordinator that is none, the port, and the programs."""
        await self._stack.enter_async_context(
            serve(
                self._control,
                "127.0.0.1",
                PORT,
                compression=None,
                max_size=None,
                ping_interval=None,
                process_response=self._say_fields,
            )
        )
        await self._stack.enter_async_context(await asyncio.start_server(self._dialled, "127.0.0.1", PARENT_PORT))
        with (self._folder / "victim-sender.in").open("wb") as file:
            file.truncate(32 << 20)
        for number, name in enumerate(WORDS):
            port = FIRST_DATA_PORT + number
            victim = Victim(name, port, await self._program(name, port), Heard(self._campaign.heard))
            self._victims[name] = victim

    async def _program(self, name: str, port: int) -> Program:
        command, *more = WORDS[name]
        if command == "join" and name in FILE_MODE:
            more = [*more, "--overwrite"]
        return await Program.start(
            self._folder,
            name,
            command,
            "g",
            *more,
            *("--name", name, "--listen", f"127.0.0.1:{port}", "--ring-mb", "8", "--max-children", "16"),
            env={"OVERLAYCAST_COORDINATOR": f"http://127.0.0.1:{PORT}", "OVERLAYCAST_TOKEN": "t"},
        )

    async def watch(self) -> None:
        """Judge all again and again; start those that have ended as they may."""
        while True:
            for victim in self._victims.values():
                victim.program.judge()
                if victim.program.process.returncode is not None:
                    victim.lives += 1
                    victim.announced.clear()
                    victim.promised.clear()
                    victim.program = await self._program(victim.name, victim.data_port)
            await asyncio.sleep(0.2)

    def programs(self) -> list[Program]:
        """Return the programs that run."""
        return [victim.program for victim in self._victims.values()]

    def lives(self) -> int:
        """Return how often a program was started again."""
        return sum(victim.lives for victim in self._victims.values())

    async def end(self) -> None:
        """Ask all to go."""
        for victim in self._victims.values():
            victim.program.terminate()
        for victim in self._victims.values():
            # 143: not welcomed yet; -15: started a moment ago, so the signal itself ends it; 1: a file is not complete
            accepted = {0, 143, -15} | victim.program.may_end
            await victim.program.ended(END_S, accepted | {1} if victim.mode == "file" else accepted)

    async def close(self) -> None:
        """Close the ports."""
        await self._stack.aclose()

    def _say_fields(self, link: ServerConnection, request: Request, response: Response) -> Response:
        """Say which fields we know, or nonsense."""
        self._answers += 1
        chance = self._campaign.chance(f"fields:{self._answers}")
        response.headers[LATER_HEADER] = chance.choice((LATER_TEXT, LATER_TEXT, "", "x" * 4000, ",,."))
        return response

    # --- the coordinator ---------------------------------------------------------------------------------------

    async def _control(self, link: ServerConnection) -> None:
        with suppress(ConnectionClosed, OSError, TimeoutError):
            subscribe = json.loads(await link.recv())
            victim = self._victims[subscribe["name"]]
            name = self._campaign.name(f"{victim.name}-orders")
            orders = _Orders(self._campaign, victim, name, link, self._know)
            listening = asyncio.create_task(orders.listen())
            try:
                await orders.speak("resume" in subscribe)
                if name is None or not self._campaign.left(SIDE):
                    await listening
            finally:
                listening.cancel()

    def _know(self, victim: Victim, pair: hops.Pair) -> None:
        self._known[pair.grant] = victim, pair
        if len(self._known) > KNOWN_GRANTS:
            del self._known[next(iter(self._known))]

    # --- data links --------------------------------------------------------------------------------------------

    async def _dialled(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """A program has dialled us: with ENTER or HELLO it wants a parent, with OFFER or CALL it offers to be ours."""
        try:
            async with asyncio.timeout(10):
                await self._answer(reader, writer)
        except (OSError, TimeoutError, RemoteProtocolError):
            pass
        finally:
            writer.close()

    async def _answer(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        first, nonces = await hops.first_frame(reader), None
        if isinstance(first, Knock):
            self._answers += 1
            nonces, first = await hops.answer_knock(
                reader, writer, first, self._campaign.chance(f"knock:{self._answers}")
            )
        found = self._meant(first, nonces)
        if found is None or not self._campaign.left(SIDE):
            return
        victim, pair = found
        self._campaign.heard[f"{victim.name} dials with {type(first).__name__}"] += 1
        if (name := self._campaign.name(f"{victim.name}-parent")) is None:
            return
        chance = self._campaign.chance(name)
        step = self._watched(victim, name)
        if isinstance(first, Hello | Enter):
            if nonces is not None and chance.random() < 0.9:
                writer.write(encode(grants.answer(pair.grant, pair.bond, nonces)))
            await hops.parent(reader, writer, first, chance, victim.heard, step)
        else:
            await hops.speak_as_child(reader, writer, chance, victim.heard, step, pair, 1 << 60, nonces)

    def _meant(self, said: Frame | None, nonces: Nonces | None) -> tuple[Victim, hops.Pair] | None:
        """Return which program says this, and of which pair."""
        if isinstance(said, Hello | Call):
            return self._known.get(said.grant)
        for victim, pair in self._known.values():
            grant, bond = pair.grant, pair.bond
            if nonces is not None and (
                (isinstance(said, Enter) and grants.enters(grant, bond, nonces, said))
                or (isinstance(said, Offer) and grants.offers(grant, bond, nonces, said))
            ):
                return victim, pair
        return None

    def _watched(self, victim: Victim, name: str) -> hops.Step:
        """Return the step of a data link: one that ends the stream may end the program."""

        def step(kind: str, said: bytes) -> None:
            self._campaign.step(SIDE, name, kind, said)
            with suppress(RemoteProtocolError):
                if any(isinstance(frame, End) for frame in Decoder().feed(said)):
                    victim.program.may_end |= {0, 1}

        return step

    async def at_port(self, name: str, chance: random.Random) -> None:
        """Come to a program's data port as a child that was announced, or call it as its parent."""
        victim = chance.choice(list(self._victims.values()))
        step = self._watched(victim, name)
        if not victim.promised or chance.random() < 0.7:
            announced = chance.choice(victim.announced) if victim.announced else None
            await hops.child(victim.data_port, chance, victim.heard, step, announced)
            return
        pair = chance.choice(victim.promised)
        async with hops.dialled(victim.data_port, chance) as (reader, writer):
            nonces = await hops.knock(reader, writer, chance, step, calls=True) if pair.proves else None
            calling = Call(pair.grant) if nonces is None else grants.offer(pair.grant, pair.bond, nonces, 1)
            said = encode(calling)
            step(f"frame {type(calling).__name__}", said)
            await hops.pour(writer, said, chance)
            async with asyncio.timeout(0.3):
                first = await hops.first_frame(reader)
            if isinstance(first, Hello | Enter):
                if nonces is not None:
                    writer.write(encode(grants.answer(pair.grant, pair.bond, nonces)))
                await hops.parent(reader, writer, first, chance, victim.heard, step)


class _Orders:
    """One control link to one program, from the coordinator's end."""

    def __init__(
        self,
        campaign: Campaign,
        victim: Victim,
        name: str | None,
        link: ServerConnection,
        know: Callable[[Victim, hops.Pair], None],
    ) -> None:
        self._campaign = campaign
        self._victim = victim
        self._name = name or f"{victim.name}-plain"
        self._plain = name is None
        self._link = link
        self._chance = campaign.chance(self._name)
        self._messages = Messages(self._chance, victim.heard)
        self._know = know
        victim.heard.note({"host": "127.0.0.1", "port": [PARENT_PORT, PARENT_PORT, 9]})

    async def listen(self) -> None:
        """Hear the program; release it when it wants to go."""
        with suppress(ConnectionClosed, OSError):
            async for text in self._link:
                message = json.loads(text)
                self._victim.heard.note(message)
                self._campaign.heard[f"{self._victim.name} says {message['kind']}"] += 1
                if message["kind"] == "leaving":
                    await self._link.send(json.dumps({"kind": "released"}))

    async def speak(self, resumes: bool) -> None:
        """Welcome it, then say whatever can be said, and at the end one wrong thing."""
        chance, victim = self._chance, self._victim
        if self._plain or not self._campaign.left(SIDE):
            await self._say(Welcome, self._welcome())
            return
        if resumes and chance.random() < 0.2:
            await self._strange_answer()
            return
        await self._say(Welcome, self._welcome())
        await self._first_orders()
        deck: Deck[type[BaseModel]] = Deck(FROM_COORDINATOR, chance)
        for _ in range(chance.randrange(3, 40)):
            if not self._campaign.left(SIDE):
                return
            model = deck.deal()
            if not self._may_say(model):
                continue
            await self._say(model, self._pins(model))
            await asyncio.sleep(chance.choice((0, 0, 0.005, 0.05)))
        if chance.random() < 0.05:
            self._step("coordinator websocket", b"\xff" * 40)
            with suppress(RuntimeError):  # the other side has ended the link
                self._link.transport.write(b"\xff" * 40)
        else:
            await self._say_wrong()
        await asyncio.sleep(0.05)
        victim.heard.note({"member": victim.member})

    async def _strange_answer(self) -> None:
        """Answer a subscription with something else."""
        chance = self._chance
        if chance.random() < 0.3:
            self._victim.member = chance.choice((1, 2, 3, (1 << 53) - 1))
            await self._say(Welcome, self._welcome())
        elif chance.random() < 0.2:
            await self._say(Refused, {})
        else:
            await self._say_wrong()

    def _may_say(self, model: type[BaseModel]) -> bool:
        """What ends a program by design is said now and then only: each time it is started again."""
        said = self._campaign.reached[f"coordinator {kind_of(model)}"]
        return model not in (Ended, Refused) or not said or self._chance.random() < 0.05

    async def _first_orders(self) -> None:
        victim = self._victim
        if victim.mode == "file":
            await self._say(Contents, CONTENTS)
        if victim.sends:
            await self._say(
                Assign, {"epoch": self._next_epoch(), "rank": 0, "depth": 0, "parent": None, "standbys": []}
            )
            await self._say(Begin, {"epoch": self._next_epoch(), "incarnation": 0, "next_seq": 0})
        else:
            await self._say(Assign, self._pins(Assign))

    def _welcome(self) -> dict[str, Any]:
        # what the group is stays what it was for as long as a program lives
        fixed = random.Random(f"{self._campaign.seed} {self._victim.name} {self._victim.lives}")
        settings = Messages(fixed, Heard()).accepted(Welcome)["settings"]
        mode = self._victim.mode
        return {
            "member": self._victim.member,
            "secret": "s" * 16,
            "version": 2,
            "settings": {**settings, "mode": mode},
        }

    def _next_epoch(self) -> int:
        self._victim.epoch += 1
        return self._victim.epoch

    def _pins(self, model: type[BaseModel]) -> dict[str, Any]:
        """What must be so for the message to matter, in most cases."""
        chance, victim = self._chance, self._victim
        if chance.random() < 0.15:
            return {"member": victim.member} if model is Welcome else {}
        pins: dict[str, Any] = {"epoch": self._next_epoch()}
        if model is Welcome:
            return self._welcome()
        if model is Contents and victim.mode == "file":
            return dict(CONTENTS)
        if model is Assign and not victim.sends:
            pins |= {"rank": 1 << chance.randrange(20, 62), "parent": self._peer(), "standbys": [self._peer()]}
        elif model is Accept:
            child = chance.randrange(200, 210)
            pins |= {"child": child, **self._grant(victim.announced, Bond("g", victim.member, child))}
            if chance.random() < 0.3:
                pins["addresses"] = [{"host": "127.0.0.1", "port": PARENT_PORT}]
        return pins

    def _peer(self) -> dict[str, Any]:
        addresses = [{"host": "127.0.0.1", "port": PARENT_PORT}] if self._chance.random() < 0.8 else []
        member = self._chance.randrange(100, 110)
        grant = self._grant(self._victim.promised, Bond("g", member, self._victim.member))
        return {"member": member, "name": f"p{member}", "addresses": addresses, "rank": 1, **grant}

    def _grant(self, kept: deque[hops.Pair], bond: Bond) -> dict[str, Any]:
        """Return a new grant as it is told, to be proven or to be shown."""
        pair = hops.Pair(self._chance.randbytes(16), bond, self._chance.random() < 0.5)
        self._know(self._victim, pair)
        kept.append(pair)
        return {"grant": pair.grant.hex(), "data_version": VERSION if pair.proves else None}

    async def _say_wrong(self) -> None:
        model = self._chance.choice(FROM_COORDINATOR)
        await self._send(f"{kind_of(model)} (wrong)", self._messages.wrong(model))

    async def _say(self, model: type[BaseModel], pins: dict[str, Any]) -> None:
        text = json.dumps(self._messages.accepted(model, pins))
        await self._send(kind_of(model), text)

    async def _send(self, kind: str, text: str | bytes) -> None:
        self._step(f"coordinator {kind}", text)
        self._expect(text)
        await self._link.send(text)

    def _expect(self, text: str | bytes) -> None:
        """Note with which code this may end the program."""
        may_end = self._victim.program.may_end
        try:
            message = decode_from_coordinator(text)
        except RemoteProtocolError:
            return
        if isinstance(message, Ended):
            may_end |= {0, 1}
        elif isinstance(message, Refused) and message.code == "other-contents":
            may_end |= {2}
        elif isinstance(message, Contents) and message.model_dump(exclude={"kind"}) != CONTENTS:
            may_end |= {1}

    def _step(self, kind: str, said: str | bytes) -> None:
        self._campaign.step(SIDE, self._name, kind, said)


def workers(victims: Victims, campaign: Campaign, count: int) -> list[Coroutine[Any, Any, None]]:
    """Return what comes to the programs' data ports."""
    return [campaign.sessions(SIDE, f"port-{n}", partial(_at_port, victims)) for n in range(count)]


async def _at_port(victims: Victims, name: str, chance: random.Random) -> None:
    await victims.at_port(name, chance)
    await asyncio.sleep(0.02)  # most of this side's steps are for orders
