"""How members came in: from the start of the program to the first record. Pure.

Owns: the four moments of a join (Fig. 4 and 5), from the member's own journal. A member that was started again counts
with its first start.
"""

from __future__ import annotations

from dataclasses import dataclass

from overlaycast.lab.analysis.delivery import NOTHING, began
from overlaycast.lab.recording.recording import Recording
from overlaycast.wire.journal import Attached, Fed, Sample, Started, Welcomed


@dataclass(frozen=True, slots=True)
class Join:
    """One receiver's way in; seconds after the source began (negative: before), None where it never got there.

    Attributes:
        host: the receiver.
        started_s: its program began.
        welcome_s: the coordinator had authenticated it.
        attached_s: its parent was there.
        first_s: its first record had come; as fine as the journal's samples, 200 ms.
    """

    host: str
    started_s: float | None
    welcome_s: float | None
    attached_s: float | None
    first_s: float | None

    @property
    def took_s(self) -> float | None:
        """Seconds from the start of the program until it had a parent."""
        if self.started_s is None or self.attached_s is None:
            return None
        return round(self.attached_s - self.started_s, 3)


def joins(recording: Recording) -> tuple[Join, ...]:
    """Return one entry per receiver, in the order of the cast."""
    t0 = began(recording)
    found = []
    for host in recording.cast.peers:
        journal = recording.journals.get(host, NOTHING)
        firsts = [next((entry.t for entry in journal.all(kind)), None) for kind in (Started, Welcomed)]
        parents = [one.t for one in journal.all(Attached)] or [one.t for one in journal.all(Fed)]  # older ones
        firsts.append(parents[0] if parents else None)
        record = next((sample.t for sample in journal.all(Sample) if sample.records), None)
        times = [None if t is None else round(t - t0, 3) for t in (*firsts, record)]
        found.append(Join(host, *times))
    return tuple(found)
