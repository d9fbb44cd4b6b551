"""All groups of one coordinator: made, found, brought back, ended; and the gate that a subscriber passes.

Owns: the set of groups, their loops, and authentication. Refuses: what happens inside a group (``driver``).

Invariants: a subscriber becomes a member only with a token that matches, is not expired, and is its group's; a group
that was created is there after any crash; a loop that fails ends the coordinator, it is not logged away.
"""

from __future__ import annotations

import asyncio
import logging
import secrets
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from typing import Any, Final

from overlaycast.coordinator.bounds.allowance import Allowance
from overlaycast.coordinator.bounds.settings import CoordinatorSettings
from overlaycast.coordinator.groups.brain import BrainMaker
from overlaycast.coordinator.groups.clock import Clock
from overlaycast.coordinator.groups.driver import GroupDriver
from overlaycast.coordinator.members.link import MemberLink
from overlaycast.coordinator.members.measure import Measurer
from overlaycast.coordinator.state.journal import RESTART_GAP, EventLog
from overlaycast.coordinator.state.secret import hash_of, matches, new_token
from overlaycast.coordinator.state.store import GroupRow, StateError, StateLockedError, Store
from overlaycast.errors import ConfigError, RefusedError
from overlaycast.journal import LineFile
from overlaycast.streams import printable
from overlaycast.wire.group import GroupSettings
from overlaycast.wire.messages import Address, Subscribe

log = logging.getLogger(__name__)

_ANY_HOST: Final = frozenset({"", "0.0.0.0", "::"})
_CLOSE_LIMIT: Final = 3.0
_TIME_KEPT_EVERY_S: Final = 10.0
_REFUSALS_PER_S: Final = 1.0
_REFUSALS_AT_ONCE: Final = 50.0


@dataclass(slots=True)
class _Running:
    driver: GroupDriver
    refusals: Allowance
    unsaid: int = 0
    loop: asyncio.Task[None] | None = None


class Groups:
    """The groups of one coordinator.

    Args:
        settings: bounds.
        store: what is kept.
        maker: how brains are made.
        measurer: measures members, for all groups.
        journal: where events go.
        on_failure: called once with the exception when a group's loop fails.
    """

    def __init__(
        self,
        settings: CoordinatorSettings,
        store: Store,
        maker: BrainMaker,
        measurer: Measurer,
        journal: LineFile,
        on_failure: Callable[[BaseException], None],
    ) -> None:
        self._settings = settings
        self._store = store
        self._maker = maker
        self._measurer = measurer
        self._journal = journal
        self._on_failure = on_failure
        self._clock = Clock(store.latest())
        self._groups: dict[str, _Running] = {}
        self._aside: dict[str, str] = {}

    def bring_back(self) -> None:
        """Make the groups that are kept, before anybody is served. One that cannot be made is set aside, as it is.

        Raises:
            StateError: the database cannot be read.
        """
        for name in self._store.names():
            try:
                self._make(self._store.group(name))
            except StateLockedError:
                raise
            except Exception as error:  # whatever is in there, the other groups start
                self._aside[name] = printable(str(error) or type(error).__name__)[:200]
                log.error("%s", self._why_aside(name))

    @asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        """Turn all loops until the end of the context."""
        for running in self._groups.values():
            self._turn(running)
        timekeeper = asyncio.create_task(self._keep_time())
        try:
            yield
        finally:
            loops = [timekeeper, *(running.loop for running in self._groups.values() if running.loop is not None)]
            for loop in loops:
                loop.cancel()
            await asyncio.gather(*loops, return_exceptions=True)
            self._save_time()
            self._save_stops()

    def _save_stops(self) -> None:
        with suppress(StateError):  # then the numbers skip some, as after a crash
            for name, running in self._groups.items():
                self._store.save_stop(name, running.driver.log.next_number)

    async def _keep_time(self) -> None:
        while True:
            self._save_time()
            await asyncio.sleep(_TIME_KEPT_EVERY_S)

    def _save_time(self) -> None:
        with suppress(StateError):  # a full disk or a lock: the one before it stays
            self._store.save_time(self._clock())

    def create(self, name: str, settings: GroupSettings, token_ttl_s: float | None) -> str:
        """Make a group and return its join token, which is kept nowhere.

        Raises:
            ConfigError: there is such a group already, or there are too many.
        """
        if name in self._groups or name in self._aside:
            raise ConfigError(f"group {name} exists already")
        if len(self._groups) >= self._settings.groups_limit:
            raise ConfigError(f"{len(self._groups)} groups exist; accepted: up to {self._settings.groups_limit}")
        token = new_token()
        now = self._clock()
        expires = None if token_ttl_s is None else now + token_ttl_s
        row = GroupRow(name, settings, secrets.token_bytes(32), hash_of(token), expires, now)
        self._store.add_group(row)
        running = self._make(row)
        self._turn(running)
        running.driver.log.add(now, "created", None, {"settings": settings.model_dump(exclude_defaults=True)})
        return token

    async def delete(self, name: str) -> None:
        """End a group: its members are sent ``Ended``, then it is forgotten.

        Raises:
            KeyError: no such group.
            StateError: it cannot be forgotten now, and goes on.
        """
        if name in self._aside:
            self._store.delete_group(name)
            del self._aside[name]
            return
        driver = self._groups[name].driver
        self._store.delete_group(name)  # no turn comes in between, so nothing is kept any more
        running = self._groups.pop(name)
        driver.log.add(self._clock(), "deleted", None, {})
        driver.end("the group was deleted")
        if running.loop is not None:
            running.loop.cancel()
            await asyncio.wait([running.loop], timeout=_CLOSE_LIMIT)

    def all(self) -> list[GroupDriver]:
        """Return all groups, by name."""
        return [self._groups[name].driver for name in sorted(self._groups)]

    def get(self, name: str) -> GroupDriver:
        """Return one group.

        Raises:
            KeyError: no such group.
            StateError: its state cannot be used.
        """
        if name in self._aside:
            raise StateError(self._why_aside(name))
        return self._groups[name].driver

    def stop_listening(self) -> None:
        """From now on a link that ends says nothing about its member: the coordinator goes."""
        for running in self._groups.values():
            running.driver.closing = True

    def subscribe(self, request: Subscribe, link: MemberLink) -> tuple[GroupDriver, int]:
        """Let a subscriber in, as a new member or as the one it was (Fig. 4, 402 and 404).

        Raises:
            RefusedError: and why; it is no member then.
        """
        running = self._groups.get(request.group)
        if running is None:
            known = request.group in self._aside
            raise RefusedError(
                "unknown-group", self._why_aside(request.group) if known else f"no group {request.group}"
            )
        driver = running.driver
        try:
            self._authenticate(request, driver)
            back = request.resume is not None and driver.proves(request.resume)
            if not back and request.role != "source":  # there is one source at most, and its place is kept
                self._find_room(driver, link.host)
        except RefusedError as error:
            self._note_refusal(running, {"code": error.code, "name": request.name, "host": link.host})
            raise
        return driver, driver.subscribe(_with_hosts(request, link.host), link)

    def _find_room(self, driver: GroupDriver, host: str) -> None:
        if driver.connected >= self._settings.members_limit:
            raise RefusedError("full", f"group {driver.row.name} is full: {driver.connected} members")
        here = driver.connected_at(host)
        if here >= self._settings.members_per_address and not driver.make_room(host):
            raise RefusedError(
                "full", f"group {driver.row.name} has {here} members at {printable(host)}, and takes no more there"
            )

    def _note_refusal(self, running: _Running, details: dict[str, Any]) -> None:
        # a refused subscriber has proved nothing: it must not fill the journal's disk, nor push out other events
        now = self._clock()
        if running.refusals.take(1, now):
            running.driver.log.add(now, "refused", None, {**details, "unsaid": running.unsaid})
            running.unsaid = 0
        else:
            running.unsaid += 1

    def _authenticate(self, request: Subscribe, driver: GroupDriver) -> None:
        row = driver.row
        if not matches(request.token, row.token):
            raise RefusedError("bad-token", f"this token does not open group {row.name}")
        # a member that can prove what it is comes back also when the token has expired
        member_already = request.resume is not None and driver.proves(request.resume)
        if not member_already and row.expires is not None and self._clock() >= row.expires:
            raise RefusedError("expired-token", f"the token of group {row.name} has expired")

    def _why_aside(self, name: str) -> str:
        return f"group {name} is set aside, its state cannot be used: {self._aside[name]}"

    def _make(self, row: GroupRow) -> _Running:
        kept = self._store.snapshot(row.name)
        first = self._store.take_stop(row.name)
        if first is None:
            first = 0 if kept is None else kept[1] + RESTART_GAP
        events = EventLog(row.name, self._journal, first)
        driver = GroupDriver(row, self._maker, self._store, events, self._measurer, self._clock)
        if kept is not None:
            events.add(self._clock(), "restored", None, {"members": len(driver.brain.members())})
        refusals = Allowance(_REFUSALS_PER_S, _REFUSALS_AT_ONCE, self._clock())
        running = self._groups[row.name] = _Running(driver, refusals)
        return running

    def _turn(self, running: _Running) -> None:
        running.loop = asyncio.create_task(running.driver.run(), name=f"group {running.driver.row.name}")
        running.loop.add_done_callback(self._loop_done)

    def _loop_done(self, loop: asyncio.Task[None]) -> None:
        if not loop.cancelled() and (error := loop.exception()) is not None:
            self._on_failure(error)


def _with_hosts(request: Subscribe, seen: str) -> Subscribe:
    """Return the request with the address that we see, also put in where the member named none."""
    addresses = tuple(
        Address(host=seen, port=address.port) if address.host in _ANY_HOST else address for address in request.addresses
    )
    return request.model_copy(update={"addresses": addresses, "seen": seen})
