"""The coordinator's HTTP API as the lab reads it: through its Unix socket, so never over a shaped link.

Owns: the questions that a run asks, and their bounds. Refuses: to change anything; groups are made by the real command.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from types import TracebackType
from typing import Any, Final, Self

import httpx

from overlaycast.errors import LabError
from overlaycast.lab.faults.tree import Seat, Tree
from overlaycast.lab.run.programs import Folders

PATIENCE_S: Final = 2.0
RETRY_S: Final = 0.05


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
        """Return who feeds whom now."""
        answer = await self._get(f"/v1/groups/{self._group}/tree")
        return parse_tree(answer, self._site_of)

    async def connected(self) -> int:
        """Return how many members have a control link."""
        return int((await self._get(f"/v1/groups/{self._group}")).get("connected", 0))

    async def traffic(self) -> tuple[int | None, int | None]:
        """Return bytes and messages of the control links so far."""
        answer = await self._get(f"/v1/groups/{self._group}/metrics")
        return answer.get("control_bytes"), answer.get("control_messages")

    async def _get(self, path: str) -> dict[str, Any]:
        try:
            token = self._folders.admin_token.read_text().strip()
            answer = await self._client.get(path, headers={"Authorization": f"Bearer {token}"})
            answer.raise_for_status()
            found = answer.json()
        except (OSError, httpx.HTTPError, ValueError) as error:
            raise LabError(f"the coordinator did not answer {path}: {type(error).__name__}: {error}") from None
        if not isinstance(found, dict):
            raise LabError(f"the coordinator answered {path} with something else than an object")
        return found


def parse_tree(answer: dict[str, Any], site_of: Callable[[str], str | None]) -> Tree:
    """Return the tree in the coordinator's answer.

    Raises:
        LabError: it lacks a field.
    """
    try:
        # a host whose link broke while it joined is there twice until the first is given up: the newest counts
        newest = {str(one["name"]): one for one in sorted(answer["members"], key=lambda one: int(one["id"]))}
        seats = tuple(
            Seat(
                id=int(one["id"]),
                host=str(one["name"]),
                role=str(one["role"]),
                site=site_of(str(one["name"])),
                parent=one.get("parent"),
                primary=bool(one.get("primary", False)),
                depth=int(one.get("depth") or 0),
                rank=one.get("rank"),
                standbys=tuple(one.get("standbys") or ()),
                state=str(one.get("state", "")),
            )
            for one in newest.values()
        )
        return Tree(int(answer["epoch"]), seats)
    except (KeyError, TypeError, ValueError) as error:
        raise LabError(f"the coordinator's tree lacks something: {type(error).__name__}: {error}") from None
