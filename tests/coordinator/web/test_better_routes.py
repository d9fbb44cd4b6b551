"""Routes that are found to be better after they were measured reach the overlay."""

from __future__ import annotations

import asyncio

import pytest

from overlaycast.coordinator.members.measure import BetterRoute
from overlaycast.discovery.survey.route import Route
from overlaycast.wire.messages import Assign, Welcome
from tests.coordinator.conftest import Member, Running, Start, eventually, member_link, subscription

FIRST = Route("", ("r1", None, None), True, (1.0, None, None, 4.0), ("table", "silent", "silent"), True)
BETTER = Route("", ("r1", "r2", "r3"), True, (1.0, 2.0, 3.0, 4.0))


class Routes:
    """Answers with a route that has gaps."""

    def __init__(self) -> None:
        self.on_improved: BetterRoute | None = None
        self.may_answer = asyncio.Event()
        self.asked = asyncio.Event()

    async def route(self, host: str) -> Route | None:
        self.asked.set()
        await self.may_answer.wait()
        return FIRST


def tracing(running: Running) -> Routes:
    routes = Routes()
    running.groups._measurer._routes = routes
    return routes


async def placed(member: Member, token: str, name: str) -> None:
    await member.say(subscription(token, name=name))
    assert isinstance(await member.hear(), Welcome)
    assert isinstance(await member.hear(), Assign)


def path(running: Running, member: int) -> object:
    return running.overlay().records[member].get("path")


def events(running: Running, kind: str) -> list[tuple[int | None, object]]:
    log = running.groups.get("demo").log.since(0, 100)
    return [(one.member, one.details["path"]) for one in log if one.kind == kind]


async def test_a_better_route_is_told_of_all_members_at_its_host(start: Start) -> None:
    async with start() as running:
        routes = tracing(running)
        routes.may_answer.set()
        token = await running.create()
        async with member_link(running) as anna, member_link(running) as ben:
            await placed(anna, token, "anna")
            await placed(ben, token, "ben")
            assert path(running, 1) == path(running, 2) == FIRST.routers
            running.groups._measurer.improved("192.0.2.1", BETTER)  # nobody's
            running.groups._measurer.improved("127.0.0.1", BETTER)
            assert isinstance(await anna.hear(), Assign)
            assert isinstance(await ben.hear(), Assign)
            assert path(running, 1) == path(running, 2) == BETTER.routers
            assert running.overlay().records[1]["rtt_ms"] is None, "no echo was sent for it"
            running.groups._measurer.improved("127.0.0.1", BETTER)  # the same again, but more certain
            await eventually(lambda: not running.groups.get("demo")._better_routes)
            assert events(running, "route") == [(1, BETTER.routers), (2, BETTER.routers)]


async def test_a_route_that_is_better_before_the_measuring_ends_is_what_was_measured(start: Start) -> None:
    async with start() as running:
        routes = tracing(running)
        token = await running.create()
        async with member_link(running) as anna:
            await anna.say(subscription(token))
            assert isinstance(await anna.hear(), Welcome)
            echoes = asyncio.create_task(anna.hear())
            await routes.asked.wait()
            running.groups._measurer.improved("127.0.0.1", BETTER)
            await eventually(lambda: not running.groups.get("demo")._better_routes)
            assert path(running, 1) is None
            routes.may_answer.set()
            assert isinstance(await echoes, Assign)
            assert path(running, 1) == BETTER.routers
            assert events(running, "measured") == [(1, BETTER.routers)]
            assert events(running, "route") == []


async def test_a_route_that_is_better_before_the_train_has_gone_stays(
    start: Start, monkeypatch: pytest.MonkeyPatch
) -> None:
    may_go = asyncio.Event()

    async def run(*_: object) -> None:
        await may_go.wait()

    monkeypatch.setattr("overlaycast.coordinator.members.trains.Trains.run", run)
    async with start() as running:
        tracing(running).may_answer.set()
        token = await running.create()
        async with member_link(running) as anna:
            await anna.say(subscription(token))
            assert isinstance(await anna.hear(), Welcome)
            echoes = asyncio.create_task(anna.hear())
            await eventually(lambda: events(running, "located") == [(1, FIRST.routers)])
            running.groups._measurer.improved("127.0.0.1", BETTER)
            await eventually(lambda: events(running, "route") == [(1, BETTER.routers)])
            may_go.set()
            assert isinstance(await echoes, Assign)
            assert events(running, "measured") == [(1, BETTER.routers)]
            assert path(running, 1) == BETTER.routers


async def test_who_has_gone_is_told_of_no_more(start: Start) -> None:
    async with start() as running:
        tracing(running).may_answer.set()
        token = await running.create()
        async with member_link(running) as anna:
            await placed(anna, token, "anna")
        await eventually(lambda: running.groups.get("demo").connected == 0)
        running.groups._measurer.improved("127.0.0.1", BETTER)
        assert not running.groups.get("demo")._better_routes
