"""HTTP for people and tools: groups, members, tree, events, metrics. Routes only; others do the work.

Owns: paths, bodies, status codes, and the admin token's check. Refuses: state and decisions.

Every answer is a model of ``wire.views``; every error is ``{"error": "one line"}``. All of ``/v1`` needs
``Authorization: Bearer`` with the admin token.
"""

from __future__ import annotations

from typing import Annotated, Any, Final

from fastapi import APIRouter, Depends, FastAPI, HTTPException, Query, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse
from starlette.exceptions import HTTPException as StarletteHTTPException

from overlaycast import __version__
from overlaycast.coordinator.groups.driver import GroupDriver
from overlaycast.coordinator.groups.groups import Groups
from overlaycast.coordinator.state.secret import matches
from overlaycast.coordinator.state.store import StateError
from overlaycast.coordinator.web.bodies import BODY_LIMIT
from overlaycast.errors import ConfigError
from overlaycast.streams import printable
from overlaycast.tokens import shown
from overlaycast.wire.views import (
    ChangedView,
    CreatedView,
    DeletedView,
    ErrorView,
    EventsView,
    GroupChange,
    GroupSummary,
    GroupsView,
    GroupView,
    HealthView,
    MembersView,
    MetricsView,
    NewGroup,
    TreeView,
)


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
        raise _no_group(name) from None


def _no_group(name: str) -> HTTPException:
    return HTTPException(404, f"no group {shown(name[:64])}")


AllGroups = Annotated[Groups, Depends(_groups)]
OneGroup = Annotated[GroupDriver, Depends(_group)]


def refusals(**meanings: str) -> dict[int | str, dict[str, Any]]:
    """Return how OpenAPI declares refusals: ``_404="no such group"``."""
    return {int(code[1:]): {"model": ErrorView, "description": text} for code, text in meanings.items()}


_TOO_LARGE: Final = f"the body is too slow, or larger than {BODY_LIMIT} bytes"
NO_GROUP: Final = refusals(_404="no such group")
_NOT_KEPT: Final = refusals(_503="the state cannot be written, such as when the disk is full")

open_routes = APIRouter(responses=refusals(_413=_TOO_LARGE))
ADMIN: Final[dict[str, Any]] = {
    "prefix": "/v1",
    "dependencies": [Depends(administrator)],
    "responses": refusals(_401="the admin token is missing or wrong", _413=_TOO_LARGE, _422="a field is not accepted"),
}
"""What all routes for administrators have in common."""
admin_routes = APIRouter(**ADMIN)


@open_routes.get("/healthz")
async def healthz() -> HealthView:
    """Say that the coordinator answers."""
    return HealthView(version=__version__)


@admin_routes.post("/groups", status_code=201, responses={**refusals(_409="such a group exists"), **_NOT_KEPT})
async def create_group(new: NewGroup, groups: AllGroups) -> CreatedView:
    """Make a group; the answer has its join token, which no other answer repeats."""
    try:
        return CreatedView(name=new.name, token=groups.create(new.name, new.settings, new.token_ttl_s))
    except StateError:
        raise
    except ConfigError as error:
        raise HTTPException(409, str(error)) from None


@admin_routes.get("/groups")
async def list_groups(groups: AllGroups) -> GroupsView:
    """List all groups."""
    return GroupsView(groups=tuple(GroupSummary(**_summary(driver)) for driver in groups.all()))


@admin_routes.get("/groups/{name}", responses=NO_GROUP)
async def show_group(driver: OneGroup) -> GroupView:
    """Show one group and its settings."""
    return GroupView(**_summary(driver), settings=driver.row.settings)


_FIXED: Final = refusals(_409="a setting may not change while the group runs")


@admin_routes.patch("/groups/{name}", responses={**NO_GROUP, **_FIXED, **_NOT_KEPT})
async def change_group(
    name: str,
    change: GroupChange,
    groups: AllGroups,
    check: Annotated[bool, Query(description="only say what would change, and what is refused")] = False,
) -> ChangedView:
    """Change settings while the group runs: all that are given, or none if one of them is refused."""
    try:
        found = groups.change(name, change.settings, check)
    except KeyError:
        raise _no_group(name) from None
    if found.refused and not check:
        raise HTTPException(409, "; ".join(f"{setting}: {why}" for setting, why in found.refused.items()))
    return ChangedView(name=name, changed=found.changed, refused=found.refused)


@admin_routes.delete("/groups/{name}", responses={**NO_GROUP, **_NOT_KEPT})
async def delete_group(name: str, groups: AllGroups) -> DeletedView:
    """End a group and forget it, also one whose state cannot be used."""
    try:
        await groups.delete(name)
    except KeyError:
        raise _no_group(name) from None
    return DeletedView(deleted=name)


@admin_routes.get("/groups/{name}/members", responses=NO_GROUP)
async def list_members(driver: OneGroup) -> MembersView:
    """List a group's members (Fig. 6B)."""
    return MembersView(members=tuple(driver.overlay.members()))


@admin_routes.get("/groups/{name}/tree", responses=NO_GROUP)
async def show_tree(driver: OneGroup) -> TreeView:
    """Show which member feeds which."""
    return driver.overlay.tree()


@admin_routes.get("/groups/{name}/events", responses=NO_GROUP)
async def list_events(
    driver: OneGroup,
    since: Annotated[int, Query(ge=0)] = 0,
    limit: Annotated[int, Query(ge=1, le=10_000)] = 1000,
) -> EventsView:
    """List events from number ``since`` on; ``next`` is where to go on."""
    events = driver.log.since(since, limit)
    return EventsView(events=events, next=events[-1].n + 1 if events else driver.log.next_number)


@admin_routes.get("/groups/{name}/metrics", responses=NO_GROUP)
async def show_metrics(driver: OneGroup) -> MetricsView:
    """Show what the control links have carried, and the overlay's counters."""
    traffic = driver.traffic()
    return MetricsView(
        **driver.overlay.counters().model_dump(),
        connected=driver.connected,
        control_bytes=traffic.bytes_in + traffic.bytes_out,
        control_messages=traffic.messages_in + traffic.messages_out,
        control_bytes_in=traffic.bytes_in,
        control_bytes_out=traffic.bytes_out,
        control_messages_in=traffic.messages_in,
        control_messages_out=traffic.messages_out,
    )


def _summary(driver: GroupDriver) -> dict[str, Any]:
    counts = driver.overlay.counters()
    return {
        "name": driver.row.name,
        "mode": driver.row.settings.mode,
        "epoch": counts.epoch,
        "created": driver.row.created,
        "token_expires": driver.row.expires,
        "members": counts.members,
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

    @app.exception_handler(Exception)
    async def failed(_: Request, error: Exception) -> JSONResponse:
        return JSONResponse({"error": f"the coordinator failed over this request: {type(error).__name__}"}, 500)

    @app.exception_handler(RequestValidationError)
    async def malformed(_: Request, error: RequestValidationError) -> JSONResponse:
        first = error.errors()[0]
        where = ".".join(str(part) for part in first["loc"][1:]) or "body"
        given = "" if first["type"] in ("missing", "json_invalid") else f" (got {first['input']!r:.80})"
        return JSONResponse({"error": printable(f"{where}: {first['msg']}{given}")}, 422)
