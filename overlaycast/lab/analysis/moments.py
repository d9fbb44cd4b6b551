"""The tree at every moment of a run, put together from the members' journals. Pure.

Owns: each member's parent over time. The data plane is what counts: a member's parent is the one that its journal
names; the coordinator's tree stands in only for what no journal says. Invariant: moments are in the order of time, the
first one is when the stream began, and two that follow each other differ.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from overlaycast.lab.analysis.delivery import began, ended
from overlaycast.lab.recording.recording import Recording
from overlaycast.wire.journal import Fed, Summary

TOGETHER_S: Final = 0.03
"""Changes within this are one moment: a failover of siblings is one picture, not five. A fault is one of its own."""
MOST: Final = 300
"""With more moments than this (heavy churn), those nearest to each other are shown as one."""


@dataclass(frozen=True, slots=True)
class Moment:
    """The tree from ``at_s`` on: ``edges`` are child -> parent, by host; ``gone`` are away; ``what`` happened."""

    at_s: float
    edges: dict[str, str]
    gone: tuple[str, ...]
    what: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class _Change:
    t: float
    host: str
    parent: str | None = None
    away: bool = False
    back: bool = False
    what: str = ""


def moments(recording: Recording) -> tuple[Moment, ...]:
    """Return every change of the tree from the begin of the stream to its end."""
    t0, until = began(recording), ended(recording) + 0.5
    changes = sorted(_changes(recording, t0), key=lambda change: change.t)
    edges, gone = dict(recording.start_tree.edges()), dict[str, None]()
    for change in changes:
        if change.t <= t0:
            _apply(change, edges, gone)
    found = [Moment(0.0, _living(edges, gone), tuple(gone), ("the stream begins",))]
    for group in _groups([change for change in changes if t0 < change.t <= until]):
        for change in group:
            _apply(change, edges, gone)
        now = Moment(
            round(group[-1].t - t0, 3),
            _living(edges, gone),
            tuple(gone),
            tuple(dict.fromkeys(change.what for change in group)),
        )
        if (now.edges, now.gone) != (found[-1].edges, found[-1].gone):
            found.append(now)
    return tuple(_fewer(found))


def _changes(recording: Recording, t0: float) -> Iterator[_Change]:
    names = {seat.id: seat.host for seat in recording.start_tree.seats}
    names |= {one.member: host for host, one in recording.journals.items() if one.member is not None}
    for fault in recording.faults:
        names |= {seat.id: seat.host for seat in fault.before.seats}
        for host in fault.away:
            yield _Change(fault.at, host, away=True, what=f"{fault.id}: {fault.target}")
            if fault.healed_at is not None:
                yield _Change(fault.healed_at, host, back=True, what=f"{fault.id} is healed")
    over = ended(recording)
    for host, journal in recording.journals.items():
        for fed in journal.all(Fed):
            parent = names.get(fed.parent) if fed.parent is not None else None
            if parent is not None:
                yield _Change(fed.t, host, parent, what=f"{host} is fed by {parent}")
        last = journal.last(Summary)
        if last is not None and t0 < last.t < over:
            yield _Change(last.t, host, what=f"{host} has left")


def _apply(change: _Change, edges: dict[str, str], gone: dict[str, None]) -> None:
    if change.away:
        gone[change.host] = None
    elif change.back:
        gone.pop(change.host, None)
    elif change.parent is None:
        edges.pop(change.host, None)
    else:
        edges[change.host] = change.parent


def _living(edges: Mapping[str, str], gone: Mapping[str, None]) -> dict[str, str]:
    """Return the edges without members that are away. A child of one of them has not noticed yet, or is being moved."""
    return {child: parent for child, parent in edges.items() if child not in gone and parent not in gone}


def _groups(changes: Sequence[_Change]) -> Iterator[list[_Change]]:
    group: list[_Change] = []
    for change in changes:
        if group and (change.t - group[0].t > TOGETHER_S or change.away != group[0].away):
            yield group
            group = []
        group.append(change)
    if group:
        yield group


def _fewer(found: Sequence[Moment]) -> list[Moment]:
    if len(found) <= MOST:
        return list(found)
    gaps = sorted(range(1, len(found) - 1), key=lambda index: found[index + 1].at_s - found[index].at_s)
    dropped = set(gaps[: len(found) - MOST])
    return [moment for index, moment in enumerate(found) if index not in dropped]
