"""Coming and going, by seed: a steady exchange of members, and deaths all at once. Pure.

Owns: which member comes, leaves or fails, and when. *Churn* of P percent a minute with a mean lifetime of S seconds:
newcomers subscribe at a rate of P percent of the members a minute (a Poisson process) at the places of random members,
and stay for an exponential time of mean S. So that this is steady from the first second, the share P x S of the members
that is exchanged in the long run is chosen at the start and gets such lifetimes too; the others stay. Half of those who
go crash (and half of these silently), the others leave properly, unless told otherwise.
"""

from __future__ import annotations

import random
from dataclasses import dataclass

from overlaycast.lab.simulate.hop import Death
from overlaycast.lab.simulate.member import Member
from overlaycast.lab.simulate.world import World


@dataclass(frozen=True, slots=True)
class Churn:
    """How much comes and goes. Shares are 0..1."""

    percent_per_minute: float
    lifetime_s: float
    duration_s: float
    crash_share: float = 0.5
    silent_share: float = 0.5


class ChurnScript:
    """Plays churn on a world, from now on for ``duration_s``."""

    def __init__(self, world: World, churn: Churn, seed: int) -> None:
        self._world, self._churn = world, churn
        self._rng = random.Random(f"churn {seed}")
        self._ends_at = world.now + churn.duration_s
        members = [member for member in world.present() if member.role == "peer"]
        self._seats = [member.seat for member in members]
        self._per_second = len(members) * churn.percent_per_minute / 100 / 60
        share = min(1.0, churn.percent_per_minute / 100 * churn.lifetime_s / 60)
        for member in self._rng.sample(members, round(share * len(members))):
            self._plan_end(member)
        self._plan_newcomer()

    def _plan_newcomer(self) -> None:
        if self._per_second > 0:
            wait = self._rng.expovariate(self._per_second)
            if self._world.now + wait <= self._ends_at:
                self._world.after(wait, self._newcomer)

    def _newcomer(self) -> None:
        self._plan_end(self._world.join(self._rng.choice(self._seats)))
        self._plan_newcomer()

    def _plan_end(self, member: Member) -> None:
        lifetime = self._rng.expovariate(1 / self._churn.lifetime_s)
        if self._world.now + lifetime <= self._ends_at:
            self._world.after(lifetime, self._end, member, self._rng.random(), self._rng.random())

    def _end(self, member: Member, how: float, kind: float) -> None:
        if how < self._churn.crash_share:
            self._world.crash(member, "silent" if kind < self._churn.silent_share else "reset")
        else:
            self._world.leave(member)


def kill_share(world: World, percent: float, death: Death, seed: int) -> list[Member]:
    """Kill that share of the peers, chosen by seed, all at this very moment. Returns them."""
    rng = random.Random(f"kill {seed}")
    members = [member for member in world.present() if member.role == "peer"]
    victims = rng.sample(members, round(len(members) * percent / 100))
    for victim in victims:
        world.crash(victim, death)
    return victims
