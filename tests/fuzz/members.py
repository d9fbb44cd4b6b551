"""Members as a fuzzer makes them at the real coordinator: they subscribe, report, come back and stay half open."""

from __future__ import annotations

import asyncio
import json
import random
import re
from collections import deque
from contextlib import suppress
from typing import Any, Final

from pydantic import BaseModel
from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed

from overlaycast.failover.admission import proves
from overlaycast.wire.grants import Bond
from overlaycast.wire.messages import VERSION, Failed, Leaving, Subscribe
from overlaycast.wire.text import LATER_HEADER, LATER_TEXT, MAX_MESSAGE
from tests.fuzz import hops
from tests.fuzz.campaign import Campaign
from tests.fuzz.deck import Deck
from tests.fuzz.honest import DATA_PORTS, GROUP, PORT, Honest
from tests.fuzz.messages import FROM_MEMBER, Messages, kind_of
from tests.fuzz.values import Heard

SIDE: Final = "members"
KEPT_OPEN: Final = 24
"""Links that are left open and mute, for a while."""
KNOWN: Final = 200
FIELDS: Final = (LATER_TEXT, LATER_TEXT, LATER_TEXT, "", ", ,.,", "x" * 4000, "leaving.reason," * 300)
"""What it says of the fields that it knows."""
PATIENT: Final = 0.3
"""So many wait until they have been measured and have a parent."""
ASSIGN_S: Final = 6.0
ENDINGS: Final = (Leaving, Failed, None)
"""What a member says last; by the number of its session and not by chance, so that a short campaign has them all."""


class Members:
    """All of them; they know of each other what the coordinator has told them."""

    def __init__(self, campaign: Campaign, honest: Honest) -> None:
        self._campaign = campaign
        self._honest = honest
        self._places: deque[dict[str, Any]] = deque(maxlen=KNOWN)
        self._mute: deque[ClientConnection] = deque()

    async def session(self, name: str, chance: random.Random) -> None:
        """One link, from its first message to its end."""
        heard = Heard(self._campaign.heard)
        heard.note({"host": "127.0.0.1", "port": 9})
        heard.note({"port": list(DATA_PORTS.values())})
        async with asyncio.timeout(10):
            link = await connect(
                f"ws://127.0.0.1:{PORT}/v1/member",
                compression=None,
                max_size=None,
                proxy=None,
                ping_interval=None,
                additional_headers={LATER_HEADER: chance.choice(FIELDS)},
                close_timeout=0.2,
                local_addr=hops.anywhere(chance),
            )
        talk = _Talk(self._campaign, name, link, chance, heard)
        try:
            await self._talk(talk)
        finally:
            if talk.place is not None:
                self._places.append(talk.place)
            await self._leave(link, chance)

    async def _talk(self, talk: _Talk) -> None:
        chance = talk.chance
        if chance.random() < 0.1:
            await talk.say_wrong(chance.choice(FROM_MEMBER))
            return
        group = GROUP if chance.random() < 0.5 else chance.choice(list(self._honest.tokens))
        pins: dict[str, Any] = {"version": VERSION, "group": group, "token": self._honest.tokens[group]}
        mine = [place for place in self._places if place["group"] == group]
        if mine and chance.random() < 0.4:
            place = chance.choice(mine)
            talk.heard.note(place)
            pins["resume"] = {"epoch": 0, "rank": 0, "next_seq": 0, **place["resume"]}
            if chance.random() < 0.5:
                pins["resume"][chance.choice(("epoch", "rank", "next_seq"))] = chance.choice((1, (1 << 53) - 1))
        else:
            pins["resume"] = None
        await talk.say(Subscribe, pins)
        talk.group = group
        talk.patient = chance.random() < PATIENT
        listening = asyncio.create_task(talk.listen())
        try:
            await talk.welcomed.wait()
            await self._say_much(talk)
        finally:
            listening.cancel()

    async def _say_much(self, talk: _Talk) -> None:
        chance = talk.chance
        last, at_once = talk.ending()
        deck: Deck[type[BaseModel]] = Deck(
            (model for model in FROM_MEMBER if model not in (Subscribe, Failed, Leaving)), chance
        )
        if talk.patient:
            await self._go_to_parent(talk)
        for _ in range(0 if at_once else chance.randrange(1, 25)):
            await talk.say(deck.deal(), {})
            if chance.random() < 0.1:
                await asyncio.sleep(0.01)
        if last is not None:
            await talk.say(last, {})
        if chance.random() < 0.7:
            await talk.say_wrong(chance.choice(FROM_MEMBER))
        elif chance.random() < 0.1:
            for _ in range(300):  # more than it may say
                await talk.say(deck.deal(), {})

    async def _go_to_parent(self, talk: _Talk) -> None:
        """With the grant that the coordinator gave: to a real program's data port."""
        with suppress(TimeoutError):
            async with asyncio.timeout(ASSIGN_S):
                await talk.assigned.wait()
        order = talk.order
        if order is None or not order.get("parent") or not order["parent"]["addresses"]:
            return
        peer = order["parent"]
        port = peer["addresses"][0]["port"]
        if port in DATA_PORTS.values():
            rank = talk.chance.choice((order["rank"], (1 << 63) - 1, 0))
            step = talk.step
            with suppress(OSError, TimeoutError):
                member = talk.place["resume"]["member"] if talk.place is not None else 0
                bond = Bond(talk.group, peer["member"], member)
                pair = hops.Pair(bytes.fromhex(peer["grant"]), bond, proves(peer.get("data_version")))
                await hops.child(port, talk.chance, talk.heard, step, pair, rank)

    async def _leave(self, link: ClientConnection, chance: random.Random) -> None:
        how = chance.random()
        if how < 0.1 and not self._campaign.closing:
            self._mute.append(link)
            if len(self._mute) > KEPT_OPEN:
                self._mute.popleft().transport.abort()
        elif how < 0.5:
            link.transport.abort()
        else:
            with suppress(OSError, ConnectionClosed):
                await link.close()

    def close(self) -> None:
        """Nobody is left."""
        while self._mute:
            self._mute.pop().transport.abort()


class _Talk:
    """What is said and heard on one link."""

    def __init__(
        self, campaign: Campaign, name: str, link: ClientConnection, chance: random.Random, heard: Heard
    ) -> None:
        self.chance = chance
        self.heard = heard
        self.place: dict[str, Any] | None = None
        self.order: dict[str, Any] | None = None
        self.group = ""
        self.patient = False
        self.welcomed = asyncio.Event()
        self.assigned = asyncio.Event()
        self._campaign = campaign
        self._name = name
        self._link = link
        self._messages = Messages(chance, heard)

    def ending(self) -> tuple[type[BaseModel] | None, bool]:
        """Return what is said last, and whether nothing else is said."""
        number = sum(map(int, re.findall(r"\d+", self._name)))
        return ENDINGS[number % len(ENDINGS)], number // len(ENDINGS) % 2 == 0

    def step(self, kind: str, said: str | bytes) -> None:
        """Count one thing that is said."""
        self._campaign.step(SIDE, self._name, kind, said)

    async def say(self, model: type[BaseModel], pins: dict[str, Any]) -> None:
        """Say a message of this kind."""
        text = json.dumps(self._messages.accepted(model, pins))
        self.step(f"member {kind_of(model)}", text)
        await self._link.send(text)

    async def say_wrong(self, model: type[BaseModel]) -> None:
        """Say something that is wrong: in a message, around it, or in the WebSocket itself."""
        if self.chance.random() < 0.1:
            noise = self.chance.choice((b"\xff" * 20, b"\x81\xff" + b"\xff" * 8, self.chance.randbytes(300)))
            self.step("member websocket", noise)
            with suppress(RuntimeError):  # the other side has ended the link
                self._link.transport.write(noise)
            await asyncio.sleep(0.01)
            return
        text = self._messages.wrong(model)
        self.step(f"member {kind_of(model)} (wrong)", text)
        if len(text) > MAX_MESSAGE and self.chance.random() < 0.5:
            half = len(text) // 2
            await self._link.send(part for part in (text[:half], text[half:]))
        else:
            await self._link.send(text)

    async def listen(self) -> None:
        """Hear the coordinator; answer most of what it asks."""
        try:
            async for text in self._link:
                message = json.loads(text)
                kind = message.get("kind")
                self._campaign.heard[f"member hears {kind}{' ' + message['code'] if kind == 'refused' else ''}"] += 1
                if kind == "echo-request":
                    self.heard.note({"nonce": message["nonce"]})
                    if self.patient or self.chance.random() < 0.5:
                        await self._link.send(json.dumps({**message, "kind": "echo-reply"}))
                    continue
                self.heard.note(message)
                if kind == "welcome":
                    resume = {"member": message["member"], "secret": message["secret"]}
                    self.place = {"group": self.group, "resume": resume}
                    self.welcomed.set()
                elif kind == "assign":
                    self.order = message
                    self.assigned.set()
        except ConnectionClosed:
            pass
        finally:
            self.welcomed.set()
