"""A member's figures: what goes into reports, journal samples, the summary and the status line.

Owns: reading the numbers off the parts and putting them together. Refuses: to change any of them.
"""

from __future__ import annotations

import time
from typing import Final

from overlaycast.agent.console import Console
from overlaycast.agent.parts import Membership, Parts, Program
from overlaycast.agent.rates.failures import CALL, IN_VAIN, Failures
from overlaycast.agent.rates.progress import FileProgress
from overlaycast.agent.rates.stats import Reception
from overlaycast.agent.records.arrival import Arrival
from overlaycast.wire.journal import FileProgressed, RecordsLost, Sample, SinkLatency, Summary
from overlaycast.wire.messages import MAX_UNTRUE, Assign, Behind, Report, ReportState, Untrue, Untruth

STATUS_S: Final = 1.0
_FAILED: Final = {
    "silence": "the link to {} was silent for too long and is closed",
    "reset": "the link to {} broke",
    "refused": "{} refused us",
    "unreachable": "{} could not be reached",
    "gone": "{} does not have the records that come next",
    "damaged": "{} sent what the source has not announced",
    IN_VAIN: "{} was asked for data in vain",
    CALL: "{} was called and did not come",
}
"""What people are told of each kind of failure, with the member's name."""
MOST_STANDBYS: Final = 16
"""That a report names."""


class Figures:
    """The member's numbers.

    Args:
        reception: counts what arrives.
        failures: counts what fails.

    ``behind`` is what reports say cannot keep up (``lookout``).
    """

    def __init__(
        self,
        parts: Parts,
        membership: Membership,
        reception: Reception,
        failures: Failures,
        program: Program,
        console: Console,
    ) -> None:
        self._parts = parts
        self._membership = membership
        self._reception = reception
        self._failures = failures
        self._program = program
        self._console = console
        self._time = time.monotonic  # the loop's own clock counts whole milliseconds
        self._sent = 0
        self._names: dict[int, str] = {}
        self.behind: Behind | None = None
        self._fed_by: int | None = None
        self._untrue: dict[int, Untrue] = {}
        self._progress: FileProgress | None = None
        self._status_at = 0.0
        self._status_bytes = 0

    # --- arrivals ----------------------------------------------------------------------------------------------

    def arrived(self, arrival: Arrival) -> float | None:
        """Count one read. Return the gap in ms before its records, None without new records."""
        reception = self._reception
        reception.duplicates += arrival.duplicates
        for first, after in arrival.lost:
            reception.lost += after - first
            self._program.journal(RecordsLost(from_seq=first, to_seq=after))
        if not arrival.records:
            return None
        return reception.arrived(
            self._time(), time.time(), arrival.records, arrival.bytes, arrival.first_us, arrival.last_us
        )

    @property
    def next_seq(self) -> int:
        """The next record expected; after END the number after the last record."""
        ring = self._parts.ring
        return ring.end.seq if ring.end is not None else ring.position

    @property
    def first_seq(self) -> int:
        """The first record that this member had."""
        first = self._parts.delivery.first_seq
        return (self._parts.ring.began_at or 0) if first is None else first

    @property
    def lost(self) -> int:
        """Records that never reached this member, or its output."""
        return max(self._reception.lost, self._parts.delivery.lost)

    # --- the coordinator ---------------------------------------------------------------------------------------

    @property
    def state(self) -> ReportState:
        """As reports name it."""
        return "ended" if self._parts.ring.end is not None else self._parts.feed.state

    def report(self, asks: bool = False) -> None:
        """Send a report (Fig. 9B); ``asks``: the coordinator is to say how far the stream is."""
        feed, reception = self._parts.feed, self._reception
        untrue = tuple(self._untrue.values())
        if self._program.connected:  # else the report is lost, and the next one says it
            self._untrue = {}
        interval = reception.take_report(self._time())
        self._program.tell(
            Report(
                epoch=self._membership.epoch,
                parent=feed.settled_parent,
                state=self.state,
                next_seq=self.next_seq,
                interval_ms=round((self._time() - interval.since) * 1000, 3),
                bytes=self._sent_since() if feed.sends else interval.bytes,
                records=interval.records,
                latency_p50_ms=interval.latency.percentile(0.5),
                latency_max_ms=round(interval.latency.maximum, 3) if interval.records else None,
                longest_gap_ms=round(interval.longest_gap_ms, 3),
                lost=self.lost,
                duplicated=reception.duplicates,
                standbys_ready=feed.standbys_ready[:MOST_STANDBYS],
                children=self._parts.downstream.reports(),
                behind=self.behind,
                fed_by=self._fed_by,
                links_failed=self._failures.links_failed,
                asked_in_vain=self._failures.asked_in_vain,
                asks=asks or None,
                untrue=untrue[:MAX_UNTRUE] or None,
            )
        )

    def _sent_since(self) -> int:
        """Return what a source has sent since its last report: its receivers are judged by that rate."""
        before, self._sent = self._sent, self._parts.delivery.bytes
        return self._sent - before

    def learn_names(self, order: Assign) -> None:
        """Remember the names of the members in an order."""
        for peer in (*order.standbys, *order.fallbacks, *((order.parent,) if order.parent else ())):
            self._names[peer.member] = peer.name

    def named(self, member: int) -> str:
        """Return a member's name, as far as orders have told it, and its number."""
        return f"{self._names.get(member, 'member')} ({member})"

    def fed_by(self, parent: int) -> None:
        """Say who feeds us: a record has come."""
        self._fed_by = parent
        self._program.say(f"fed by {self.named(parent)}")

    @property
    def feeder(self) -> str | None:
        """The name of the member from which the last record came; None: none has come yet."""
        return None if self._fed_by is None else self.named(self._fed_by)

    def failed(self) -> None:
        """Say what of links has failed, of each kind when it begins and then once a minute."""
        for told in self._failures.due(self._time()):
            more = f" ({told.count} like this since the last such line)" if told.count > 1 else ""
            self._program.say(f"{_FAILED[told.kind].format(self.named(told.member))}{more}")

    def untrue(self, parent: int, what: Untruth, why: str, pause_s: float) -> None:
        """A parent said what cannot be: keep it for the next report, and say so."""
        self._untrue[parent] = Untrue(parent=parent, what=what)
        self._program.say(f"{self.named(parent)} says what cannot be ({why}); it is not asked for {pause_s:.0f} s")

    def fruitless(self, parents: tuple[int, ...]) -> None:
        """Say what may be wrong where parents answer and bring nothing."""
        names = " and ".join(map(self.named, parents))
        self._program.say(f"{names} answer, but no record comes through: are large packets lost on the way (MTU)?")

    # --- journal -----------------------------------------------------------------------------------------------

    def sample(self) -> None:
        """Write a sample to the journal and show the status line: every 200 ms."""
        interval = self._reception.take_sample(self._time())
        delivery = self._parts.delivery
        self._program.journal(
            Sample(
                bytes=delivery.bytes,
                records=delivery.records,
                next_seq=self.next_seq,
                gap_ms=round(interval.longest_gap_ms, 3),
                latency_ms=interval.latency.percentile(0.5),
            )
        )
        self.look_at_file()
        self._status()

    def look_at_file(self) -> None:
        """See how much of a file is here; a journal line for each tenth of it."""
        size, done = self._parts.delivery.size, self._parts.delivery.bytes
        if size is None:
            return
        if self._progress is None:
            self._progress = FileProgress(size, done, self._time())
        state = self._progress.look(done, self._time())
        if self._progress.is_news(state):
            left = None if state.left_s is None else round(state.left_s, 1)
            rate = round(state.rate_mbit, 3)
            self._program.journal(FileProgressed(percent=state.percent, bytes=done, rate_mbit=rate, left_s=left))

    def digest_ok(self) -> bool | None:
        """Is the digest the source's? None: not known (a late joiner, a live relay, no END)."""
        end = self._parts.ring.end
        return None if end is None else self._parts.delivery.digest_ok(end)

    def verdict(self) -> bool:
        """Is nothing missing, and the digest not another one?"""
        return self.lost == 0 and self.digest_ok() is not False

    def complaint(self) -> str:
        """Return what is wrong, in one line."""
        if self.lost:
            return f"incomplete: {self.lost} records lost"
        return "the digest of what was received is not the source's"

    def summary(self) -> None:
        """Write the journal's last line."""
        parts, reception, latency = self._parts, self._reception, self._reception.latency
        delivery = parts.delivery
        self._program.journal(
            Summary(
                first_seq=self.first_seq,
                next_seq=self.next_seq,
                expected=self.next_seq - self.first_seq,
                received=delivery.records,
                lost=self.lost,
                duplicated=delivery.duplicated,
                reordered=delivery.reordered,
                sha256=delivery.sha256(),
                digest_ok=self.digest_ok(),
                latency_ms=SinkLatency(
                    p50=latency.percentile(0.5),
                    p99=latency.percentile(0.99),
                    max=round(latency.maximum, 3) if latency.total else None,
                ),
                longest_gap_ms=round(reception.longest_gap_ms, 3),
                longest_gap_at=reception.longest_gap_at,
                bytes=delivery.bytes,
                bytes_received=reception.bytes,
                discarded=reception.duplicates,
                children_skipped=parts.downstream.skipped,
                bytes_forwarded=parts.downstream.bytes_out,
                ring_bytes=parts.ring.memory_bytes,
                cpu_s=round(time.process_time(), 3),
                links_failed=self._failures.links,
                asked_in_vain=self._failures.asked_in_vain,
            )
        )

    # --- people ------------------------------------------------------------------------------------------------

    def _status(self) -> None:
        now = self._time()
        if not self._console.is_terminal or now - self._status_at < STATUS_S:
            return
        size, parent = self._parts.delivery.bytes, self._fed_by
        rate = (size - self._status_bytes) * 8e-6 / (now - self._status_at)
        self._status_at, self._status_bytes = now, size
        far = self._progress.last if self._progress else None
        words = [
            self.state,
            far.words() if far else f"{rate:.2f} Mbit/s  record {self.next_seq}",
            f"from {self._names.get(parent, parent)}" if parent and parent == self._parts.feed.parent else "",
            f"{self._parts.downstream.feeding} children",
        ]
        self._console.status("  ".join(word for word in words if word))
