"""How far the stream can have got: what members claim beyond that is not believed.

Owns: the source's own word on its progress, and the bound that follows from it. Refuses: to bound anything in a running
group whose progress is not known, as with a snapshot of an earlier version: then its members know best.

A source that returns goes on behind what its former children have. One that claims far more would make all others wait
for records that never were; one that is not believed enough would have new records taken for old. So the bound is wide:
twice the fastest pace that the source has shown, or that the planned rate could have with the smallest usual records;
and what a fast computer can send at most while no pace is known. What is known outlives restarts of the coordinator and
of the source. A file has no records beyond its end.

Members are told the same (``extent``): they check by it what their parents claim.
"""

from __future__ import annotations

from typing import Final

from overlaycast.overlay.state.account import Progress
from overlaycast.overlay.state.group import Group
from overlaycast.wire.frames import SEQ_LIMIT, TS_PACKET
from overlaycast.wire.messages import Extent

SLACK: Final = 1024
SHORTEST_S: Final = 0.2
FASTER: Final = 2.0
FASTEST: Final = 1e6
"""Records a second of a source whose pace is not known, at most."""


def on_begin(group: Group, next_seq: int, now: float) -> None:
    """The source is let go from this record on; its pace, if one is known, remains what it was."""
    known = group.watch.progress
    group.watch.progress = Progress(next_seq, now, None if known is None else known.pace)
    group.watch.end = None


def on_source_report(group: Group, next_seq: int, now: float, ended: bool = False) -> None:
    """The source reports how far it is; ``ended``: that is the end of the stream."""
    group.watch.end = next_seq if ended else None
    before = group.watch.progress
    pace = None
    if before is not None:
        pace = max(before.pace or 0.0, (next_seq - before.next_seq) / max(now - before.at, SHORTEST_S))
    group.watch.progress = Progress(next_seq, now, pace)


def believed(group: Group, next_seq: int) -> int:
    """Return a member's claim, or as much of it as can be true by now."""
    known, contents = group.watch.progress, group.start.contents
    if known is None or next_seq > known.next_seq:
        next_seq = min(next_seq, _sent(group, next_seq, known))
    return next_seq if contents is None else min(next_seq, -(-contents.size // contents.record_size))


def furthest(group: Group) -> int:
    """Return the highest number that anybody is known to have had, as far as that is believed."""
    return believed(group, max((member.watch.next_seq for member in group.members.values()), default=0))


def extent(group: Group) -> Extent:
    """Return how far the stream is, as a member is told it now."""
    known, end, source = group.watch.progress, group.watch.end, group.source
    if end is None:
        least = known.next_seq if known is not None else group.start.next_seq
        over = False if source is not None and source.connected else None
    else:
        least, over = end, True
    most = min(_sent(group, SEQ_LIMIT - 1, known), SEQ_LIMIT - 1) if group.start.begun else least
    return Extent(least=least, most=max(least, most), mbit=group.watch.stream_mbit, over=over)


def _sent(group: Group, unknown: int, known: Progress | None) -> int:
    if known is None:
        return unknown if group.start.begun else group.start.next_seq
    seconds = max(group.clock - known.at, 0.0) + group.settings.report_ms / 1000
    planned = group.settings.rate_mbit * 125_000 / TS_PACKET
    pace = FASTEST if known.pace is None else max(FASTER * known.pace, planned)
    return known.next_seq + int(pace * seconds) + SLACK
