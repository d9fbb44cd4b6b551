"""The measuring of one group's members: each is measured when it comes, and called where it claims to be.

Owns: one task per member that has a link, until it has answered, and what was found out, as items for the group's
loop. Refuses: how a member is measured and called (``members``), and what follows from it (``driver``).

Invariant: being measured ends with the link; the overlay asks anew when the member is back.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from overlaycast.coordinator.members.callback import Answers, Callbacks
from overlaycast.coordinator.members.link import MemberLink
from overlaycast.coordinator.members.links import LinkedMember
from overlaycast.coordinator.members.measure import Found, Measurer

CALL_AGAIN_S: Final = 5.0
LONGEST_CALL_PAUSE_S: Final = 300.0
"""Seconds until a member is called again at an address where it did not answer: twice as many each time."""


@dataclass(frozen=True, slots=True)
class Measured:
    """What was found out about a member, but perhaps for its rate (``Found.rated``)."""

    member: int
    link: MemberLink
    found: Found
    claims: Answers
    """The addresses that the member claimed and had to be called at; None for those where it did not answer."""


@dataclass(frozen=True, slots=True)
class Answered:
    """The member has answered at addresses at which it had not when it was first called."""

    member: int
    link: MemberLink
    answers: Mapping[tuple[str, int], tuple[str, int]]


class Measuring:
    """The members that are being measured.

    Args:
        group: the group's name.
        measurer: measures members, for all groups.
        callbacks: calls members, for all groups.
        claims: returns the addresses at which a member has to answer.
        tell: takes what was found.
        failed: takes an exception that ended a task: a defect of ours.
    """

    def __init__(
        self,
        group: str,
        measurer: Measurer,
        callbacks: Callbacks,
        claims: Callable[[int], Sequence[tuple[str, int]]],
        tell: Callable[[Measured | Answered], Awaitable[None]],
        failed: Callable[[BaseException], None],
    ) -> None:
        self._group = group
        self._measurer = measurer
        self._callbacks = callbacks
        self._claims = claims
        self._tell = tell
        self._failed = failed
        self._tasks: dict[int, asyncio.Task[None]] = {}

    def __len__(self) -> int:
        return len(self._tasks)

    def begin(self, member: int, one: LinkedMember, secret_hash: bytes | None) -> None:
        """Measure a member, from the beginning if that is under way; without its secret it is not called."""
        self.end(member)
        task = self._tasks[member] = asyncio.create_task(self._measure(member, one, secret_hash))
        task.add_done_callback(self._done)

    def end(self, member: int) -> None:
        """Its link is gone."""
        if (task := self._tasks.pop(member, None)) is not None:
            task.cancel()

    def close(self) -> None:
        """End all."""
        for member in list(self._tasks):
            self.end(member)

    async def _measure(self, member: int, one: LinkedMember, secret_hash: bytes | None) -> None:
        called: list[Answers] = []

        async def nearly(found: Found) -> None:
            # after its first echoes it knows the secret with which it answers
            called.append(await self._call(member, one, secret_hash))
            await self._tell(Measured(member, one.link, found, called[0]))

        found = await self._measurer.measure(self._group, one.link, one.echoes, nearly)
        claims = called[0] if called else await self._call(member, one, secret_hash)
        await self._tell(Measured(member, one.link, found, {} if called else claims))
        if None in claims.values():
            await self._call_again(member, one, secret_hash)
        del self._tasks[member]

    async def _call_again(self, member: int, one: LinkedMember, secret_hash: bytes | None) -> None:
        """Call a member, ever more rarely, where it has not answered: its port or its firewall may open later."""
        pause_s = CALL_AGAIN_S
        while self._claims(member):
            await asyncio.sleep(pause_s)
            pause_s = min(2 * pause_s, LONGEST_CALL_PAUSE_S)
            if answers := only_answers(await self._call(member, one, secret_hash)):
                await self._tell(Answered(member, one.link, answers))

    async def _call(self, member: int, one: LinkedMember, secret_hash: bytes | None) -> Answers:
        claims = self._claims(member)
        if not claims or secret_hash is None:
            return {}
        return await self._callbacks.call(self._group, one.link.block, claims, secret_hash)

    def _done(self, task: asyncio.Task[None]) -> None:
        if not task.cancelled() and (error := task.exception()) is not None:
            self._failed(error)


def only_answers(claims: Answers) -> dict[tuple[str, int], tuple[str, int]]:
    """Return the addresses at which a member has answered, without those where it has not."""
    return {claim: answer for claim, answer in claims.items() if answer is not None}
