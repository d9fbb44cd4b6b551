"""HTTP for people and tools: groups, members, tree, events, metrics. Routes only; others do the work.

Owns: paths, bodies, status codes, and the admin token's check. Refuses: state and decisions.

Every error is ``{"error": "one line"}``. All of ``/v1`` needs ``Authorization: Bearer`` with the admin token.
"""

from __future__ import annotations

from typing import Annotated, Any

from fastapi import APIRouter, Depends, FastAPI, HTTPException, Query, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse
from pydantic import BaseModel, ConfigDict, Field
from starlette.exceptions import HTTPException as StarletteHTTPException

from overlaycast import __version__
from overlaycast.coordinator.driver import GroupDriver
from overlaycast.coordinator.groups import Groups
from overlaycast.coordinator.secret import matches
from overlaycast.coordinator.store import StateError
from overlaycast.errors import ConfigError
from overlaycast.wire.group import GroupName, GroupSettings


class NewGroup(BaseModel):
    """The body of ``POST /v1/groups``."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    name: GroupName
    settings: GroupSettings = GroupSettings()
    token_ttl_s: float | None = Field(None, gt=0, le=10 * 365 * 86400)


async def administrator(request: Request) -> None:
    """Let only the holder of the admin token pass."""
    scheme, _, given = request.headers.get("authorization", "").partition(" ")
    if scheme.lower() != "bearer" or not matches(given.strip(), request.app.state.admin_token_hash):
        raise HTTPException(401, "the admin token is missing or wrong", {"WWW-Authenticate": "Bearer"})


def _groups(request: Request) -> Groups:
    groups: Groups = request.app.state.groups
    return groups


def _group(name: str, request: Request) -> GroupDriver:
    try:
        return _groups(request).get(name)
    except KeyError:
        raise HTTPException(404, f"no group {name[:64]}") from None


AllGroups = Annotated[Groups, Depends(_groups)]
OneGroup = Annotated[GroupDriver, Depends(_group)]

open_routes = APIRouter()
admin_routes = APIRouter(prefix="/v1", dependencies=[Depends(administrator)])


@open_routes.get("/healthz")
async def healthz() -> dict[str, str]:
    """Say that the coordinator answers."""
    return {"status": "ok", "version": __version__}


@admin_routes.post("/groups", status_code=201)
async def create_group(new: NewGroup, groups: AllGroups) -> dict[str, str]:
    """Make a group; the answer has its join token, which is told only once."""
    try:
        return {"name": new.name, "token": groups.create(new.name, new.settings, new.token_ttl_s)}
    except StateError:
        raise
    except ConfigError as error:
        raise HTTPException(409, str(error)) from None


@admin_routes.get("/groups")
async def list_groups(groups: AllGroups) -> dict[str, Any]:
    """List all groups."""
    return {"groups": [_summary(driver) for driver in groups.all()]}


@admin_routes.get("/groups/{name}")
async def show_group(driver: OneGroup) -> dict[str, Any]:
    """Show one group and its settings."""
    return {**_summary(driver), "settings": driver.row.settings.model_dump()}


@admin_routes.delete("/groups/{name}")
async def delete_group(driver: OneGroup, groups: AllGroups) -> dict[str, str]:
    """End a group and forget it."""
    await groups.delete(driver.row.name)
    return {"deleted": driver.row.name}


@admin_routes.get("/groups/{name}/members")
async def list_members(driver: OneGroup) -> dict[str, Any]:
    """List a group's members (Fig. 6B)."""
    return {"members": driver.brain.members()}


@admin_routes.get("/groups/{name}/tree")
async def show_tree(driver: OneGroup) -> dict[str, Any]:
    """Show who feeds whom."""
    return driver.brain.tree()


@admin_routes.get("/groups/{name}/events")
async def list_events(
    driver: OneGroup,
    since: Annotated[int, Query(ge=0)] = 0,
    limit: Annotated[int, Query(ge=1, le=10_000)] = 1000,
) -> dict[str, Any]:
    """List events from number ``since`` on; ``next`` is where to go on."""
    events = driver.log.since(since, limit)
    return {"events": events, "next": events[-1]["n"] + 1 if events else driver.log.next_number}


@admin_routes.get("/groups/{name}/metrics")
async def show_metrics(driver: OneGroup) -> dict[str, Any]:
    """Show what the control links have carried, and the brain's counters."""
    traffic = driver.traffic()
    return {
        **driver.brain.counters(),
        "connected": driver.connected,
        "control_bytes": traffic.bytes_in + traffic.bytes_out,
        "control_messages": traffic.messages_in + traffic.messages_out,
        "control_bytes_in": traffic.bytes_in,
        "control_bytes_out": traffic.bytes_out,
        "control_messages_in": traffic.messages_in,
        "control_messages_out": traffic.messages_out,
    }


def _summary(driver: GroupDriver) -> dict[str, Any]:
    counts = driver.brain.counters()
    return {
        "name": driver.row.name,
        "mode": driver.row.settings.mode,
        "epoch": counts["epoch"],
        "created": driver.row.created,
        "token_expires": driver.row.expires,
        "members": counts["members"],
        "connected": driver.connected,
    }


def say_errors_in_one_line(app: FastAPI) -> None:
    """Make every refusal of ``app`` an object with one line in it."""

    @app.exception_handler(StarletteHTTPException)
    async def refused(_: Request, error: StarletteHTTPException) -> JSONResponse:
        return JSONResponse({"error": str(error.detail)}, error.status_code, error.headers)

    @app.exception_handler(StateError)
    async def state_unusable(_: Request, error: StateError) -> JSONResponse:
        return JSONResponse({"error": str(error)}, 503)

    @app.exception_handler(RequestValidationError)
    async def malformed(_: Request, error: RequestValidationError) -> JSONResponse:
        first = error.errors()[0]
        place = ".".join(str(part) for part in first["loc"][1:]) or "body"
        given = "" if first["type"] in ("missing", "json_invalid") else f" (got {first['input']!r:.80})"
        return JSONResponse({"error": f"{place}: {first['msg']}{given}"}, 422)
