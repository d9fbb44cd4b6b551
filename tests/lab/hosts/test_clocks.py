"""Clocks that do not agree, set right; and the exchange that measures them."""

from __future__ import annotations

import socket
import threading
import time

import pytest

from overlaycast.lab.hosts import clocks
from overlaycast.lab.hosts.clocks import Clock, Exchange
from overlaycast.lab.hosts.hand import clock as hand
from overlaycast.lab.hosts.hand.units import HandError
from overlaycast.lab.recording.journals import Journal
from overlaycast.wire.journal import Sample, SinkLatency, Started, Summary

AHEAD = Clock((Exchange(1000.0, 500.0, 0.4, 0.8), Exchange(1100.0, 510.0, 0.6, 1.2)))


def test_an_offset_goes_along_a_line_between_the_measurements() -> None:
    assert [round(AHEAD.offset_s(t), 6) for t in (0, 1000, 1050, 1100, 9999)] == [0.5, 0.5, 0.505, 0.51, 0.51]
    assert (AHEAD.uncertainty_ms, AHEAD.drift_ms) == (0.6, 10.0)
    assert clocks.REFERENCE.right(7.0) == clocks.REFERENCE.own(7.0) == 7.0


def test_a_journal_is_dated_by_the_source_and_its_latencies_lose_the_offset() -> None:
    journal = Journal(
        "a",
        (
            Started(t=1000.0, role="peer", name="a"),
            Sample(t=1050.0, bytes=1, records=1, latency_ms=508.0, gap_ms=7.0),
            Summary(t=1100.0, latency_ms=SinkLatency(p50=512.0, p99=None, max=520.0), longest_gap_at=1100.0),
        ),
    )
    start, sample, summary = clocks.set_right(journal, AHEAD).entries
    assert (start.t, sample.t, summary.t) == (999.5, 1049.495, 1099.49)
    assert isinstance(sample, Sample)
    assert isinstance(summary, Summary)
    assert (round(sample.latency_ms or 0, 6), sample.gap_ms) == (3.0, 7.0)
    assert summary.latency_ms == SinkLatency(p50=2.0, p99=None, max=10.0)
    assert summary.longest_gap_at == 1099.49


def test_the_exchange_finds_that_one_clock_agrees_with_itself(monkeypatch: pytest.MonkeyPatch) -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:

        def twice_asked() -> None:
            for _ in range(2):
                hand.answer(server.accept()[0])

        twice = threading.Thread(target=twice_asked)
        twice.start()
        seen = hand.ask("127.0.0.1", server.getsockname()[1])
        assert abs(seen["offset_ms"]) <= seen["uncertainty_ms"] + 0.05
        assert seen["rtt_ms"] == pytest.approx(2 * seen["uncertainty_ms"])
        real = time.time
        monkeypatch.setattr(time, "time", lambda: real() + 3 * (threading.current_thread() is twice))
        behind = hand.ask("127.0.0.1", server.getsockname()[1])
        assert behind["offset_ms"] == pytest.approx(-3000, abs=behind["uncertainty_ms"] + 0.05)
        twice.join()


def test_a_host_that_is_not_reached_is_told_with_its_port() -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
    with pytest.raises(HandError, match=rf"^does not reach 127\.0\.0\.1, TCP port {port}: Connection refused$"):
        hand.ask("127.0.0.1", port)
