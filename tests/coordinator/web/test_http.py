"""The HTTP API, over TCP and over the Unix socket: who may ask, what is answered, and every error in one line."""

from __future__ import annotations

import stat
from typing import Any

import httpx
import pytest

from tests.coordinator.conftest import Start, eventually, member_link, subscription


def one_line(answer: httpx.Response) -> str:
    assert list(answer.json()) == ["error"]
    text = str(answer.json()["error"])
    assert text
    assert "\n" not in text
    return text


async def test_without_the_admin_token_nothing_is_told(start: Start) -> None:
    async with start() as running:
        await running.create()
        for token in ("x", "wrong", running.admin_token[:-1], running.admin_token + "x"):
            async with running.http(token) as http:
                for method, path in [
                    ("GET", "/v1/groups"),
                    ("POST", "/v1/groups"),
                    ("GET", "/v1/groups/demo"),
                    ("GET", "/v1/groups/other"),
                    ("GET", "/v1/groups/demo/members"),
                    ("GET", "/v1/groups/demo/tree"),
                    ("GET", "/v1/groups/demo/events"),
                    ("GET", "/v1/groups/demo/metrics"),
                    ("PATCH", "/v1/groups/demo"),
                    ("DELETE", "/v1/groups/demo"),
                ]:
                    answer = await http.request(method, path)
                    assert answer.status_code == 401, (method, path, answer.text)
                    assert "admin token" in one_line(answer)
        async with httpx.AsyncClient(base_url=running.url, trust_env=False) as http:
            assert (await http.get("/v1/groups")).status_code == 401
            assert (await http.get("/healthz")).json()["status"] == "ok"
            assert (await http.get("/openapi.json")).status_code == 200


async def test_a_group_from_its_creation_to_its_end(start: Start) -> None:
    async with start() as running, running.http() as http:
        made = await http.post("/v1/groups", json={"name": "demo", "settings": {"rate_mbit": 4}, "token_ttl_s": 60})
        assert made.status_code == 201
        assert set(made.json()) == {"api_version", "name", "token"}
        [listed] = (await http.get("/v1/groups")).json()["groups"]
        assert (listed["name"], listed["members"], listed["connected"]) == ("demo", 0, 0)
        shown = (await http.get("/v1/groups/demo")).json()
        assert shown["settings"]["rate_mbit"] == 4
        assert shown["token_expires"] == pytest.approx(shown["created"] + 60)
        assert made.json()["token"] not in (await http.get("/v1/groups/demo")).text
        assert (await http.delete("/v1/groups/demo")).json() == {"api_version": 1, "deleted": "demo"}
        assert (await http.get("/v1/groups")).json() == {"api_version": 1, "groups": []}


async def test_members_tree_and_metrics_are_the_overlays(start: Start) -> None:
    async with start() as running, running.http() as http:
        token = await running.create()
        async with member_link(running) as anna:
            await anna.say(subscription(token))
            await anna.hear()
            await anna.hear()
            [record] = (await http.get("/v1/groups/demo/members")).json()["members"]
            assert record["name"] == "anna"
            tree = (await http.get("/v1/groups/demo/tree")).json()
            assert (tree["epoch"], len(tree["members"])) == (1, 1)
            metrics = (await http.get("/v1/groups/demo/metrics")).json()
            # the subscription in; welcome and order out; the echoes both ways
            assert metrics["control_messages_in"] == 1 + anna.echoes
            assert metrics["control_messages_out"] == 2 + anna.echoes
            assert metrics["control_bytes"] == metrics["control_bytes_in"] + metrics["control_bytes_out"]
            assert metrics["control_bytes_in"] > 64 * 1024
        await eventually(lambda: running.groups.get("demo").connected == 0)
        after = (await http.get("/v1/groups/demo/metrics")).json()
        assert after["control_bytes"] == metrics["control_bytes"]


async def test_events_are_numbered_and_can_be_followed(start: Start) -> None:
    async with start() as running, running.http() as http:
        token = await running.create()
        async with member_link(running) as anna:
            await anna.say(subscription(token))
            await anna.hear()
            await anna.hear()
        first = (await http.get("/v1/groups/demo/events?limit=2")).json()
        assert [event["n"] for event in first["events"]] == [0, 1]
        assert first["events"][0]["kind"] == "created"
        rest = (await http.get(f"/v1/groups/demo/events?since={first['next']}")).json()
        kinds = [event["kind"] for event in rest["events"]]
        assert kinds[:3] == ["joined", "located", "measured"]
        assert rest["next"] == 2 + len(kinds)
        nothing = (await http.get(f"/v1/groups/demo/events?since={rest['next'] + 5}")).json()
        assert nothing["events"] == []


async def test_no_number_in_a_query_is_too_large_for_an_answer(start: Start) -> None:
    async with start() as running, running.http() as http:
        await running.create()
        for number in (0, 10**6, 2**63 - 1, 2**63, 10**28, 10**4000, -1, "1e3", "", "\x00", "nan"):
            for field in ("since", "limit"):
                answer = await http.get("/v1/groups/demo/events", params={field: str(number)})
                assert answer.status_code in (200, 422), f"{field}={number}"
        assert (await http.get("/v1/groups/demo/events")).json()["next"] == 1


async def test_no_word_in_a_path_is_more_than_not_found(start: Start) -> None:
    async with start() as running, running.http() as http:
        for word in ("%00", "%ff", "%ed%a0%80", "%1b%5b2J", "a" * 5000, "%0d%0a"):
            for path in ("/v1/groups/{}", "/v1/groups/{}/events", "/v1/groups/{}/tree", "/{}"):
                answer = await http.get(path.format(word))
                assert answer.status_code == 404, path.format(word)
                assert list(answer.json()) == ["error"]


async def test_no_text_in_a_body_is_more_than_not_accepted(start: Start) -> None:
    bodies = (
        b'{"name":"\\ud800"}',
        b'{"name":"a","\\ud800":1}',
        b'{"name":"a","\\u001b[2J":1}',
        b'{"name":' + b"9" * 5000 + b"}",
        b"[" * 60_000,
    )
    async with start() as running, running.http() as http:
        for body in bodies:
            answer = await http.post("/v1/groups", content=body, headers={"Content-Type": "application/json"})
            assert answer.status_code in (400, 422), body[:40]
            assert answer.json()["error"].isprintable()


@pytest.mark.parametrize(
    ("body", "status", "words"),
    [
        ({}, 422, "name"),
        ({"name": ""}, 422, "name"),
        ({"name": "a/b"}, 422, "name"),
        ({"name": "demo", "colour": "red"}, 422, "colour"),
        ({"name": "new", "settings": {"rate_mbit": -1}}, 422, "settings.rate_mbit"),
        ({"name": "new", "settings": {"rate": 1}}, 422, "settings.rate"),
        ({"name": "new", "token_ttl_s": 0}, 422, "token_ttl_s"),
        ({"name": "demo"}, 409, "demo exists"),
    ],
)
async def test_a_wrong_group_is_refused_in_one_line(start: Start, body: Any, status: int, words: str) -> None:
    async with start() as running, running.http() as http:
        await running.create()
        answer = await http.post("/v1/groups", json=body)
        assert answer.status_code == status
        assert words in one_line(answer)
        assert len((await http.get("/v1/groups")).json()["groups"]) == 1


async def test_what_is_not_there_is_said_in_one_line(start: Start) -> None:
    async with start() as running, running.http() as http:
        for path in ("/v1/groups/none", "/v1/groups/none/tree", "/nowhere"):
            answer = await http.get(path)
            assert answer.status_code == 404
            one_line(answer)
        assert one_line(await http.post("/v1/groups", content=b"{not json")) != ""
        assert one_line(await http.put("/v1/groups")) != ""


async def test_groups_are_bounded_in_number(start: Start) -> None:
    async with start(groups_limit=1) as running, running.http() as http:
        await running.create()
        answer = await http.post("/v1/groups", json={"name": "more"})
        assert (answer.status_code, "up to 1" in one_line(answer)) == (409, True)


async def test_a_large_body_is_refused_however_it_comes(start: Start) -> None:
    async with start() as running, running.http() as http:
        answer = await http.post("/v1/groups", content=b" " * (64 * 1024 + 1))
        assert answer.status_code == 413
        one_line(answer)

        async def pieces() -> Any:
            for _ in range(70):
                yield b" " * 1024

        assert (await http.post("/v1/groups", content=pieces())).status_code == 413


async def test_the_same_over_the_local_socket_which_is_private(start: Start) -> None:
    async with start() as running:
        socket = running.state / "admin.sock"
        assert stat.S_IMODE(socket.stat().st_mode) == 0o600
        transport = httpx.AsyncHTTPTransport(uds=str(socket))
        async with httpx.AsyncClient(transport=transport, base_url="http://coordinator") as http:
            assert (await http.get("/v1/groups")).status_code == 401
            headers = {"Authorization": f"Bearer {running.admin_token}"}
            assert (await http.post("/v1/groups", json={"name": "demo"}, headers=headers)).status_code == 201
        async with running.http() as http:
            assert len((await http.get("/v1/groups")).json()["groups"]) == 1
