"""When each member's train of echoes goes: one at a time through what they share, the sites' first ones first (pure).

Owns: whose turn it is, what is believed of what trains have shown, and what is known of the coordinator's own link.
Refuses: the order of those that wait (``queues``), what a train is (``echo``), clocks.

Two trains at a time on one link measure each other, and all of them leave by the coordinator's link. So there is one at
a time, at first. More go together once a *trial* has shown that the link carries them: members of sites that are known
send together twice of what it is known to carry, and if each shows what its site has shown before, so much is carried.
Half of that may be on its way from then on. What a new site shows beside others is believed if all of them together
showed less than is known to be carried; otherwise its train goes once more, alone.

Each site has one representative that comes before all others, then some of its other members. If those have waited for
so long that a stream may have begun, there are pauses between them. The site's further members have no train.

Invariants: never more than ``at_once`` in all that count; of neighbours only one; whoever takes longer than ``HOLD_S``
counts no more, so nobody holds up others for longer; a member's train goes twice at most.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass, field
from itertools import islice
from statistics import median_high
from typing import Final

from overlaycast.discovery.trains.neighbours import Path, neighbours
from overlaycast.discovery.trains.queues import Queues

HOLD_S: Final = 1.0
"""A link so thin that a train takes longer disturbs others little, and one that does not answer not at all."""
ENOUGH: Final = 8
"""So many members of a site have trains, the others have the same links."""
TRIES: Final = 3
"""So many trains of representatives may show nothing; then the site is no more than the others."""
AS_MUCH: Final = 0.92
"""One that shows so much of what its site did before was not disturbed. Both may be late beside what is true."""
KNOWN_PART: Final = 0.5
"""How much of what the link is known to carry may be on its way: trains come back, so two that alternate disturb each
other little, and show more together than the link carries."""
BELIEVED_PART: Final = 0.85
"""Of new sites that showed more than this together, each one shows it again, alone."""
ADVANCE: Final = 1.5
"""A trial is worth while if it could show so many times what is known."""
MANY: Final = 8
"""So many have to wait for a trial to be worth while."""
FRESH_S: Final = 2.0
"""So long after a member has come a stream waits for it, at a group's start."""
REST: Final = 3.0
"""After later trains of a site's further members the link is left to others for so many times as long."""
LONGEST_REST_S: Final = 0.3
"""A host that is busy makes trains take long, though they use the link no more by that."""
TRIAL_AGAIN_S: Final = 60.0
REMEMBER_S: Final = 600.0
LOOK: Final = 64
"""So many of those that wait are looked at for one that may go now."""
LOOK_FOR_TRIAL: Final = 512
RECENT: Final = 16
MOST_SITES: Final = 1 << 14
HERE: Final = "here"


@dataclass(frozen=True, slots=True)
class Whereto:
    """Where a train goes: the routers on its path, the site behind the last one, and whether it leaves this network."""

    path: Path
    site: str
    leaves: bool


def whereto(routers: Sequence[str | None], reached: bool, host: str) -> Whereto:
    """Return where the train to a member goes whose path has these routers, and whose address counts as ``host``."""
    if not routers and reached:
        return Whereto(tuple(routers), HERE, False)
    last = routers[-1] if routers else None
    return Whereto(tuple(routers), f"at {host}" if last is None else f"behind {last}", True)


@dataclass(slots=True, eq=False)
class _Train:
    number: int
    group: str
    host: str
    to: Whereto
    came: float
    began: float = 0.0
    expected: float = 0.0
    beside: dict[int, float] = field(default_factory=dict)
    """What the others have shown, or are expected to show, that were on the way at the same time."""
    trial: bool = False
    again: bool = False
    """It has gone already, beside others, and was not believed."""


@dataclass(slots=True)
class _Site:
    at: float
    """When it showed something last, or was made."""
    mbit: float | None = None
    read: int = 0
    tries: int = 0
    trains: int = 0
    ahead: _Train | None = None
    """Its representative, which waits or is on its way."""
    waiting: list[_Train] = field(default_factory=list)
    """Others, which wait for what that one shows."""

    @property
    def heard(self) -> bool:
        return self.mbit is not None or self.tries >= TRIES


@dataclass(slots=True)
class _Lane:
    """What trains share: the coordinator's link to other networks, or its own network."""

    running: dict[int, _Train] = field(default_factory=dict)
    alone: deque[_Train] = field(default_factory=deque)
    """Those that go alone, before any others do."""
    carried: float = 0.0
    recent: deque[float] = field(default_factory=lambda: deque(maxlen=RECENT))
    quiet_until: float = 0.0
    trial: dict[int, bool | None] = field(default_factory=dict)
    """The trains of a trial, and whether each one has shown as much as its site did before."""
    trial_mbit: float = 0.0
    no_trial_before: float = 0.0


class Turns:
    """The trains of one coordinator. Each has a number.

    After every other call, and when ``next_deadline`` has come, drain ``begin`` and then ``needless``.
    """

    def __init__(self, at_once: int) -> None:
        self._at_once = at_once
        self._numbers = 0
        self._now = 0.0
        self._queues: Queues[_Train] = Queues()
        self._lanes = {leaves: _Lane() for leaves in (True, False)}
        self._sites: dict[str, _Site] = {}
        self._trains: dict[int, _Train] = {}
        self._needless: list[int] = []

    # --- trains come and go ----------------------------------------------------------------------------------

    def come(self, group: str, host: str, to: Whereto, now: float) -> int:
        """A member wants its train; return the train's number."""
        self._numbers += 1
        train = self._trains[self._numbers] = _Train(self._numbers, group, host, to, now)
        site = self._site(to.site, now)
        site.trains += 1
        if site.heard:
            self._queues.add(train, first=False)
        elif site.ahead is None:
            self._represent(train, site)
        else:
            site.waiting.append(train)
        return train.number

    def leave(self, number: int, now: float) -> None:
        """A member wants it no more, before it has gone or on its way: its link has ended."""
        train = self._trains.get(number)
        if train is None:
            return
        lane, site = self._lane(train), self._sites[train.to.site]
        if train in site.waiting:
            site.waiting.remove(train)
        elif train in lane.alone:
            lane.alone.remove(train)
        elif not self._queues.remove(train):
            self._end(train, None, now)
        self._forget(train)

    def done(self, number: int, mbit: float | None, now: float) -> bool:
        """A train is over, and has shown this; True: it is not believed, and waits for another turn."""
        train = self._trains[number]
        lane, site = self._lane(train), self._sites[train.to.site]
        doubtful = mbit is not None and self._in_doubt(train, mbit)
        if train.number in lane.running and site.ahead is not train and now >= train.came + FRESH_S:
            lane.quiet_until = now + min(REST * (now - train.began), LONGEST_REST_S)
        self._end(train, mbit, now)
        if doubtful:
            train.again = True
            train.beside = {}
            lane.alone.append(train)
            return True
        site.at = now
        if mbit is None:
            site.tries += 1
        else:
            site.read += 1
            site.mbit = mbit if site.mbit is None else max(site.mbit, mbit)
            lane.recent.append(mbit)
            lane.carried = max(lane.carried, mbit)
        self._forget(train)
        return False

    def begin(self, now: float) -> list[int]:
        """Return the trains whose turn it is now."""
        self._now = now
        for lane in self._lanes.values():
            self._release(lane, now)
        begun: list[int] = []
        while batch := self._batch(now):
            for train in batch:
                self._start(train, now)
                begun.append(train.number)
        return begun

    def expected(self, number: int) -> float | None:
        """Return what other trains to the same site have shown, in Mbit/s."""
        return self._sites[self._trains[number].to.site].mbit

    def needless(self) -> list[int]:
        """Return, and forget, the trains that will not go: enough is known of their sites."""
        needless, self._needless = self._needless, []
        return needless

    def next_deadline(self) -> float | None:
        """Return when ``begin`` may say more though nothing else happens."""
        due = [train.began + HOLD_S for lane in self._lanes.values() for train in lane.running.values()]
        if self._queues:
            due += [lane.quiet_until for lane in self._lanes.values() if lane.quiet_until > self._now]
        return min(due, default=None)

    # --- sites -------------------------------------------------------------------------------------------------

    def _site(self, name: str, now: float) -> _Site:
        site = self._sites.get(name)
        if site is not None and not site.trains and now - site.at > REMEMBER_S:
            del self._sites[name]
            site = None
        if site is None:
            site = self._sites[name] = _Site(now)
            if len(self._sites) > MOST_SITES:
                idle = next((one for one, other in self._sites.items() if not other.trains and other is not site), None)
                if idle is not None:
                    del self._sites[idle]
        return site

    def _represent(self, train: _Train, site: _Site) -> None:
        site.ahead = train
        self._queues.add(train, first=True)

    def _forget(self, train: _Train) -> None:
        del self._trains[train.number]
        site = self._sites[train.to.site]
        site.trains -= 1
        self._stand_down(train, site)

    def _stand_down(self, train: _Train, site: _Site) -> None:
        """A train represents its site no more: either something is known now, or the newest of the others does."""
        if site.ahead is not train:
            return
        site.ahead = None
        if site.heard:
            waiting, site.waiting = site.waiting, []
            for one in waiting:
                self._queues.add(one, first=False)
        elif site.waiting:
            self._represent(site.waiting.pop(), site)

    # --- on the way --------------------------------------------------------------------------------------------

    def _lane(self, train: _Train) -> _Lane:
        return self._lanes[train.to.leaves]

    def _start(self, train: _Train, now: float) -> None:
        lane = self._lane(train)
        self._queues.take(train)
        train.began, train.expected, train.trial = now, self._expected(train), train.number in lane.trial
        for other in lane.running.values():
            other.beside[train.number] = train.expected
            train.beside[other.number] = other.expected
        lane.running[train.number] = train

    def _end(self, train: _Train, mbit: float | None, now: float) -> None:
        """Count a train no more."""
        lane = self._lane(train)
        if lane.running.pop(train.number, None) is None:
            return
        if mbit is not None:
            for other in lane.running.values():
                other.beside[train.number] = mbit
        self._judge(train, mbit, lane, now)

    def _release(self, lane: _Lane, now: float) -> None:
        """Count those no more that take too long; what they show in the end counts all the same."""
        for train in [one for one in lane.running.values() if now >= one.began + HOLD_S]:
            self._end(train, None, now)
            self._stand_down(train, self._sites[train.to.site])

    def _judge(self, train: _Train, mbit: float | None, lane: _Lane, now: float) -> None:
        """Take what a train of a trial has shown; the last one decides what the link is known to carry."""
        if train.number not in lane.trial:
            return
        lane.trial[train.number] = mbit is not None and mbit >= AS_MUCH * train.expected
        if None in lane.trial.values():
            return
        if all(lane.trial.values()):
            lane.carried = max(lane.carried, lane.trial_mbit)
        else:
            lane.no_trial_before = now + TRIAL_AGAIN_S
        lane.trial = {}

    def _in_doubt(self, train: _Train, mbit: float) -> bool:
        """Whether a train may have been disturbed by those beside it."""
        if train.again or not train.beside:
            return False
        lane, known = self._lane(train), self._sites[train.to.site].mbit
        if train.trial:
            return mbit < AS_MUCH * train.expected
        return known is None and mbit + sum(train.beside.values()) > BELIEVED_PART * lane.carried

    def _expected(self, train: _Train) -> float:
        known = self._sites[train.to.site].mbit
        if known is not None:
            return known
        recent = self._lane(train).recent
        return median_high(recent) if recent else float("inf")

    # --- whose turn it is --------------------------------------------------------------------------------------

    def _batch(self, now: float) -> list[_Train]:
        """Return who goes next, together; empty: nobody can."""
        free = self._at_once - sum(len(lane.running) for lane in self._lanes.values())
        if free <= 0:
            return []
        for lane in self._lanes.values():
            if lane.alone and not lane.running:
                return [lane.alone.popleft()]
        return self._trial(now, free) or self._next(now)

    def _next(self, now: float) -> list[_Train]:
        while True:
            found: list[_Train] = []
            spare: list[_Train] = []
            for train in islice(self._queues.order(), LOOK):
                site = self._sites[train.to.site]
                if site.ahead is not train and site.read >= ENOUGH:
                    spare.append(train)
                elif self._fits(train, now):
                    found = [train]
                    break
            for train in spare:
                self._queues.remove(train)
                self._needless.append(train.number)
                self._forget(train)
            if found or not spare:
                return found

    def _fits(self, train: _Train, now: float) -> bool:
        """Whether a train may go now, beside those that are on their way."""
        lane = self._lane(train)
        if lane.alone or lane.trial or any(other.again for other in lane.running.values()):
            return False
        fresh = now < train.came + FRESH_S
        if self._sites[train.to.site].ahead is not train and not fresh and now < lane.quiet_until:
            return False
        if any(neighbours(train.to.path, other.to.path) for other in lane.running.values()):
            return False
        on_the_way = sum(other.expected for other in lane.running.values())
        return not lane.running or on_the_way + self._expected(train) <= KNOWN_PART * lane.carried

    def _trial(self, now: float, free: int) -> list[_Train]:
        """Return members of known sites that show together whether the link carries more; empty: not now."""
        lane = self._lanes[True]
        if lane.running or not lane.carried or now < lane.no_trial_before:
            return []
        if self._queues.first < MANY and (self._queues.first or self._queues.later < MANY or now < lane.quiet_until):
            return []
        found: list[_Train] = []
        mbit = 0.0
        for train in islice(self._queues.known(), LOOK_FOR_TRIAL):
            site = self._sites[train.to.site]
            if site.mbit is None or site.read >= ENOUGH or not train.to.leaves or mbit + site.mbit > 2 * lane.carried:
                continue
            if len(found) < free and not any(neighbours(train.to.path, one.to.path) for one in found):
                found.append(train)
                mbit += site.mbit
        if mbit < ADVANCE * lane.carried:
            return []
        lane.trial, lane.trial_mbit = dict.fromkeys((one.number for one in found), None), mbit
        return found
