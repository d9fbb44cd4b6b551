"""What happened, in order: the members' journals and the faults merged into one list, for ``events.jsonl``. Pure.

Owns: the order, and seconds since the source began. Samples are left out; ``series.json`` has them.
"""

from __future__ import annotations

from collections.abc import Iterator
from operator import itemgetter
from typing import Any

from overlaycast.lab.analysis.delivery import began
from overlaycast.lab.recording.recording import Recording
from overlaycast.wire.journal import Sample


def events(recording: Recording) -> list[dict[str, Any]]:
    """Return one object per event: ``at_s`` since the source began, ``host``, ``kind``, and the kind's own fields."""
    return sorted(_all(recording, began(recording)), key=itemgetter("at_s"))


def _all(recording: Recording, t0: float) -> Iterator[dict[str, Any]]:
    for host, journal in recording.journals.items():
        for entry in journal.entries:
            if not isinstance(entry, Sample):
                fields = entry.model_dump(by_alias=True, exclude={"t", "kind"}, exclude_none=True)
                yield {"at_s": round(entry.t - t0, 4), "host": host, "kind": entry.kind, **fields}
    for fault in recording.faults:
        seen = {"action": fault.action, "asked": fault.asked, "target": fault.target, "evidence": fault.evidence}
        yield {"at_s": round(fault.at - t0, 4), "host": "lab", "kind": "fault", "fault": fault.id, **seen}
        if fault.healed_at is not None:
            yield {"at_s": round(fault.healed_at - t0, 4), "host": "lab", "kind": "healed", "fault": fault.id}
