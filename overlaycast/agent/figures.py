"""A node's figures: what goes into reports, journal samples, the summary and the status line.

Owns: putting numbers of the node's parts together. Refuses: to change any of them.
"""

from __future__ import annotations

import sys
import time
from typing import TYPE_CHECKING, Final, Literal

from overlaycast.agent.progress import Far, FileProgress
from overlaycast.agent.records.arrival import Arrival
from overlaycast.agent.stats import Reception
from overlaycast.failover.words import State
from overlaycast.wire.journal import FileProgressed, RecordsLost, Sample, SinkLatency, Summary
from overlaycast.wire.messages import Assign, Report

if TYPE_CHECKING:
    from overlaycast.agent.agent import Agent

ReportState = Literal["waiting", "streaming", "stalled", "switching", "ended"]

_STATES: Final[dict[State, ReportState]] = {
    State.WAITING: "waiting",
    State.CONNECTING: "waiting",
    State.STREAMING: "streaming",
    State.STALLED: "stalled",
    State.SWITCHING: "switching",
    State.ENDED: "ended",
}
STATUS_S: Final = 1.0


class Figures:
    """The node's numbers, read off its parts."""

    def __init__(self, node: Agent) -> None:
        self.begun = False
        self._node = node
        self._time = time.monotonic  # the loop's own clock counts whole milliseconds
        self._reception = Reception(self._time())
        self._lost = 0
        self._sent = 0
        self._names: dict[int, str] = {}
        self._terminal = sys.stderr.isatty()
        self._progress: FileProgress | None = None
        self._far: Far | None = None
        self._status_at = 0.0
        self._status_bytes = 0
        self._status_shown = False

    # --- arrivals ----------------------------------------------------------------------------------------------

    def arrived(self, arrival: Arrival) -> float | None:
        """Count one read. Return the gap in ms before its records, None without new records."""
        reception = self._reception
        reception.duplicates += arrival.duplicates
        for first, after in arrival.lost:
            self._lost += after - first
            self._node.journal(RecordsLost(from_seq=first, to_seq=after))
            self.line(f"lost records {first} to {after - 1}")
        if not arrival.records:
            return None
        return reception.arrived(
            self._time(), time.time(), arrival.records, arrival.bytes, arrival.first_us, arrival.last_us
        )

    @property
    def next_seq(self) -> int:
        """The next record expected; after END the number after the last record."""
        ring = self._node.ring
        return ring.end.seq if ring.end is not None else ring.position

    @property
    def first_seq(self) -> int:
        """The first record that we had."""
        node = self._node
        if node.pump:
            return node.pump.first_seq
        if node.sink and node.sink.counting.entered.first_seq is not None:
            return node.sink.counting.entered.first_seq
        return node.ring.began_at or 0

    @property
    def lost(self) -> int:
        """Records that never reached us, or our sink."""
        sink = self._node.sink
        return max(self._lost, sink.counting.entered.lost if sink else 0)

    # --- the coordinator ---------------------------------------------------------------------------------------

    @property
    def state(self) -> ReportState:
        """As reports name it."""
        node = self._node
        if node.ring.end is not None:
            return "ended"
        if node.uplink is None:
            return "streaming" if self.begun else "waiting"
        state = _STATES[node.uplink.machine.state]
        return "waiting" if state == "streaming" and node.ring.next_seq is None else state

    def report(self) -> None:
        """Send a report (Fig. 9B)."""
        node = self._node
        interval = self._reception.take_report(self._time())
        machine = node.uplink.machine if node.uplink else None
        node.tell(
            Report(
                epoch=node.epoch,
                parent=machine.settled_parent if machine else None,
                state=self.state,
                next_seq=self.next_seq,
                interval_ms=round((self._time() - interval.since) * 1000, 3),
                bytes=interval.bytes if node.pump is None else self._sent_since(node.pump.bytes),
                records=interval.records,
                latency_p50_ms=interval.latency.percentile(0.5),
                latency_max_ms=round(interval.latency.maximum, 3) if interval.records else None,
                longest_gap_ms=round(interval.longest_gap_ms, 3),
                lost=self.lost,
                duplicated=self._reception.duplicates,
                standbys_ready=machine.standbys_ready[:16] if machine else (),
                children=node.downstream.reports() if node.downstream else (),
            )
        )

    def _sent_since(self, sent: int) -> int:
        """What a source has sent since its last report: the rate that its receivers are judged by."""
        before, self._sent = self._sent, sent
        return sent - before

    def learn_names(self, order: Assign) -> None:
        """Remember what people call the members of an order."""
        for peer in (*order.standbys, *order.fallbacks, *((order.parent,) if order.parent else ())):
            self._names[peer.member] = peer.name

    def parent_changed(self) -> None:
        """One line for people."""
        machine = self._node.uplink.machine if self._node.uplink else None
        parent = machine.parent if machine else None
        if parent is not None:
            self.line(f"fed by {self._names.get(parent, 'member')} ({parent})")

    # --- journal -----------------------------------------------------------------------------------------------

    def _written(self) -> tuple[int, int]:
        """Bytes and records in the sink; of a source, sent; of a relay, received."""
        node = self._node
        if node.pump:
            return node.pump.bytes, node.pump.records
        if node.sink:
            return node.sink.counting.entered.bytes, node.sink.counting.entered.records
        return self._reception.bytes, self._reception.records

    def sample(self) -> None:
        """The journal's line every 200 ms, and the status line."""
        interval = self._reception.take_sample(self._time())
        size, records = self._written()
        self._node.journal(
            Sample(
                bytes=size,
                records=records,
                next_seq=self.next_seq,
                gap_ms=round(interval.longest_gap_ms, 3),
                latency_ms=interval.latency.percentile(0.5),
            )
        )
        self.look_at_file()
        self._status(size)

    def look_at_file(self) -> None:
        """How far a file is; a journal line for each tenth of it."""
        file, size = self._node.file, self._written()[0]
        if file is None or file.size is None or not file.ready.is_set():
            return
        if self._progress is None:
            self._progress = FileProgress(file.size, size, self._time())
        self._far = self._progress.look(size, self._time())
        if self._progress.is_news(self._far):
            left = None if self._far.left_s is None else round(self._far.left_s, 1)
            rate = round(self._far.rate_mbit, 3)
            self._node.journal(FileProgressed(percent=self._far.percent, bytes=size, rate_mbit=rate, left_s=left))

    def sha256(self) -> str | None:
        """The digest of what was sent or written; a live relay keeps none."""
        node = self._node
        if node.pump:
            return node.pump.sha256
        if node.file:  # each chunk was checked before it was written
            return node.file.checks.contents.sha256 if node.file.checks and node.file.complete else None
        return node.sink.counting.sha256() if node.sink else None

    def digest_ok(self) -> bool | None:
        """Is it the source's? None: not known (a late joiner, a relay, no END)."""
        node, end = self._node, self._node.ring.end
        if node.pump:
            return True if end is not None else None
        if node.file:
            return node.file.complete if end is not None else None
        if end is None or node.sink is None:
            return None
        return node.sink.counting.matches(end.first_seq, end.seq, end.digest)

    def verdict(self) -> bool:
        """Nothing missing, and the digest not another one."""
        return self.lost == 0 and self.digest_ok() is not False

    def complaint(self) -> str:
        """What is wrong, in one line."""
        if self.lost:
            return f"incomplete: {self.lost} records lost"
        return "the digest of what was received is not the source's"

    def summary(self) -> None:
        """The journal's last line."""
        node = self._node
        if node.member is None:
            return
        reception, latency = self._reception, self._reception.latency
        entered = node.sink.counting.entered if node.sink else None
        size, records = self._written()
        node.journal(
            Summary(
                first_seq=self.first_seq,
                next_seq=self.next_seq,
                expected=self.next_seq - self.first_seq,
                received=records,
                lost=self.lost,
                duplicated=entered.duplicated if entered else 0,
                reordered=entered.reordered if entered else 0,
                sha256=self.sha256(),
                digest_ok=self.digest_ok(),
                latency_ms=SinkLatency(
                    p50=latency.percentile(0.5),
                    p99=latency.percentile(0.99),
                    max=round(latency.maximum, 3) if latency.total else None,
                ),
                longest_gap_ms=round(reception.longest_gap_ms, 3),
                longest_gap_at=reception.longest_gap_at,
                bytes=size,
                bytes_received=reception.bytes,
                discarded=reception.duplicates,
                children_skipped=node.downstream.skipped if node.downstream else 0,
                bytes_forwarded=node.downstream.bytes_out if node.downstream else 0,
                ring_bytes=node.ring.memory_bytes,
                cpu_s=round(time.process_time(), 3),
            )
        )
        if self._status_shown:
            print(file=sys.stderr)

    # --- people ------------------------------------------------------------------------------------------------

    def line(self, text: str) -> None:
        """Print one line on stderr, above the status line if there is one."""
        clear = "\r\x1b[K" if self._status_shown else ""
        self._status_shown = False
        print(f"{clear}overlaycast {self._node.options.name}: {text}", file=sys.stderr, flush=True)

    def _status(self, size: int) -> None:
        now = self._time()
        if not self._terminal or now - self._status_at < STATUS_S:
            return
        rate = (size - self._status_bytes) * 8e-6 / (now - self._status_at)
        self._status_at, self._status_bytes = now, size
        node = self._node
        parent = node.uplink.machine.parent if node.uplink else None
        parts = [
            self.state,
            self._far.words() if self._far else f"{rate:.2f} Mbit/s  record {self.next_seq}",
            f"from {self._names.get(parent, parent)}" if parent else "",
            f"{node.downstream.feeding} children" if node.downstream else "",
        ]
        print("\r\x1b[K" + "  ".join(part for part in parts if part), end="", file=sys.stderr, flush=True)
        self._status_shown = True
