"""A group's only loop: members' messages go into the overlay, the overlay's go out, and its timer is set again.

Owns: one group's overlay, its members' links, the order "decide, keep, send", and the group's events. Refuses: deciding
anything about the tree, and which subscriber may be a member (``groups``).

Invariants:
- What a crash must not take is committed before the first message that follows from it is sent. So a coordinator that
  comes back never hands out an epoch, a rank or a member id twice.
- Keeping costs at most one part in ``_KEEP_SHARE`` of the time: with very many members several turns are kept, and
  their messages sent, together.
- A member has one link; a newer one replaces it, and what the older still says is dropped.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass, replace
from typing import Any, Final, TypeVar

from overlaycast.coordinator.bounds.lines import Lines
from overlaycast.coordinator.groups.measuring import Answered, Measured, Measuring, only_answers
from overlaycast.coordinator.groups.protocol import GroupOverlay, OverlayMaker
from overlaycast.coordinator.members.callback import Callbacks
from overlaycast.coordinator.members.link import COME_AGAIN, MemberLink, Traffic
from overlaycast.coordinator.members.links import LinkedMember, MemberLinks
from overlaycast.coordinator.members.measure import Measurer
from overlaycast.coordinator.members.places import Places
from overlaycast.coordinator.state.journal import EventLog
from overlaycast.coordinator.state.secret import hash_of, matches, new_token
from overlaycast.coordinator.state.store import GroupRow, StateError, StateLockedError, Store
from overlaycast.discovery.survey.route import Route
from overlaycast.errors import RefusedError
from overlaycast.wire.changes import Changes, changes
from overlaycast.wire.group import GroupSettings, changing
from overlaycast.wire.messages import (
    MAX_NAMESAKES,
    CoordinatorMessage,
    EchoReply,
    Ended,
    MemberMessage,
    NewSettings,
    Ping,
    Resume,
    Subscribe,
    Welcome,
)

log = logging.getLogger(__name__)

_T = TypeVar("_T")

_INBOX_LIMIT: Final = 4096
_TURN_LIMIT: Final = 1024
_KEEP_SHARE: Final = 5
_LOCKED_RETRY_S: Final = 0.1
_SHORTEST_WAIT: Final = 0.002
"""A deadline in the past must not turn the loop into a busy one."""


@dataclass(frozen=True, slots=True)
class _Said:
    member: int
    link: MemberLink
    message: MemberMessage


@dataclass(frozen=True, slots=True)
class _Gone:
    member: int
    link: MemberLink


@dataclass(frozen=True, slots=True)
class _Wake:
    """Wakes the loop: the overlay knows a newcomer already, because its link waits for its id; or something failed."""


_Item = _Said | _Gone | Measured | Answered | _Wake


class GroupDriver:
    """Drives one group. ``run`` is its loop; everything else is called by links and HTTP routes."""

    def __init__(
        self,
        row: GroupRow,
        maker: OverlayMaker,
        store: Store,
        events: EventLog,
        measurer: Measurer,
        callbacks: Callbacks,
        clock: Callable[[], float],
    ) -> None:
        self.row = row
        self._maker = maker
        self._store = store
        self.log = events
        self._clock = clock
        kept = store.snapshot(row.name)
        self.restored = kept is not None
        self.overlay: GroupOverlay = (
            maker.new(row.settings, row.key) if kept is None else maker.restore(row.settings, row.key, kept[0], clock())
        )
        self._secrets = store.secrets(row.name)
        self._connected = MemberLinks()
        self._places = Places(self.overlay.seen())
        self._inbox: asyncio.Queue[_Item] = asyncio.Queue(_INBOX_LIMIT)
        self._outbox: list[tuple[int, CoordinatorMessage]] = []
        self._measurer = measurer
        self._better_routes: dict[str, Route] = {}
        self._measuring = Measuring(
            row.name, measurer, callbacks, self.overlay.claims, self._inbox.put, self._measuring_failed
        )
        self._to_measure: list[int] = []
        self._defect: BaseException | None = None
        # a crash may come between a newcomer's secret and its snapshot: its id, which nobody was told, is given again
        self._forget_secrets()
        self._unkept = False
        self._keep_not_before = 0.0
        self._locked_lines = Lines(1, clock())
        self.closing = False

    # --- called by links ---------------------------------------------------------------------------------------

    def subscribe(self, request: Subscribe, link: MemberLink) -> int:
        """Make an authenticated subscriber a member again, or a new one, and return its id.

        Raises:
            StateError: it cannot be kept.
            RefusedError: there is a source already, or no standby can be had.
        """
        now = self._clock()
        member = self._resumed(request, now)
        if member is None:
            self._check_source(request)
            member = self.overlay.join(request, now)
            secret = new_token()
            try:
                self._store.add_secret(self.row.name, member, hash_of(secret))
            except StateError:
                self.overlay.put_out(member, now)  # the overlay knows it already
                raise
            self._secrets[member] = hash_of(secret)
            kind = "connected"
        else:
            assert request.resume is not None
            secret = request.resume.secret
            kind = "resumed"
        self._connect(member, link, request)
        self._greet(member, secret, kind, request, link.host, now)
        self._unkept = True
        self._wake()
        return member

    def _check_source(self, request: Subscribe) -> None:
        name = self.row.name
        if request.part == "source" and self.overlay.has_source():
            raise RefusedError("source-taken", f"group {name} has a source already; send --standby waits for its place")
        if request.part == "standby" and self.row.settings.mode == "file":
            raise RefusedError("bad-message", f"group {name} is a file group, which has no standby for its source")

    def _greet(self, member: int, secret: str, kind: str, request: Subscribe, host: str, now: float) -> None:
        """Say that it is a member, to all who read events, and to itself."""
        details: dict[str, Any] = {"name": request.name, "role": request.part, "host": host}
        if namesakes := [other for other in self._connected.named(request.name) if other != member][:MAX_NAMESAKES]:
            details["namesakes"] = namesakes
        self.log.add(now, kind, member, details)
        told, towards = tuple(namesakes) or None, self.overlay.towards(request)
        welcome = Welcome(member=member, secret=secret, settings=self.row.settings, namesakes=told, towards=towards)
        self._outbox.insert(0, (member, welcome))  # not sent before it is kept, like everything else

    async def said(self, member: int, link: MemberLink, message: MemberMessage) -> None:
        """Take a member's message; waits while too much is unheard, so that the member has to wait as well."""
        if self.closing:
            return
        if isinstance(message, EchoReply):
            one = self._connected.get(member)
            if one is not None and one.link is link:
                one.echoes.put(message)
            return
        await self._inbox.put(_Said(member, link, message))

    async def gone(self, member: int, link: MemberLink) -> None:
        """Take note that a link has ended."""
        if self.closing:
            return
        await self._inbox.put(_Gone(member, link))

    # --- called by HTTP routes and the registry ----------------------------------------------------------------

    @property
    def connected(self) -> int:
        """How many members have a link."""
        return len(self._connected)

    @property
    def members(self) -> int:
        """How many members there are, those too that have no link and are not forgotten yet."""
        return len(self._places)

    def members_at(self, block: str) -> int:
        """How many of them were seen last at this address (``bounds.address``)."""
        return self._places.at(block)

    def make_room(self, block: str | None = None) -> bool:
        """Forget the oldest member, at this address or at any, that answers no echo; False: there is none."""
        member = self._places.mute(block)
        if member is None:
            return False
        now = self._clock()
        if member in self._connected:
            self._disconnect(member).cut("never answered, and there are no more places")
            self.log.add(now, "disconnected", member, {"reason": "never answered an echo"})
        self.overlay.put_out(member, now)
        self._free_places()
        self._unkept = True
        return True

    def changes(self, wanted: GroupSettings) -> Changes:
        """Return what it means to have the settings that are given in ``wanted``; nothing is changed."""
        found = changes(self.row.settings, wanted)
        refused = self.overlay.objections(found.settings) | found.refused
        deaf = self._connected.deaf(NewSettings(settings=found.settings)) if found.told else 0
        if deaf:
            why = f"{deaf} connected member{'s have' if deaf > 1 else ' has'} a program that is too old to be told"
            refused = {name: why for name in found.changed if changing(name).told} | refused
        return replace(found, refused={name: why for name, why in refused.items() if name in found.changed})

    def change(self, found: Changes) -> None:
        """Go on with other settings, of which none is refused: keep them, use them, and tell members what they need.

        Raises:
            StateError: they cannot be kept; nothing has changed.
        """
        now = self._clock()
        self._store.save_settings(self.row.name, found.settings)
        self.row = replace(self.row, settings=found.settings)
        self.overlay.retune(found.settings, now)
        self.log.add(now, "settings", None, {"changed": found.changed})
        if found.told:
            told = NewSettings(settings=found.settings)
            self._outbox += [(member, told) for member in self._connected.ids()]
        self._unkept = True
        self._wake()

    def traffic(self) -> Traffic:
        """Return what has crossed this group's control links since the start of the coordinator."""
        return self._connected.traffic()

    def operate(self, wish: Callable[[GroupOverlay, float], _T]) -> _T:
        """Let an operator's wish act on the overlay; what follows from it is kept and told like all else."""
        done = wish(self.overlay, self._clock())
        self._unkept = True
        self._wake()
        return done

    def end(self, reason: str) -> None:
        """Tell all members that the group is over, and close their links."""
        self.closing = True
        for link in self._connected.links():
            link.send(Ended(reason=reason))

    def abandon(self) -> None:
        """Say and hear nothing any more; members come again, to the driver that takes over."""
        self.closing = True
        for link in self._connected.links():
            link.cut("the coordinator brings this group back", COME_AGAIN)

    async def run(self) -> None:
        """Turn the loop until cancelled. What a member waits for was kept before it was sent, so any moment will do."""
        self._measurer.listen(self._better_route)
        try:
            while True:
                self._turn(await self._next_items())
        finally:
            self._measurer.deafen(self._better_route)
            self._measuring.close()

    # --- the loop ----------------------------------------------------------------------------------------------

    def _wake(self) -> None:
        with suppress(asyncio.QueueFull):  # if it is full the loop is awake anyway
            self._inbox.put_nowait(_Wake())

    async def _next_items(self) -> list[_Item]:
        items: list[_Item] = []
        with suppress(TimeoutError):
            async with asyncio.timeout(self._wait_s()):
                items.append(await self._inbox.get())
        while len(items) < _TURN_LIMIT and not self._inbox.empty():
            items.append(self._inbox.get_nowait())
        return items

    def _wait_s(self) -> float | None:
        deadlines = [self.overlay.next_deadline()]
        if self._unkept:
            deadlines.append(self._keep_not_before)
        due = min((deadline for deadline in deadlines if deadline is not None), default=None)
        return None if due is None else max(due - self._clock(), _SHORTEST_WAIT)

    def _turn(self, items: list[_Item]) -> None:
        if self._defect is not None:
            raise self._defect
        now = self._clock()
        for item in items:
            self._apply(item, now)
        self._apply_better_routes(now)
        self.overlay.tick(now)
        self._collect()
        if self._unkept and now < self._keep_not_before:
            return
        if self._unkept and not self._keep(now):
            return
        self._deliver()

    def _apply(self, item: _Item, now: float) -> None:
        if isinstance(item, _Wake):
            return
        one = self._connected.get(item.member)
        if one is None or one.link is not item.link:
            return  # said by a link that a newer one has replaced
        match item:
            case _Said():
                self.overlay.receive(item.member, item.message, now)
            case _Gone():
                self._disconnect(item.member)
                self.log.add(now, "disconnected", item.member, {})
                self.overlay.disconnected(item.member, now)
                self._unkept = True
            case Answered():
                for host, port in item.answers:
                    self.log.add(now, "answers", item.member, {"host": host, "port": port})
                self._believe(item.member, item.answers)
            case Measured():
                self._note_answers(item, now)
                found = item.found if one.newer is None else item.found.along(one.newer)
                one.route, one.rated = (found.path, found.reached), found.rated
                rtt, rate = found.performance.rtt_ms, found.performance.rate_mbit
                details = {"path": found.path, "reached": found.reached, "rtt_ms": rtt}
                if found.rated:
                    ways = {"down_mbit": found.performance.down_mbit, "up_mbit": found.performance.up_mbit}
                    self.log.add(now, "measured", item.member, details | {"rate_mbit": rate} | ways)
                else:
                    self.log.add(now, "located", item.member, details)
                known = self._maker.measurement(found.path, found.hops_ms, rtt, rate, found.reached, found.rated)
                self.overlay.measured(item.member, known, now)
                self._unkept = True

    def _better_route(self, host: str, route: Route) -> None:
        if self._connected.at(host):
            self._better_routes[host] = route
            self._wake()

    def _apply_better_routes(self, now: float) -> None:
        """Tell the overlay of members to which a better route was found than the one that was measured."""
        routes, self._better_routes = self._better_routes, {}
        for host, route in routes.items():
            for member in self._connected.at(host):
                one = self._connected.get(member)
                assert one is not None
                if not one.rated:
                    one.newer = route
                if one.route in (None, (route.routers, route.reached)):
                    continue
                one.route = route.routers, route.reached
                self.log.add(now, "route", member, {"path": route.routers, "reached": route.reached})
                known = self._maker.measurement(route.routers, route.hops_ms, None, None, route.reached, False)
                self.overlay.measured(member, known, now)
                self._unkept = True

    def _note_answers(self, item: Measured, now: float) -> None:
        for (host, port), answer in item.claims.items():
            if answer is None:
                self.log.add(now, "no-answer", item.member, {"host": host, "port": port})
        if answers := only_answers(item.claims):
            self._believe(item.member, answers)

    def _believe(self, member: int, answers: Mapping[tuple[str, int], tuple[str, int]]) -> None:
        self.overlay.answered(member, answers)
        self._unkept = True

    def _collect(self) -> None:
        for member, message in self.overlay.messages_to_send():
            self._outbox.append((member, message))
            self._unkept = self._unkept or not isinstance(message, Ping)
        for event in self.overlay.events():
            self.log.add(event.at, event.kind, event.member, event.details)
        self._to_measure += self.overlay.measurements_wanted()
        self._free_places()

    def _free_places(self) -> None:
        for member in self.overlay.forgotten():
            self._places.free(member)

    def _keep(self, now: float) -> bool:
        """Keep what must outlive a crash; False: another program has locked the database, so ask again soon."""
        started = time.perf_counter()
        try:
            self._store.save_snapshot(self.row.name, self.overlay.snapshot(), self.log.next_number, now)
            if len(self._secrets) > 64 + 2 * len(self._connected):
                self._forget_secrets()
        except StateLockedError as error:
            self._keep_not_before = now + _LOCKED_RETRY_S
            if self._locked_lines.due(now) is not None:
                log.warning("group %s waits with its orders: %s", self.row.name, error)
            # what depends on nothing that is kept goes out: no member is taken for dead for want of a question
            waiting = self._outbox
            self._outbox = [one for one in waiting if isinstance(one[1], Ping)]
            self._send_outbox()
            self._outbox = [one for one in waiting if not isinstance(one[1], Ping)]
            return False
        self._unkept = False
        self._keep_not_before = now + _KEEP_SHARE * (time.perf_counter() - started)
        return True

    def _send_outbox(self) -> None:
        outbox, self._outbox = self._outbox, []
        for member, message in outbox:
            self._connected.send(member, message)

    def _deliver(self) -> None:
        self._send_outbox()
        # an echo goes out by itself, at once: not before the welcome that a newcomer waits for
        wanted, self._to_measure = self._to_measure, []
        for member in wanted:
            self._start_measuring(member)

    # --- links -------------------------------------------------------------------------------------------------

    def _resumed(self, request: Subscribe, now: float) -> int | None:
        resume = request.resume
        if resume is None or not self.proves(resume) or not self.overlay.resume(request, now):
            return None
        return resume.member

    def takes_back(self, request: Subscribe) -> bool:
        """Return whether this is a member that is not forgotten yet; its place is kept."""
        return request.resume is not None and self.proves(request.resume) and self.overlay.returns(request)

    def proves(self, resume: Resume) -> bool:
        """Return whether this is the secret of the member that it says it is."""
        kept = self._secrets.get(resume.member)
        return kept is not None and matches(resume.secret, kept)

    def _forget_secrets(self) -> None:
        known = {member.id for member in self.overlay.members()}
        if known.issuperset(self._secrets):
            return
        self._store.drop_secrets(self.row.name, known)
        self._secrets = {member: secret for member, secret in self._secrets.items() if member in known}

    def _connect(self, member: int, link: MemberLink, request: Subscribe) -> None:
        if member in self._connected:
            self._disconnect(member).cut("replaced by a newer link")
        echoes = self._places.take(member, link.block, request.part == "source")
        self._connected.add(member, LinkedMember(link, echoes, request.name))

    def _disconnect(self, member: int) -> MemberLink:
        """Take a member's link away; being measured ends with it, and the overlay asks anew when the member is back."""
        self._measuring.end(member)
        return self._connected.remove(member)

    def _start_measuring(self, member: int) -> None:
        if (one := self._connected.get(member)) is not None:
            self._measuring.begin(member, one, self._secrets.get(member))

    def _measuring_failed(self, error: BaseException) -> None:
        self._defect = error
        self._wake()
