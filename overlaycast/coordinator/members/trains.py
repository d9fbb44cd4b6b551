"""Lets members' trains of echoes go when it is their turn (``discovery.trains``).

Owns: the waiting. Refuses: whose turn it is, and what a train is.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable

from overlaycast.discovery.trains.turns import Turns, Whereto

Train = Callable[[float | None], Awaitable[float | None]]
"""Takes what the member's site has shown, and returns what the train shows, in Mbit/s."""


class Trains:
    """The trains of all groups, of which never more than ``at_once`` are on their way together."""

    def __init__(self, at_once: int) -> None:
        self._turns = Turns(at_once)
        self._waiting: dict[int, asyncio.Future[bool]] = {}
        self._alarm: asyncio.TimerHandle | None = None

    async def run(self, group: str, host: str, to: Whereto, train: Train) -> None:
        """Run a member's train when its turn is.

        It is run again if others have disturbed it, and not at all if enough is known of the member's site.
        """
        loop = asyncio.get_running_loop()
        number = self._turns.come(group, host, to, loop.time())
        try:
            while True:
                turn = self._waiting[number] = loop.create_future()
                self._next()
                if not await turn:
                    return
                if not self._turns.done(number, await train(self._turns.expected(number)), loop.time()):
                    return
        finally:
            self._waiting.pop(number, None)
            self._turns.leave(number, loop.time())
            self._next()

    def _next(self) -> None:
        loop = asyncio.get_running_loop()
        begun = self._turns.begin(loop.time())
        for numbers, goes in ((begun, True), (self._turns.needless(), False)):
            for number in numbers:
                if not self._waiting[number].done():
                    self._waiting[number].set_result(goes)
        if self._alarm is not None:
            self._alarm.cancel()
        due = self._turns.next_deadline()
        self._alarm = None if due is None else loop.call_at(due, self._next)
