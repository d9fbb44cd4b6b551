"""A group that fails while it runs: it comes back from its last good state, and nobody else notices."""

from __future__ import annotations

import asyncio
import contextlib
import sqlite3
import time
from typing import Any

import pytest

from overlaycast.coordinator.groups import groups
from overlaycast.coordinator.groups.failures import PAUSES_S, WELL_S, Failures
from overlaycast.coordinator.members.measure import Measurer
from overlaycast.coordinator.state.secret import hash_of
from overlaycast.errors import LocalProtocolError
from overlaycast.wire.messages import Assign, Refused, Report, Resume, Welcome
from tests.coordinator.conftest import Member, Running, Start, eventually, member_link, subscription
from tests.coordinator.fake_overlay import FakeOverlay

DEADLY = Report(epoch=1, state="streaming", next_seq=1, interval_ms=1, bytes=1, records=1, lost=666)


async def seated(member: Member, token: str, **changes: Any) -> Welcome:
    await member.say(subscription(token, **changes))
    greeting = await member.hear()
    assert isinstance(greeting, Welcome)
    assert isinstance(await member.hear(), Assign)
    return greeting


def resumed(greeting: Welcome) -> Resume:
    return Resume(member=greeting.member, secret=greeting.secret, epoch=1, rank=1, next_seq=0)


def said(caplog: pytest.LogCaptureFixture) -> list[str]:
    assert [record for record in caplog.records if record.exc_info] == []
    return [record.getMessage() for record in caplog.records if "set aside" in record.getMessage()]


async def events(running: Running, name: str = "demo") -> list[dict[str, Any]]:
    async with running.http() as http:
        return list((await http.get(f"/v1/groups/{name}/events")).json()["events"])


def fail_once(monkeypatch: pytest.MonkeyPatch, error: Exception) -> None:
    """Let the next snapshot of any group fail."""

    def fail(_: FakeOverlay) -> dict[str, Any]:
        monkeypatch.undo()
        raise error

    monkeypatch.setattr(FakeOverlay, "snapshot", fail)


@pytest.mark.parametrize("how", ["a message", "a snapshot", "a broken tree"])
async def test_it_comes_back_and_the_others_do_not_notice(
    start: Start, caplog: pytest.LogCaptureFixture, how: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with start() as running:
        token, other = await running.create(), await running.create("other")
        async with member_link(running) as bert, member_link(running) as anna, member_link(running) as again:
            await seated(bert, other, group="other")
            greeting = await seated(anna, token)
            if how == "a message":
                await anna.say(DEADLY)
            else:
                fail_once(monkeypatch, LocalProtocolError("too deep") if how == "a broken tree" else KeyError("x"))
                await again.say(subscription(token, name="new"))
            await asyncio.wait_for(anna.socket.wait_closed(), 60)
            assert anna.socket.close_code == 1012
            async with member_link(running) as back:
                await back.say(subscription(token, resume=resumed(greeting)))
                once_more = await back.hear()
                assert isinstance(once_more, Welcome)
                assert once_more.member == greeting.member
                async with member_link(running) as late:
                    assert (await seated(late, token, name="late")).member == 2  # the one before was told no id
            assert bert.socket.close_code is None
            assert running.groups.get("other").connected == 1
        happened = await events(running)
        assert [event["n"] for event in happened] == list(range(len(happened)))
        assert ["it failed" in event["details"]["reason"] for event in happened if event["kind"] == "restored"] == [
            True
        ]
        assert running.failures == []
    [line] = said(caplog)
    assert line.startswith("group demo is set aside, it failed: ")
    assert line.endswith("it comes back from its last good state now")
    assert "\n" not in line


async def test_a_subscriber_over_whom_it_fails_may_come_again(
    start: Start, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_: object) -> int:
        monkeypatch.undo()
        raise RuntimeError("two\nlines")

    async with start() as running:
        token = await running.create()
        monkeypatch.setattr(FakeOverlay, "join", fail)
        async with member_link(running) as anna, member_link(running) as again:
            await anna.say(subscription(token))
            await asyncio.wait_for(anna.socket.wait_closed(), 60)
            assert anna.socket.close_code == 1012
            assert (await seated(again, token)).member == 1
    [line] = said(caplog)
    assert "RuntimeError: two lines (groups/test_failing_group.py:" in line


async def test_a_measurement_that_fails_fails_its_group(
    start: Start, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def fail(*_: object) -> None:
        monkeypatch.undo()
        raise ZeroDivisionError

    async with start() as running:
        token = await running.create()
        monkeypatch.setattr(Measurer, "measure", fail)
        async with member_link(running) as anna:
            await anna.say(subscription(token))
            await asyncio.wait_for(anna.socket.wait_closed(), 60)
        await eventually(lambda: len(running.maker.made) == 2)
    assert len(said(caplog)) == 1


async def test_one_that_fails_again_stays_aside_for_longer(
    start: Start, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("overlaycast.coordinator.groups.failures.PAUSES_S", (0.0, 3600.0))
    async with start() as running, running.http() as http:
        token = await running.create()
        async with member_link(running) as anna, member_link(running) as back:
            greeting = await seated(anna, token)
            await anna.say(DEADLY)
            await asyncio.wait_for(anna.socket.wait_closed(), 60)
            await back.say(subscription(token, resume=resumed(greeting)))
            assert isinstance(await back.hear(), Welcome)
            await back.say(DEADLY)
            await asyncio.wait_for(back.socket.wait_closed(), 60)
        async with member_link(running) as late:
            await late.say(subscription(token))
            refused = await late.hear()
            assert isinstance(refused, Refused)
            assert "set aside" in refused.reason
        assert (await http.get("/v1/groups/demo")).status_code == 503
        assert (await http.get("/healthz")).status_code == 200
        numbers = running.groups._aside["demo"].running
        assert numbers is not None
        next_number = numbers.driver.log.next_number
    assert [line.rpartition(" state ")[2] for line in said(caplog)] == ["now", "in 3600 s"]
    async with start() as running, running.http() as http:  # a restart tries again, and skips no event number
        assert (await events(running))[0]["n"] == next_number
        assert (await http.delete("/v1/groups/demo")).status_code == 200


async def test_one_that_is_aside_can_be_deleted_and_made_anew(start: Start, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("overlaycast.coordinator.groups.failures.PAUSES_S", (0.2,))
    async with start() as running, running.http() as http:
        token = await running.create()
        async with member_link(running) as anna:
            await seated(anna, token)
            await anna.say(DEADLY)
            await asyncio.wait_for(anna.socket.wait_closed(), 60)
        assert (await http.delete("/v1/groups/demo")).status_code == 200
        await running.create()
        made = len(running.maker.made)
        await asyncio.sleep(0.3)  # nothing brings the old one back
        assert (await http.get("/v1/groups/demo")).json()["members"] == 0
        assert len(running.maker.made) == made


async def test_one_that_cannot_come_back_stays_aside(
    start: Start, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("overlaycast.coordinator.groups.failures.PAUSES_S", (0.0, 0.0, 3600.0))
    async with start() as running:
        token = await running.create()
        async with member_link(running) as anna:
            await seated(anna, token)
            with contextlib.closing(sqlite3.connect(running.state / "state.db", isolation_level=None)) as db:
                db.execute("UPDATE snapshots SET body = '{'")
            await anna.say(DEADLY)
            await eventually(lambda: len(said(caplog)) == 3)
        assert running.failures == []


def test_the_pauses_grow_and_are_forgotten() -> None:
    failures = Failures()
    assert [failures.pause_s(float(at)) for at in range(6)] == [*PAUSES_S, PAUSES_S[-1], PAUSES_S[-1]]
    assert failures.pause_s(6 + WELL_S) == PAUSES_S[0]
    assert failures.pause_s(7 + WELL_S) == PAUSES_S[1]


# --- what a crash may take ---------------------------------------------------------------------------------------


async def test_an_id_whose_owner_was_told_nothing_is_given_again(start: Start) -> None:
    """A crash may come between a newcomer's secret and the snapshot that has the newcomer."""
    async with start() as running:
        token = await running.create()
        async with member_link(running) as anna:
            await seated(anna, token)
    with contextlib.closing(sqlite3.connect(running.state / "state.db", isolation_level=None)) as db:
        db.execute("INSERT INTO members (name, member, secret) VALUES ('demo', 2, ?)", (hash_of("lost"),))
    async with start() as running, member_link(running) as bert, member_link(running) as evil:
        greeting = await seated(bert, token, name="bert")
        assert greeting.member == 2
        resume = Resume(member=2, secret="lost" * 8, epoch=1, rank=1, next_seq=0)
        await evil.say(subscription(token, name="evil", resume=resume))
        assert isinstance(answer := await evil.hear(), Welcome)
        assert answer.member == 3


def kept_time(running: Running) -> float:
    with contextlib.closing(sqlite3.connect(running.state / "state.db", isolation_level=None)) as db:
        return float(db.execute("SELECT at FROM clock").fetchone()[0])


async def test_when_a_token_expires_the_time_is_kept_at_once(start: Start) -> None:
    """So a crash at any moment, and a clock that is set back, make no token valid again."""
    async with start() as running:
        await running.create("a", token_ttl_s=3600)
        await running.create("b", token_ttl_s=0.2)
        expires = running.groups.get("b").row.expires
        assert expires is not None
        await eventually(lambda: kept_time(running) >= expires)
        assert time.time() < expires + groups._TIME_KEPT_EVERY_S / 2


async def test_a_refusal_for_an_expired_token_is_kept_before_it_is_said(
    start: Start, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(groups.Groups, "_keep_time", lambda _: asyncio.sleep(3600))
    async with start() as running:
        token = await running.create(token_ttl_s=0.01)
        expires = running.groups.get("demo").row.expires
        await asyncio.sleep(0.05)
        async with member_link(running) as anna:
            await anna.say(subscription(token))
            assert isinstance(await anna.hear(), Refused)
        assert expires is not None
        assert kept_time(running) >= expires


async def test_the_time_of_a_snapshot_is_kept_with_it(start: Start, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(groups.Groups, "_keep_time", lambda _: asyncio.sleep(3600))
    async with start() as running:
        token = await running.create()
        began = time.time()
        async with member_link(running) as anna:
            await seated(anna, token)
            assert kept_time(running) >= began
