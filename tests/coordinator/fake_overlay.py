"""An overlay small enough to see through: everybody is measured once, then fed by the first source."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from overlaycast.wire.group import GroupSettings
from overlaycast.wire.messages import Assign, CoordinatorMessage, Leaving, MemberMessage, Ping, Released, Subscribe
from overlaycast.wire.views import (
    CountersView,
    DrainView,
    MemberView,
    MoveView,
    NamedMember,
    RebalancedView,
    SeatView,
    TreeView,
)


@dataclass(frozen=True, slots=True)
class FakeEvent:
    at: float
    kind: str
    member: int | None
    details: dict[str, Any]


@dataclass(frozen=True, slots=True)
class FakeMeasurement:
    path: tuple[str | None, ...]
    hops_ms: tuple[float | None, ...]
    rtt_ms: float | None
    rate_mbit: float | None
    reached: bool
    rated: bool


class FakeOverlay:
    """``ping_after`` seconds after a report a Ping is due, so that the driver's timer can be seen to work."""

    ping_after = 0.05

    def __init__(self, settings: GroupSettings, key: bytes) -> None:
        assert len(key) == 32
        self.settings = settings
        self.epoch = 0
        self.last = 0
        self.records: dict[int, dict[str, Any]] = {}
        self.received: list[tuple[int, MemberMessage]] = []
        self.gone: list[int] = []
        self.claimed: dict[int, tuple[tuple[str, int], ...]] = {}
        self.answers: list[tuple[int, dict[tuple[str, int], tuple[str, int]]]] = []
        self.drained: dict[int, list[int]] = {}
        self._out: list[tuple[int, CoordinatorMessage]] = []
        self._wanted: list[int] = []
        self._forgotten: list[int] = []
        self._events: list[FakeEvent] = []
        self._pings: dict[int, float] = {}

    def join(self, request: Subscribe, now: float) -> int:
        self.last += 1
        host = request.addresses[0].host if request.addresses else None
        self.records[self.last] = {"id": self.last, "name": request.name, "host": host, "role": request.role}
        self.records[self.last]["seen"] = request.seen
        claims = ((address.host, address.port) for address in request.addresses)
        self.claimed[self.last] = tuple(claim for claim in claims if claim[0] != request.seen)
        self._wanted.append(self.last)
        self._events.append(FakeEvent(now, "joined", self.last, {}))
        return self.last

    def towards(self, request: Subscribe) -> str | None:
        return None

    def resume(self, request: Subscribe, now: float) -> bool:
        assert request.resume is not None
        if not self.returns(request):
            return False
        self._events.append(FakeEvent(now, "back", request.resume.member, {}))
        if "path" not in self.records[request.resume.member]:
            self._wanted.append(request.resume.member)
        return True

    def returns(self, request: Subscribe) -> bool:
        record = None if request.resume is None else self.records.get(request.resume.member)
        return record is not None and record["name"] == request.name

    def has_source(self) -> bool:
        return any(one["role"] == "source" and member not in self.gone for member, one in self.records.items())

    def forget(self, member: int) -> None:
        """Have a member that is away forgotten."""
        del self.records[member]
        self._forgotten.append(member)

    def put_out(self, member: int, now: float) -> None:
        self.gone.append(member)
        if self.records[member]["role"] != "source":
            self.forget(member)

    def seen(self) -> dict[int, str]:
        return {member: record["seen"] for member, record in self.records.items()}

    def forgotten(self) -> list[int]:
        forgotten, self._forgotten = self._forgotten, []
        return forgotten

    def objections(self, settings: GroupSettings) -> dict[str, str]:
        return {"depth_limit": "the tree is 2 deep now"} if settings.depth_limit < 2 else {}

    def retune(self, settings: GroupSettings, now: float) -> None:
        self.settings = settings

    def claims(self, member: int) -> tuple[tuple[str, int], ...]:
        return self.claimed.get(member, ())

    def answered(self, member: int, answers: Mapping[tuple[str, int], tuple[str, int]]) -> None:
        self.answers.append((member, dict(answers)))
        self.claimed[member] = tuple(one for one in self.claims(member) if one not in answers)

    def measured(self, member: int, measurement: FakeMeasurement, now: float) -> None:
        if member not in self.records or not (measurement.rated or "path" in self.records[member]):
            return
        self.records[member]["rtt_ms"] = measurement.rtt_ms
        self.records[member]["path"] = measurement.path
        self.epoch += 1
        self._out.append((member, Assign(epoch=self.epoch, rank=member, depth=1, parent=None)))

    def receive(self, sender: int, message: MemberMessage, now: float) -> None:
        self.received.append((sender, message))
        if isinstance(message, Leaving):
            self._out.append((sender, Released()))
            return
        if getattr(message, "lost", 0) == 666:
            raise AssertionError("a broken invariant")
        self._pings[sender] = now + self.ping_after

    def disconnected(self, member: int, now: float) -> None:
        self.gone.append(member)

    def drain(self, member: int, now: float, reason: str) -> str | None:
        if self.records[member]["role"] == "source":
            return "it is the source"
        self.drained.setdefault(member, [one for one in self.records if one != member])
        self._events.append(FakeEvent(now, "draining", member, {"reason": reason}))
        return None

    def undo_drain(self, member: int, now: float, reason: str) -> None:
        self.drained.pop(member, None)

    def draining(self, member: int) -> DrainView:
        left = tuple(NamedMember(id=one, name=self.records[one]["name"]) for one in self.drained.get(member, ()))
        return DrainView(member=member, name=self.records[member]["name"], draining=member in self.drained, left=left)

    def rebalance(self, now: float) -> RebalancedView:
        if not self.records:
            return RebalancedView(moves=(), hindrance="nobody is here")
        known = [NamedMember(id=record["id"], name=record["name"]) for record in self.records.values()]
        move = MoveView(member=known[0], was=known[0], now=known[-1], gain_links=1, gain_ms=2.5)
        return RebalancedView(moves=(move,))

    def tick(self, now: float) -> None:
        for member, due in list(self._pings.items()):
            if due <= now:
                del self._pings[member]
                self._out.append((member, Ping(nonce=1)))

    def next_deadline(self) -> float | None:
        return min(self._pings.values(), default=None)

    def messages_to_send(self) -> list[tuple[int, CoordinatorMessage]]:
        out, self._out = self._out, []
        return out

    def measurements_wanted(self) -> list[int]:
        wanted, self._wanted = self._wanted, []
        return wanted

    def events(self) -> list[FakeEvent]:
        events, self._events = self._events, []
        return events

    def snapshot(self) -> dict[str, Any]:
        return {"epoch": self.epoch, "last": self.last, "records": {str(k): v for k, v in self.records.items()}}

    def members(self) -> list[MemberView]:
        return [MemberView.model_validate(record) for record in self.records.values()]

    def tree(self) -> TreeView:
        return TreeView(epoch=self.epoch, members=tuple(SeatView.model_validate(r) for r in self.records.values()))

    def counters(self) -> CountersView:
        return CountersView(epoch=self.epoch, members=len(self.records))


class FakeMaker:
    """Makes fake overlays and remembers them by the order in which they were made."""

    def __init__(self) -> None:
        self.made: list[FakeOverlay] = []

    def new(self, settings: GroupSettings, key: bytes) -> FakeOverlay:
        self.made.append(FakeOverlay(settings, key))
        return self.made[-1]

    def restore(self, settings: GroupSettings, key: bytes, snapshot: dict[str, Any], now: float) -> FakeOverlay:
        overlay = self.new(settings, key)
        overlay.epoch, overlay.last = snapshot["epoch"], snapshot["last"]
        overlay.records = {int(k): v for k, v in snapshot["records"].items()}
        return overlay

    def measurement(
        self,
        path: tuple[str | None, ...],
        hops_ms: tuple[float | None, ...],
        rtt_ms: float | None,
        rate_mbit: float | None,
        reached: bool,
        rated: bool,
    ) -> FakeMeasurement:
        return FakeMeasurement(path, hops_ms, rtt_ms, rate_mbit, reached, rated)
