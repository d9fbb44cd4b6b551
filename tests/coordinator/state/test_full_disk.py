"""A state folder that cannot grow any more: one line for whoever asked, and nobody else is disturbed."""

from __future__ import annotations

import logging
import sqlite3

import pytest

from overlaycast.wire.messages import Assign, Welcome
from tests.coordinator.conftest import Running, Start, member_link, subscription


def fill(running: Running) -> None:
    """Let the database grow no further, as a full disk would."""
    db: sqlite3.Connection = running.groups._store._db
    db.execute(f"PRAGMA max_page_count = {db.execute('PRAGMA page_count').fetchone()[0]}")


async def test_what_cannot_be_kept_is_refused_in_one_line_and_members_stay(
    start: Start, caplog: pytest.LogCaptureFixture
) -> None:
    async with start() as running, running.http() as http:
        token = await running.create()
        async with member_link(running) as anna:
            await anna.say(subscription(token))
            assert isinstance(await anna.hear(), Welcome)
            assert isinstance(await anna.hear(), Assign)
            fill(running)
            answers = [await http.post("/v1/groups", json={"name": f"more-{n}"}) for n in range(100)]
            refused = answers[-1]
            assert refused.status_code == 503
            assert "full" in refused.json()["error"]
            assert anna.socket.close_code is None
            assert (await http.get("/v1/groups/demo")).json()["connected"] == 1
        assert [r for r in caplog.records if r.levelno >= logging.ERROR and r.exc_info] == []
