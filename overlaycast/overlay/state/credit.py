"""How far the stream can have got: what members claim beyond that is not believed.

Owns: the source's own word on its progress, and the bound that follows from it. Refuses: to bound anything while the
source has not spoken (after a restart of the coordinator, or before its second report): then its children know best.

A source that returns goes on behind what its former children have. One that claims far more would make all others wait
for records that never were; one that is not believed enough would have new records taken for old. So the bound is wide:
twice the fastest pace that the source has shown, or that the planned rate could have with the smallest usual records.
"""

from __future__ import annotations

from typing import Final

from overlaycast.overlay.state.account import Progress
from overlaycast.overlay.state.group import Group

SMALLEST: Final = 188
"""Bytes of the smallest usual record: one MPEG-TS packet."""
SLACK: Final = 1024
SHORTEST_S: Final = 0.2
FASTER: Final = 2.0


def on_source_report(group: Group, next_seq: int, now: float) -> None:
    """The source reports how far it is."""
    before = group.watch.progress
    pace = None
    if before is not None:
        pace = max(before.pace or 0.0, (next_seq - before.next_seq) / max(now - before.at, SHORTEST_S))
    group.watch.progress = Progress(next_seq, now, pace)


def believed(group: Group, next_seq: int) -> int:
    """Return a member's claim, or as much of it as can be true by now."""
    known = group.watch.progress
    if known is None or known.pace is None:
        return next_seq
    planned = group.settings.rate_mbit * 125_000 / SMALLEST
    seconds = max(group.clock - known.at, 0.0) + group.settings.report_ms / 1000
    return min(next_seq, known.next_seq + int(max(FASTER * known.pace, planned) * seconds) + SLACK)
