"""The coordinator's HTTP API as the lab reads it: through its Unix socket, so never over a shaped link.

Owns: the questions that a run asks, and their bounds. Refuses: to change anything; groups are made by the real command.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from types import TracebackType
from typing import Final, Self, TypeVar

import httpx
from pydantic import BaseModel, ValidationError

from overlaycast.errors import LabError
from overlaycast.lab.faults.tree import Seat, Tree
from overlaycast.lab.run.programs import Folders
from overlaycast.wire.views import MembersView, MemberView, MetricsView, SeatView, TreeView

PATIENCE_S: Final = 2.0
RETRY_S: Final = 0.05

_V = TypeVar("_V", bound=BaseModel)


class Control:
    """A reader of one group."""

    def __init__(self, folders: Folders, group: str, site_of: Callable[[str], str | None]) -> None:
        """Say where the coordinator is; nothing is asked yet."""
        self._folders = folders
        self._group = group
        self._site_of = site_of
        transport = httpx.AsyncHTTPTransport(uds=str(folders.socket), limits=httpx.Limits(max_keepalive_connections=0))
        # a connection that is kept may be closed by the other side in the moment in which it is used again
        self._client = httpx.AsyncClient(transport=transport, base_url="http://coordinator", timeout=PATIENCE_S)

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self._client.aclose()

    async def ready(self, patience_s: float) -> None:
        """Return once the coordinator answers.

        Raises:
            TimeoutError: it did not.
        """
        async with asyncio.timeout(patience_s):
            while True:
                try:
                    if (await self._client.get("/healthz")).status_code == 200:
                        return
                except httpx.HTTPError:
                    pass
                await asyncio.sleep(RETRY_S)

    async def tree(self) -> Tree:
        """Return which member feeds which now."""
        return parse_tree(await self._get("/tree"), self._site_of)

    async def members(self) -> tuple[MemberView, ...]:
        """Return all that is known of each member now."""
        return _read(MembersView, await self._get("/members")).members

    async def traffic(self) -> tuple[int | None, int | None]:
        """Return bytes and messages of the control links so far."""
        metrics = _read(MetricsView, await self._get("/metrics"))
        return metrics.control_bytes, metrics.control_messages

    async def _get(self, below: str) -> object:
        path = f"/v1/groups/{self._group}{below}"
        try:
            token = self._folders.admin_token.read_text().strip()
            answer = await self._client.get(path, headers={"Authorization": f"Bearer {token}"})
            answer.raise_for_status()
            return answer.json()
        except (OSError, httpx.HTTPError, ValueError) as error:
            raise LabError(f"the coordinator did not answer {path}: {type(error).__name__}: {error}") from None


def parse_tree(answer: object, site_of: Callable[[str], str | None]) -> Tree:
    """Return the tree in the coordinator's answer.

    Raises:
        LabError: it lacks a field.
    """
    view = _read(TreeView, answer)
    # a host whose link broke while it joined is there twice until the first is given up: the newest counts
    newest = {seat.name: seat for seat in sorted(view.members, key=lambda seat: seat.id)}
    return Tree(view.epoch, tuple(_seat(seat, site_of(seat.name)) for seat in newest.values()))


def _seat(view: SeatView, site: str | None) -> Seat:
    return Seat(
        id=view.id,
        host=view.name,
        role=view.role,
        site=site,
        parent=view.parent,
        primary=view.primary,
        depth=view.depth,
        rank=view.rank,
        standbys=view.standbys,
        state=view.state,
    )


def _read(model: type[_V], answer: object) -> _V:
    try:
        return model.model_validate(answer)
    except ValidationError as error:
        first = error.errors(include_url=False)[0]
        what, where = model.__name__.removesuffix("View").lower(), ".".join(str(part) for part in first["loc"])
        raise LabError(f"the coordinator's {what} lacks something: {where}: {first['msg']}") from None
