"""A member counts how far others are when it is asked, one question at a time."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Coroutine
from typing import Any

import pytest

from overlaycast.agent import distances
from overlaycast.agent.distances import Distances
from overlaycast.discovery.hop_counts import HopCount
from overlaycast.wire.messages import Address, Distance, DistanceReply, DistanceRequest, DistantMember, MemberMessage


class Program:
    """The program around it: tasks run, and what is said is kept."""

    connected = True

    def __init__(self) -> None:
        self.told: list[MemberMessage] = []
        self.tasks: list[asyncio.Task[Any]] = []

    def tell(self, message: MemberMessage) -> None:
        self.told.append(message)

    def spawn(self, work: Coroutine[Any, Any, Any]) -> None:
        self.tasks.append(asyncio.create_task(work))

    def __getattr__(self, name: str) -> Any:
        raise AssertionError(name)


def question(nonce: int, *hosts: str) -> DistanceRequest:
    members = tuple(
        DistantMember(member=number, address=Address(host=host, port=8471)) for number, host in enumerate(hosts, 1)
    )
    return DistanceRequest(nonce=nonce, members=members)


async def test_this_very_host_is_no_hop_away_and_what_may_not_be_asked_is_not() -> None:
    program = Program()
    answering = Distances(program, lambda host: host != "127.0.0.2")
    answering.asked(question(7, "127.0.0.1", "127.0.0.2", "name.example"))
    await asyncio.gather(*program.tasks)
    [reply] = program.told
    assert isinstance(reply, DistanceReply)
    assert (reply.nonce, [(one.member, one.hops) for one in reply.distances]) == (7, [(1, 0)])


async def test_a_second_question_meanwhile_is_not_answered_and_a_later_one_is(monkeypatch: pytest.MonkeyPatch) -> None:
    free = threading.Event()

    def count(targets: list[tuple[str, int]], patience_s: float) -> list[HopCount | None]:
        assert free.wait(20)
        return [HopCount(3, 1.5) for _ in targets]

    monkeypatch.setattr(distances, "count_hops", count)
    program = Program()
    answering = Distances(program, lambda host: True)
    answering.asked(question(1, "192.0.2.1"))
    answering.asked(question(2, "192.0.2.1"))
    assert len(program.tasks) == 1
    free.set()
    await asyncio.gather(*program.tasks)
    answering.asked(question(3, "192.0.2.1"))
    await asyncio.gather(*program.tasks)
    found = (Distance(member=1, hops=3, rtt_ms=1.5),)
    assert program.told == [DistanceReply(nonce=1, distances=found), DistanceReply(nonce=3, distances=found)]


async def test_without_a_socket_nothing_is_counted(monkeypatch: pytest.MonkeyPatch) -> None:
    def count(targets: list[tuple[str, int]], patience_s: float) -> list[HopCount | None]:
        raise OSError("too many open files")

    monkeypatch.setattr(distances, "count_hops", count)
    program = Program()
    Distances(program, lambda host: True).asked(question(1, "192.0.2.1"))
    await asyncio.gather(*program.tasks)
    assert program.told == [DistanceReply(nonce=1, distances=())]
