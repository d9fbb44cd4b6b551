"""Every route of the HTTP API declares what it answers, and answers what it declares."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any

import httpx
from fastapi.routing import APIRoute
from jsonschema import Draft202012Validator
from pydantic import BaseModel

from overlaycast.coordinator.web.http import admin_routes, open_routes
from overlaycast.coordinator.web.upkeep import upkeep_routes
from overlaycast.wire.views import API_VERSION, ErrorView
from tests.coordinator.conftest import Running, Start, member_link, subscription

METHODS = ("get", "post", "put", "patch", "delete")


def declared(document: dict[str, Any]) -> list[tuple[str, str, str, dict[str, Any]]]:
    """Return method, path, status and answer of all routes, as OpenAPI has them."""
    return [
        (method, path, status, answer)
        for path, item in document["paths"].items()
        for method in METHODS
        if method in item
        for status, answer in item[method]["responses"].items()
    ]


def schema_of(document: dict[str, Any], method: str, path: str, status: int) -> dict[str, Any]:
    """Return the JSON schema of one answer, with all that it refers to."""
    answer = document["paths"][path][method]["responses"][str(status)]
    return {**answer["content"]["application/json"]["schema"], "components": document["components"]}


async def test_every_answer_and_every_refusal_is_declared(start: Start) -> None:
    async with start() as running, running.http() as http:
        document = (await http.get("/openapi.json")).json()
        models = document["components"]["schemas"]
        found = declared(document)
        assert len({(method, path) for method, path, _, _ in found}) == 14
        for method, path, status, answer in found:
            name = answer["content"]["application/json"]["schema"]["$ref"].rsplit("/", 1)[1]
            said = f"{method} {path} {status}: {name}"
            if status.startswith("2"):
                assert "api_version" in models[name]["properties"], said
            else:
                assert name == ErrorView.__name__, said
        refusals = {(path, status) for _, path, status, _ in found if not status.startswith("2")}
        for path in document["paths"]:
            assert {"413"} <= {status for where, status in refusals if where == path}
            if path.startswith("/v1"):
                assert {"401", "422"} <= {status for where, status in refusals if where == path}
            if "{name}" in path:
                assert (path, "404") in refusals


def test_every_route_returns_a_model() -> None:
    routes = (*open_routes.routes, *admin_routes.routes, *upkeep_routes.routes)
    models = [route.response_model for route in routes if isinstance(route, APIRoute)]
    assert len(models) == 14
    assert all(isinstance(model, type) and issubclass(model, BaseModel) for model in models)


async def ask_about_members(
    ask: Callable[..., Awaitable[Any]], running: Running, token: str, paths: dict[str, Any]
) -> None:
    one = "/v1/groups/{name}/members/{member}/drain"
    async with member_link(running) as anna, member_link(running) as other:
        await anna.say(subscription(token))
        await anna.hear()
        await anna.hear()
        for path in paths:
            if "get" in paths[path]:
                await ask("get", path, 200)
        await ask("post", "/v1/groups/{name}/rebalance", 200)
        await ask("post", one, 200)
        await ask("delete", one, 200)
        await other.say(subscription(token))
        await other.hear()
        for method in ("get", "post", "delete"):
            await ask(method, one, 409)  # there are two of that name


async def test_answers_are_as_declared(start: Start) -> None:
    async with start(groups_limit=1) as running, running.http() as http:
        document = (await http.get("/openapi.json")).json()
        tried: set[tuple[str, str, int]] = set()

        async def ask(method: str, path: str, status: int, to: httpx.AsyncClient = http, **more: Any) -> Any:
            asked = path.replace("{name}", more.pop("name", "demo")).replace("{member}", more.pop("member", "anna"))
            answer = await to.request(method.upper(), asked, **more)
            assert answer.status_code == status, (method, path, answer.text)
            found = answer.json()
            Draft202012Validator(schema_of(document, method, path, status)).validate(found)
            assert found.get("api_version", API_VERSION) == API_VERSION
            tried.add((method, path, status))
            return found

        made = await ask("post", "/v1/groups", 201, json={"name": "demo"})
        await ask_about_members(ask, running, made["token"], document["paths"])
        for name, expected in (("more", 409), ("a/b", 422)):
            await ask("post", "/v1/groups", expected, json={"name": name})
        for settings, expected in (({"improve_s": 3}, 200), ({"mode": "file"}, 409), ({"colour": "red"}, 422)):
            await ask("patch", "/v1/groups/{name}", expected, json={"settings": settings})
        await ask("get", "/v1/groups/{name}/events", 422, params={"since": -1})
        for method, path, status, _ in declared(document):
            if status == "404":
                await ask(method, path, 404, name="none", json={"settings": {}} if method == "patch" else None)
            elif status == "413":
                await ask(method, path, 413, content=b" " * (64 * 1024 + 1))
            elif status == "401":
                async with running.http("wrong") as stranger:
                    await ask(method, path, 401, to=stranger, json={"name": "more"})
        await ask("delete", "/v1/groups/{name}", 200)
        # a full disk is tried in test_full_disk; 422 of a route whose input is a name alone does not come
        left = {(method, path, int(status)) for method, path, status, _ in declared(document)} - tried
        assert {status for _, _, status in left} <= {422, 503}
