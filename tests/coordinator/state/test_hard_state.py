"""State that another program holds, that cannot be loaded, or that comes from later than now."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import sqlite3
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from overlaycast.coordinator.groups.clock import Clock
from overlaycast.coordinator.state.store import StateLockedError, Store
from overlaycast.wire.messages import Assign, Ping, Refused, Report, Welcome
from tests.coordinator.conftest import Running, Start, member_link, subscription
from tests.coordinator.state.test_state import row

SQLITE_WAITS_S = 5.0
"""For a lock, unless it is told otherwise."""


@contextlib.contextmanager
def locked(running: Running) -> Iterator[None]:
    with contextlib.closing(sqlite3.connect(running.state / "state.db", isolation_level=None)) as db:
        db.execute("BEGIN IMMEDIATE")
        yield
        db.execute("ROLLBACK")


async def test_a_locked_database_blocks_nobody(start: Start, caplog: pytest.LogCaptureFixture) -> None:
    async with start() as running, running.http() as http:
        token = await running.create()
        async with member_link(running) as anna, member_link(running) as bert:
            await anna.say(subscription(token))
            assert isinstance(await anna.hear(), Welcome)
            assert isinstance(await anna.hear(), Assign)
            with locked(running):
                began = time.monotonic()
                assert (await http.post("/v1/groups", json={"name": "more"})).status_code == 503
                assert (await http.delete("/v1/groups/demo")).status_code == 503
                await bert.say(subscription(token, name="bert"))  # its secret cannot be kept
                with contextlib.suppress(Exception):
                    await bert.hear()
                assert "state folder" in str(bert.socket.close_reason)
                assert (await http.get("/v1/groups/demo")).json()["connected"] == 1
                await anna.say(Report(epoch=1, state="streaming", next_seq=1, interval_ms=1, bytes=1, records=1))
                assert isinstance(await anna.hear(), Ping)  # depends on nothing that is kept
                assert time.monotonic() - began < 3 * SQLITE_WAITS_S
            assert (await http.delete("/v1/groups/demo")).status_code == 200
        assert running.failures == []
        assert [r for r in caplog.records if r.levelno >= logging.ERROR and r.exc_info] == []


async def test_what_waits_for_a_locked_database_is_kept_and_sent_later(start: Start) -> None:
    async with start() as running:
        token = await running.create()
        async with member_link(running) as anna, member_link(running) as bert:
            await anna.say(subscription(token))
            welcome = await anna.hear()
            assert isinstance(welcome, Welcome)
            assert isinstance(await anna.hear(), Assign)
            with locked(running):
                # a member that comes back has its secret already: only the snapshot has to wait
                resume = {"member": welcome.member, "secret": welcome.secret, "epoch": 0, "rank": 0, "next_seq": 0}
                await bert.say(subscription(token, resume=resume))
                heard = asyncio.create_task(bert.hear())
                done, _ = await asyncio.wait({heard}, timeout=0.5)
                assert not done
            assert isinstance(await heard, Welcome)
        assert running.failures == []


async def test_a_group_that_cannot_be_loaded_is_set_aside_and_the_others_start(
    start: Start, caplog: pytest.LogCaptureFixture
) -> None:
    async with start() as running:
        tokens = {name: await running.create(name) for name in ("good", "text", "json", "settings")}
    with contextlib.closing(sqlite3.connect(running.state / "state.db", isolation_level=None)) as db:
        body = (
            "INSERT INTO snapshots (name, body, events) VALUES (?, ?, 1) ON CONFLICT DO UPDATE SET body = excluded.body"
        )
        db.execute(body, ("text", "{"))
        db.execute(body, ("json", "[]"))
        db.execute("UPDATE groups SET settings = '{}x' WHERE name = 'settings'")
    async with start(groups_limit=4) as running, running.http() as http:
        assert (await http.post("/v1/groups", json={"name": "fifth"})).status_code == 409  # these count too
        said = [record.getMessage() for record in caplog.records if "set aside" in record.getMessage()]
        assert len(said) == 3
        assert all("\n" not in line for line in said)
        assert [group["name"] for group in (await http.get("/v1/groups")).json()["groups"]] == ["good"]
        for name in ("text", "json", "settings"):
            async with member_link(running) as anna:
                await anna.say(subscription(tokens[name], group=name))
                refused = await anna.hear()
                assert isinstance(refused, Refused)
                assert "set aside" in refused.reason
            assert (await http.get(f"/v1/groups/{name}/tree")).status_code == 503
            assert (await http.post("/v1/groups", json={"name": name})).status_code == 409
            assert (await http.delete(f"/v1/groups/{name}")).status_code == 200
            assert (await http.get(f"/v1/groups/{name}")).status_code == 404
        async with member_link(running) as anna:
            await anna.say(subscription(tokens["good"], group="good"))
            assert isinstance(await anna.hear(), Welcome)


def test_a_database_that_is_locked_is_told_at_once(tmp_path: Path) -> None:
    store = Store(tmp_path / "state.db")
    with contextlib.closing(sqlite3.connect(tmp_path / "state.db", isolation_level=None)) as other:
        other.execute("BEGIN IMMEDIATE")
        began = time.monotonic()
        with pytest.raises(StateLockedError):
            store.add_group(row("a"))
        assert time.monotonic() - began < SQLITE_WAITS_S
    store.close()


async def test_an_expired_token_stays_expired_when_the_clock_is_set_back(
    start: Start, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with start() as running:
        token = await running.create(token_ttl_s=0.01)
        await asyncio.sleep(0.1)
    wall = time.time
    monkeypatch.setattr(time, "time", lambda: wall() - 86400)
    async with start() as running, member_link(running) as anna:
        await anna.say(subscription(token))
        refused = await anna.hear()
        assert isinstance(refused, Refused)
        assert refused.code == "expired-token"


def test_the_time_that_is_kept_never_goes_back(tmp_path: Path) -> None:
    store = Store(tmp_path / "state.db")
    assert store.latest() == 0
    store.save_time(20.0)
    store.save_time(10.0)
    assert store.latest() == 20
    store.add_group(row("a", 30.0))
    assert store.latest() == 30
    store.close()
    ahead = time.time() + 1000
    assert Clock(ahead)() >= ahead
    assert abs(Clock(1.0)() - time.time()) < 1
