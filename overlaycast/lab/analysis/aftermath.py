"""What one fault did: which members noticed it and moved, which was the heir, how long it took. Pure.

Owns: the figures of ``result.FaultSeen``. A member's parent is taken from its own journal, since the data
plane is what counts, and from the coordinator's tree before and after.

Words: the *orphans* are the targets' surviving children; the *branch* is every member below the targets; a branch's
*top* is an orphan. A receiver was *cut off* if it is in the branch, or if its own journal shows the silence, whoever
fed it. The window of a fault lasts until the next one, or until the last receiver has everything. Faults that
strike together have one window. In a window shorter than ``LEAST_S`` nothing is measured.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from overlaycast.lab.analysis.copies import inbound_by_site
from overlaycast.lab.analysis.delivery import (
    NOTHING,
    began,
    delivered,
    duplicated_between,
    flows_after,
    longest_gap,
    lost_between,
)
from overlaycast.lab.analysis.silences import SAMPLED_S, cut_off, spans
from overlaycast.lab.faults.faults import network_fault
from overlaycast.lab.faults.tree import Seat
from overlaycast.lab.recording.journals import Journal
from overlaycast.lab.recording.recording import FaultDone, Recording
from overlaycast.lab.results.fault_seen import LEAST_S, SEVERAL, FaultSeen, Move, Orphans
from overlaycast.wire.journal import Fed, FellSilent, Sample, Switched


@dataclass(frozen=True, slots=True)
class Scene:
    """A fault with what surrounds it: its window, the hosts that are away by its end, and names of members.

    ``dead``: hosts that never come back, now or before.
    """

    recording: Recording
    fault: FaultDone
    until: float
    gone: frozenset[str]
    dead: frozenset[str]
    hosts: dict[int, str]

    def journal(self, host: str) -> Journal:
        """Return a member's journal."""
        return self.recording.journals.get(host, NOTHING)

    def orphans(self) -> tuple[Seat, ...]:
        """Return the target's surviving children."""
        seats, children = self.fault.before.by_host(), self.fault.before.children()
        found = [child for host in self.fault.silenced if host in seats for child in children.get(seats[host].id, ())]
        return tuple(child for child in found if child.host not in self.gone)

    def branch(self) -> tuple[Seat, ...]:
        """Return the surviving receivers below the targets, each once."""
        seats = self.fault.before.by_host()
        found: dict[int, Seat] = {}
        for host in self.fault.silenced:
            below = self.fault.before.branch(seats[host].id) if host in seats else ()
            found |= {member.id: member for member in below if member.host not in self.gone}
        return tuple(found.values())

    def cut_off(self) -> tuple[str, ...]:
        """Return the surviving receivers whose own journals show that the fault cut them off.

        A member that was the target itself was not cut off by it: ``away`` and ``back_ms`` tell of that one.
        """
        hit = self.fault.target.split(SEVERAL)
        absent = {*self.dead, *self.recording.absent(), *hit}
        peers = [host for host in self.recording.cast.peers if host not in absent]
        return tuple(host for host in peers if cut_off(self.journal(host), self.fault, self.until))

    def parents(self, host: str) -> tuple[str | None, str | None, str | None]:
        """Return a member's parent at the fault, the first new one after it, and the one at the window's end.

        The journal of the member decides where it says anything; the coordinator's tree fills in.
        """
        feds = [(fed.t, self.hosts.get(fed.parent or -1)) for fed in self.journal(host).all(Fed)]
        before = [parent for t, parent in feds if t < self.fault.at]
        within = [parent for t, parent in feds if self.fault.at <= t < self.until]
        was = before[-1] if before else self.fault.before.edges().get(host)
        changed = [parent for parent in within if parent != was]
        if not feds and self.fault.after is not None:
            now = self.fault.after.edges().get(host, was)
            return was, now if now != was else None, now
        return was, changed[0] if changed else None, within[-1] if within else was


def faults_seen(recording: Recording) -> tuple[FaultSeen, ...]:
    """Return what each fault did, in the order of time."""
    return tuple(_seen(scene) for scene in _scenes(recording))


def _scenes(recording: Recording) -> Iterator[Scene]:
    hosts = _names(recording)
    faults = sorted(recording.faults, key=lambda fault: fault.at)
    over = delivered(recording)
    gone: set[str] = set()
    for fault in faults:
        away = set(fault.away)
        until = next((other.at for other in faults if other.at >= fault.at + LEAST_S), over)
        dead = gone if fault.healed_at else gone | away
        yield Scene(recording, fault, min(until, over), frozenset(gone | away), frozenset(dead), hosts)
        if fault.healed_at is None:
            gone |= away


def _names(recording: Recording) -> dict[int, str]:
    """Return ``{member: host}`` from all that was observed; ids are never used twice."""
    trees = [recording.start_tree]
    for fault in recording.faults:
        trees += [fault.before, fault.after or fault.before]
    names = {seat.id: seat.host for tree in trees for seat in tree.seats}
    return names | {one.member: host for host, one in recording.journals.items() if one.member is not None}


def _seen(scene: Scene) -> FaultSeen:
    fault, recording = scene.fault, scene.recording
    below = [seat.host for seat in scene.branch() if seat.role == "peer"]
    cut = scene.cut_off()
    affected = list(dict.fromkeys([*below, *cut]))
    moves = _moves(scene, cut)
    orphans = _orphans(scene)
    survivors = [host for host in recording.cast.peers if host not in scene.gone]
    # one that is silent although it is not below the target stays a bystander: its silence is what is asked there
    bystanders = [host for host in survivors if host not in {*below, *fault.away}]
    window = fault.at, scene.until
    return FaultSeen(
        id=fault.id,
        action=fault.action,
        asked=fault.asked,
        target=fault.target,
        at_s=round(fault.at - began(recording), 3),
        evidence=fault.evidence,
        healed_s=round(fault.healed_at - began(recording), 3) if fault.healed_at else None,
        affected=len(affected),
        detected_ms=_detected_ms(scene, cut),
        recovered_ms=_recovered_ms(scene, affected),
        longest_gap_ms=_worst_silence(scene, affected),
        moved=len(moves),
        moves=moves,
        moved_below_top=sum(move.below_top for move in moves),
        moved_while_well=sum(move.well for move in moves),
        orphans=orphans,
        heir_fed_from_outside=all(group.ok for group in orphans) if orphans else None,
        inbound_copies=_inbound(scene, orphans),
        lost=sum(lost_between(scene.journal(host), *window) for host in survivors),
        duplicated=sum(duplicated_between(scene.journal(host), *window) for host in survivors),
        away=fault.away,
        back_ms=_back_ms(scene, cut),
        bystanders_gap_ms=_worst_gap(scene, bystanders),
        bystanders_latency_ms=_worst_latency(scene, bystanders),
        window_s=round(max(0.0, scene.until - fault.at), 3),
    )


def _back_ms(scene: Scene, cut: Sequence[str]) -> float | None:
    healed, waits = scene.fault.healed_at, []
    if healed is None:
        return None
    waited = [host for host in cut if spans(scene.journal(host), healed)]
    for host in dict.fromkeys([*scene.fault.away, *waited]):
        if host not in scene.recording.cast.peers:
            continue
        samples = scene.journal(host).running()
        before = max((one.records for one in samples if one.t <= healed), default=0)
        after = next((one.t for one in samples if one.t > healed and one.records > before), None)
        if after is None:
            return None
        waits.append((after - healed) * 1000)
    return round(max(waits), 1) if waits else None


def _detected_ms(scene: Scene, cut: Sequence[str]) -> float | None:
    moments: list[float] = []
    for host in dict.fromkeys([*(orphan.host for orphan in scene.orphans()), *cut]):
        journal = scene.journal(host)
        moments += [entry.t for entry in journal.all(FellSilent)] + [entry.t for entry in journal.all(Switched)]
    after = [t for t in moments if scene.fault.at <= t < scene.until]
    return round((min(after) - scene.fault.at) * 1000, 1) if after else None


def _recovered_ms(scene: Scene, affected: Sequence[str]) -> float | None:
    if scene.fault.action.startswith("coordinator"):
        healed = scene.fault.healed_at
        return round((healed - scene.fault.at) * 1000, 1) if healed else None
    if not affected:
        return None
    if not all(flows_after(scene.journal(host), scene.fault.at) for host in affected):
        return None
    waits = [_worst_silence(scene, affected) or 0.0]
    for orphan in scene.orphans():
        arrivals = [entry.t for entry in scene.journal(orphan.host).all(Switched)]
        first = next((t for t in arrivals if scene.fault.at <= t < scene.until), None)
        if first is not None:
            waits.append((first - scene.fault.at) * 1000)
    return round(max(waits), 1)


def _worst_gap(scene: Scene, affected: Sequence[str]) -> float | None:
    gaps = [longest_gap(scene.journal(host), scene.fault.at, scene.until) for host in affected]
    known = [gap for gap in gaps if gap is not None]
    return round(max(known), 1) if known else None


def _worst_silence(scene: Scene, affected: Sequence[str]) -> float | None:
    """The worst gap, counting one that began in the window and outlasted it: the next fault did not cause it."""
    over = [
        round(one.gap_ms, 1)
        for host in affected
        for one in scene.journal(host).all(Sample)
        if one.t > scene.until and scene.fault.at < one.t - one.gap_ms / 1000 + SAMPLED_S < scene.until
    ]
    return max([*over, *([gap] if (gap := _worst_gap(scene, affected)) is not None else [])], default=None)


def _worst_latency(scene: Scene, hosts: Sequence[str]) -> float | None:
    seen = [
        one.latency_ms
        for host in hosts
        for one in scene.journal(host).running()
        if scene.fault.at < one.t <= scene.until and one.latency_ms is not None
    ]
    return max(seen, default=None)


def _moves(scene: Scene, cut: Sequence[str]) -> tuple[Move, ...]:
    tops = {seat.host for seat in scene.orphans()}
    below = {seat.host for seat in scene.branch()} - tops
    found = []
    for seat in scene.fault.before.seats:
        if seat.host in scene.gone or seat.role == "source":
            continue
        was, first, now = scene.parents(seat.host)
        # with a cut on the way a living parent feeds nobody
        well = seat.host not in tops and not (seat.host in cut and network_fault(scene.fault.action))
        # a false alarm that ends where it began is a switch, and no move: the tree is as before
        if first is None or (well and now == was):
            continue
        found.append(Move(seat.host, was, now, first, seat.host in below, well))
    return tuple(sorted(found, key=lambda move: (move.well, move.below_top, move.host)))


def _orphans(scene: Scene) -> tuple[Orphans, ...]:
    by_site: dict[str, list[str]] = defaultdict(list)
    for seat in scene.orphans():
        if seat.site is not None:
            by_site[seat.site].append(seat.host)
    return tuple(_group(scene, site, sorted(hosts)) for site, hosts in sorted(by_site.items()))


def _group(scene: Scene, site: str, hosts: Sequence[str]) -> Orphans:
    """Return what became of a site's orphans. The heir is the one with a parent outside; one is right."""
    network = scene.recording.network
    now = {host: scene.parents(host)[2] for host in hosts}
    outside = [host for host in hosts if (parent := now[host]) is None or network.site_of(parent) != site]
    heir = outside[0] if len(outside) == 1 else None
    siblings = heir is not None and all(now[host] == heir for host in hosts if host != heir)
    fed_by = now[heir] if heir else None
    fed = fed_by is not None and fed_by not in scene.gone
    return Orphans(site, tuple(hosts), heir, fed_by, siblings, siblings and fed)


def _inbound(scene: Scene, orphans: Sequence[Orphans]) -> dict[str, float]:
    recording, network = scene.recording, scene.recording.network
    crossed = inbound_by_site(recording, scene.fault.at, scene.until)
    sites = {group.site for group in orphans} | {network.site_of(host) for host in scene.fault.silenced}
    return {site: round(copies, 3) for site, copies in crossed.items() if site in sites}
