"""All that came from the hosts of a run, and what they did for each fault. Pure."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

from overlaycast.errors import LabError
from overlaycast.lab.faults.aim import Hit
from overlaycast.lab.faults.faults import Fault, LinkFlap
from overlaycast.lab.hosts.noted import Done, Noted, Trees
from overlaycast.lab.recording.journals import Journal
from overlaycast.lab.recording.recording import FileSeen

_DROPPED: Final = re.compile(r"([0-9]+) packets had been dropped")
"""What a hand says when it takes a table of nftables away (``hand/deeds.py``)."""


@dataclass(frozen=True, slots=True)
class Struck:
    """A fault that was armed: what it hit, and which hosts have a deed for it."""

    name: str
    fault: Fault
    hit: Hit
    hosts: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Gathered:
    """All that came from the hosts.

    Attributes:
        facts: host -> what it has.
        journals: by host, dated by the source's clock.
        noted: by host.
        units: host -> how its program was just before the end.
        last_words: host -> the last line of its log.
        received: host -> its file.
        trees: the coordinator's, over time.
        struck: the faults that were armed, in the order of time.
        metrics: the coordinator's figures, if it answered.
        multicast: whether multicast passed no router; None: it could not be told.
        disks: host -> what kind of file system was filled.
    """

    facts: Mapping[str, Mapping[str, Any]]
    journals: Mapping[str, Journal]
    noted: Mapping[str, Noted]
    units: Mapping[str, Mapping[str, str]]
    last_words: Mapping[str, str]
    received: Mapping[str, FileSeen]
    trees: Trees
    struck: Sequence[Struck]
    metrics: Mapping[str, Any] | None = None
    multicast: bool | None = None
    disks: Mapping[str, str] = field(default_factory=dict)


def deeds_of(got: Gathered, host: str, name: str, *, undone: bool) -> list[Done]:
    """Return what a host did for a deed, or how it undid it.

    Raises:
        LabError: that did not work.
    """
    found = [one for one in got.noted[host].done() if one.name == name and one.undone == undone]
    for one in found:
        if not one.ok:
            raise LabError(f"fault {name}: {host}: {one.evidence}")
    return found


def did(got: Gathered, struck: Struck) -> Done:
    """Return what the hosts did for a fault, as one deed: from the first of them on.

    Raises:
        LabError: a host did not do it.
    """
    found = []
    for host in struck.hosts:
        done = deeds_of(got, host, struck.name, undone=False)
        if not done:
            raise LabError(f"fault {struck.name}: {host} did not do it: its timer has not fired")
        found.append((host, done[0]))
    first = min(done.at for _, done in found)
    said = [done.evidence for _, done in found]
    several = len(found) > 1
    evidence = (
        f"{len(found)} hosts: {said[0]}"
        if several and len(set(said)) == 1
        else ", ".join(f"{host}: {done.evidence}" if several else done.evidence for host, done in found)
    )
    undone = [one.evidence for host in struck.hosts for one in deeds_of(got, host, struck.name, undone=True)]
    dropped = [int(count) for text in undone for count in _DROPPED.findall(text)]
    if dropped:
        evidence += f"; {sum(dropped)} packets were dropped"
    return Done(struck.name, False, first, True, evidence)


def healed(got: Gathered, struck: Struck) -> float | None:
    """Return when the last host had undone it; None: it lasted to the end."""
    if struck.fault.heals_after_s is None:
        return None
    name = struck.name
    if isinstance(struck.fault, LinkFlap) and struck.fault.times > 1:
        name = f"{struck.name}-{struck.fault.times}"
    found = []
    for host in struck.hosts:
        undone = [one for one in deeds_of(got, host, name, undone=True) if not one.at_end]
        if not undone:
            return None
        found.append(undone[-1].at)
    return max(found)
