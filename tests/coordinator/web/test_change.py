"""A group's settings change while it runs: what counts, who is told, and what is refused."""

from __future__ import annotations

from typing import Any

import pytest

from overlaycast.coordinator.state.store import StateError
from overlaycast.wire.group import GroupSettings
from overlaycast.wire.messages import Assign, NewSettings, Welcome
from overlaycast.wire.text import LATER_HEADER, LATER_TEXT
from tests.coordinator.conftest import Start, eventually, member_link, subscription

KNOWS = {LATER_HEADER: LATER_TEXT}
PATH = "/v1/groups/demo"


async def test_a_new_value_counts_is_kept_and_is_an_event(start: Start) -> None:
    async with start() as running, running.http() as http:
        await running.create(settings={"rate_mbit": 4})
        said = (await http.patch(PATH, json={"settings": {"improve_s": 3, "rate_mbit": 4}})).json()
        assert said == {"api_version": 1, "name": "demo", "changed": {"improve_s": [10, 3]}, "refused": {}}
        assert running.overlay().settings == GroupSettings(rate_mbit=4, improve_s=3)
        assert (await http.get(PATH)).json()["settings"]["improve_s"] == 3
        again = (await http.patch(PATH, json={"settings": {"improve_s": 3}})).json()
        assert again["changed"] == {}
        events = (await http.get(f"{PATH}/events")).json()["events"]
        assert [(one["kind"], one["details"]) for one in events[1:]] == [
            ("settings", {"changed": {"improve_s": [10, 3]}})
        ]
    async with start() as running, running.http() as http:
        assert (await http.get(PATH)).json()["settings"]["improve_s"] == 3
        assert running.overlay().settings == GroupSettings(rate_mbit=4, improve_s=3)


@pytest.mark.parametrize(
    ("settings", "said"),
    [
        ({"mode": "file", "improve_s": 3}, "mode: cannot change while the group runs: the source and the receivers"),
        ({"strategy": "location"}, "strategy: cannot change while the group runs: members were located by it"),
        ({"depth_limit": 1, "improve_s": 3}, "depth_limit: the tree is 2 deep now"),
    ],
)
async def test_one_that_may_not_change_leaves_all_as_they_are(
    start: Start, settings: dict[str, Any], said: str
) -> None:
    async with start() as running, running.http() as http:
        await running.create()
        answer = await http.patch(PATH, json={"settings": settings})
        assert answer.status_code == 409
        assert answer.json()["error"].startswith(said)
        assert (await http.get(PATH)).json()["settings"] == GroupSettings().model_dump()
        checked = (await http.patch(f"{PATH}?check=true", json={"settings": settings})).json()
        assert list(checked["changed"]) == list(settings)
        assert [f"{name}: {why}" for name, why in checked["refused"].items()] == [answer.json()["error"]]


async def test_a_check_changes_nothing(start: Start) -> None:
    async with start() as running, running.http() as http:
        await running.create()
        checked = (await http.patch(f"{PATH}?check=true", json={"settings": {"improve_s": 3}})).json()
        assert checked["changed"] == {"improve_s": [10, 3]}
        assert running.overlay().settings == GroupSettings()
        assert len((await http.get(f"{PATH}/events")).json()["events"]) == 1


@pytest.mark.parametrize(
    ("body", "words"),
    [
        ({}, "settings: Field required"),
        ({"settings": {"colour": 1}}, "settings.colour"),
        ({"settings": {"rate_mbit": -1}}, "settings.rate_mbit"),
        ({"settings": {"rate_mbit": None}}, "settings.rate_mbit"),
        ({"settings": [], "name": "x"}, "settings"),
        ([], "body"),
    ],
)
async def test_what_is_not_accepted_is_one_line(start: Start, body: Any, words: str) -> None:
    async with start() as running, running.http() as http:
        await running.create()
        answer = await http.patch(PATH, json=body)
        assert answer.status_code == 422
        assert words in answer.json()["error"]
        assert "\n" not in answer.json()["error"]
        assert (await http.get(PATH)).json()["settings"] == GroupSettings().model_dump()


async def test_members_are_told_what_they_use_and_nothing_else(start: Start) -> None:
    async with start() as running, running.http() as http:
        token = await running.create()
        async with member_link(running, KNOWS) as anna:
            await anna.say(subscription(token))
            assert isinstance(await anna.hear(), Welcome)
            assert isinstance(await anna.hear(), Assign)
            for settings in ({"improve_s": 3}, {"heartbeat_ms": 50, "silence_ms": 80}):
                assert (await http.patch(PATH, json={"settings": settings})).status_code == 200
            told = await anna.hear()
            assert told == NewSettings(settings=GroupSettings(improve_s=3, heartbeat_ms=50, silence_ms=80))


async def test_where_a_member_cannot_be_told_what_it_uses_stays(start: Start) -> None:
    async with start() as running, running.http() as http:
        token = await running.create()
        async with member_link(running) as old, member_link(running, KNOWS) as new:
            await old.say(subscription(token))
            await new.say(subscription(token, name="ben"))
            assert isinstance(await old.hear(), Welcome)
            assert isinstance(await old.hear(), Assign)
            assert isinstance(await new.hear(), Welcome)
            assert isinstance(await new.hear(), Assign)
            assert (await http.patch(PATH, json={"settings": {"improve_s": 3}})).status_code == 200
            answer = await http.patch(PATH, json={"settings": {"report_ms": 500, "improve_s": 4}})
            assert answer.status_code == 409
            assert answer.json()["error"] == ("report_ms: 1 connected member has a program that is too old to be told")
            assert (await http.get(PATH)).json()["settings"]["improve_s"] == 3
        await eventually(lambda: running.groups.get("demo").connected == 0)
        assert (await http.patch(PATH, json={"settings": {"report_ms": 500}})).status_code == 200


async def test_what_cannot_be_kept_does_not_count(start: Start, monkeypatch: pytest.MonkeyPatch) -> None:
    async with start() as running, running.http() as http:
        await running.create()

        def full(*_: object) -> None:
            raise StateError("state: disk full")

        monkeypatch.setattr(type(running.groups._store), "save_settings", full)
        answer = await http.patch(PATH, json={"settings": {"improve_s": 3}})
        assert (answer.status_code, answer.json()) == (503, {"error": "state: disk full"})
        assert running.overlay().settings == GroupSettings()
        assert (await http.get(PATH)).json()["settings"]["improve_s"] == 10
