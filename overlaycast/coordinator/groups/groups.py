"""All groups of one coordinator: made, found, brought back, ended; and the gate that a subscriber passes.

Owns: the set of groups, their loops, and authentication. Refuses: what happens inside a group (``driver``).

Invariants: a subscriber becomes a member only with a token that matches, is not expired, and is its group's; a group
that was created is there after any crash; a group that fails is set aside and brought back from its last snapshot, and
the others do not notice; what is wrong with the state on disk is everybody's, and ends the coordinator.
"""

from __future__ import annotations

import asyncio
import logging
import secrets
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager, suppress
from dataclasses import dataclass, field
from typing import Any, Final, TypeVar

from overlaycast.coordinator.bounds.lines import Lines
from overlaycast.coordinator.bounds.settings import CoordinatorSettings
from overlaycast.coordinator.groups.clock import Clock
from overlaycast.coordinator.groups.driver import GroupDriver
from overlaycast.coordinator.groups.failures import Failures
from overlaycast.coordinator.groups.protocol import GroupOverlay, OverlayMaker
from overlaycast.coordinator.members.callback import Callbacks
from overlaycast.coordinator.members.link import MemberLink
from overlaycast.coordinator.members.measure import Measurer
from overlaycast.coordinator.state.journal import RESTART_GAP, EventLog
from overlaycast.coordinator.state.secret import hash_of, matches, new_token
from overlaycast.coordinator.state.store import GroupRow, StateError, StateLockedError, Store
from overlaycast.errors import ConfigError, RefusedError, in_one_line
from overlaycast.journal import LineFile
from overlaycast.streams import printable
from overlaycast.tokens import shown
from overlaycast.wire.changes import Changes
from overlaycast.wire.group import GroupSettings
from overlaycast.wire.hosts import is_literal
from overlaycast.wire.messages import Address, Subscribe

log = logging.getLogger(__name__)

_T = TypeVar("_T")

_ANY_HOST: Final = frozenset({"", "0.0.0.0", "::"})
_CLOSE_LIMIT: Final = 3.0
_TIME_KEPT_EVERY_S: Final = 10.0
_REFUSALS_PER_S: Final = 1.0
_REFUSALS_AT_ONCE: Final = 50


@dataclass(slots=True)
class _Running:
    driver: GroupDriver
    refusals: Lines
    loop: asyncio.Task[None] | None = None
    failures: Failures = field(default_factory=Failures)


@dataclass(slots=True)
class _Aside:
    """A group that cannot be used. One that failed while it ran has been ``running``; ``timer`` brings it back."""

    why: str
    running: _Running | None = None
    timer: asyncio.TimerHandle | None = None


class GroupFailedError(Exception):
    """A group failed over what a subscriber asked; it may ask again."""


class Groups:
    """The groups of one coordinator.

    Args:
        settings: bounds.
        store: what is kept.
        maker: how overlays are made.
        measurer: measures members, for all groups.
        callbacks: calls members at addresses that they claim, for all groups.
        journal: where events go.
        on_failure: called with the exception when the state on disk cannot be used any more.
    """

    def __init__(
        self,
        settings: CoordinatorSettings,
        store: Store,
        maker: OverlayMaker,
        measurer: Measurer,
        callbacks: Callbacks,
        journal: LineFile,
        on_failure: Callable[[BaseException], None],
    ) -> None:
        self._settings = settings
        self._store = store
        self._maker = maker
        self._measurer = measurer
        self._callbacks = callbacks
        self._journal = journal
        self._on_failure = on_failure
        self._kept_time = store.latest()
        self._clock = Clock(self._kept_time)
        self._groups: dict[str, _Running] = {}
        self._aside: dict[str, _Aside] = {}
        self._expiries_changed = asyncio.Event()

    def retune(self, settings: CoordinatorSettings) -> None:
        """Let groups and members in by these bounds from now on."""
        self._settings = settings

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
                self._set_aside(name, error)

    @asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        """Turn all loops until the end of the context."""
        for running in self._groups.values():
            self._turn(running)
        timekeeper = asyncio.create_task(self._keep_time())
        try:
            yield
        finally:
            for aside in self._aside.values():
                if aside.timer is not None:
                    aside.timer.cancel()
            loops = [timekeeper, *(running.loop for running in self._groups.values() if running.loop is not None)]
            for loop in loops:
                loop.cancel()
            await asyncio.gather(*loops, return_exceptions=True)
            self._save_time()
            self._save_stops()

    def _save_stops(self) -> None:
        stopped = self._groups | {name: one.running for name, one in self._aside.items() if one.running is not None}
        with suppress(StateError):  # then the numbers skip some, as after a crash
            for name, running in stopped.items():
                self._store.save_stop(name, running.driver.log.next_number)

    async def _keep_time(self) -> None:
        """Keep the time now and then, and whenever a token expires: after a crash it is still expired."""
        while True:
            self._save_time()
            self._expiries_changed.clear()
            now = self._clock()
            expiries = (running.driver.row.expires for running in self._groups.values())
            next_s = min((at - now for at in expiries if at is not None and at > now), default=_TIME_KEPT_EVERY_S)
            with suppress(TimeoutError):
                async with asyncio.timeout(min(next_s, _TIME_KEPT_EVERY_S)):
                    await self._expiries_changed.wait()

    def _save_time(self) -> None:
        with suppress(StateError):  # a full disk or a lock: the one before it stays
            now = self._clock()
            self._store.save_time(now)
            self._kept_time = now

    def create(self, name: str, settings: GroupSettings, token_ttl_s: float | None) -> str:
        """Make a group and return its join token, which is kept nowhere.

        Raises:
            ConfigError: there is such a group already, or there are too many.
        """
        if name in self._groups or name in self._aside:
            raise ConfigError(f"group {name} exists already")
        exist = len(self._groups) + len(self._aside)  # one that is set aside may come back
        if exist >= self._settings.groups_limit:
            raise ConfigError(f"{exist} groups exist; accepted: up to {self._settings.groups_limit}")
        token = new_token()
        now = self._clock()
        expires = None if token_ttl_s is None else now + token_ttl_s
        row = GroupRow(name, settings, secrets.token_bytes(32), hash_of(token), expires, now)
        self._store.add_group(row)
        running = self._make(row)
        self._turn(running)
        self._expiries_changed.set()
        running.driver.log.add(now, "created", None, {"settings": settings.model_dump(exclude_defaults=True)})
        return token

    def change(self, name: str, wanted: GroupSettings, check: bool) -> Changes:
        """Give a group the settings that are given in ``wanted``, unless one is refused; then it stays as it is.

        Args:
            check: only say what would change.

        Raises:
            KeyError: no such group.
            StateError: its state cannot be used or written; it stays as it is.
        """
        driver = self.get(name)
        with self._failing(self._groups[name]):
            found = driver.changes(wanted)
            if found.changed and not found.refused and not check:
                driver.change(found)
        return found

    async def delete(self, name: str) -> None:
        """End a group: its members are sent ``Ended``, then it is forgotten.

        Raises:
            KeyError: no such group.
            StateError: it cannot be forgotten now, and goes on.
        """
        if name in self._aside:
            self._store.delete_group(name)
            if (timer := self._aside.pop(name).timer) is not None:
                timer.cancel()
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

    def operate(self, driver: GroupDriver, wish: Callable[[GroupOverlay, float], _T]) -> _T:
        """Let an operator's wish act on a group's overlay; return what came of it.

        Raises:
            GroupFailedError: the group is brought back; the wish may be said again.
        """
        with self._failing(self._groups[driver.row.name]):
            return driver.operate(wish)

    def stop_listening(self) -> None:
        """From now on a link that ends says nothing about its member: the coordinator goes."""
        for running in self._groups.values():
            running.driver.closing = True

    def subscribe(self, request: Subscribe, link: MemberLink) -> tuple[GroupDriver, int]:
        """Let a subscriber in, as a new member or as the one it was (Fig. 4, 402 and 404).

        Raises:
            RefusedError: and why; it is no member then.
            StateError: it cannot be kept now.
            GroupFailedError: the group is brought back; it may ask again.
        """
        running = self._groups.get(request.group)
        if running is None:
            known = request.group in self._aside
            raise RefusedError(
                "unknown-group", self._why_aside(request.group) if known else f"no group {shown(request.group)}"
            )
        driver = running.driver
        if not is_literal(link.host):
            raise RefusedError("bad-message", f"a proxy says that this member is at {printable(link.host)[:64]!r}")
        try:
            self._authenticate(request, driver)
            with self._failing(running):
                # there is one source at most, and its place is kept as that of a member that comes back
                if request.part != "source" and not driver.takes_back(request):
                    self._find_room(driver, link.block)
        except RefusedError as error:
            self._note_refusal(running, {"code": error.code, "name": request.name, "host": link.host})
            raise
        with self._failing(running):
            return driver, driver.subscribe(_with_hosts(request, link.host), link)

    def _find_room(self, driver: GroupDriver, block: str) -> None:
        name, here = driver.row.name, driver.members_at(block)
        if here >= self._settings.most_at_one_address and not driver.make_room(block):
            raise RefusedError(
                "full", f"group {name} has {here} members at {printable(block)}, and takes no more there"
            )
        if driver.members >= self._settings.members_limit and not driver.make_room():
            away = driver.members - driver.connected
            also = f", {away} of them away for now" if away else ""
            raise RefusedError("full", f"group {name} is full: {driver.members} members{also}")

    def _note_refusal(self, running: _Running, details: dict[str, Any]) -> None:
        # a refused subscriber has proved nothing: it must not fill the journal's disk, nor push out other events
        now = self._clock()
        unsaid = running.refusals.due(now)
        if unsaid is not None:
            running.driver.log.add(now, "refused", None, {**details, "unsaid": unsaid})

    def _authenticate(self, request: Subscribe, driver: GroupDriver) -> None:
        row = driver.row
        if not matches(request.token, row.token):
            raise RefusedError("bad-token", f"this token does not open group {row.name}")
        # a member that can prove what it is comes back also when the token has expired
        member_already = request.resume is not None and driver.proves(request.resume)
        if not member_already and row.expires is not None and self._clock() >= row.expires:
            self._keep_expired(row.expires)
            raise RefusedError("expired-token", f"the token of group {row.name} has expired")

    def _keep_expired(self, at: float) -> None:
        """Have the time kept at which somebody is told that a token has expired: it does not become valid again."""
        if self._kept_time < at:
            self._save_time()

    def _why_aside(self, name: str) -> str:
        return f"group {name} is set aside, {self._aside[name].why}"

    def _make(self, row: GroupRow) -> _Running:
        kept = self._store.snapshot(row.name)
        first = self._store.take_stop(row.name)
        if first is None:
            first = 0 if kept is None else kept[1] + RESTART_GAP
        refusals = Lines(_REFUSALS_AT_ONCE, self._clock(), _REFUSALS_PER_S)
        running = _Running(self._drive(row, EventLog(row.name, self._journal, first), {}), refusals)
        self._groups[row.name] = running
        return running

    def _drive(self, row: GroupRow, events: EventLog, why: dict[str, str]) -> GroupDriver:
        driver = GroupDriver(row, self._maker, self._store, events, self._measurer, self._callbacks, self._clock)
        if driver.restored:
            events.add(self._clock(), "restored", None, {"members": len(driver.overlay.members()), **why})
        return driver

    def _turn(self, running: _Running) -> None:
        running.loop = asyncio.create_task(running.driver.run(), name=f"group {running.driver.row.name}")
        running.loop.add_done_callback(lambda loop: self._loop_done(running, loop))

    # --- groups that fail --------------------------------------------------------------------------------------

    def _loop_done(self, running: _Running, loop: asyncio.Task[None]) -> None:
        if not loop.cancelled() and (error := loop.exception()) is not None:
            self._failed(running, error)

    @contextmanager
    def _failing(self, running: _Running) -> Iterator[None]:
        """Within, an exception is the group's failure, unless it is an answer."""
        try:
            yield
        except (RefusedError, StateError):
            raise
        except Exception as error:
            self._failed(running, error)
            raise GroupFailedError from error

    def _failed(self, running: _Running, error: BaseException) -> None:
        """Go on without this group, and bring it back from its last snapshot; at once, if it has not failed lately."""
        if isinstance(error, StateError):
            self._on_failure(error)
            return
        name = running.driver.row.name
        if self._groups.get(name) is not running:
            return  # deleted, or set aside already
        del self._groups[name]
        if running.loop is not None:
            running.loop.cancel()
        running.driver.abandon()
        pause_s = running.failures.pause_s(self._clock())
        self._set_aside(name, error, running, pause_s)

    def _set_aside(
        self, name: str, error: BaseException, running: _Running | None = None, pause_s: float | None = None
    ) -> None:
        """Set a group aside; with a pause, until then."""
        what = "its state cannot be used" if running is None else "it failed"
        aside = self._aside[name] = _Aside(f"{what}: {printable(in_one_line(error))[:200]}", running)
        until = ""
        if pause_s is not None:
            aside.timer = asyncio.get_running_loop().call_later(pause_s, self._bring_back_again, name)
            until = f"; it comes back from its last good state {f'in {pause_s:g} s' if pause_s else 'now'}"
        log.error("%s%s", self._why_aside(name), until)

    def _bring_back_again(self, name: str) -> None:
        aside = self._aside.pop(name)
        running = aside.running
        assert running is not None
        try:
            running.driver = self._drive(running.driver.row, running.driver.log, {"reason": aside.why})
        except Exception as error:
            self._set_aside(name, error, running, running.failures.pause_s(self._clock()))
            return
        self._groups[name] = running
        self._turn(running)


def _with_hosts(request: Subscribe, seen: str) -> Subscribe:
    """Return the request with the address that we see, also put in where the member named none."""
    addresses = tuple(
        Address(host=seen, port=address.port) if address.host in _ANY_HOST else address for address in request.addresses
    )
    return request.model_copy(update={"addresses": addresses, "seen": seen})
